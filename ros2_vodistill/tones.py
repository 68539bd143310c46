"""Grey levels of two frames, made comparable where light or exposure changed: tracking assumes that they are equal.

`like` matches the quantiles of the grey levels (histogram matching): an exposure or a lamp changes all pixels of one
grey level about alike, and two frames of a moving camera show mostly the same things. It leaves differences of a few
grey levels, which matter where there is little contrast. `levelled` is a high-pass: it leaves none, and no structure
that is larger than its box either.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_SHARES = np.linspace(0.05, 0.95, 10)  # quantiles that are compared
_LEVELS = np.arange(256)
_STRIDE = 4  # pixels between those that are looked at
_ALIKE = 3.0  # grey levels: exposures that differ by less are left alone
_SURROUNDINGS = 31  # pixels: edge of the square whose mean is taken away
_STEEPEST = 4.0  # factor that the contrast changes by at most beyond the outermost quantiles


def like(image: Image, other: Image) -> Image:
    """`image` with the tones of `other`; the same object where those hardly differ."""
    given, wanted = _quantiles(image), _quantiles(other)
    if abs(float(np.median(wanted - given))) < _ALIKE:
        return image
    rising = given + 1e-3 * np.arange(len(given))
    steep = float(np.clip((wanted[-1] - wanted[0]) / (rising[-1] - rising[0]), 1 / _STEEPEST, _STEEPEST))
    beyond = np.minimum(_LEVELS - rising[0], 0) + np.maximum(_LEVELS - rising[-1], 0)
    table = np.interp(_LEVELS, rising, wanted) + steep * beyond
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).round().astype(np.uint8)), np.uint8)


def levelled(image: Image) -> Image:
    """What stands out from its surroundings, around 128."""
    mean = cv2.boxFilter(image, -1, (_SURROUNDINGS, _SURROUNDINGS))
    return np.asarray(cv2.addWeighted(image, 1.0, mean, -1.0, 128.0), np.uint8)


def _quantiles(image: Image) -> NDArray[np.float64]:
    """Grey levels below which these shares of the pixels are; several times faster than to sort them."""
    below = np.bincount(image[::_STRIDE, ::_STRIDE].ravel(), minlength=256).cumsum()
    return np.asarray(np.interp(_SHARES * below[-1], below, _LEVELS))
