"""How long a step was: measurements of one length, fused; and the measurement that known depths give."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PARALLAX = 4.0  # standard deviations that a corner must have moved to have a depth
_TRUSTED = 0.09  # relative variance of a depth that may measure a length
_FEWEST = 6  # corners
_ALIKE = 4.0  # the variance of many corners together is this much larger than if their errors were unlike
_GATE = 3.0  # standard deviations


@dataclass(frozen=True)
class Length:
    """A length in camera heights and its variance."""

    value: float
    variance: float


def fused(lengths: Iterable[Length | None]) -> Length | None:
    """The mean by variance, the most certain first; a length that contradicts what was fused before counts less."""
    result: Length | None = None
    for length in sorted((known for known in lengths if known is not None), key=lambda known: known.variance):
        if result is None:
            result = length
            continue
        surprise = (length.value - result.value) ** 2 / (length.variance + result.variance) / _GATE**2
        variance = length.variance * max(1.0, surprise**2)
        share = result.variance / (result.variance + variance)
        result = Length(result.value + share * (length.value - result.value), (1 - share) * result.variance)
    return result


@dataclass(frozen=True)
class Depths:
    """Inverse distances (N,) of points in camera heights and their relative variances; NaN where unknown."""

    nearness: Array
    doubt: Array

    @classmethod
    def unknown(cls, count: int) -> Depths:
        return cls(np.full(count, np.nan), np.full(count, np.nan))

    def __add__(self, other: Depths) -> Depths:
        return Depths(np.concatenate([self.nearness, other.nearness]), np.concatenate([self.doubt, other.doubt]))

    def __getitem__(self, which: NDArray[np.generic]) -> Depths:
        return Depths(self.nearness[which], self.doubt[which])

    @property
    def typical(self) -> float | None:
        """Median distance."""
        known = np.isfinite(self.nearness)
        return float(1 / np.median(self.nearness[known])) if known.sum() >= _FEWEST else None

    def length(self, per_baseline: Array, parallax: Array, sigma: float) -> Length | None:
        """The baseline that makes new inverse distances, in units of it, agree with these.

        Args:
            per_baseline: (N,) inverse distances of the same points, from the same place.
            parallax: (N,) angles that they were measured by; `sigma` is the error of those; radians.
        """
        sure = (parallax > _PARALLAX * sigma) & (per_baseline > 0) & (self.nearness > 0) & (self.doubt < _TRUSTED)
        if sure.sum() < _FEWEST:
            return None
        logs = np.log(per_baseline[sure] / self.nearness[sure])
        variances = (sigma / parallax[sure]) ** 2 + self.doubt[sure]
        middle = _weighted_median(logs, variances**-0.5)
        spread = max(1.0, 1.4826 * float(np.median(np.abs(logs - middle) / np.sqrt(variances))))
        for _ in range(5):
            weights = 1 / variances / (1 + (logs - middle) ** 2 / (variances * (2 * spread) ** 2))
            middle = float((weights * logs).sum() / weights.sum())
        value = float(np.exp(middle))
        return Length(value, value**2 * _ALIKE * spread**2 / float(weights.sum()))

    def moved(self, rays: Array, translation: Array) -> Depths:
        """The same points seen from `translation` away; `rays` (N,3) are their directions before, same axes."""
        distance = np.linalg.norm(rays - self.nearness[:, None] * translation, axis=1)  # of the old distance
        return Depths(self.nearness / np.maximum(distance, 1e-6), self.doubt)

    def renewed(self, nearness: Array, doubt: Array, sure: NDArray[np.bool_]) -> Depths:
        """Fused with new measurements, as far as those are sure; where the two contradict, the new one holds."""
        usable = sure & (nearness > 0) & (doubt < 1)
        nearness = np.where(usable, nearness, 1.0)
        before = np.where(self.nearness > 0, self.nearness, nearness)
        gap = np.log(nearness / before)
        share = self.doubt / (doubt + self.doubt)
        agree = usable & (self.nearness > 0) & (gap**2 < _GATE**2 * (doubt + self.doubt))
        kept = np.where(usable, nearness, self.nearness), np.where(usable, doubt, self.doubt)
        return Depths(
            np.where(agree, before * np.exp(share * gap), kept[0]), np.where(agree, (1 - share) * self.doubt, kept[1])
        )


def _weighted_median(values: Array, weights: Array) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])
