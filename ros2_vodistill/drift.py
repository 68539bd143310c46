"""The covariance of a pose after many steps with correlated errors.

Errors of single steps are not independent: a wrong scale, a pitched mount and a biased tracker persist for a while, and
such errors add up much faster than independent ones. So a part of each step's error is modelled as a first-order
Gauss-Markov process, whose correlation with the pose is carried along.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry

Array = NDArray[np.float64]

LASTING = np.repeat([0.6, 0.25], 3)
"""Correlated shares of the variance of a step's translation and rotation; measured on generated and real sequences."""
MEMORY = 3.0
"""Seconds in which the correlation falls to 1/e."""

_ROUNDING = 1e-9  # relative: keeps a covariance of perfectly correlated errors positive definite


@dataclass(frozen=True)
class Drift:
    """The uncertainty of a pose, and what its error has in common with that of the next step.

    Attributes:
        covariance: 6x6 of the pose's right perturbation.
        shared: 6x6 cross-covariance of that perturbation and the six correlated errors, each of variance 1.
    """

    covariance: Array = field(default_factory=lambda: np.zeros((6, 6)))
    shared: Array = field(default_factory=lambda: np.zeros((6, 6)))

    def moved(self, motion: Array, step: Array, seconds: float) -> Drift:
        """After a motion (4x4) that took so long; `step` is the 6x6 covariance of its right perturbation."""
        carry = geometry.adjoint(geometry.invert(motion))
        lasting = _root(step) * np.sqrt(LASTING)
        before = math.exp(-seconds / MEMORY) * carry @ self.shared
        both = before @ lasting.T
        return Drift(carry @ self.covariance @ carry.T + step + both + both.T, before + lasting)

    def grown(self, by: Array) -> Drift:
        """By something else, 6x6."""
        return replace(self, covariance=self.covariance + by)


def unseen(speed: float = 0.0) -> Array:
    """Covariance (6,6) of a second of unseen motion: as fast as before, at least 1 m/s (or units/s); 0.2 rad/s."""
    return np.diag([max(speed, 1.0) ** 2] * 3 + [0.04] * 3)


@dataclass(frozen=True)
class Fix:
    """When a pose was known last.

    Attributes:
        stamp: seconds.
        drift: how well.
        speed: how fast it went then, m/s.
    """

    stamp: float
    drift: Drift
    speed: float = 0.0

    def unseen_until(self, stamp: float) -> Drift:
        """Of the same pose, at a later time, if nothing was seen in between."""
        return self.drift.grown(unseen(self.speed) * (stamp - self.stamp) ** 2)


def _root(covariance: Array) -> Array:
    """Upper triangular: a translation has its own errors and those that come with the rotation's. What is certain, such
    as no motion at a speed of zero, has none."""
    deviations = np.sqrt(np.diagonal(covariance))
    units = np.where(deviations > 0, deviations, 1.0)
    alike = covariance / np.outer(units, units)
    np.fill_diagonal(alike, 1 + _ROUNDING)
    upper = np.linalg.cholesky(alike[::-1, ::-1])[::-1, ::-1]
    return np.asarray(deviations[:, None] * upper, np.float64)
