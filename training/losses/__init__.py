"""Losses by name: on motions (`POSE`) and on features (`FEATURES`)."""

from __future__ import annotations

import typing
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from torch import nn

from ros2_vodistill.errors import VodistillError
from training.losses.attention import FeatureKnowledge, FocalGlobal
from training.losses.base import Features, LevelLoss, SumOverLevels
from training.losses.confidence import Confidence, claimed_errors, teacher_errors
from training.losses.features import Angle, ChannelWise, Magnitude, Naive
from training.losses.hints import AttentiveHint, Hint
from training.losses.masked import MaskedGenerative
from training.losses.pose import POSE, PoseLoss, Poses
from training.losses.review import Review
from training.settings import build, convert

__all__ = [
    "FEATURES", "POSE", "Confidence", "Features", "PoseLoss", "Poses",
    "build_features", "build_pose", "check_features", "claimed_errors", "teacher_errors",
]  # fmt: skip

FEATURES: dict[str, Callable[..., LevelLoss | Review]] = {
    "ht": Hint,
    "aht": AttentiveHint,
    "naive": Naive,
    "md": Magnitude,
    "lad": partial(Angle, of="layer"),
    "cad": partial(Angle, of="channel"),
    "pixel_angle": partial(Angle, of="pixel"),
    "cwd": ChannelWise,
    "fkd": FeatureKnowledge,
    "fgd": FocalGlobal,
    "mgd": MaskedGenerative,
    "review": Review,
}


def build_pose(name: str, **options: Any) -> PoseLoss:
    """A loss on motions: call it with `Poses`."""
    kind: type[PoseLoss] = _known(name, POSE, "pose loss")
    return build(kind, options, f"loss '{name}'")


def build_features(name: str, student: Sequence[int], teacher: Sequence[int], **options: Any) -> nn.Module:
    """A loss on features, a module since some learn layers of their own: call it with `Features`.

    Args:
        name: one of `FEATURES`.
        student, teacher: channels of each level, shallow to deep.
        options: of the loss.
    """
    options = check_features(name, options)
    kind: Any = FEATURES[name]
    if kind is Review:
        return Review(student, teacher, **options)
    return SumOverLevels([kind(ours, theirs, **options) for ours, theirs in zip(student, teacher, strict=True)])


def check_features(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a loss on features; an error where there is none of that name, or it has no such options."""
    kind = _known(name, FEATURES, "feature loss")
    hints = typing.get_type_hints(getattr(kind, "func", kind).__init__)
    known = [option for option in hints if option not in ("student", "teacher", "return")]
    if strange := sorted(set(options) - set(known)):
        raise VodistillError(
            f"loss '{name}' has no {', '.join(strange)}", f"It can be told {', '.join(known) or 'nothing'}."
        )
    return {key: convert(hints[key], value, f"loss '{name}'", key) for key, value in options.items()}


def _known(name: str, registry: Mapping[str, Any], what: str) -> Any:
    if name not in registry:
        raise VodistillError(f"unknown {what} {name!r}", f"Known: {', '.join(registry)}.")
    return registry[name]
