"""Pairs of unit rays to the same points in two views: epipolar residuals of a motion, and inverse depths.

`first = R @ second + Z t` up to lengths: R and t are the pose of the second view in the first. A residual is the
Sampson distance on the unit sphere, in radians, so that lenses of any field of view can be used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Rays = tuple[Array, Array]
"""(N,3) unit rays in the first view and in the second."""

COARSE = 5.0  # times the noise: threshold of an inlier in RANSAC
_HALF = 3.0  # times the noise: a ray with this residual counts as half an outlier
_NEXT, _LAST = np.array([1, 2, 0]), np.array([2, 0, 1])  # coordinates after and before each


def basis(direction: Array) -> Array:
    """(2,3) unit vectors across a direction."""
    x, y, z = direction.tolist()
    across = [(0.0, z, -y), (-z, 0.0, x), (y, -x, 0.0)][int(np.argmin(np.abs(direction)))]
    u, v, w = (value / math.hypot(*across) for value in across)
    return np.array([[u, v, w], [y * w - z * v, z * u - x * w, x * v - y * u]])


def residuals(rotation: Array, direction: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Sampson distances (N,) in radians and their Jacobian (N,5)."""
    turned = second @ rotation.T
    cross = crossed(turned, first)
    algebraic, along_second, along_first = cross @ direction, turned @ direction, first @ direction
    length = _slope(algebraic, along_second, along_first)
    d_algebraic = along_second[:, None] * first - (turned * first).sum(axis=1)[:, None] * direction
    d_square = -2 * along_second[:, None] * crossed(turned, direction) - 4 * algebraic[:, None] * d_algebraic
    d_square_direction = (
        -2 * along_second[:, None] * turned - 2 * along_first[:, None] * first - 4 * algebraic[:, None] * cross
    )
    shrink = (algebraic / (2 * length**3))[:, None]
    by_rotation = d_algebraic / length[:, None] - shrink * d_square
    by_direction = (cross / length[:, None] - shrink * d_square_direction) @ basis(direction).T
    return algebraic / length, np.concatenate([by_rotation, by_direction], axis=1)


def cost(rotation: Array, direction: Array, first: Array, second: Array, noise: float) -> float:
    """Share of outliers of a motion (see `missed`), to compare motions.

    Rays that intersect behind the cameras have their parallax as a residual, too: points are in front of both views.
    """
    turned = second @ rotation.T
    cross = crossed(turned, first)
    algebraic = cross @ direction
    values = algebraic / _slope(algebraic, turned @ direction, first @ direction)
    one, other, parallax = _nearness(turned, -cross, first, direction)
    values = np.where((one > 0) & (other > 0), values, np.hypot(values, parallax))
    return float(missed(values / noise).mean())


def missed(off: Array) -> Array:
    """Cost 0..1 of residuals (N,) over their noise, after Geman and McClure.

    It is bounded: points on a moving vehicle cost no more than points that were not found, and a motion that fits all
    points a little is not preferred to one that fits most of them well.
    """
    square = (off / _HALF) ** 2
    return np.asarray(square / (1 + square))


def nearness(rotation: Array, direction: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """(N,) inverse distances along both rays, per baseline, negative behind the camera; and parallaxes in radians."""
    turned = second @ rotation.T
    return _nearness(turned, crossed(first, turned), first, direction)


def _nearness(turned: Array, cross: Array, first: Array, direction: Array) -> tuple[Array, Array, Array]:
    """See `nearness`; `turned` are the second rays in the first axes, `cross` is first x turned."""
    aside_first, aside_second = crossed(first, direction), crossed(turned, direction)
    along_first, along_second = -(aside_second * cross).sum(axis=1), -(aside_first * cross).sum(axis=1)
    one = along_first / np.maximum((aside_second**2).sum(axis=1), 1e-12)
    other = along_second / np.maximum((aside_first**2).sum(axis=1), 1e-12)
    return one, other, np.sqrt((cross**2).sum(axis=1))


def _slope(algebraic: Array, along_second: Array, along_first: Array) -> Array:
    """What an algebraic epipolar error is divided by to be an angle (Sampson's)."""
    return np.sqrt(np.maximum(2 - along_second**2 - along_first**2 - 2 * algebraic**2, 1e-12))


def crossed(a: Array, b: Array) -> Array:
    """Of (N,3) with (N,3) or (3,); numpy's own is several times slower."""
    return a.take(_NEXT, 1) * b.take(_LAST, -1) - a.take(_LAST, 1) * b.take(_NEXT, -1)
