"""Pairs of unit rays to the same points in two views: epipolar residuals of a motion, and inverse depths.

`first = R @ second + Z t` up to lengths: R and t are the pose of the second view in the first. A residual is the
Sampson distance on the unit sphere, in radians, so that lenses of any field of view can be used.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry

Array = NDArray[np.float64]
Rays = tuple[Array, Array]
"""(N,3) unit rays in the first view and in the second."""

COARSE = 5.0  # times the noise: threshold of an inlier in RANSAC
_HALF = 3.0  # times the noise: a ray with this residual counts as half an outlier


def frame(direction: Array) -> Array:
    """(3,3) axes, right-handed: a direction (unit), and two across it."""
    x, y, z = direction.tolist()
    sizes = abs(x), abs(y), abs(z)
    across = ((0.0, z, -y), (-z, 0.0, x), (y, -x, 0.0))[sizes.index(min(sizes))]
    u, v, w = (value / math.hypot(*across) for value in across)
    return np.array([[x, y, z], [u, v, w], [y * w - z * v, z * u - x * w, x * v - y * u]])


def basis(direction: Array) -> Array:
    """(2,3) unit vectors across a direction."""
    return frame(direction)[1:]


def residuals(rotation: Array, direction: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """Sampson distances (N,) in radians and their Jacobian (N,5)."""
    axes = frame(direction)
    a, b = axes @ first.T, axes @ rotation @ second.T  # (3,N): numpy is slow where the last axis is short
    algebraic = b[1] * a[2] - b[2] * a[1]
    length = _slope(algebraic, a[0], b[0])
    values = algebraic / length
    shrink = values / length**2
    steep = 1 / length + 2 * algebraic * shrink
    ahead, behind, bent = steep * b[0], steep * a[0], shrink * b[0]
    jacobian = np.empty((5, len(first)))
    jacobian[0] = -steep * (b[1] * a[1] + b[2] * a[2])
    jacobian[1:3] = ahead * a[1:]
    jacobian[3], jacobian[4] = behind * b[2] - jacobian[2], jacobian[1] - behind * b[1]
    jacobian[1] += bent * b[2]
    jacobian[2] -= bent * b[1]
    jacobian[3:] += bent * b[1:] + shrink * a[0] * a[1:]
    jacobian[:3] = axes.T @ jacobian[:3]
    return values, jacobian.T


def cost(rotation: Array, direction: Array, first: Array, second: Array, noise: float) -> Array:
    """Shares (...) of outliers (see `missed`) of motions, (..., 3, 3) and (..., 3), to compare them.

    Rays that intersect behind the cameras have their parallax as a residual, too: points are in front of both views.
    """
    products = (first.T[:, None] * second.T).reshape(9, -1)
    cosine = rotation.reshape(*direction.shape[:-1], 9) @ products
    algebraic = (geometry.hat(direction) @ rotation).reshape(*direction.shape[:-1], 9) @ products
    along_first = direction @ first.T
    along_second = (direction[..., None, :] @ rotation)[..., 0, :] @ second.T
    square = (algebraic / _slope(algebraic, along_first, along_second)) ** 2
    ahead = (along_first > cosine * along_second) & (cosine * along_first > along_second)
    square = np.where(ahead, square, square + np.maximum(1 - cosine**2, 0.0))
    return np.asarray(missed(np.sqrt(square) / noise).mean(axis=-1))


def missed(off: Array) -> Array:
    """Cost 0..1 of residuals (N,) over their noise, after Geman and McClure.

    It is bounded: points on a moving vehicle cost no more than points that were not found, and a motion that fits all
    points a little is not preferred to one that fits most of them well.
    """
    square = (off / _HALF) ** 2
    return np.asarray(square / (1 + square))


def nearness(rotation: Array, direction: Array, first: Array, second: Array) -> tuple[Array, Array, Array]:
    """(N,) inverse distances along both rays, per baseline, negative behind the camera; and parallaxes in radians."""
    first, turned = first.T, rotation @ second.T
    along_first, along_second = direction @ first, direction @ turned
    square = ((first - turned) ** 2).sum(axis=0)
    cosine = 1 - square / 2
    one = (along_first - cosine * along_second) / np.maximum(1 - along_second**2, 1e-12)
    other = (cosine * along_first - along_second) / np.maximum(1 - along_first**2, 1e-12)
    return one, other, np.sqrt(square * np.maximum(1 - square / 4, 0.0))


def _slope(algebraic: Array, along_second: Array, along_first: Array) -> Array:
    """What an algebraic epipolar error is divided by to be an angle (Sampson's)."""
    return np.sqrt(np.maximum(2 - along_second**2 - along_first**2 - 2 * algebraic**2, 1e-12))
