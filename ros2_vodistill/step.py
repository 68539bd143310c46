"""A step, concluded: the motion that the corners tell, with its length from what is carried along and from the ground.

Everything is in the level frame; lengths are in camera heights. They are carried along by the depths of the corners
that live on from frame to frame, so a stretch without visible ground keeps the last scale.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import anchor, epipolar, geometry, rays, robust
from ros2_vodistill.depths import Depths
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.footing import footing
from ros2_vodistill.ground import GroundFit, Prior
from ros2_vodistill.lengths import Gauge, Length, Scaled, fused
from ros2_vodistill.rays import Rays
from ros2_vodistill.road import Road, plane_normal
from ros2_vodistill.still import TYPICAL_DEPTH

Array = NDArray[np.float64]

_RESTLESS = 0.1  # relative: heave of the camera above the road that makes the ground no good measure of length
_LEEWAY = 0.03  # camera heights that the ground may always find a length off
_FAR_OFF = 2.0  # factor between lengths of one step that are not of the same motion
_VAGUE = 0.05**2  # variance of the scale's logarithm from which on corners on the ground may tell it
_GUESSED = 0.1  # variance of the scale's logarithm that is worth a word
_LOST = 1.0  # variance of a logarithm: nothing is known of a scale that is further astray
_TURNOVER = 0.05  # share of a carried length's variance that the scale keeps, in corners that are new
_UNEVEN = 3e-4  # radians: what a road that is cambered, and no plane, may look like a turn by
_MOVES = 0.05  # camera heights: ground that moves so far is not the lens's dirt
_CLEAR = 10.0  # standard deviations of a parallax that tells a corner's distance beyond doubt
_COUNTED = 20  # corners, whose distances tell where the ground cannot be
_DEEP, _DEEPEST = 0.1, 2.0  # share of them that may be deeper below the camera than so many camera heights
_NEAREST = 0.02  # camera heights: where most corners are nearer than this, the scale is wrong

_CAMBER = np.diag([_UNEVEN**2] * 3 + [0.0] * 2)  # of a tangent


@dataclass(frozen=True)
class Carried:
    """What one frame hands on to the next.

    Attributes:
        depths: of its corners.
        road: the ground's slopes.
        gauge: what is known about the scale of the depths.
    """

    depths: Depths = field(default_factory=lambda: Depths.unknown(0))
    road: Road = field(default_factory=Road.unknown)
    gauge: Gauge = field(default_factory=Gauge)


@dataclass(frozen=True)
class Sight:
    """What the corners say of the step.

    Attributes:
        rays: (N,3) unit rays of the corners in the reference frame, and in the newest one.
        seen: the motion by the images alone.
        fit: the motion that a guess had a part in too.
        grounded: whether the camera sees the ground, and is known to be one unit of length above it.
    """

    rays: Rays
    seen: Epipolar
    fit: Epipolar
    grounded: bool = True

    @cached_property
    def nearness(self) -> tuple[Array, Array, Array]:
        """Inverse distances (N,) in both frames, per length of the step, and parallaxes, by the motion `seen`."""
        return rays.nearness(self.seen.rotation, self.seen.direction, *self.rays)

    @cached_property
    def clear(self) -> tuple[Array, Array]:
        """Of the corners whose distance is beyond doubt: unit rays (K,3) in the newest frame, and inverse distances
        (K,), per length of the step; none where the camera only turns."""
        _, nearness, parallax = self.nearness
        sure = self.seen.inliers & (nearness > 0) & (parallax > _CLEAR * self.seen.sigma) & (not self.seen.turns_only)
        return self.rays[1][sure], nearness[sure]

    def depths(self, down: Array) -> Array:
        """How far the corners of `clear` are along `down` (K,), per length of the step."""
        directions, nearness = self.clear
        return np.asarray(directions @ down / nearness)

    def footing(self, down: Array) -> Length | None:
        """The length of the step by the corners on the ground, whose normal is `down`; see `footing`."""
        return footing(self.depths(down)) if self.grounded else None


@dataclass(frozen=True)
class Step:
    """What all of it comes to.

    Attributes:
        motion: 4x4.
        covariance: 6x6 of (translation, turn from the left).
        carried: what the newest frame hands on.
        reasons: why the length is not to be trusted fully, in words.
    """

    motion: Array
    covariance: Array
    carried: Carried
    reasons: tuple[str, ...]


def foretold(before: Carried, sight: Sight, pace: Length | None, claim: Length | None) -> Scaled | None:
    """The length of the step before the ground is asked; None if nothing tells it.

    Args:
        before: what the reference frame handed on, of the corners that are still seen.
        pace: the length if the camera goes on as before.
        claim: the length that someone claims to have measured; it is not listened to where corners on the ground tell
            the scale, or where corners would then lie below the ground, if anything else tells the length.
    """
    carried, lost = _carried(before, sight, pace)
    gauge = before.gauge.drifted(lost)
    known = None if carried is None else Scaled(carried, gauge)
    if known is not None and gauge.variance <= _VAGUE:
        return known
    down = plane_normal(before.road.moved(sight.fit.rotation, 0.0).seen[0])
    if (foot := sight.footing(down)) is not None:
        return _measured(known, gauge, foot)
    if claim is None or (carried is not None and claim.value >= _longest(sight, down)):
        return known
    return gauge.told(carried, claim)


def prior(before: Carried, sight: Sight, known: Scaled | None) -> Prior:
    """What the ground is to be told before it is looked at; `known` is the length foretold."""
    fit = sight.fit
    length = Length(0.0, np.inf) if known is None else known.gauge.doubted(known.length)
    slopes, covariance = before.road.moved(fit.rotation, length.value).seen
    doubted = replace(fit, covariance=fit.covariance + _CAMBER)
    longest = _longest(sight, plane_normal(slopes))
    return Prior(doubted, length.value, length.variance + _LEEWAY**2, slopes, covariance, longest)


def concluded(before: Carried, sight: Sight, known: Scaled | None, ground: GroundFit | None) -> Step:
    """What the corners and the ground say, fused; `before` and `known` are those of `foretold`."""
    reasons = []
    if ground is not None:
        scaled = _measured(known, before.gauge.drifted(), ground.length)
        length = scaled.length
        if scaled.gauge.heave > _RESTLESS:
            reasons.append("the ground and the corners disagree about the length of the step")
    else:
        scaled = known or _assumed(sight)
        length = scaled.gauge.doubted(scaled.length)
    if ground is None and known is None:
        reasons.append("the scale is unknown: nothing of known size was seen yet")
    elif scaled.gauge.variance > _GUESSED:
        reasons.append("the scale is a guess: no ground has told it for long, or all corners were lost")
    if ground is None or not _alike(sight.fit, length.value, ground.translation):
        rotation, translation = sight.fit.rotation, length.value * sight.fit.direction
        covariance = epipolar.spread(sight.fit, length)
        road = before.road.moved(rotation, length.value)
    else:
        ground = _evened(ground, sight.fit)
        rotation, (translation, covariance) = ground.rotation, _stretched(ground, length, sight.fit.direction)
        road = before.road.moved(rotation, length.value).updated(ground.road, ground.covariance[6:, 6:])
    depths = _renewed(before.depths.grown(scaled.growth), sight, length.value, translation)
    return Step(geometry.make(rotation, translation), covariance, Carried(depths, road, scaled.gauge), tuple(reasons))


def _carried(before: Carried, sight: Sight, pace: Length | None) -> tuple[Length | None, float]:
    """The length of the step, but for the scale, from what earlier frames left: known depths, the last step; and how
    far astray the scale went where no depths hold it (variance of its logarithm)."""
    fit = sight.fit
    if fit.turns_only:
        *_, parallax = rays.nearness(fit.rotation, fit.direction, *sight.rays)
        return Length(0.0, (robust.median(parallax) * (before.depths.typical or TYPICAL_DEPTH)) ** 2), 0.0
    if not np.isfinite(before.gauge.variance):
        return None, 0.0
    measured = anchor.measured(fit, *sight.rays, before.depths)
    length = fused([measured, pace])
    if length is None:
        return None, 0.0
    if before.depths.typical is not None and before.depths.typical < _NEAREST:
        return length, _LOST
    return length, min(length.relative, _LOST) * (1.0 if measured is None else _TURNOVER)


def _longest(sight: Sight, down: Array) -> float:
    """Length of the step beyond which too many corners would lie deep below the ground, whose normal is `down`."""
    depths = np.sort(sight.depths(down))
    if len(depths) < _COUNTED:
        return np.inf
    deep = depths[-int(_DEEP * len(depths))]
    return _DEEPEST / float(deep) if deep > 0 else np.inf


def _assumed(sight: Sight) -> Scaled:
    """The length of the step if things are as far as they typically are."""
    near, *_ = rays.nearness(sight.fit.rotation, sight.fit.direction, *sight.rays)
    return Scaled(Length(TYPICAL_DEPTH * robust.median(np.abs(near)), 0.0), Gauge(variance=1.0))


def _measured(known: Scaled | None, gauge: Gauge, ground: Length) -> Scaled:
    """After the ground has measured the step; `gauge` is that before anything was known of this step."""
    if known is None:
        return gauge.measured(None, ground)
    scaled = known.gauge.measured(known.length, ground)
    return replace(scaled, growth=known.growth + scaled.growth)


def _alike(fit: Epipolar, length: float, translation: Array) -> bool:
    """Whether the ground's translation is what the corners and all that is known of its length lead to expect; or the
    opposite, which corners with little parallax may have taken for it."""
    along = float(translation @ fit.direction)
    along = -along if along < -_MOVES else along
    return fit.turns_only or length / _FAR_OFF < along < length * _FAR_OFF


def _evened(ground: GroundFit, fit: Epipolar) -> GroundFit:
    """With as much of its turn away from that of the corners as is not to be put down to the road's shape."""
    own = fit.covariance[:3, :3]
    both = own + _CAMBER[:3, :3]
    share = own @ np.linalg.inv(both)
    turn = share @ geometry.so3_log(ground.rotation @ fit.rotation.T)
    change = np.eye(9)
    change[3:6, 3:6] = share
    covariance = change @ ground.covariance @ change.T
    covariance[3:6, 3:6] += own - share @ both @ share.T
    return replace(ground, rotation=geometry.so3_exp(turn) @ fit.rotation, covariance=covariance)


