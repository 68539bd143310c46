"""The learning rate as a pure function of the step, so that nothing about it needs to be saved."""

from __future__ import annotations

import math

from ros2_vodistill.errors import VodistillError
from training.stages import Training


def rate(settings: Training, step: int, decay: tuple[int, int] | None = None) -> float:
    """The learning rate of a step; `decay` is (first step, number of steps) of a final fall to zero."""
    out = settings.rate * _factor(settings, step)
    if decay is not None and step >= decay[0]:
        out *= max(0.0, 1.0 - (step + 1 - decay[0]) / decay[1])
    return out


def check(settings: Training, decaying: bool = False) -> None:
    """Refuse settings that have no end where one is needed."""
    if settings.steps <= 0 and settings.schedule in ("cosine", "one_cycle"):
        raise VodistillError(
            f"training.schedule is {settings.schedule}, and training.steps is {settings.steps}",
            "give the number of steps, or take the schedule `stable`",
        )
    if decaying and settings.schedule not in ("stable", "constant"):
        raise VodistillError(
            f"--decay with training.schedule {settings.schedule}, which ends at zero by itself",
            "leave --decay out, or take the schedule `stable`",
        )


def _factor(settings: Training, step: int) -> float:
    rise = min(1.0, (step + 1) / settings.warmup) if settings.warmup > 0 else 1.0
    if settings.schedule == "constant":
        return 1.0
    if settings.schedule == "stable":
        return rise
    if settings.schedule == "cosine":
        done = min(1.0, max(0.0, (step - settings.warmup) / max(1, settings.steps - settings.warmup)))
        return rise * 0.5 * (1.0 + math.cos(math.pi * done))
    peak = 0.3 * settings.steps
    if step < peak:
        return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * step / peak))
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - peak) / max(1.0, settings.steps - peak))))
