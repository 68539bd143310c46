"""Masked generative distillation (MGD): the student's feature, with pixels missing, must still yield the teacher's."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.losses.base import Features, LevelLoss


class MaskedGenerative(LevelLoss):
    """alpha sum (F_T - G(mask * F_S))^2 / batch, G two 3x3 convolutions, the mask shared by the channels.

    Args:
        alpha: factor.
        dropped: probability that a pixel is masked.
    """

    def __init__(self, student: int, teacher: int, alpha: float = 2e-5, dropped: float = 0.75) -> None:
        super().__init__(student, teacher)
        self.alpha, self.dropped = alpha, dropped
        self.generator = nn.Sequential(
            nn.Conv2d(teacher, teacher, 3, padding=1), nn.ReLU(), nn.Conv2d(teacher, teacher, 3, padding=1)
        )

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        kept = torch.rand_like(student[:, :1]) >= self.dropped
        generated = self.generator(self.align(student) * kept)
        return self.alpha * (generated - teacher).square().sum() / len(teacher)
