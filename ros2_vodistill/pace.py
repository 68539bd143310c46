"""How a camera goes on: a step is about as long as the last one, and goes about the same way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.epipolar import Inertia
from ros2_vodistill.lengths import Length

Array = NDArray[np.float64]

_CHANGE = 0.03, 0.07  # camera heights, and share of the step, that a step differs from the last
_CREEP = 0.05  # camera heights: shorter steps say nothing about the direction of the next


@dataclass(frozen=True)
class Pace:
    """Where the last compared frame was, and how the camera came there; lengths in camera heights.

    Attributes:
        since: 4x4, from the reference to the last compared frame.
        step: 4x4, from one compared frame to the next; None where none was measured yet.
    """

    since: Array = field(default_factory=lambda: np.eye(4))
    step: Array | None = None

    @property
    def ahead(self) -> Array | None:
        """From the reference to the next frame (4x4) if the camera goes on as before."""
        return None if self.step is None else self.since @ self.step

    @property
    def length(self) -> Length | None:
        """Of `ahead`."""
        if (ahead := self.ahead) is None:
            return None
        value = float(np.linalg.norm(ahead[:3, 3]))
        return Length(value, (_CHANGE[0] + _CHANGE[1] * value) ** 2)

    @property
    def inertia(self) -> Inertia | None:
        """The direction of `ahead`, if that is a step at all."""
        if (ahead := self.ahead) is None:
            return None
        length = float(np.linalg.norm(ahead[:3, 3]))
        return None if length < _CREEP else Inertia(ahead[:3, 3] / length, _CHANGE[0] / length + _CHANGE[1])

    def followed(self, motion: Array) -> Pace:
        """After the motion (4x4) from the reference to the next frame was measured."""
        return Pace(motion, geometry.invert(self.since) @ motion)

    def advanced(self) -> Pace:
        """With the last compared frame as the reference."""
        return replace(self, since=np.eye(4))
