"""A network with what a stage asks of it: its losses, their helper layers and the parameters that learn."""

from __future__ import annotations

from dataclasses import replace
from fnmatch import fnmatch
from typing import Any

from torch import Tensor, nn

from ros2_vodistill.errors import VodistillError
from training.data.batch import Batch
from training.data.blank import blanked
from training.losses import Features, Poses, build_features, build_pose
from training.losses.flow import OpticalFlow
from training.losses.ground import grounding
from training.losses.matching import matching
from training.losses.tracking import tracking
from training.networks.base import Network, Output, level_views, of_view
from training.networks.layers import in_full, unhalved
from training.networks.peaks import TOLD
from training.stages import Feature, Pose, Stage
from training.teacher import Lesson, Teacher


class Learner(nn.Module):
    """Computes all losses of a batch in one `forward`, so that it can be wrapped for several processes.

    Attributes:
        network: that learns.
        description: plain data that the network is rebuilt from.
    """

    def __init__(
        self,
        network: Network,
        description: dict[str, Any],
        stage: Stage,
        rotation_weight: float = 100.0,
        teacher: Teacher | None = None,
        blank: float = 0.0,
    ) -> None:
        super().__init__()
        if blank and len(network.views) < 2:
            raise VodistillError("training.blank hides the only view of the network", "leave it out, or add a view")
        self.blank = blank
        self.network, self.description, self.stage, self.teacher = network, description, stage, teacher
        weighted = {"rotation_weight": rotation_weight}
        self.pose = [(p, build_pose(p.loss, **{**weighted, **p.options})) for p in stage.pose]
        self.features = nn.ModuleList()
        for feature in stage.features:
            if teacher is None:
                raise VodistillError(f"stage {stage.name} learns features without a teacher", "see the key `teacher`")
            widths = [
                [_width(n, name) for name in _names(names)]
                for n, names in ((network, feature.student), (teacher.network, feature.teacher))
            ]
            self.features.append(build_features(feature.loss, *widths, **feature.options))
        if stage.matching and not network.matches:
            raise VodistillError(f"stage {stage.name}: the network finds no matches", "leave `matching` out")
        for name, weight in (("tracking", stage.tracking), ("grounding", stage.grounding)):
            if weight and not network.tracks:
                raise VodistillError(f"stage {stage.name}: the network tracks no cells", f"leave `{name}` out")
        self.flow = OpticalFlow(_width(network, stage.flow.feature)) if stage.flow else None
        _select(network, stage)

    def forward(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Every loss by name, weighted, and their sum as 'loss'."""
        asked = bool(self.stage.features or self.stage.needs_flow or any(p.of for p in self.stage.pose))
        lesson = self.teacher.explain(batch, features=bool(self.stage.features)) if self.teacher else None
        batch = blanked(batch, self.blank) if self.blank else batch
        output = self.network(batch.views, features=asked)
        poses = Poses(
            output.motion.flatten(0, 1),
            batch.motions.flatten(0, 1),
            None if lesson is None else lesson.motion.flatten(0, 1),
            output.log_variance.flatten(0, 1),
            None if lesson is None else lesson.confidence.flatten(0, 1),
        )
        losses: dict[str, Tensor] = {}
        for judged, loss in self.pose:
            losses[_unused(_key(judged), losses)] = judged.weight * loss(_judged(poses, judged.of, output))
        for settings, between in zip(self.stage.features, self.features, strict=True):
            ramp = min(1.0, (step + 1) / settings.ramp) if settings.ramp else 1.0
            with in_full(output.motion):  # of features that are nearly alike, halved losses know next to nothing
                cost = between(_features(settings, output.features, lesson, batch))
            losses[_unused(_key(settings), losses)] = settings.weight * ramp * cost
        if self.stage.matching:
            losses["matching"] = self.stage.matching * matching(output.features, self.network.matches, batch.flow)
        if self.stage.tracking or self.stage.grounding:
            shifts, spreads, flags = (
                {view: output.features[of_view(name, view)] for view in self.network.views} for name in TOLD
            )
            if self.stage.tracking:
                losses["tracking"] = self.stage.tracking * tracking(shifts, spreads, batch.flow)
            if self.stage.grounding:
                seen = grounding(flags, shifts, batch.flow, batch.motions, level_views(self.network.views))
                losses["grounding"] = self.stage.grounding * seen
        if self.stage.flow and self.flow is not None:
            seen = output.features[self.stage.flow.feature].flatten(0, 1)
            losses["flow"] = self.stage.flow.weight * self.flow(seen, batch.flow["image"].flatten(0, 1))
        return {"loss": sum(losses.values()), **losses}  # type: ignore[dict-item]


def _judged(poses: Poses, feature: str, output: Output) -> Poses:
    """The motions, or, of a feature that stands for them, these without variances."""
    if not feature:
        return poses
    if feature not in output.features or output.features[feature].shape != output.motion.shape:
        raise VodistillError(f"a network has no motions {feature!r}", "one that polishes has a 'guess'")
    return replace(poses, student=output.features[feature].flatten(0, 1), log_variance=None)


def _features(settings: Feature, own: dict[str, Tensor], lesson: Lesson | None, batch: Batch) -> Features:
    assert lesson is not None
    return Features(
        tuple(unhalved(own[name]).flatten(0, 1) for name in _names(settings.student)),
        tuple(unhalved(lesson.features[name]).flatten(0, 1) for name in _names(settings.teacher)),
        lesson.confidence.flatten(0, 1),
        None if batch.masks is None else batch.masks[:, 1:].flatten(0, 1),
    )


def _width(network: Network, feature: str) -> int:
    widths = {"hint": network.hint_width, **network.level_channels}
    if feature not in widths:
        raise VodistillError(f"a network has no feature {feature!r}", f"known: {', '.join(widths)}")
    return widths[feature]


def _names(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value


def _key(settings: Pose | Feature) -> str:
    """The name under which a loss is logged."""
    if isinstance(settings, Pose):
        return f"{settings.loss}:{settings.of}" if settings.of else settings.loss
    if settings.student == "hint":
        return settings.loss
    return f"{settings.loss}:{'+'.join(_names(settings.student))}"


def _unused(name: str, losses: dict[str, Tensor]) -> str:
    """This name, or, of a second loss that would have it, the next."""
    number = sum(known.partition("#")[0] == name for known in losses)
    return f"{name}#{number + 1}" if number else name


def _select(network: Network, stage: Stage) -> None:
    """Let learn what the stage trains."""
    head = {id(p) for p in network.head_parameters()}
    for name, parameter in network.named_parameters():
        wanted = {"all": True, "to_hint": id(parameter) not in head, "after_hint": id(parameter) in head}[stage.train]
        parameter.requires_grad_(wanted and not any(fnmatch(name, pattern) for pattern in stage.freeze))
    for pattern in stage.freeze:
        if not any(fnmatch(name, pattern) for name, _ in network.named_parameters()):
            names = ", ".join(sorted({name.split(".")[0] + ".*" for name, _ in network.named_parameters()}))
            raise VodistillError(f"stage {stage.name}: freeze {pattern!r} matches no parameter", f"there are {names}")
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise VodistillError(f"stage {stage.name}: no parameter learns", "freeze less, or see the key `train`")
