"""What a frame can be spoiled by, judged from its pixels alone."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_FLAT = 2.0  # grey levels of spread below which there is nothing to see
_DARK, _BRIGHT = 12.0, 243.0
_SATURATED = 0.85  # share of pixels at white


def sample(image: NDArray[np.uint8], world: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
    """A sixteenth of the pixels of a grey frame (H,W), a copy; of those alone that show the world, if that is known and
    any of them do."""
    pixels = image[::4, ::4]
    shown = None if world is None else world[::4, ::4]
    return pixels.flatten() if shown is None or not shown.any() else pixels[shown]


def fault(sample: NDArray[np.uint8]) -> str:
    """Why nothing can be measured in the grey frame of this sample; '' if something can."""
    mean, spread = (float(each) for each in np.ravel(cv2.meanStdDev(sample)))
    if mean < _DARK and spread < 2 * _FLAT:
        return "the image is black"
    if float((sample >= 250).mean()) > _SATURATED or (mean > _BRIGHT and spread < 2 * _FLAT):
        return "the image is saturated"
    if spread < _FLAT:
        return "the image has no contrast"
    return ""
