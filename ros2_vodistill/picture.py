"""A frame prepared for geometry: at full size for the ground, downscaled for following corners."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import grain
from ros2_vodistill.camera import Camera
from ros2_vodistill.settle import settled

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_LARGEST, _LARGE = 3, 2  # corners are settled at full size up to so many times the small one, else at _LARGE times


@dataclass(frozen=True)
class Picture:
    """One frame.

    Attributes:
        whole: all of it, but for a few pixels at the edge that do not divide.
        fine: that corners are settled in; the small one where there is no finer one.
        small: that they are followed in.
        grain: noise that was smoothed, standard deviation in grey levels of the small image.
    """

    whole: Image
    fine: Image
    small: Image
    grain: float

    def settled(self, last: Picture, points: Array, places: Array) -> Array:
        """Where corners at `points` (N,2) of the last picture are in this one; they were found at `places`. Pixels of
        the small images."""
        if self.fine is self.small:
            return places
        scale = np.divide(self.fine.shape[::-1], self.small.shape[::-1])
        found = settled(last.fine, self.fine, *((each + 0.5) * scale - 0.5 for each in (points, places)))
        return np.asarray((found + 0.5) / scale - 0.5)


class Darkroom:
    """Makes pictures of a camera's frames.

    Args:
        camera: its calibration.
        widest: small images are about this wide at most.

    Attributes:
        whole, small: the calibrations of a picture's images.
    """

    def __init__(self, camera: Camera, widest: int) -> None:
        self._shrink = shrink = max(1, round(camera.width / widest))
        width, height = camera.width // shrink, camera.height // shrink
        self.whole = camera.cropped(0, 0, width * shrink, height * shrink)
        self.small = self.whole.scaled(width, height)

    def __call__(self, image: Image) -> Picture:
        whole = image[: self.whole.height, : self.whole.width].copy()
        if self._shrink == 1:
            small, specks = grain.smoothed(whole)
            return Picture(small, small, small, specks)
        size = self.small.width, self.small.height
        times = self._shrink if self._shrink <= _LARGEST else _LARGE
        fine = whole if times == self._shrink else _resized(whole, (times * size[0], times * size[1]))
        small, specks = grain.smoothed(_resized(fine, size))
        if specks:
            whole, fine = grain.blurred(whole, self._shrink), grain.blurred(fine, times)
        return Picture(whole, fine, small, specks)


def _resized(image: Image, size: tuple[int, int]) -> Image:
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
