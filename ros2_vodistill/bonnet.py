"""The part of the images that shows the vehicle itself.

A bonnet (hood), a bumper or a black bar at the bottom stands still while the rest moves; the ground must not be looked
for there.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_LOWEST = 0.35  # share of the image, from below, that it may cover
_CELL = 8  # pixels: edge of the cells in which edges are counted
_EDGE, _LEVEL = 4, 2  # grey levels a pixel; times as steep down as across
_NOISE = 1.0  # grey levels
_STEADY = 0.3  # pixels that a still edge moves at most
_MEMORY = 0.8  # of what was counted, each frame
_FEWEST = 0.05  # share of a cell's pixels: still edges that make it count
_STILL, _ACROSS, _FLAT = 0.5, 0.5, 0.12  # shares: of a cell's edges; of the columns; of the height
_SURE, _SURER = 5, 30  # frames that agree that there is more of it, or less
_MARGIN = 4  # pixels


class Bonnet:
    """Watches frames of one size.

    Args:
        height, width: of the images.
        inverted: the camera is mounted upside down, and has the vehicle at the top of its images.
        world: (H,W) pixels outside of which nothing is looked at; None for all.

    Attributes:
        rows: of the images, from the other side, that show the world.
    """

    def __init__(self, height: int, width: int, inverted: bool = False, world: NDArray[np.bool_] | None = None) -> None:
        self.height = self.rows = height
        self._inverted = inverted
        self._top = height - int(_LOWEST * height) // _CELL * _CELL
        self._right = width // _CELL * _CELL
        self._world = None if world is None else self._part(world.astype(np.uint8)) > 0
        self.reset()

    def reset(self) -> None:
        """Forget what was counted; the rows stay."""
        shape = (self.height - self._top) // _CELL, self._right // _CELL
        self._edges, self._still = (np.zeros(shape, np.float32) for _ in range(2))
        self._candidate, self._agreed = self.rows, 0

    @property
    def first(self) -> int:
        """The uppermost of these rows."""
        return self.height - self.rows if self._inverted else 0

    def look(self, last: Image, this: Image) -> bool:
        """At two frames between which the world has moved; whether `rows` has changed."""
        a, b = (self._smooth(image) for image in (last, this))
        down, across = (np.abs(cv2.Sobel(b, cv2.CV_16S, *order, ksize=1)) for order in ((0, 1), (1, 0)))  # doubled
        edge = (down > 2 * _EDGE) & (down > _LEVEL * across)
        if self._world is not None:
            edge &= self._world
        still = edge & (cv2.absdiff(a, b) < _STEADY / 2 * down.astype(np.float32) + _NOISE)
        size = self._edges.shape[::-1]
        edges, steady = (
            cv2.resize(seen.astype(np.float32), size, interpolation=cv2.INTER_AREA) for seen in (edge, still)
        )
        self._edges += (1 - _MEMORY) * (edges - self._edges)
        self._still += (1 - _MEMORY) * (steady - self._still)
        found = self._found() or (self.height if self._moves() else self.rows)
        self._agreed = self._agreed + 1 if abs(found - self._candidate) <= _CELL else 1
        self._candidate = found
        if self._agreed < (_SURE if found < self.rows else _SURER) or abs(found - self.rows) <= _CELL:
            return False
        self.rows = found
        return True

    def _smooth(self, image: Image) -> Image:
        return np.asarray(cv2.blur(self._part(image), (3, 3)), np.uint8)

    def _part(self, image: Image) -> Image:
        """What is looked at of it."""
        upright = cv2.flip(image, 0) if self._inverted else image
        return np.asarray(upright[self._top :, : self._right], np.uint8)

    def _found(self) -> int:
        """The rows above the still edge that most columns have at about one height, if little moves below it; or 0."""
        steady = (self._still > _FEWEST) & (self._still > _STILL * self._edges)
        columns = steady.any(axis=0)
        if columns.mean() < _ACROSS:
            return 0
        highest = steady.argmax(axis=0)[columns]
        low, high = np.quantile(highest, (0.25, 0.75))
        cut, sure = np.quantile(highest, (0.1, 0.9)).astype(int)
        if (high - low) * _CELL > _FLAT * self.height or self._moves(sure + 1):
            return 0
        return int(self._top + cut * _CELL - _MARGIN)

    def _moves(self, first: int | None = None) -> bool:
        """Whether what is below a row of cells, or below `rows`, is a part of the world."""
        below = slice((self.rows - self._top) // _CELL + 2 if first is None else first, None)
        return bool(self._still[below].sum() < _STILL * self._edges[below].sum())
