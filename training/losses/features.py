"""Raw-feature distillation: differences of magnitude, of direction, and of what each channel attends to.

A sample's map of C x H x W is a vector F = length * direction, N = C H W its size; losses are means over samples.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ros2_vodistill.errors import VodistillError
from training.losses.base import Features, LevelLoss


class Naive(LevelLoss):
    """(1/N) ||F_T - F_S||^2."""

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        return functional.mse_loss(self.align(student), teacher)


class Magnitude(LevelLoss):
    """MD: (1/N) (||F_T|| - ||F_S||)^2."""

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        ours, theirs = (torch.linalg.vector_norm(x.flatten(1), dim=1) for x in (self.align(student), teacher))
        return (ours - theirs).square().mean() / teacher[0].numel()


class Angle(LevelLoss):
    """1 - cos of the angle between vectors of the student and of the teacher, the mean over all of them.

    Args:
        of: what the vectors are. 'layer': one a sample, over (C, H, W) (LAD); 'channel': one a channel, over (H, W)
            (CAD); 'pixel': one a pixel, over C. The paper's formulas were not recovered: these are readings. Its loss
            is weighted by 3.
    """

    def __init__(self, student: int, teacher: int, of: str = "layer") -> None:
        super().__init__(student, teacher)
        if of not in ("layer", "channel", "pixel"):
            raise VodistillError(f"angles of '{of}'", "Known: layer, channel, pixel.")
        self.of = of

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        cosine = functional.cosine_similarity(self.vectors_of(self.align(student)), self.vectors_of(teacher), dim=-1)
        return (1 - cosine).mean()

    def vectors_of(self, feature: Tensor) -> Tensor:
        """The vectors along the last dimension."""
        if self.of == "pixel":
            return feature.movedim(1, -1)
        return feature.flatten(1 if self.of == "layer" else 2)


class ChannelWise(LevelLoss):
    """CWD: (tau^2 / C) sum_c KL(phi_T || phi_S), phi the softmax of a channel over its pixels at temperature tau.

    Args:
        temperature: tau.
    """

    def __init__(self, student: int, teacher: int, temperature: float = 4.0) -> None:
        super().__init__(student, teacher)
        self.temperature = temperature

    def forward(self, student: Tensor, teacher: Tensor, batch: Features) -> Tensor:
        ours, theirs = (torch.log_softmax(x.flatten(2) / self.temperature, -1) for x in (self.align(student), teacher))
        divergence = functional.kl_div(ours, theirs, log_target=True, reduction="none").sum(-1)
        return self.temperature**2 * divergence.mean()
