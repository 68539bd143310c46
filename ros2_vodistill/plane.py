"""A motion over a plane, the road: what is known of it before the ground is looked at, and what a fit of it says.

Level frame; lengths in camera heights. Tangents (9,) are a translation, a turn of the rotation from the left, and the
road's two slopes and curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.lengths import Length
from ros2_vodistill.rays import basis
from ros2_vodistill.road import plane_normal

Array = NDArray[np.float64]

_SCORE, _SUPPORT = 0.5, 0.62  # of a fit that is believed
_CLEARER = 0.6  # share of what differs in two views as they are that a motion may leave unexplained
_STRAIN = 5.0  # of a fit that agrees with the epipolar motion
_SURE = 0.9  # score and support of a fit that is believed rather than the epipolar motion


@dataclass(frozen=True)
class Prior:
    """What is known before the ground is looked at; level frame, camera heights.

    Attributes:
        epipolar: rotation, direction and their covariance.
        length, length_variance: of the translation.
        road: (3,) slope_x, slope_z and curvature in this frame, and their 3x3 `road_covariance`.
        longest: beyond that length the corners would lie below the ground.
    """

    epipolar: Epipolar
    length: float
    length_variance: float
    road: Array
    road_covariance: Array
    longest: float = np.inf


@dataclass(frozen=True)
class Alignment:
    """A motion (of this view in the last) and a road that bring two views of the ground together."""

    rotation: Array
    translation: Array
    road: Array

    @property
    def plane_motion(self) -> Array:
        """The homography `R + t n'`: takes rays to the ground in this view to rays in the last."""
        return self.rotation + np.outer(self.translation, plane_normal(self.road))

    def moved(self, step: Array) -> Alignment:
        """By (9,) translation, turn from the left, road."""
        turned = geometry.so3_exp(step[3:6]) @ self.rotation
        return Alignment(turned, self.translation + step[:3], self.road + step[6:])


@dataclass(frozen=True)
class GroundFit(Alignment):
    """An alignment, and how good it is.

    Attributes:
        covariance: 9x9 of (translation, left turn, road).
        score: correlation of the road's pixels, -1..1.
        static: the same of the two views as they are. Fog, headlights, vignetting and lane marks stay in their place
            whatever the motion.
        support: share of the visible blocks that agree.
        strain: how far the fit bent the epipolar motion: squared standard deviations per degree of freedom.
        length: of the translation, as the pixels alone tell it, without the prior's.
    """

    covariance: Array
    score: float
    static: float
    support: float
    strain: float
    length: Length

    @property
    def believed(self) -> bool:
        return self.score > _SCORE and self.support > _SUPPORT and self.strain < _STRAIN

    @property
    def clear(self) -> bool:
        """The views fit together by this motion much better than as they are."""
        return 1 - self.score < _CLEARER * (1 - self.static)

    @property
    def sure(self) -> bool:
        """Nearly all of what is seen fits."""
        return min(self.score, self.support) > _SURE

    @property
    def overrules(self) -> bool:
        """It contradicts the epipolar motion, and is the better one."""
        return self.sure and self.strain >= _STRAIN


class PriorEquations:
    """A prior as normal equations of Gauss-Newton."""

    def __init__(self, prior: Prior) -> None:
        self._prior = prior
        self._across = basis(prior.epipolar.direction)
        self._epipolar = np.linalg.inv(prior.epipolar.covariance)
        self._road = np.linalg.inv(prior.road_covariance)

    def about(self, at: Alignment) -> tuple[Array, Array, float]:
        """Hessian (9,9) and gradient (9,) at an alignment, and its strain; see `GroundFit`."""
        prior, direction = self._prior, self._prior.epipolar.direction
        length = max(float(np.linalg.norm(at.translation)), 1e-3)
        turn = geometry.so3_log(at.rotation @ prior.epipolar.rotation.T)
        bent = np.concatenate([turn, self._across @ at.translation / length])
        by = np.zeros((5, 9))
        by[:3, 3:6], by[3:, :3] = np.eye(3), self._across / length
        hessian, gradient = by.T @ self._epipolar @ by, by.T @ self._epipolar @ bent
        hessian[:3, :3] += np.outer(direction, direction) / prior.length_variance
        gradient[:3] += direction * (direction @ at.translation - prior.length) / prior.length_variance
        hessian[6:, 6:] += self._road
        gradient[6:] += self._road @ (at.road - prior.road)
        return hessian, gradient, float(bent @ self._epipolar @ bent) / 5


def own_length(translation: Array, covariance: Array, prior: Prior) -> Length:
    """What a length's posterior says beyond its prior."""
    value = float(np.linalg.norm(translation))
    along = geometry.direction(translation, prior.epipolar.direction)
    both, before = 1 / float(along @ covariance @ along), 1 / prior.length_variance
    own = max(both - before, 1e-3 * both)
    return Length(max((value * both - prior.length * before) / own, 0.0), 1 / own)
