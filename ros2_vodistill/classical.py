"""The baseline without a network: corners, epipolar geometry with RANSAC, and the ground for the scale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.frontend import Relative
from ros2_vodistill.mask import Seen
from ros2_vodistill.tracks import Tracker
from ros2_vodistill.twoview import TwoView


class ClassicalFrontend:
    """Motion from one camera without any learning; a `Frontend`.

    Translations are in camera heights: the mount's height, or a speed, makes them metric.

    Args:
        camera: its calibration.
        mount: its pitch and roll, to a few degrees.
        mask: (H,W) pixels of its images that show the world; None for all.
    """

    name = "classical"
    unit = "camera_height"
    min_translation = 0.1
    min_rotation = 0.03
    max_interval = 0.5

    def __init__(self, camera: Camera, mount: Mount, mask: Seen | None = None) -> None:
        schedule = (1, 3), (0, 4)
        self._two_view = TwoView(
            camera, mount, tracker=Tracker(), widest=1300, ransac=True, schedule=schedule, mask=mask
        )

    def reset(self) -> None:
        self._two_view.reset()

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        return self._two_view.compare(image, seconds=seconds)

    def advance(self) -> None:
        self._two_view.advance()
