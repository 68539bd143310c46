"""Optimisers and averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from training.stages import Training


def optimiser(learner: nn.Module, settings: Training) -> torch.optim.Optimizer:
    parameters = [p for p in learner.parameters() if p.requires_grad]
    if settings.optimiser == "adam":
        return torch.optim.Adam(parameters, settings.rate)
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], settings.rate)


def averaging(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential average that is quick at the start, when there is little to average."""

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor | int) -> None:
        torch._foreach_lerp_(averages, currents, 1.0 - min(decay, (1 + int(count)) / (10 + int(count))))

    return update
