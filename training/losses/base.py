"""What losses on features share: what they are given, and how the student's channels meet the teacher's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Features:
    """Features of N samples, flattened over clips and frames, from shallow to deep.

    Attributes:
        student, teacher: vectors (N, D) or maps (N, C, H, W), as many of the one as of the other. No gradient goes to
            the teacher.
        confidence: (N,) Phi, for the losses that weigh samples by it.
        objects: (N, H, W) of any size: 0 is background, every other number one object (or true: all objects).
    """

    student: tuple[Tensor, ...]
    teacher: tuple[Tensor, ...]
    confidence: Tensor | None = None
    objects: Tensor | None = None


class LevelLoss(nn.Module):
    """A loss between one feature of the student and one of the teacher.

    Where their channels differ, `align` takes the student's to the teacher's: a layer for vectors, a 1x1 convolution
    for maps.
    """

    vectors = False

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__()
        self.align: nn.Module = nn.Identity()
        if student != teacher:
            self.align = nn.Linear(student, teacher) if self.vectors else nn.Conv2d(student, teacher, 1)

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        """A scalar; the teacher's feature comes detached."""
        raise NotImplementedError


class SumOverLevels(nn.Module):
    """The sum of a loss over levels of features."""

    def __init__(self, levels: Sequence[LevelLoss]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(levels)

    def forward(self, batch: Features) -> Tensor:
        pairs = zip(self.levels, batch.student, batch.teacher, strict=True)
        return torch.stack([level(student, teacher.detach(), batch) for level, student, teacher in pairs]).sum()
