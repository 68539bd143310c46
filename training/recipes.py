"""The named ways to train a student: the paper's, its baselines, and the companions."""

from __future__ import annotations

from dataclasses import replace

from ros2_vodistill.errors import VodistillError
from training.losses import POSE, build_pose
from training.losses.pose import Blend
from training.settings import number, override
from training.stages import Feature, Pose, Run, Stage, Training

HINT = Stage("hint", features=(Feature("ht"),), train="to_hint")
TRUSTED_HINT = Stage("hint", features=(Feature("aht"),), train="to_hint")
ADAPTED_HINT = Feature("ht", weight=0.5, options={"regressor": True})
"""Chen's hint, always through an adaptation layer. Its weight, like nu of Chen's bound, is from memory, unverified."""


def recipe(method: str, steps: int = 0) -> tuple[Stage, ...]:
    """The stages of a method, of so many steps each; of NAME@ALPHA with that share of the truth where truth and teacher
    are blended."""
    name, at, alpha = method.partition("@")
    if name not in RECIPES:
        raise VodistillError(f"unknown method {name!r}", f"known: {', '.join(RECIPES)}; or give `stages` instead")
    stages = _sharing(method, RECIPES[name], alpha) if at else RECIPES[name]
    if name not in RISING:
        return stages
    ramp = round(RISING[name] * steps)
    return tuple(replace(s, features=tuple(replace(f, ramp=ramp) for f in s.features)) for s in stages)


def _sharing(method: str, stages: tuple[Stage, ...], alpha: str) -> tuple[Stage, ...]:
    blends = {loss for stage in stages for loss in stage.losses if issubclass(POSE.get(loss, object), Blend)}
    if not blends:
        raise VodistillError(f"method {method!r} blends no truth and teacher", "leave @ and what follows out")
    told = {"alpha": number(alpha)}
    for loss in blends:
        build_pose(loss, **told)
    return tuple(
        replace(s, pose=tuple(replace(p, options=p.options | told) if p.loss in blends else p for p in s.pose))
        for s in stages
    )


def spelled_out(run: Run, training: Training) -> Run:
    """A run with its method's stages in place of the method's name."""
    steps = override(training, run.training, "training").steps
    return replace(run, method="", stages=run.stages or recipe(run.method, steps))


def _pose(loss: str, **options: float) -> tuple[Stage, ...]:
    return (Stage("pose", pose=(Pose(loss, options=options),)),)


def _then(hint: Stage, loss: str) -> tuple[Stage, ...]:
    return hint, Stage("pose", pose=(Pose(loss),), train="after_hint")


def _feature(loss: str, weight: float = 1.0) -> tuple[Stage, ...]:
    return (Stage("pose", pose=(Pose("baseline"),), features=(Feature(loss, "level2", "level2", weight),)),)


LEVELS = ("level0", "level1", "level2")
"""Maps that every network has."""

RECIPES: dict[str, tuple[Stage, ...]] = {
    "supervised": _pose("baseline"),
    "likelihood": _pose("laplace"),
    "minimum": _pose("minimum"),
    "additional": _pose("additional"),
    "upper_bound": _pose("upper_bound"),
    "pil_laplace": _pose("pil_laplace"),
    "pil_gaussian": _pose("pil_gaussian"),
    "ail": _pose("ail"),
    "kd": _pose("additional"),
    "chen": (Stage("pose", pose=(Pose("chen"),), features=(ADAPTED_HINT,)),),
    "fitnets": (HINT, Stage("pose", pose=(Pose("additional"),))),
    "aht_ail": _then(TRUSTED_HINT, "ail"),
    "aht_student": _then(TRUSTED_HINT, "baseline"),
    "ht_ail": _then(HINT, "ail"),
    "ht_student": _then(HINT, "baseline"),
    "aht_ail_joint": (Stage("pose", pose=(Pose("ail"),), features=(Feature("aht"),)),),
    "review": (Stage("pose", pose=(Pose("baseline"),), features=(Feature("review", LEVELS, LEVELS),)),),
    "naive": _feature("naive"),
    "md": _feature("md"),
    "lad": _feature("lad", 3.0),
    "cad": _feature("cad", 3.0),
    "pixel_angle": _feature("pixel_angle", 3.0),
    "cwd": _feature("cwd"),
    "fkd": _feature("fkd"),
    "fgd": _feature("fgd"),
    "mgd": _feature("mgd"),
}

RISING = {"review": 20 / 240}
"""Share of a stage over which the weight on features rises: knowledge review's first 20 epochs, of CIFAR's 240."""

ON_MAPS = tuple(
    name for name, stages in RECIPES.items() if any(f.student != "hint" for s in stages for f in s.features)
)
"""Methods that compare feature maps, which say nothing where the student's encoder is the teacher's."""
