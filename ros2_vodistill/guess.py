"""A prior for the motion between two frames: a network's measurement, or a mere start for the search."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.lengths import Length

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Guess:
    """A prior motion.

    Attributes:
        motion: 4x4, camera heights.
        covariance: 6x6 of (translation, rotation vector) if it is a measurement; None if it is a mere start.
        sized: the length of the translation is a measurement, too, not only the direction.
    """

    motion: Array
    covariance: Array | None = None
    sized: bool = True

    @property
    def claim(self) -> Length | None:
        """The length that it measured, if it did."""
        if self.covariance is None or not self.sized:
            return None
        value = float(np.linalg.norm(self.motion[:3, 3]))
        ahead = self.motion[:3, 3] / max(value, 1e-9)
        return Length(value, float(ahead @ self.covariance[:3, :3] @ ahead) + 1e-8)

    def turned(self, turn: Array) -> Guess:
        """In other axes; `turn` (6x6) takes a motion's six numbers there."""
        covariance = None if self.covariance is None else turn @ self.covariance @ turn.T
        return replace(self, motion=geometry.turned(self.motion, turn[:3, :3]), covariance=covariance)
