"""How far a network's covariance is to be believed: a factor that is estimated from how far its motions were off.

On a camera or in a place unlike its training data a network is off by more than its covariance says, and in much the
same way for many frames. So there is a discrete distribution over factors of its variances, updated by Bayes' rule from
the difference between the network's motion and that of the corners. Both uncertainties count: a frame whose corners say
little about the motion says little about the factor, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.guess import Guess
from ros2_vodistill.rays import basis

Array = NDArray[np.float64]

_FACTORS = np.geomspace(1.0, 1e4, 28)
_TURN, _WAY = slice(0, 3), slice(3, 5)  # of a tangent
_CHANGE = 0.1  # share of the probability that diffuses to neighbouring factors each frame, towards the prior
_TAIL = 4.0  # degrees of freedom of Student's distribution: robust against single frames
_LASTING = 3.0  # factor of a guess's variance, because its errors are correlated over frames
_GATE = 3.0  # standard deviations
_SHORTEST = 1e-6  # camera heights: a shorter step has no direction


def _unknown() -> Array:
    return np.tile(1 / _FACTORS / (1 / _FACTORS).sum(), (2, 1))


@dataclass(frozen=True)
class Trust:
    """What is known of the guesses' covariances.

    Attributes:
        odds: (2,K) probabilities of the K factors of their variances: of the rotations, and of the directions.
    """

    odds: Array = field(default_factory=_unknown)

    @property
    def factors(self) -> tuple[float, float]:
        """Geometric means of the factor of the rotation's and of the direction's variance."""
        turn, way = np.exp(self.odds @ np.log(_FACTORS))
        return float(turn), float(way)

    def honest(self, guess: Guess) -> Guess:
        """A guess with its covariance multiplied by these factors; one without a covariance stays as it is."""
        if guess.covariance is None:
            return guess
        turn, way = np.sqrt(self.factors)
        scale = np.repeat([way, turn], 3)
        return replace(guess, covariance=guess.covariance * np.outer(scale, scale))

    def told(self, guess: Guess, fit: Epipolar) -> Trust:
        """Updated by a frame whose corners alone gave `fit`; a fit of a pure rotation says nothing about directions."""
        if (compared := _compared(guess, fit)) is None:
            return self
        gap, claimed = compared
        odds = self.odds.copy()
        for row, part in enumerate((_TURN,) if fit.turns_only else (_TURN, _WAY)):
            odds[row] = _updated(odds[row], gap[part], claimed[part, part], fit.covariance[part, part])
        return Trust(odds)

    def fused(self, guess: Guess, fit: Epipolar) -> Epipolar:
        """The fit fused with a guess; one that contradicts it by more than its covariance allows counts less."""
        if (compared := _compared(self.honest(guess), fit)) is None:
            return fit
        gap, spread = compared
        surprise = float(gap @ np.linalg.solve(spread + fit.covariance, gap)) / len(gap)
        spread = _LASTING * spread * max(1.0, (surprise / _GATE**2) ** 2)
        gain = fit.covariance @ np.linalg.inv(fit.covariance + spread)
        step = gain @ gap
        veer = geometry.hat(fit.direction) @ (step[_WAY] @ basis(fit.direction))
        return replace(
            fit,
            rotation=geometry.so3_exp(step[_TURN]) @ fit.rotation,
            direction=geometry.so3_exp(veer) @ fit.direction,
            covariance=fit.covariance - gain @ fit.covariance,
        )


def _compared(guess: Guess, fit: Epipolar) -> tuple[Array, Array] | None:
    """A guess minus a fit, as a tangent (5,), and the guess's covariance (5x5); None for a guess without one or without
    a direction."""
    length = float(np.linalg.norm(guess.motion[:3, 3]))
    if guess.covariance is None or length < _SHORTEST:
        return None
    across, way = basis(fit.direction), guess.motion[:3, 3] / length
    aside = across @ way
    sine = float(np.linalg.norm(aside))
    angle = float(np.arctan2(sine, way @ fit.direction))
    aside = aside * (angle / sine) if sine > 0 else np.array([angle, 0.0])
    gap = np.concatenate([geometry.so3_log(guess.motion[:3, :3] @ fit.rotation.T), aside])
    spread = np.zeros((5, 5))
    spread[_TURN, _TURN] = guess.covariance[3:, 3:]
    spread[_WAY, _WAY] = across @ guess.covariance[:3, :3] @ across.T / length**2
    return gap, spread


def _updated(odds: Array, gap: Array, claimed: Array, seen: Array) -> Array:
    """Probabilities (K,) of the factors, after a gap (D,) between a guess and the fit, with their covariances (D,D)."""
    both = _FACTORS[:, None, None] * claimed + seen
    distance = np.einsum("i,kij,j->k", gap, np.linalg.inv(both), gap)
    log = -0.5 * np.linalg.slogdet(both)[1] - 0.5 * (_TAIL + len(gap)) * np.log1p(distance / _TAIL)
    odds = odds * np.exp(log - log.max())
    flow = 0.5 * _CHANGE * np.diff(odds * _FACTORS) / _FACTORS[1:]
    odds = odds + np.append(flow, 0.0) - np.append(0.0, flow)
    return np.asarray(odds / odds.sum())
