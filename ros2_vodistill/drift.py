"""How uncertain a pose is after many steps.

The errors of single steps are not independent: a scale that is off, a mount that is pitched and a tracker that leans
one way stay so for a while, and what lasts adds up much faster than what is drawn anew. So a part of each step's error
is taken to fade with time only, and is carried along beside the pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry

Array = NDArray[np.float64]

LASTING = np.repeat([0.6, 0.25], 3)
"""Shares of the variance of a step's translation and rotation that last; measured on generated and real sequences."""
MEMORY = 3.0
"""Seconds in which what lasts fades to 1/e."""

_ROUNDING = 1e-9  # relative: errors that are tied to others may seem to be so beyond all measure


@dataclass(frozen=True)
class Drift:
    """The uncertainty of a pose, and what its error has in common with that of the next step.

    Attributes:
        covariance: 6x6 of the pose's right perturbation.
        shared: 6x6, of that perturbation and the six lasting errors, each of which has variance 1.
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
    """6x6 of a second's motion that nobody sees: as far as it went before, at least 1 m (or unit); 0.2 rad."""
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
