"""How far a teacher is trusted on a sample: Phi and eta.

Phi_i = 1 - e_i / eta, eta = max(e_T) - min(e_T), with e_T the teacher's errors over the whole training set, or, where
that is endless, over a fixed, seeded set. The best sample of all has 1 - min / eta, the worst -min / eta <= 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ros2_vodistill.errors import VodistillError
from training.losses.pose import ROTATION_WEIGHT, scaled, squared_error


def teacher_errors(teacher: Tensor, truth: Tensor, rotation_weight: float = ROTATION_WEIGHT) -> Tensor:
    """e_T: ||p_T - p_gt||^2 of each sample, (..., 6) -> (...)."""
    return squared_error(teacher, truth, rotation_weight)


def claimed_errors(log_variance: Tensor, rotation_weight: float = ROTATION_WEIGHT) -> Tensor:
    """What an uncertainty-aware teacher expects e_T to be: the variance of the scaled vector, (..., 6) -> (...).

    Not the paper's: in place of `teacher_errors`, for both eta and Phi.
    """
    return scaled(scaled(log_variance.exp(), rotation_weight), rotation_weight).sum(-1)


@dataclass(frozen=True)
class Confidence:
    """Phi as a function of a sample's error.

    Attributes:
        least, largest: of the errors of the whole training set.
        clamp: keep Phi from falling below 0; the paper's formula does not.
    """

    least: float
    largest: float
    clamp: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.least < self.largest < float("inf"):
            raise VodistillError(
                f"the teacher's squared errors lie between {self.least} and {self.largest}",
                "confidence needs finite errors that differ: check the teacher, or take more samples",
            )

    @classmethod
    def of(cls, errors: Tensor, clamp: bool = False) -> Confidence:
        """From the errors of the whole training set."""
        return cls(errors.min().item(), errors.max().item(), clamp)

    @property
    def eta(self) -> float:
        return self.largest - self.least

    @property
    def doubt(self) -> str:
        """What is to be said where not even the best sample is trusted: students would flee from their teacher."""
        best = 1 - self.least / self.eta
        if best > 0:
            return ""
        return (
            f"the teacher's squared errors lie between {self.least:.3g} and {self.largest:.3g}, so Phi is at most "
            f"{best:.2g}: nothing that it says is trusted. Train it longer, or on more"
        )

    def __call__(self, errors: Tensor) -> Tensor:
        """Phi of samples with these errors, detached."""
        phi = 1 - errors.detach() / self.eta
        return phi.clamp_min(0) if self.clamp else phi
