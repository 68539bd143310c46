"""Rotation and direction of a motion from two views of the same points, which are given as unit rays.

Rays, and what a motion misses them by, are those of rays.py. Tangents are a rotation vector that turns R from the left,
then two numbers along `basis(direction)`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry, robust
from ros2_vodistill.lengths import Length
from ros2_vodistill.rays import COARSE, basis, cost, residuals

Array = NDArray[np.float64]

_OUTLIER = 2.5  # robust standard deviations at which a residual has a quarter of its weight left
_ITERATIONS, _TURN_ITERATIONS = 15, 5  # at most, of Gauss-Newton; of the rotation alone
_GENTLE = 4  # first iterations, with the root of these weights: converges from farther away
_PLANE = 0.2  # smallest z of a unit ray that is projected to a plane for the five-point solver
ALIKE = 6.0  # factor of the covariance, because the errors of corners are correlated
_SYSTEMATIC = 2.0  # times the noise: larger residuals are tested for correlation between neighbours
_MOST_ALIKE = 0.8  # bound on that correlation
_IDENTITY = np.eye(5)
FLOOR = np.diag([1.5e-4**2] * 3 + [2e-3**2] * 2)  # radians^2, added to the covariance of every fit
_PARALLAX, _NEARLY_ALL = 3.0, 0.8  # times the noise: a rotation that leaves less in such a share explains all
_SUSPECT = 1.5  # times the noise: larger residuals make other motions be tried
_DUBIOUS = 0.13  # share of outliers beyond which other starts are tried
_WORTH = 8  # outliers that an unlikely motion costs as much as
_ALONG = 2.0  # standard deviations within which a motion agrees with the predicted one
_ENOUGH = 3e-5  # radians: a step of Gauss-Newton that is not worth another

Start = tuple[Array, Array]
"""Rotation and direction of a motion that is to be polished."""

_FLIP = np.diag([1.0, 1.0, 1.0, 1.0, -1.0])  # of a tangent, where the direction is turned round


@dataclass(frozen=True)
class Epipolar:
    """What two views say about the motion between them.

    Attributes:
        rotation: 3x3, of the second view in the first.
        direction: unit (3,), of the translation.
        covariance: 5x5 of the tangent.
        sigma: robust standard deviation of the residuals, radians.
        weights: (N,) 0..1 of each pair of rays.
        turns_only: there is no parallax: the motion is a pure rotation, and the direction a mere guess.
    """

    rotation: Array
    direction: Array
    covariance: Array
    sigma: float
    weights: Array
    turns_only: bool = False

    @property
    def inliers(self) -> NDArray[np.bool_]:
        return self.weights > 0.25

    def agreeing(self, most: float) -> int:
        """Number of inliers with a residual of no more than that, radians: of few rays, `sigma` may be large."""
        share = min(1.0, most / (_OUTLIER * self.sigma))
        return int((self.weights > 1 / (1 + share**2) ** 2).sum())


@dataclass(frozen=True)
class Inertia:
    """The predicted motion of a camera at constant velocity, as a cost of other motions.

    Attributes:
        rotation: 3x3; `direction`: unit (3,).
        turns, veers: standard deviations of the rotation and of the direction around these, radians.
        worth: weight, 0..1.
    """

    rotation: Array
    direction: Array
    turns: float
    veers: float
    worth: float = 1.0

    def cost(self, rotation: Array, direction: Array) -> Array:
        """Of other motions (..., 3, 3) and (..., 3), in outliers (...)."""
        return np.asarray(_WORTH * self.worth * np.log1p(self._off(rotation, direction) ** 2).sum(axis=0))

    def kept(self, motion: Array) -> bool:
        """Whether a motion (4x4) agrees with the predicted one."""
        return bool(self._off(motion[:3, :3], direction_of(motion)).max() < _ALONG)

    def _off(self, rotation: Array, direction: Array) -> Array:
        """(2, ...) differences of rotation and direction, in standard deviations."""
        turned = geometry.angle(self.rotation.T @ rotation)
        return np.stack([turned / self.turns, np.linalg.norm(direction - self.direction, axis=-1) / self.veers])


def solve(
    first: Array, second: Array, expected: Sequence[Array], noise: float, search: bool, inertia: Inertia | None = None
) -> Epipolar:
    """The motion that explains the rays best, with the points in front of both views.

    Args:
        expected: motions (4x4) to start from: from the one that fits best, and from others where that ends badly.
        noise: of the rays, radians.
        search: look for motions far from the expected ones too; otherwise only where those fit badly.
        inertia: decides between motions that fit about equally well.
    """

    def poor(rotations: Array, directions: Array) -> Array:
        unlikely = 0.0 if inertia is None else inertia.cost(rotations, directions) / len(first)
        return cost(rotations, directions, first, second, noise) + unlikely

    def fitted(start: Start) -> tuple[float, Epipolar]:
        fit = polish(*start, first, second, noise)
        either = fit, turned_round(fit)
        costs = poor(*stacked([(each.rotation, each.direction) for each in either]))
        return float(costs.min()), either[costs.argmin()]

    starts = [(motion[:3, :3], direction_of(motion)) for motion in expected]
    rotation, left = turn(first, second, noise)
    if np.count_nonzero(left < _PARALLAX * noise) > _NEARLY_ALL * len(left):
        return turning(rotation, starts[0][1], first, second, max(noise, robust.median(left)))
    starts.append((rotation, starts[0][1]))
    starts = [starts[each] for each in poor(*stacked(starts)).argsort(kind="stable")]
    fits = [fitted(starts[0])]
    if fits[0][0] > _DUBIOUS:
        fits += [fitted(start) for start in starts[1:]]
    if search or fits[0][1].sigma > _SUSPECT * noise:
        fits += [fitted(start) for start in five_point(first, second, noise)]
    return min(fits, key=lambda found: found[0])[1]


def direction_of(motion: Array) -> Array:
    """Unit (3,) of a motion's translation; ahead where there is none."""
    return geometry.direction(motion[:3, 3], np.array([0.0, 0.0, 1.0]))


