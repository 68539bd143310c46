"""How a network learns: its stages, the losses of each, and how they are optimised. The docstrings are the help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from training.limits import Amount, Count, Limited, Name, Number, Positive, Share
from training.settings import SettingError

UNTAUGHT = {"baseline", "gaussian", "laplace"}
"""Losses that no teacher is asked for."""


@dataclass(frozen=True)
class Training(Limited):
    """How a stage is optimised.

    Attributes:
        steps: of the whole stage; 0 goes on until stopped (only with the schedule `stable`).
        batch_size: clips in a step, over all processes together.
        rate: the highest learning rate.
        schedule: `cosine` and `one_cycle` end at zero after `steps`; `stable` stays at `rate` after the warm-up, to be
            ended by `--decay N`, whenever that is; `constant` never changes.
        warmup: steps of linear rise at the start (cosine, stable); one_cycle rises over the first 30 %.
        optimiser: `adamw` or `adam` (the paper's).
        weight_decay: of adamw; not on vectors (biases, norms).
        blank: share of clips whose view `image` is black, so that further views learn to do without; a teacher sees it.
        clip: largest norm of the gradient; 0 leaves it as it is.
        ema: decay of the averaged weights, which are the ones evaluated and kept; 0 keeps the last weights.
        precision: `auto` is bf16 on a GPU and fp32 on a CPU.
        channels_last: memory layout of the convolutions.
        threads: of torch in the training process; 0 leaves torch's choice.
        checkpoint_minutes: time between two checkpoints.
        evaluate_minutes: time between two evaluations when `evaluate_steps` is 0.
        evaluate_steps: steps between two evaluations, for runs that must be exactly repeatable.
        patience: stop after so many evaluations without a better one; 0 never does.
        log_steps: steps between two lines of metrics.jsonl.
    """

    steps: Count = 0
    batch_size: Number = 16
    rate: Positive = 1e-4
    schedule: Literal["cosine", "one_cycle", "stable", "constant"] = "cosine"
    warmup: Count = 100
    optimiser: Literal["adamw", "adam"] = "adamw"
    weight_decay: Amount = 1e-4
    blank: Share = 0.0
    clip: Amount = 1.0
    ema: Share = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = False
    threads: Count = 0
    checkpoint_minutes: Amount = 3.0
    evaluate_minutes: Amount = 10.0
    evaluate_steps: Count = 0
    patience: Count = 0
    log_steps: Number = 20


@dataclass(frozen=True)
class Pose(Limited):
    """The loss on motions.

    Attributes:
        loss: a name from training/losses.
        weight: its factor in the sum.
        options: the loss's own settings, such as alpha; its rotation weight is the experiment's unless given here.
        of: name of a feature that it judges in place of the motion, such as the guess of a network that polishes.
    """

    loss: str
    weight: Amount = 1.0
    options: dict[str, Any] = field(default_factory=dict)
    of: str = ""


@dataclass(frozen=True)
class Feature(Limited):
    """A loss between a feature of the teacher and one of the student.

    Attributes:
        loss: a name from training/losses.
        student: name of the student's feature, or a list of them from shallow to deep (knowledge review).
        teacher: name of the teacher's feature, or a list of them.
        weight: its factor in the sum.
        ramp: steps over which the weight rises from nothing.
        options: the loss's own settings.
    """

    loss: str
    student: str | tuple[str, ...] = "hint"
    teacher: str | tuple[str, ...] = "hint"
    weight: Amount = 1.0
    ramp: Count = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Flow(Limited):
    """The loss on the optical flow that is read off a map of the network's.

    Attributes:
        feature: name of the map.
        weight: its factor in the sum.
    """

    feature: str
    weight: Amount = 1.0


@dataclass(frozen=True)
class Stage(Limited):
    """One part of a training: what is learnt, from what, by which parameters.

    Attributes:
        name: of its folder.
        pose: the losses on motions.
        features: the losses on features: hints and feature distillation.
        matching: weight of the loss on the matches that a network with local correlations finds; needs the optical flow
            that the generated world knows. 0 leaves it out.
        tracking: weight of the loss on where cells were in the last frame, for a network that says so; needs
            what `matching` does. 0 leaves it out.
        grounding: weight of the loss on which of these cells are ground, for a network that says so; needs the same.
        flow: the loss on optical flow, for networks without such correlations; needs the same.
        train: `all`; `to_hint` only what the student's hint depends on; `after_hint` only the rest.
        freeze: parameters whose names match one of these patterns (as in a shell) do not learn.
        adopt: parameters whose names match one of these begin the stage as the teacher's: what reads a hint, say, that
            is like the teacher's by then.
        training: settings that differ from the experiment's.
    """

    name: Name = "train"
    pose: tuple[Pose, ...] = ()
    features: tuple[Feature, ...] = ()
    matching: Amount = 0.0
    tracking: Amount = 0.0
    grounding: Amount = 0.0
    flow: Flow | None = None
    train: Literal["all", "to_hint", "after_hint"] = "all"
    freeze: tuple[str, ...] = ()
    adopt: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def needs_flow(self) -> bool:
        """Whether it learns from the optical flow."""
        return max(self.matching, self.tracking, self.grounding) > 0 or self.flow is not None

    @property
    def losses(self) -> set[str]:
        """Names of all its losses."""
        return {pose.loss for pose in self.pose} | {feature.loss for feature in self.features}

    @property
    def taught(self) -> bool:
        """Whether any of them asks a teacher."""
        return bool(self.losses - UNTAUGHT)


@dataclass(frozen=True)
class Run:
    """One network and how it learns.

    Attributes:
        network: a registered name, or a description of a network.
        path: a trained network instead (a run's folder or a safetensors file), for a teacher.
        start: a trained network whose weights the first stage starts from: one of the same description, or a smaller
            Swift network, which grows: at first the larger one computes the same.
        method: a recipe from training/recipes.py, instead of stages; NAME@0.25 blends with that share of the truth.
        stages: one after the other, each starting where the last ended.
        start_from_teacher: the encoder starts with those of the teacher's layers that it has too.
        freeze: as a stage's, in all stages.
        training: settings that differ from the experiment's, in every stage.
    """

    network: str | dict[str, Any] = ""
    path: str = ""
    start: str = ""
    method: str = ""
    stages: tuple[Stage, ...] = ()
    start_from_teacher: bool = False
    freeze: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method and self.stages:
            raise SettingError(
                f"method is {self.method!r}, beside stages", "leave one of them out: method='', stages=[]"
            )
