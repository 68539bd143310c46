"""Frames without motion that may be copies of the one before, as in a stream that was brought to a higher rate.

While they may be, a camera goes on as it went, or has stopped: its twist is held, and both are allowed for.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.still import COPIES

Array = NDArray[np.float64]


class Copies:
    """How many frames showed no motion, and how the camera went before them. At first none is a copy."""

    def __init__(self) -> None:
        self._rested = COPIES
        self._twist, self._spread = np.zeros(6), np.zeros((6, 6))

    def maybe(self, still: bool, stands: bool) -> bool:
        """Whether the newest frame, which shows no motion or some, may be a copy; none is if the robot is known to
        stand."""
        self._rested = self._rested + 1 if still else 0
        return still and self._rested <= COPIES and not stands

    def went(self, twist: Array, spread: Array) -> None:
        """The camera had this twist (6,), known to this covariance (6,6)."""
        self._twist, self._spread = twist, spread

    def held(self) -> tuple[Array, Array]:
        """The twist over a frame that may be a copy, and its covariance."""
        return self._twist, self._spread + np.outer(self._twist, self._twist)
