"""What the odometry asks of whatever measures motion between two frames: a network, the classical baseline, a blend."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry


@dataclass(frozen=True)
class Relative:
    """The motion from the reference frame to the newest one, in the camera's optical axes.

    Attributes:
        motion: 4x4 pose of the newest frame in the reference frame; translation in `Frontend.unit`.
        covariance: 6x6 of (translation, rotation vector), in the same unit and radians.
        reasons: why this measurement is not to be trusted fully, in words; empty when it is.
        still: the two images show no motion at all: the odometry holds its pose. The covariance is that of what motion
            they may hide.
        lost: nothing could be measured; the motion is a prediction. The odometry keeps its reference frame for a while,
            so that the next measurement bridges the gap.
    """

    motion: NDArray[np.float64]
    covariance: NDArray[np.float64]
    reasons: tuple[str, ...] = field(default=())
    still: bool = False
    lost: bool = False

    def scaled(self, factor: float) -> Relative:
        """With a translation that many times as long, or in another unit."""
        motion = self.motion.copy()
        motion[:3, 3] *= factor
        return replace(self, motion=motion, covariance=geometry.rescaled(self.covariance, factor))


class Frontend(Protocol):
    """Measures motion against a reference frame that it keeps.

    Attributes:
        name: for reports and logs.
        unit: of the translation: 'metre', 'camera_height' or 'none' (direction only, arbitrary length).
        min_translation: shortest step, in `unit`, that is worth a new reference frame.
        min_rotation: smallest rotation, in radians, that is worth one.
        max_interval: longest time, in seconds, that a reference frame is kept while the camera moves.
    """

    name: str
    unit: str
    min_translation: float
    min_rotation: float
    max_interval: float

    def reset(self) -> None:
        """Forget the reference frame."""

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        """Measure the motion from the reference frame to `image` (grey); None if there is no reference yet.

        Args:
            image: newest.
            seconds: since the image that was compared before; 0 where that is unknown.
        """

    def advance(self) -> None:
        """Make the newest compared image the reference frame."""
