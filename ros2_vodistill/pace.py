"""A constant-velocity model: a step is about as long as the last one, in about the same direction."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import epipolar, geometry
from ros2_vodistill.epipolar import Inertia
from ros2_vodistill.guess import Guess
from ros2_vodistill.lengths import Length
from ros2_vodistill.still import COPIES

Array = NDArray[np.float64]

_CHANGE = 0.03, 0.07  # standard deviation of a step's change: camera heights, and share of the step
_STRAY = (0.1, 0.2), (0.01, 0.3)  # the same of a prediction where nothing is seen; and of its turn, radians and share
_UNKNOWN = 3.0, 0.05  # standard deviation before any step was seen: camera heights and radians
_EVEN = 2 / 3  # ratio of two frame intervals down to which they count as equal
_CREEP = 0.05  # camera heights: shorter steps say nothing about the direction of the next


@dataclass(frozen=True)
class Pace:
    """Where the last compared frame was, and how the camera came there; lengths in camera heights.

    Attributes:
        since: 4x4, from the reference to the last compared frame; `known`, to the last one that was measured.
        step: 4x4, the last measured motion from one compared frame to the next; None before there is one.
        blind: compared frames since `known` without a measurement, in which the velocity is a random walk.
        away: those of them since the reference.
        seconds: duration of `step`; 0 where it is unknown.
        kept: steps in a row that went on about as the one before. A single one may be wrong altogether, and gives the
            next no inertia.
        rested: compared frames in a row that showed no motion.
    """

    since: Array = field(default_factory=lambda: np.eye(4))
    known: Array = field(default_factory=lambda: np.eye(4))
    step: Array | None = None
    blind: int = 0
    away: int = 0
    seconds: float = 0.0
    kept: int = 0
    rested: int = 0

    def after(self, seconds: float) -> Pace:
        """With `step` scaled to so many seconds at constant velocity."""
        if self.step is None or self.seconds <= 0 or seconds <= 0:
            return replace(self, seconds=seconds)
        times = seconds / self.seconds
        even = _EVEN < times < 1 / _EVEN
        step = self.step if even else geometry.exp(times * geometry.log(self.step))
        return replace(self, step=step, seconds=seconds)

    @property
    def ahead(self) -> Array | None:
        """Predicted motion (4x4) from the reference to the next frame."""
        return None if self.step is None else self.since @ self.step

    @property
    def length(self) -> Length | None:
        """Of `ahead`."""
        if (ahead := self.ahead) is None:
            return None
        value = float(np.linalg.norm(ahead[:3, 3]))
        return Length(value, (1 + self.blind) * (_CHANGE[0] + _CHANGE[1] * value) ** 2)

    @property
    def inertia(self) -> Inertia | None:
        """That of `ahead`; after a very short step only the turn is predicted, not the direction."""
        if (ahead := self.ahead) is None:
            return None
        length = float(np.linalg.norm(ahead[:3, 3]))
        turns = _STRAY[1][0] + _STRAY[1][1] * float(geometry.angle(ahead[:3, :3]))
        veers = math.inf if length < _CREEP else _CHANGE[0] / length + _CHANGE[1]
        longer = math.sqrt(1 + self.blind)
        worth = self.kept / (1 + self.kept)
        return Inertia(ahead[:3, :3], epipolar.direction_of(ahead), longer * turns, longer * veers, worth)

    def reckoned(self, guess: Guess, doubt: float = 1.0) -> Guess:
        """The prediction fused with a guess, whose covariance is multiplied by `doubt`: what is known before the images
        are looked at. The longer the reference is out of sight, the less a guess counts: its step grows longer."""
        far = (1 + self.away) ** 2
        if (ahead := self.ahead) is None:
            six, own = np.zeros(6), far * np.diag(np.repeat(_UNKNOWN, 3) ** 2)
        else:
            six = geometry.to_motion(ahead)
            own = self._stray(six)
        if guess.covariance is None:
            return replace(guess, motion=geometry.from_motion(six), covariance=own)
        gain = own @ np.linalg.inv(own + doubt * far * guess.covariance)
        mean = six + gain @ (geometry.to_motion(guess.motion) - six)
        return replace(guess, motion=geometry.from_motion(mean), covariance=own - gain @ own)

    def _stray(self, six: Array) -> Array:
        """Covariance (6x6) of the prediction, whose six numbers are given."""
        length, angle = float(np.linalg.norm(six[:3])), float(np.linalg.norm(six[3:]))
        (least, share), (least_turn, share_turn) = _STRAY
        stray = np.repeat([least + share * length, least_turn + share_turn * angle], 3)
        return np.asarray((1 + self.blind) * np.diag(stray**2))

    def followed(self, motion: Array, measured: bool = True) -> Pace:
        """After the motion (4x4) from the reference to the next frame was measured, or only predicted."""
        if not measured:
            return replace(self, since=motion, blind=self.blind + 1, away=self.away + 1)
        way = geometry.invert(self.known) @ motion
        step = geometry.exp(geometry.log(way) / (1 + self.blind)) if self.blind else way
        kept = self.kept + 1 if (inertia := self.inertia) is not None and inertia.kept(motion) else 0
        return Pace(motion, motion, step, seconds=self.seconds, kept=kept)

    def resting(self) -> Pace:
        """After a frame that shows what the reference does. The camera stands, or it was a copy and it goes on."""
        rested = self.rested + 1
        here = replace(self, since=np.eye(4), known=np.eye(4), blind=0, away=0) if rested <= COPIES else None
        return replace(here or self.followed(np.eye(4)), rested=rested)

    def advanced(self) -> Pace:
        """With the last compared frame as the reference."""
        known = geometry.invert(self.since) @ self.known if self.away else np.eye(4)
        return replace(self, since=np.eye(4), known=known, away=0)