def _stretched(ground: GroundFit, length: Length, ahead: Array) -> tuple[Array, Array]:
    """The ground's translation (`ahead` where it is none) and the covariance (6x6), with another length."""
    along = geometry.direction(ground.translation, ahead)
    variance = float(along @ ground.covariance[:3, :3] @ along)
    stretch = np.eye(6)
    stretch[:3, :3] += (np.sqrt(length.variance / variance) - 1) * np.outer(along, along)
    return length.value * along, stretch @ ground.covariance[:6, :6] @ stretch.T


def _renewed(depths: Depths, sight: Sight, length: float, translation: Array) -> Depths:
    """As the newest frame sees them.

    Depths are measured by the motion that was `seen` in the images: one that a guess had a part in would make the
    depths repeat the guess.
    """
    if sight.fit.turns_only:
        return depths
    seen = sight.seen
    _, nearness, _ = sight.nearness
    aside = np.sqrt(np.maximum(1 - (sight.rays[0] @ seen.direction) ** 2, 0.0))
    baseline = max(length, 1e-9)
    vague = seen.sigma**2 + float(np.trace(seen.covariance[:3, :3])) / 3
    variance = vague / (baseline * np.maximum(aside, 1e-9)) ** 2
    moved = depths.moved(sight.rays[0], translation)
    return moved.renewed(nearness / baseline, variance, sight.fit.inliers)
