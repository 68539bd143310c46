"""Knowledge review: each level of the student, fused with all deeper ones, learns the teacher's level.

The paper weighs it by 5, 1 or 0.5 (CIFAR, ImageNet, detection), rising linearly over the first 20 epochs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from training.losses.base import Features


def hierarchical_context(student: Tensor, teacher: Tensor) -> Tensor:
    """HCL of one level: the mean squared difference, blended with those after pooling to 4x4, 2x2 and 1x1."""
    loss, total, weight = functional.mse_loss(student, teacher), 1.0, 1.0
    for size in (4, 2, 1):
        if size < student.shape[2]:
            weight /= 2
            ours, theirs = (functional.adaptive_avg_pool2d(x, size) for x in (student, teacher))
            loss, total = loss + weight * functional.mse_loss(ours, theirs), total + weight
    return loss / total


class AttentionFusion(nn.Module):
    """ABF: one level of the student and the residual of the next deeper one -> the teacher's channels, and a residual.

    Args:
        student, middle, teacher: channels of the input, of the residual and of the output.
        deepest: there is no deeper level to fuse with.
    """

    def __init__(self, student: int, middle: int, teacher: int, deepest: bool) -> None:
        super().__init__()
        self.reduce = nn.Sequential(nn.Conv2d(student, middle, 1, bias=False), nn.BatchNorm2d(middle))
        self.attend = None if deepest else nn.Conv2d(2 * middle, 2, 1)
        self.expand = nn.Sequential(nn.Conv2d(middle, teacher, 3, padding=1, bias=False), nn.BatchNorm2d(teacher))
        for convolution in (self.reduce[0], self.expand[0]):
            nn.init.kaiming_uniform_(convolution.weight, a=1)  # type: ignore[arg-type]

    def forward(self, x: Tensor, deeper: Tensor | None, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Output and residual, at `size`, the teacher's."""
        x = self.reduce(x)
        if self.attend is not None and deeper is not None:
            deeper = functional.interpolate(deeper, (x.shape[2], x.shape[3]), mode="nearest")
            z = torch.sigmoid(self.attend(torch.cat([x, deeper], 1)))
            x = x * z[:, :1] + deeper * z[:, 1:]
        x = functional.interpolate(x, size, mode="nearest")
        return self.expand(x), x


class Review(nn.Module):
    """HCL between the fused student and the teacher, summed over the levels.

    Args:
        student, teacher: channels of the levels, shallow to deep.
        middle: channels of the residuals.
    """

    def __init__(self, student: Sequence[int], teacher: Sequence[int], middle: int = 64) -> None:
        super().__init__()
        last = len(student) - 1
        self.fusions = nn.ModuleList(
            AttentionFusion(ours, middle, theirs, deepest=i == last)
            for i, (ours, theirs) in enumerate(zip(student, teacher, strict=True))
        )

    def forward(self, batch: Features) -> Tensor:
        levels = zip(reversed(self.fusions), reversed(batch.student), reversed(batch.teacher), strict=True)
        residual, losses = None, []
        for fusion, student, teacher in levels:
            output, residual = fusion(student, residual, (teacher.shape[2], teacher.shape[3]))
            losses.append(hierarchical_context(output, teacher.detach()))
        return torch.stack(losses).sum()
