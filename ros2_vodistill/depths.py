"""Depths of the corners, carried along from frame to frame.

They are inverse distances: the errors of these are normally distributed where the parallax is small, and 0 is infinity.
A corner that is known to be far says nothing about lengths, but much about rotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import robust
from ros2_vodistill.lengths import Length

Array = NDArray[np.float64]

_PARALLAX = 4.0  # standard deviations that a corner must have moved to measure a length
_TRUSTED = 0.09  # relative variance of a depth that may measure a length
_FEWEST = 6  # corners
_ALIKE = 4.0  # factor of the variance of many corners together, because their errors are correlated
_GATE = 3.0  # standard deviations
_ONE_VIEW = 0.1  # relative: error of depths that one step alone has told
_FAR = 0.02  # inverse camera heights: what is known to less than that is known to be far


@dataclass(frozen=True)
class Depths:
    """Inverse distances (N,) of points in inverse camera heights, and their variances; NaN where unknown.

    A distance that is not to be told from infinity may be a little behind it, so less than 0.
    """

    nearness: Array
    variance: Array

    @classmethod
    def unknown(cls, count: int) -> Depths:
        return cls(np.full(count, np.nan), np.full(count, np.nan))

    def __add__(self, other: Depths) -> Depths:
        return Depths(np.concatenate([self.nearness, other.nearness]), np.concatenate([self.variance, other.variance]))

    def __getitem__(self, which: NDArray[np.generic]) -> Depths:
        return Depths(self.nearness[which], self.variance[which])

    @property
    def doubt(self) -> Array:
        """Relative variance; infinite where nothing is known."""
        known = self.nearness > 0
        return np.where(known, self.variance / np.where(known, self.nearness, 1.0) ** 2, np.inf)

    @property
    def typical(self) -> float | None:
        """Median distance."""
        known = self.doubt < 1
        return 1 / robust.median(self.nearness[known]) if known.sum() >= _FEWEST else None

    def or_else(self, guess: Array | float) -> Array:
        """Inverse distances (N,), not less than 0; a guess where they are hardly known."""
        told = self.variance < np.maximum(self.nearness, _FAR) ** 2
        return np.where(told, np.maximum(self.nearness, 0.0), guess)

    def grown(self, by: float) -> Depths:
        """With all distances grown by a factor, whose logarithm is given."""
        return Depths(self.nearness * math.exp(-by), self.variance * math.exp(-2 * by))

    def length(self, per_baseline: Array, parallax: Array, sigma: float, bent: float = 0.0) -> Length | None:
        """The baseline that makes new inverse distances, in units of it, agree with these.

        Args:
            per_baseline: (N,) inverse distances of the same points, from the same place.
            parallax: (N,) angles that they were measured by; `sigma` is the error of those that differs from corner to
                corner, `bent` the one that neighbours share; radians.
        """
        doubt = self.doubt
        sure = (parallax > _PARALLAX * sigma) & (per_baseline > 0) & (doubt < _TRUSTED)
        if sure.sum() < _FEWEST:
            return None
        logs = np.log(per_baseline[sure] / self.nearness[sure])
        variances = (sigma**2 + bent**2) / parallax[sure] ** 2 + doubt[sure]
        middle = robust.weighted_median(logs, variances**-0.5)
        spread = max(1.0, robust.deviation((logs - middle) / np.sqrt(variances)))
        for _ in range(5):
            weights = 1 / (variances + ((logs - middle) / (2 * spread)) ** 2)
            middle = float(weights @ logs / weights.sum())
        value = float(np.exp(middle))
        return Length(value, value**2 * _ALIKE * spread**2 / float(weights.sum()))

    def moved(self, rays: Array, translation: Array) -> Depths:
        """The same points seen from `translation` away; `rays` (N,3) are their directions before, same axes."""
        nearness = np.maximum(self.nearness, 0.0)
        place = rays - nearness[:, None] * translation  # in terms of the old distance
        distance = np.maximum(np.linalg.norm(place, axis=1), 1e-3)
        slope = (rays * place).sum(axis=1) / distance**3
        return Depths(np.where(nearness > 0, nearness / distance, self.nearness), self.variance * slope**2)

    def renewed(self, nearness: Array, variance: Array, sure: NDArray[np.bool_]) -> Depths:
        """Fused with new measurements, as far as those are sure; where the two contradict, the new one holds."""
        known = np.isfinite(self.nearness)
        usable = sure & np.isfinite(nearness) & np.isfinite(variance)
        variance = variance + (_ONE_VIEW * np.where(known, self.nearness, nearness)) ** 2
        usable &= (nearness > 0) | (nearness**2 < _GATE**2 * variance)  # not behind the camera
        both = self.variance + variance
        gap = nearness - self.nearness
        agree = known & usable & (gap**2 < _GATE**2 * both)
        share = self.variance / both
        kept = np.where(usable, nearness, self.nearness), np.where(usable, variance, self.variance)
        return Depths(
            np.where(agree, self.nearness + share * gap, kept[0]),
            np.where(agree, (1 - share) * self.variance, kept[1]),
        )
