"""Tones: an image brought to the exposure of another one, so that patches of the two can be compared as they are.

What an automatic exposure, a flash or a lamp changes is about the same for all pixels of one grey level. Two frames of
a moving camera show mostly the same things, so the quantiles of their grey levels tell it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_SHARES = np.linspace(0.05, 0.95, 10)  # quantiles that are compared
_STRIDE = 4  # pixels between those that are looked at
_ALIKE = 3.0  # grey levels: exposures that differ by less are left alone
_STEEPEST = 4.0  # factor that the contrast changes by at most beyond the outermost quantiles


def like(image: Image, other: Image) -> Image:
    """`image` with the tones of `other`; the same object where those hardly differ."""
    given, wanted = (np.quantile(each[::_STRIDE, ::_STRIDE], _SHARES) for each in (image, other))
    if abs(float(np.median(wanted - given))) < _ALIKE:
        return image
    rising = given + 1e-3 * np.arange(len(given))
    steep = float(np.clip((wanted[-1] - wanted[0]) / (rising[-1] - rising[0]), 1 / _STEEPEST, _STEEPEST))
    levels = np.arange(256)
    beyond = np.minimum(levels - rising[0], 0) + np.maximum(levels - rising[-1], 0)
    table = np.interp(levels, rising, wanted) + steep * beyond
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).round().astype(np.uint8)), np.uint8)
