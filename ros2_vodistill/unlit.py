"""The part of the images that no light reaches: the black around the image circle of a lens, and the borders of images
that were rectified. Its edge stands still whatever the motion.

It is what stays black. Nothing is seen there, so that little is lost where the world is as dark; and it is given back
as soon as any of it lights up.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Seen = NDArray[np.bool_]

_CELL = 4  # pixels: edge of the cells whose mean is looked at
_BLACK, _LIT = 6, 10  # grey levels at most, and from which on it is given back
_DAYLIGHT = 40  # grey levels that the rest has on average: in what is dim, the darkest is part of the world
_ROUND = 0.85  # share of its convex hull that the rest fills: a skyline at night has bays
_LEAST, _MOST = 0.01, 0.8  # share of the image that it covers, with its margin
_EDGE = 1  # cells at its edge that may be lit in part
_MARGIN = 2  # cells around it that belong to it
_PATIENCE = 10, 1000  # frames for which it must be black once it was not: twice as many each time, up to so many


class Unlit:
    """Watches frames of one size.

    Args:
        height, width: of the images.

    Attributes:
        cells: (H/4,W/4) of the images that belong to it; None if there is no such part.
    """

    def __init__(self, height: int, width: int) -> None:
        self.cells: Seen | None = None
        self._black: Seen | None = None
        self._brightest = np.zeros((max(1, height // _CELL), max(1, width // _CELL)), np.uint8)
        self._frames, self._wait = 0, 1

    def look(self, image: Image) -> bool:
        """At a frame; whether `cells` has changed."""
        means = self._means(image)
        if self._black is not None:
            if not (means[self._black] > _LIT).any():
                return False
            self.cells = self._black = None
            self._begin()
            return True
        np.maximum(self._brightest, means, out=self._brightest)
        self._frames += 1
        if self._frames < self._wait:
            return False
        black = self._brightest <= _BLACK
        core = _changed(cv2.MORPH_ERODE, black, _EDGE)
        cells = _changed(cv2.MORPH_DILATE, core, _EDGE + _MARGIN)
        bright = _LEAST < cells.mean() < _MOST and self._brightest[~black].mean() > _DAYLIGHT
        if not (bright and _round(~_changed(cv2.MORPH_DILATE, core, _EDGE))):
            self._begin()
            return False
        self._black, self.cells = core, cells
        return True

    def _means(self, image: Image) -> Image:
        """Of the cells; two halvings are many times as fast as one resize."""
        rows, columns = self._brightest.shape
        means = image[: _CELL * rows, : _CELL * columns]
        for part in (2, 1):
            means = np.asarray(cv2.resize(means, (part * columns, part * rows), interpolation=cv2.INTER_AREA), np.uint8)
        return means

    def _begin(self) -> None:
        """To watch anew."""
        self._brightest[...] = 0
        self._frames, self._wait = 0, min(max(_PATIENCE[0], 2 * self._wait), _PATIENCE[1])


def _round(cells: Seen) -> bool:
    """Whether they are in one piece without deep bays, as what a lens shows; some are set."""
    hull = np.zeros(cells.shape, np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(cv2.findNonZero(cells.astype(np.uint8))), 1)
    return float(cells.sum() / hull.sum()) > _ROUND


def _changed(operation: int, cells: Seen, reach: int) -> Seen:
    """Eroded, or dilated, by so many cells; not from the image's edge."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.morphologyEx(cells.astype(np.uint8), operation, square)) > 0
