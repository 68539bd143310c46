"""A frontend's motion, polished: its rotation and direction by tracked corners, its length by the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.frontend import Frontend, Relative
from ros2_vodistill.guess import Guess
from ros2_vodistill.mask import Seen
from ros2_vodistill.tracks import Tracker
from ros2_vodistill.twoview import TwoView

_SHORTEST = 0.05, 0.01  # camera heights and radians: shorter steps are measured no better, and their errors add up


class RefinedFrontend:
    """Starts from another frontend's motion and fuses it with what a few hundred corners and the ground say.

    Where those say nothing, the inner motion and how the camera moved before are all that is known. Images are halved
    first where they are large.

    Args:
        inner: what is refined; its covariance says how much it counts.
        camera: its calibration.
        mount: its pitch and roll, to a few degrees. Its height lets the ground correct a frontend that measures metres.
        mask: (H,W) pixels of its images that show the world; None for all.

    Attributes:
        inner: as given.
        unit: the inner one's; `camera_height` if the inner one knows directions only.
    """

    def __init__(self, inner: Frontend, camera: Camera, mount: Mount, mask: Seen | None = None) -> None:
        self.name = f"{inner.name}+geometry"
        self.unit = "camera_height" if inner.unit == "none" else inner.unit
        self.max_interval = inner.max_interval
        self.inner, self._sized = inner, inner.unit != "none"
        metric = inner.unit == "metre"
        self._height = mount.height if metric and mount.height is not None else 1.0
        self.min_translation = max(inner.min_translation, _SHORTEST[0] * self._height)
        self.min_rotation = max(inner.min_rotation, _SHORTEST[1])
        self._two_view = TwoView(
            camera,
            mount,
            tracker=Tracker(count=200, window=9),
            widest=650,
            ransac=False,
            schedule=() if metric and mount.height is None else ((1, 1), (0, 1)),
            mask=mask,
        )

    def reset(self) -> None:
        self.inner.reset()
        self._two_view.reset()

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        start = self.inner.compare(image, seconds)
        result = self._two_view.compare(image, None if start is None else self._guess(start), seconds)
        if start is None or result is None:
            return start
        reasons = () if result.still else (*start.reasons, *result.reasons)
        return replace(result.scaled(self._height), reasons=reasons)

    def advance(self) -> None:
        self.inner.advance()
        self._two_view.advance()

    def _guess(self, start: Relative) -> Guess:
        unit = start.scaled(1 / self._height)
        return Guess(unit.motion, unit.covariance, self._sized)
