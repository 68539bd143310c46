"""Which pixels of a camera's images show the world, as its user knows them.

The others show a part of the robot, what is written over the images, or the black around those of a lens.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError

Image = NDArray[np.uint8]
Seen = NDArray[np.bool_]

_LEAST = 0.02  # share of the image that must be left


@dataclass(frozen=True)
class Mask:
    """What of the images to use.

    Attributes:
        name: its file, or 'given'.
        world: (H,W) pixels that show the world.
    """

    name: str
    world: Seen

    def __post_init__(self) -> None:
        share = float(self.world.mean()) if self.world.ndim == 2 and self.world.size else 0.0
        if share < _LEAST:
            raise VodistillError(
                f"the mask {self.name} leaves {share:.1%} of the image",
                "It must have the size of the images, white (255) where they are to be used and black (0) elsewhere.",
            )

    @classmethod
    def of(cls, given: str | Path | Seen | Image) -> Mask:
        """From the path of an image, white where the world is seen and black elsewhere; or from (H,W) pixels: bool, or
        such an image's."""
        if isinstance(given, np.ndarray):
            return cls("given", given > 127 if given.dtype == np.uint8 else given.astype(bool))
        try:
            data = np.frombuffer(Path(given).read_bytes(), np.uint8)
        except OSError as error:
            raise VodistillError(f"the mask {given} cannot be read: {error.strerror}", "Check the path.") from error
        flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
        image = cv2.imdecode(data, flags) if len(data) else None
        if image is None:
            raise VodistillError(f"the mask {given} is no image", "Give a PNG of the images' size.")
        return cls(str(given), image > 127)

    def fitting(self, camera: Camera) -> Seen | None:
        """(H,W) pixels of this camera's images that show the world; None for all."""
        height, width = self.world.shape
        if (width, height) != (camera.width, camera.height):
            raise VodistillError(
                f"the mask {self.name} is {width}x{height}, the camera's images are {camera.width}x{camera.height}",
                "Give one of the images' size, as the calibration has it.",
            )
        return None if self.world.all() else self.world


class Fill:
    """Carries an image on to where it shows nothing, from the nearest pixel that it does show: a black frame, or what
    stays in its place, would be an edge that stands still whatever the motion.

    Args:
        seen: (H,W) pixels that show something.
        where: (H,W) pixels to which it is carried on; None for all.
    """

    def __init__(self, seen: Seen, where: Seen | None = None) -> None:
        if not seen.any():
            self._to = self._from = np.zeros(0, np.int64)
            return
        _, labels = cv2.distanceTransformWithLabels(
            (~seen).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        nearest = np.zeros(labels.max() + 1, np.int64)
        nearest[labels[seen]] = np.flatnonzero(seen)
        self._to = np.flatnonzero(~seen if where is None else where & ~seen)
        self._from = nearest[labels.ravel()[self._to]]

    def __call__(self, image: Image) -> Image:
        """The same contiguous image (H,W), changed."""
        pixels = image.ravel()
        pixels[self._to] = pixels[self._from]
        return image
