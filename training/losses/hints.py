"""Hint training on vectors: the guided layer of the student learns to speak like the hint layer of the teacher."""

from __future__ import annotations

from torch import Tensor, nn

from ros2_vodistill.errors import VodistillError
from training.losses.base import Features, LevelLoss


class Hint(LevelLoss):
    """HT: the mean over samples of ||Psi_T - Psi_S||^2. Where the widths differ, a regressor learns along (FitNets).

    Args:
        regressor: have one where the widths agree, too.
    """

    vectors = True

    def __init__(self, student: int, teacher: int, regressor: bool = False) -> None:
        super().__init__(student, teacher)
        if regressor:
            self.align = nn.Linear(student, teacher)

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        return self.errors(student, teacher).mean()

    def errors(self, student: Tensor, teacher: Tensor) -> Tensor:
        """(N,) ||Psi_T - Psi_S||^2."""
        return (teacher - self.align(student)).square().sum(-1)


class AttentiveHint(Hint):
    """AHT: the same, each sample weighted by Phi."""

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        if batch.confidence is None:
            raise VodistillError("attentive hint training needs the teacher's confidence", "or take 'ht'")
        return (batch.confidence.detach() * self.errors(student, teacher)).mean()
