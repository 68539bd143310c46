"""How long a step was: measurements of one length, fused; the one that known depths give; and the scale they share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_PARALLAX = 4.0  # standard deviations that a corner must have moved to have a depth
_TRUSTED = 0.09  # relative variance of a depth that may measure a length
_FEWEST = 6  # corners
_ALIKE = 4.0  # the variance of many corners together is this much larger than if their errors were unlike
_GATE = 3.0  # standard deviations
_VAGUE = 0.1  # relative variance of lengths that say nothing about the scale
_VAGUEST = 1.0  # relative variance of lengths that say nothing at all, however little is known of the scale
_DRIFT = 0.01  # relative: of the scale, each frame
_HEAVE = 0.03, 0.5  # relative: how much the camera's height above the road changes as it drives, at least and at most
_MEMORY = 10  # frames whose ground tells the scale
_MAJORITY = 5  # of these, that must agree on what the scale seemed to rule out
_PARTIAL = 0.5  # relative: a claimed length may be off for as long as it likes; repeating it proves nothing


@dataclass(frozen=True)
class Length:
    """A length in camera heights and its variance."""

    value: float
    variance: float

    @property
    def relative(self) -> float:
        """Variance of the logarithm."""
        return self.variance / self.value**2 if self.value > 0 else math.inf


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
class Gauge:
    """The one factor that all carried lengths are off by: how well it is known, and how it is found.

    The ground's length of a step is off by how the camera heaves, and now and then altogether; the carried ones are all
    off alike. So the factor is the robust mean of what the ground said over some frames.

    Attributes:
        variance: of the factor's logarithm; inf where there is no scale yet.
        heave: standard deviation of the ground's lengths, relative.
        gaps: logarithms of the ground's lengths in terms of the carried ones, oldest first, and their variances.
    """

    variance: float = math.inf
    heave: float = _HEAVE[0]
    gaps: tuple[tuple[float, float], ...] = ()

    def drifted(self, lost: float = 0.0) -> Gauge:
        """A frame later; `lost` is how much more than usual the scale went astray (variance of its logarithm)."""
        more = _DRIFT**2 + lost
        gaps = tuple((gap, noise + more) for gap, noise in self.gaps if noise + more < _VAGUE)
        return replace(self, variance=self.variance + more, gaps=gaps)

    def doubted(self, carried: Length) -> Length:
        """A carried length with all of its variance."""
        scale = carried.value**2 * self.variance if carried.value > 0 else 0.0
        return Length(carried.value, carried.variance + scale)

    def told(self, carried: Length | None, claim: Length) -> Scaled:
        """After someone claims to have measured a carried length."""
        doubt = claim.relative + _PARTIAL**2
        if carried is None:
            return Scaled(claim, replace(self, variance=doubt))
        telling = claim.relative < _VAGUE or doubt < self.variance
        if not telling or carried.relative > max(_VAGUE, min(self.variance, _VAGUEST)):
            return Scaled(carried, self)
        gain = self.variance / (self.variance + carried.relative + doubt)
        variance = max((1 - gain) * self.variance, min(self.variance, _PARTIAL**2))
        growth = gain * math.log(claim.value / carried.value)
        factor = math.exp(growth)
        gaps = tuple((gap - growth, noise) for gap, noise in self.gaps)
        told = Length(carried.value * factor, carried.variance * factor**2)
        return Scaled(told, replace(self, variance=variance, gaps=gaps), growth)

    def measured(self, carried: Length | None, ground: Length) -> Scaled:
        """After the ground has measured a carried length; the result is the length as both know it, all in all."""
        uneven = Length(ground.value, ground.variance + (self.heave * ground.value) ** 2)
        if carried is None:
            first = Gauge(uneven.relative, self.heave, ((0.0, ground.relative),))
            return Scaled(uneven, first if ground.relative < _VAGUE else self)
        if carried.relative > _VAGUE:
            return Scaled(fused([self.doubted(carried), uneven]) or uneven, self)
        if ground.relative > _VAGUE:
            reach = _GATE * math.sqrt(ground.variance)
            nearest = min(max(carried.value, ground.value - reach), ground.value + reach)
            out = self._contradicts(math.log(nearest / carried.value), carried.relative)
            return Scaled(fused([self.doubted(carried), None if out else uneven]) or uneven, self)
        gaps = (*self.gaps[1 - _MEMORY :], (math.log(ground.value / carried.value), ground.relative + carried.relative))
        if self._contradicts(*gaps[-1]) and sum(self._contradicts(*gap) for gap in gaps) < _MAJORITY:
            return Scaled(self.doubted(carried), replace(self, gaps=gaps))
        growth, variance, heave = self._mean(gaps)
        gauge = Gauge(variance, heave, tuple((gap - growth, noise) for gap, noise in gaps))
        grown = Length(carried.value * math.exp(growth), carried.variance * math.exp(2 * growth))
        uneven = Length(ground.value, ground.variance + (heave * ground.value) ** 2)
        steady, certain = (fused([known, uneven]) or uneven for known in (grown, self.doubted(grown)))
        return Scaled(Length(steady.value, certain.variance), gauge, growth)

    def _contradicts(self, gap: float, noise: float) -> bool:
        """Whether such a gap, and the noise in it, is out of the question as far as the factor is known."""
        return gap**2 > _GATE**2 * (self.variance + noise + self.heave**2)

    def _mean(self, gaps: tuple[tuple[float, float], ...]) -> tuple[float, float, float]:
        """Robust mean of the gaps, its variance, and the heave; none of them counts as much as a few that agree."""
        values, noise = np.array([(0.0, self.variance), *gaps]).T
        noise = noise + self.heave**2
        middle = _weighted_median(values, 1 / noise)
        values, noise = values[1:], noise[1:] - self.heave**2
        apart = 1.4826 * float(np.median(np.abs(values - middle)))
        heave = min(max(apart**2 - float(np.median(noise)), _HEAVE[0] ** 2), _HEAVE[1] ** 2)
        noise = noise + heave
        weights = 1 / noise / (1 + (values - middle) ** 2 / (noise * _GATE**2)) ** 2
        return float((weights * values).sum() / weights.sum()), 1 / float(weights.sum()), math.sqrt(heave)


@dataclass(frozen=True)
class Scaled:
    """A length, the gauge after it, and by how much (a logarithm) all that is carried has to grow for that."""

    length: Length
    gauge: Gauge
    growth: float = 0.0


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

    def grown(self, by: float) -> Depths:
        """With all distances grown by a factor, whose logarithm is given."""
        return Depths(self.nearness * math.exp(-by), self.doubt)

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
        place = rays - self.nearness[:, None] * translation  # in terms of the old distance
        distance = np.maximum(np.linalg.norm(place, axis=1), 1e-3)
        return Depths(self.nearness / distance, self.doubt * ((rays * place).sum(axis=1) / distance**2) ** 2)

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
