"""The epipolar motion refined by corners of known depth: by their reprojection, not only their epipolar lines.

Two views of a plane, or of few corners, hardly distinguish a rotation from a sideways translation, or a direction from
its opposite. The depths that are carried along from earlier frames do: they say where along its epipolar line a corner
is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import epipolar, geometry, rays
from ros2_vodistill.depths import Depths
from ros2_vodistill.epipolar import ALIKE, FLOOR, Epipolar
from ros2_vodistill.lengths import Length

Array = NDArray[np.float64]

_FEWEST = 6  # corners of known depth
_TRUSTED = 0.25  # largest relative variance of a depth that is used
_VAGUE = 10.0  # times the noise: largest error in the image, by that of its depth, of a far corner that is used
_SHARED = 0.05  # relative error that all depths have in common
_ITERATIONS, _GENTLE = 8, 2  # of Gauss-Newton, and how many of them weigh outliers gently
_ENOUGH = 3e-5  # radians: a step that is not worth another
_OTHER_WAY = 0.95  # cosine between two directions that are worth telling apart
_STRAINED = 0.06  # share of the rays: where so many more miss it, a motion that the depths prefer is not these frames'
_CALIBRATED = 0.014  # share of a turn that parallaxes are off by: a hundredth for the calibration, in what is known of
# the depths and in what is seen of them
_TOO_NEAR = 5.0  # inverse camera heights: nearer than this nothing is


@dataclass(frozen=True)
class Corners:
    """What is known of the corners, (N, ...) each.

    Attributes:
        first, second: unit rays of the two views.
        known: whose depth has a say.
        nearness: inverse distances in the first view, in inverse camera heights; `error` is their standard deviation.
    """

    first: Array
    second: Array
    known: NDArray[np.bool_]
    nearness: Array
    error: Array

    @classmethod
    def of(cls, first: Array, second: Array, depths: Depths, vague: float) -> Corners | None:
        """Of depths with an error less than `vague`, or a fair share of their own; None where those are few."""
        known = (depths.doubt < _TRUSTED) | (depths.variance < vague**2)
        if known.sum() < _FEWEST:
            return None
        nearness = np.maximum(depths.nearness, 0.0)
        error = np.sqrt(depths.variance + (_SHARED * nearness) ** 2)
        return cls(first, second, known, nearness, np.where(known, error, 0.0))


@dataclass(frozen=True)
class Misses:
    """By how much a motion misses the corners, (N,) radians; the Jacobians (6,N) are by (turn from the left, step).

    Attributes:
        across, along: the epipolar lines; 0 along that of a corner without depth.
        slack: what the doubt of its depth lets each corner be off along its line.
    """

    across: Array
    along: Array
    by_across: Array
    by_along: Array
    slack: Array


def anchored(fit: Epipolar, pace: Array | None, first: Array, second: Array, depths: Depths, noise: float) -> Epipolar:
    """The fit with the depths' help; as it is where too few are known.

    Args:
        pace: the motion (4x4) predicted by constant velocity. Where its direction differs, it is a second start: the
            fit may be one of two that the rays alone cannot distinguish.
        first, second: (N,3) unit rays; `depths` are those of the first.
        noise: of the rays, radians.
    """
    if fit.turns_only:
        return fit
    length = measured(fit, first, second, depths)
    paced = None if pace is None else float(np.linalg.norm(pace[:3, 3]))
    long = paced if length is None else length.value
    if long is None:
        return fit
    corners = Corners.of(first, second, depths, _VAGUE * noise / max(long, paced or 0.0, 1e-9))
    if corners is None:
        return fit
    starts = [(fit.rotation, long * fit.direction)]
    if pace is not None and epipolar.direction_of(pace) @ fit.direction < _OTHER_WAY:
        starts.append((pace[:3, :3], pace[:3, 3]))
    found = min((_polished(fit, *start, corners, noise) for start in starts), key=lambda found: found[0])[1]
    both = epipolar.stacked([(each.rotation, each.direction) for each in (fit, found)])
    before, after = rays.cost(*both, first, second, noise)
    return found if after - before < _STRAINED else fit


def measured(fit: Epipolar, first: Array, second: Array, depths: Depths) -> Length | None:
    """How long the step is by the depths, if that can be told."""
    sure = fit.inliers
    near, _, parallax = rays.nearness(fit.rotation, fit.direction, first[sure], second[sure])
    bent = _CALIBRATED * float(geometry.angle(fit.rotation))
    return depths[sure].length(near, parallax, fit.sigma, bent)


def _polished(
    fit: Epipolar, rotation: Array, translation: Array, corners: Corners, noise: float
) -> tuple[float, Epipolar]:
    """Robust Gauss-Newton from a start: its cost at the end, and the fit."""
    ahead = geometry.direction(translation, fit.direction)
    near, *_ = rays.nearness(rotation, ahead, corners.first, corners.second)
    guessed = np.clip(near / max(float(np.linalg.norm(translation)), 1e-9), 1e-4, _TOO_NEAR)
    nearness = np.where(corners.known, corners.nearness, guessed)
    misses = _misses(rotation, translation, ahead, corners, nearness)
    for iteration in range(_ITERATIONS):
        sigma, lines = epipolar.weighed(misses.across, noise)
        loose = np.hypot(sigma, misses.slack)
        scatter, points = epipolar.weighed((misses.along / loose)[corners.known], 1.0)
        if iteration < _GENTLE:
            lines, points = np.sqrt(lines), np.sqrt(points)
        places = np.zeros(len(lines))
        places[corners.known] = points / (scatter * loose[corners.known]) ** 2
        across, along = misses.by_across * (lines / sigma**2), misses.by_along * places
        hessian = across @ misses.by_across.T + along @ misses.by_along.T
        hessian += np.diag(1e-9 * hessian.diagonal() + 1e-12 * np.trace(hessian))
        step = np.linalg.solve(hessian, across @ misses.across + along @ misses.along)
        step *= min(1.0, 0.1 / max(float(np.abs(step[:3]).max()), 1e-9))
        rotation, translation = geometry.so3_exp_single(step[:3]) @ rotation, translation + step[3:]
        ahead = geometry.direction(translation, ahead)
        misses = _misses(rotation, translation, ahead, corners, nearness)
        if np.abs(step).max() < _ENOUGH and iteration >= _GENTLE:
            break
    cost = rays.missed(misses.across / noise).sum() + rays.missed(misses.along / np.hypot(noise, misses.slack)).sum()
    sigma, weights = epipolar.weighed(misses.across, noise)
    length = max(float(np.linalg.norm(translation)), 1e-6)
    change = np.zeros((5, 6))
    change[:3, :3], change[3:, 3:] = np.eye(3), rays.basis(ahead) / length
    covariance = ALIKE * change @ np.linalg.inv(hessian) @ change.T + FLOOR
    found = replace(fit, rotation=rotation, direction=ahead, covariance=covariance)
    return float(cost), replace(found, sigma=sigma, weights=weights)


def _misses(rotation: Array, translation: Array, ahead: Array, corners: Corners, nearness: Array) -> Misses:
    """Of corners at these inverse distances; `ahead` (unit) is the translation's direction, also where that is none."""
    frame = rays.frame(ahead)
    place = frame @ corners.first.T - nearness * (frame @ translation)[:, None]
    size = np.sqrt((place * place).sum(axis=0))
    seen = place / size
    steep = np.hypot(seen[1], seen[2])
    outwards = seen[1:] / np.maximum(steep, 1e-12)  # where a corner goes when it comes nearer, but for the direction
    axes = np.zeros((2, *place.shape))  # unit vectors across the corners' lines and along them
    axes[0, 1], axes[0, 2] = -outwards[1], outwards[0]
    axes[1, 0], axes[1, 1:] = -steep, seen[0] * outwards
    across, along = ((frame @ rotation @ corners.second.T - seen) * axes).sum(axis=1)
    axes = frame.T @ axes
    nearer = axes * (-nearness / size)
    return Misses(
        across=across,
        along=np.where(corners.known, along, 0.0),
        by_across=np.concatenate([axes[1], nearer[0]]),
        by_along=np.concatenate([-axes[0], nearer[1]]),
        slack=steep * np.linalg.norm(translation) / size * corners.error,
    )
