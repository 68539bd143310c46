"""Losses on motions: every blend of truth and teacher, and the likelihoods that teach a network its own error.

A motion is measured as one scaled vector [t, sqrt(w) r]: ||.||^2 of a sample is its squared length. How translation and
rotation were balanced in the paper is not known; w is `rotation_weight`. All losses are means over the samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ros2_vodistill.errors import VodistillError
from training.limits import Amount, Limited, Positive, Share

ROTATION_WEIGHT = 100.0
"""Default w: a radian counts as ten units of translation."""


@dataclass(frozen=True)
class Poses:
    """N motions, flattened over clips and frames: translation, then rotation vector.

    Attributes:
        student, truth: (N, 6).
        teacher: (N, 6); no gradient goes there.
        log_variance: (N, 6) of the student.
        confidence: (N,) Phi, how far the teacher is trusted.
    """

    student: Tensor
    truth: Tensor
    teacher: Tensor | None = None
    log_variance: Tensor | None = None
    confidence: Tensor | None = None


def scaled(motion: Tensor, rotation_weight: float) -> Tensor:
    """[t, sqrt(w) r] of (..., 6)."""
    return motion * motion.new_tensor([1.0] * 3 + [math.sqrt(rotation_weight)] * 3)


def squared_error(a: Tensor, b: Tensor, rotation_weight: float) -> Tensor:
    """||a - b||^2 of each sample: (..., 6) -> (...)."""
    return scaled(a - b, rotation_weight).square().sum(-1)


@dataclass(frozen=True)
class PoseLoss(Limited):
    """A loss on motions: its fields are its configuration, calling it computes it.

    Attributes:
        rotation_weight: w, of a squared radian beside a squared unit of translation.
    """

    rotation_weight: Positive = ROTATION_WEIGHT

    def __call__(self, poses: Poses) -> Tensor:
        """The mean over the samples."""
        raise NotImplementedError

    def to_truth(self, poses: Poses) -> Tensor:
        """(N,) ||p_S - p_gt||^2."""
        return squared_error(poses.student, poses.truth, self.rotation_weight)

    def to_teacher(self, poses: Poses) -> Tensor:
        """(N,) ||p_S - p_T||^2."""
        return squared_error(poses.student, self.needed(poses.teacher, "a teacher").detach(), self.rotation_weight)

    def of_teacher(self, poses: Poses) -> Tensor:
        """(N,) ||p_T - p_gt||^2."""
        return squared_error(self.needed(poses.teacher, "a teacher").detach(), poses.truth, self.rotation_weight)

    def needed(self, tensor: Tensor | None, what: str) -> Tensor:
        if tensor is None:
            raise VodistillError(f"the pose loss {type(self).__name__} needs {what}", "configure it, or another loss")
        return tensor


@dataclass(frozen=True)
class Baseline(PoseLoss):
    """The truth alone."""

    def __call__(self, poses: Poses) -> Tensor:
        return self.to_truth(poses).mean()


@dataclass(frozen=True)
class Minimum(PoseLoss):
    """Truth or teacher, whichever is nearer."""

    def __call__(self, poses: Poses) -> Tensor:
        return torch.minimum(self.to_truth(poses), self.to_teacher(poses)).mean()


@dataclass(frozen=True)
class Blend(PoseLoss):
    """alpha ||p_S - p_gt||^2 + (1 - alpha) L_imit; subclasses say what imitation is.

    Attributes:
        alpha: share of the truth. The paper's value is not known.
    """

    alpha: Share = 0.5

    def __call__(self, poses: Poses) -> Tensor:
        return (self.alpha * self.to_truth(poses) + (1 - self.alpha) * self.imitation(poses)).mean()

    def imitation(self, poses: Poses) -> Tensor:
        """(N,) L_imit."""
        raise NotImplementedError


@dataclass(frozen=True)
class Additional(Blend):
    """Always imitate; for regression, this is knowledge distillation (KD)."""

    def imitation(self, poses: Poses) -> Tensor:
        return self.to_teacher(poses)


@dataclass(frozen=True)
class UpperBound(Blend):
    """Imitate where the student is worse than the teacher."""

    def imitation(self, poses: Poses) -> Tensor:
        worse = self.to_truth(poses) > self.of_teacher(poses)
        return torch.where(worse, self.to_teacher(poses), 0.0)


@dataclass(frozen=True)
class ProbabilisticLaplace(Blend):
    """Imitation with a noise scale that the student predicts: ||p_S - p_T|| / sigma + log sigma.

    log sigma is the mean of the student's log-variances of the scaled vector, halved: one number a sample.
    """

    def log_sigma(self, poses: Poses) -> Tensor:
        """(N,)"""
        log_variance = self.needed(poses.log_variance, "the student's log-variance")
        return log_variance.mean(-1) / 2 + math.log(self.rotation_weight) / 4

    def imitation(self, poses: Poses) -> Tensor:
        log_sigma = self.log_sigma(poses)
        difference = scaled(poses.student - self.needed(poses.teacher, "a teacher").detach(), self.rotation_weight)
        return torch.linalg.vector_norm(difference, dim=-1) * (-log_sigma).exp() + log_sigma


@dataclass(frozen=True)
class ProbabilisticGaussian(ProbabilisticLaplace):
    """The same with ||p_S - p_T||^2 / (2 sigma^2) + log sigma."""

    def imitation(self, poses: Poses) -> Tensor:
        log_sigma = self.log_sigma(poses)
        return self.to_teacher(poses) * (-2 * log_sigma).exp() / 2 + log_sigma


@dataclass(frozen=True)
class AttentiveImitation(Blend):
    """AIL: imitate as far as the teacher is to be trusted on this sample."""

    def imitation(self, poses: Poses) -> Tensor:
        return self.needed(poses.confidence, "the teacher's confidence").detach() * self.to_teacher(poses)


@dataclass(frozen=True)
class ChenDetection(PoseLoss):
    """Chen's OD: smooth L1 to the truth, and a penalty, against the truth too, where the teacher is nearer to it.

    Attributes:
        bound_weight: nu, of the penalty.
        margin: m, by which the student must beat the teacher to be free of the penalty.
    """

    bound_weight: Amount = 0.5
    margin: Amount = 0.0

    def __call__(self, poses: Poses) -> Tensor:
        student, truth = (scaled(x, self.rotation_weight) for x in (poses.student, poses.truth))
        smooth = functional.smooth_l1_loss(student, truth, reduction="none").sum(-1)
        error = self.to_truth(poses)
        bounded = torch.where(error + self.margin > self.of_teacher(poses), error, 0.0)
        return (smooth + self.bound_weight * bounded).mean()


@dataclass(frozen=True)
class GaussianLikelihood(PoseLoss):
    """Negative log-likelihood of the truth under the student's normal distributions, a sum over the six axes.

    By itself it gives the most weight to the axes that vary least, which are the last to be learnt: a network that
    starts with it learns slowly.

    Attributes:
        beta: each axis is weighted by the variance (detached) of the scaled vector to this power; 0 is the likelihood
            itself, 1 gives the motion the gradient of the scaled squared error (beta-NLL). The weight changes while
            it learns: unless beta is 0, the loss's value does not tell progress, errors do.
        motion: let the motion learn from it; otherwise only the log-variance does.
    """

    beta: Amount = 0.5
    motion: bool = True

    def __call__(self, poses: Poses) -> Tensor:
        log_variance = self.needed(poses.log_variance, "the student's log-variance")
        error = (poses.student if self.motion else poses.student.detach()) - poses.truth
        weight = scaled(scaled(log_variance.detach().exp(), self.rotation_weight), self.rotation_weight) ** self.beta
        return (weight * self.surprise(error, log_variance)).sum(-1).mean()

    def surprise(self, error: Tensor, log_variance: Tensor) -> Tensor:
        """(N, 6), up to a constant."""
        return (error.square() * (-log_variance).exp() + log_variance) / 2


@dataclass(frozen=True)
class LaplaceLikelihood(GaussianLikelihood):
    """The same under Laplace distributions of these variances: large errors weigh less."""

    def surprise(self, error: Tensor, log_variance: Tensor) -> Tensor:
        return math.sqrt(2) * error.abs() * (-log_variance / 2).exp() + log_variance / 2


POSE: dict[str, type[PoseLoss]] = {
    "baseline": Baseline,
    "minimum": Minimum,
    "additional": Additional,
    "kd": Additional,
    "upper_bound": UpperBound,
    "pil_laplace": ProbabilisticLaplace,
    "pil_gaussian": ProbabilisticGaussian,
    "ail": AttentiveImitation,
    "chen": ChenDetection,
    "gaussian": GaussianLikelihood,
    "laplace": LaplaceLikelihood,
}
