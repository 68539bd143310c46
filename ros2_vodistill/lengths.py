"""How long a step was: measurements of one length, fused; and the scale that carried lengths share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import robust

Array = NDArray[np.float64]

_GATE = 3.0  # standard deviations
_VAGUE = 0.1  # relative variance of lengths that say nothing about the scale
_VAGUEST = 1.0  # relative variance of lengths that say nothing at all, however little is known of the scale
_SHORT = 0.1  # camera heights: where a claim is all that is known, a ground that moves less does not set the scale
_DRIFT = 0.01  # relative: of the scale, each frame
_HEAVE = 0.03, 0.5  # relative: how much the camera's height above the road changes as it drives, at least and at most
_MEMORY = 10  # frames whose ground tells the scale
_MAJORITY = 3, 5  # most of these, but so many at least and no more, must agree on what the scale seemed to rule out
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
    """The mean by variance, the most certain first; a length that contradicts what was fused before counts less, and
    makes the mean less certain."""
    result: Length | None = None
    for length in sorted((known for known in lengths if known is not None), key=lambda known: known.variance):
        if result is None:
            result = length
            continue
        surprise = (length.value - result.value) ** 2 / (length.variance + result.variance) / _GATE**2
        variance = length.variance * max(1.0, surprise**2)
        share = result.variance / (result.variance + variance)
        value = result.value + share * (length.value - result.value)
        result = Length(value, (1 - share) * result.variance * max(1.0, surprise))
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
        """After someone claims to have measured a carried length.

        A scale that is known better than claims can be off for good is left as it is, however often they are repeated.
        """
        doubt = claim.relative + _PARTIAL**2
        if carried is None:
            return Scaled(claim, replace(self, variance=doubt))
        telling = claim.relative < _VAGUE or doubt < self.variance
        if not telling or self.variance < _PARTIAL**2:
            return Scaled(carried, self)
        if carried.relative > max(_VAGUE, min(self.variance, _VAGUEST)):
            return Scaled(carried, self)
        gain = self.variance / (self.variance + carried.relative + doubt)
        variance = max((1 - gain) * self.variance, _PARTIAL**2)
        growth = gain * math.log(claim.value / carried.value)
        factor = math.exp(growth)
        gaps = tuple((gap - growth, noise) for gap, noise in self.gaps)
        told = Length(carried.value * factor, carried.variance * factor**2)
        return Scaled(told, replace(self, variance=variance, gaps=gaps), growth)

    def measured(self, carried: Length | None, ground: Length) -> Scaled:
        """After the ground has measured a carried length; the result is the length as both know it, all in all."""
        uneven = Length(ground.value, ground.variance + (self.heave * ground.value) ** 2)
        claimed = carried is not None and carried.relative > _VAGUE and self.variance > _VAGUEST
        unset = carried is None or (claimed and ground.value > _SHORT)
        if unset and ground.relative < _VAGUE:
            return Scaled(uneven, Gauge(uneven.relative, self.heave, ((0.0, ground.relative),)))
        if carried is None:
            return Scaled(uneven, self)
        if carried.relative > _VAGUE:
            return Scaled(fused([self.doubted(carried), uneven]) or uneven, self)
        if ground.relative > _VAGUE:
            reach = _GATE * math.sqrt(ground.variance)
            nearest = min(max(carried.value, ground.value - reach), ground.value + reach)
            out = self._contradicts(math.log(nearest / carried.value), carried.relative)
            return Scaled(fused([self.doubted(carried), None if out else uneven]) or uneven, self)
        gaps = (*self.gaps[1 - _MEMORY :], (math.log(ground.value / carried.value), ground.relative + carried.relative))
        enough = min(max(_MAJORITY[0], len(gaps) // 2 + 1), _MAJORITY[1])
        if self._contradicts(*gaps[-1]) and sum(self._contradicts(*gap) for gap in gaps) < enough:
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
        middle = robust.weighted_median(values, 1 / noise)
        values, noise = values[1:], noise[1:] - self.heave**2
        apart = robust.deviation(values - middle)
        heave = min(max(apart**2 - robust.median(noise), _HEAVE[0] ** 2), _HEAVE[1] ** 2)
        noise = noise + heave
        weights = 1 / noise / (1 + (values - middle) ** 2 / (noise * _GATE**2)) ** 2
        return float((weights * values).sum() / weights.sum()), 1 / float(weights.sum()), math.sqrt(heave)


@dataclass(frozen=True)
class Scaled:
    """A length, the gauge after it, and by how much (a logarithm) all that is carried has to grow for that."""

    length: Length
    gauge: Gauge
    growth: float = 0.0