def polish(rotation: Array, direction: Array, first: Array, second: Array, noise: float) -> Epipolar:
    """Robust Gauss-Newton from a start; the robust scale shrinks with the residuals, to `noise` radians at least."""
    values, jacobian = residuals(rotation, direction, first, second)
    for iteration in range(_ITERATIONS):
        sigma, weights = weighed(values, noise)
        weighted = jacobian.T * (np.sqrt(weights) if iteration < _GENTLE else weights)
        step = -np.linalg.solve(_damped(weighted @ jacobian), weighted @ values)
        largest = float(np.abs(step).max())
        step *= min(1.0, 0.3 / max(largest, 1e-9))
        rotation = geometry.so3_exp_single(step[:3]) @ rotation
        direction = direction + step[3:] @ basis(direction)
        direction = direction / np.linalg.norm(direction)
        values, jacobian = residuals(rotation, direction, first, second)
        if largest < _ENOUGH and iteration >= _GENTLE:
            break
    sigma, weights = weighed(values, noise)
    covariance = np.asarray(np.linalg.inv(_damped((jacobian.T * weights) @ jacobian)), np.float64) * sigma**2
    return Epipolar(rotation, direction, ALIKE * covariance + FLOOR, sigma, weights)


def shared(fit: Epipolar, first: Array, second: Array, noise: float) -> float:
    """Factor of the covariance of a fit to these rays for errors that are correlated in the image, 1 or more.

    Taken from the correlation of each residual with that of the nearest corner, as if it decayed exponentially with the
    distance: a rolling shutter in vibration, for one, moves neighbours alike.
    """
    sure = fit.inliers
    if fit.turns_only or fit.sigma < _SYSTEMATIC * noise or sure.sum() < 2:
        return 1.0
    values, _ = residuals(fit.rotation, fit.direction, first[sure], second[sure])
    near = second[sure] @ second[sure].T
    np.fill_diagonal(near, -2.0)
    likeness = float((values * values[near.argmax(axis=1)]).mean() / (values**2).mean())
    together = 1 + 2 * math.pi / math.log(min(max(likeness, 1e-9), _MOST_ALIKE)) ** 2
    return max(1.0, together / ALIKE)


