"""Which pixels of the images show the world: those of the mask that light reaches, above the bonnet."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.bonnet import Bonnet
from ros2_vodistill.mask import Seen
from ros2_vodistill.picture import Darkroom
from ros2_vodistill.unlit import Unlit

Image = NDArray[np.uint8]

_BLUR = 2  # pixels of the small image by which what is hidden reaches over the edge of the mask
_WINDOW = 4  # pixels around a corner that are looked at


class Outlook:
    """Watches the frames of one camera.

    Args:
        darkroom: what makes pictures of them.
        mask: (H,W) pixels of the camera's images that show the world; None for all.
        inverted: the camera is mounted upside down.

    Attributes:
        ground: (H,W) pixels of whole images where the ground may be looked at; None for all.
        corners: (H,W) pixels of small images where corners may be; None for all.
    """

    def __init__(self, darkroom: Darkroom, mask: Seen | None, inverted: bool) -> None:
        self._whole, small = ((camera.height, camera.width) for camera in (darkroom.whole, darkroom.small))
        self._mask: Image | None = None
        if mask is not None:
            whole = mask[: self._whole[0], : self._whole[1]].astype(np.float32)
            share = cv2.resize(whole, small[::-1], interpolation=cv2.INTER_AREA)
            self._mask = _less((share > 0.999).astype(np.uint8), _BLUR)
        self._small = small
        self._bonnet = Bonnet(*small, inverted, None if self._mask is None else self._mask > 0)
        self._unlit = Unlit(*small)
        self._renew()

    def reset(self) -> None:
        """Forget what was counted; what was found stays."""
        self._bonnet.reset()

    def look(self, image: Image) -> bool:
        """At a small image; whether what shows the world has changed."""
        return self._unlit.look(image) and self._renew()

    def moved(self, last: Image, this: Image) -> bool:
        """The same, at two small images between which the world has moved."""
        return self._bonnet.look(last, this) and self._renew()

    def _renew(self) -> bool:
        shown = np.ones(self._small, np.uint8) if self._mask is None else self._mask.copy()
        first, rows = self._bonnet.first, self._bonnet.rows
        shown[:first], shown[first + rows :] = 0, 0
        if self._unlit.cells is not None:
            unlit = self._unlit.cells.astype(np.uint8)
            shown[cv2.resize(unlit, self._small[::-1], interpolation=cv2.INTER_NEAREST) > 0] = 0
        self.ground = self.corners = None
        if not shown.all():
            self.ground = cv2.resize(shown, self._whole[::-1], interpolation=cv2.INTER_NEAREST) > 0
            self.corners = _less(shown, _WINDOW) > 0
        return True


def _less(shown: Image, margin: int) -> Image:
    """Without so many pixels at its edge, but for that of the image."""
    return np.asarray(cv2.erode(shown, np.ones((2 * margin + 1, 2 * margin + 1))), np.uint8)