def weighed(values: Array, noise: float) -> tuple[float, Array]:
    """Robust standard deviation of residuals, and their weights by Geman and McClure."""
    sigma = max(noise, robust.deviation(values))
    return sigma, 1 / (1 + (values / (_OUTLIER * sigma)) ** 2) ** 2


def five_point(first: Array, second: Array, noise: float) -> list[Start]:
    """RANSAC: the motions (rotation, direction) that explain most rays to within a few times the noise, radians."""
    ahead = (first[:, 2] > _PLANE) & (second[:, 2] > _PLANE)
    if ahead.sum() < 8:
        return []
    a, b = first[ahead, :2] / first[ahead, 2:], second[ahead, :2] / second[ahead, 2:]
    essentials, _ = cv2.findEssentialMat(b, a, np.eye(3), cv2.RANSAC, 0.999, COARSE * noise, 300)
    if essentials is None:
        return []
    found = []
    for essential in essentials.reshape(-1, 3, 3):
        one, two, column = cv2.decomposeEssentialMat(essential)
        direction = np.asarray(column, float)[:, 0]
        turns = (np.asarray(one, float), np.asarray(two, float))
        signed = [(rotation, sign * direction) for rotation in turns for sign in (1.0, -1.0)]
        found.append(signed[cost(*stacked(signed), first, second, noise).argmin()])
    return found


def turn(first: Array, second: Array, noise: float) -> tuple[Array, Array]:
    """The pure rotation that fits best (iteratively reweighted), and the residual angles (N,) in radians."""
    rotation = np.eye(3)
    left = np.ones(len(first))
    for _ in range(_TURN_ITERATIONS):
        weights = 1 / (1 + (left / max(noise, robust.median(left))) ** 2)
        u, _, vt = np.linalg.svd((first.T * weights) @ second)
        rotation = (u * [1.0, 1.0, np.linalg.det(u @ vt)]) @ vt
        left = np.sqrt(((first.T - rotation @ second.T) ** 2).sum(axis=0))
    return rotation, left


def turning(rotation: Array, direction: Array, first: Array, second: Array, sigma: float) -> Epipolar:
    """A pure rotation as an `Epipolar`; its direction is a guess, and unknown."""
    left = np.linalg.norm(first - second @ rotation.T, axis=1)
    weights = 1 / (1 + (left / (_OUTLIER * sigma)) ** 2) ** 2
    covariance = ALIKE * np.diag([1.5 * sigma**2 / max(weights.sum(), 1.0)] * 3 + [0.0] * 2) + FLOOR
    covariance[3:, 3:] = np.eye(2)
    return Epipolar(rotation, direction, covariance, sigma, weights, turns_only=True)


def spread(fit: Epipolar, length: Length) -> Array:
    """6x6 covariance of (translation, turn from the left) of a fit whose translation has this length."""
    change = np.zeros((6, 6))
    change[:3, 3:5], change[:3, 5], change[3:, :3] = length.value * basis(fit.direction).T, fit.direction, np.eye(3)
    inner = np.zeros((6, 6))
    inner[:5, :5], inner[5, 5] = fit.covariance, length.variance
    return change @ inner @ change.T


def turned_round(fit: Epipolar) -> Epipolar:
    """The same fit with the opposite direction, which has the same residuals."""
    return replace(fit, direction=-fit.direction, covariance=_FLIP @ fit.covariance @ _FLIP)


def stacked(motions: Sequence[Start]) -> tuple[Array, Array]:
    """(K,3,3) and (K,3) of K motions."""
    rotations, directions = zip(*motions, strict=True)
    return np.stack(rotations), np.stack(directions)


def _damped(hessian: Array) -> Array:
    """(5,5), a little larger: one without parallax is singular."""
    return hessian + (1e-6 * np.trace(hessian) + 1e-12) * _IDENTITY
