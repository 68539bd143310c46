"""Corners, spread over the image, and where they went: pyramidal Lucas-Kanade, checked forwards and backwards.

It takes grey levels for constant, so what the light or the exposure changed is taken out first.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import tones

Array = NDArray[np.float64]

_BORDER = 5  # pixels at the edge of the image where no corner is looked for
_WEAKEST = 2e-5  # smaller eigenvalue of the gradient's 3x3 structure tensor (OpenCV's scaling) that makes a corner
_GRAINY = 2.6e-6  # the same of smoothed noise of one grey level, which one in a hundred of its own corners exceeds
_CRITERIA = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 0.02)


@dataclass(frozen=True)
class Tracker:
    """How corners are found and followed. All points are (N,2), pixels of the images given.

    Attributes:
        count: of corners wanted.
        window: edge of the patch that is followed, in pixels.
        agreement: pixels within which a point must come back when it is followed backwards.
    """

    count: int = 400
    window: int = 13
    agreement: float = 0.5

    def corners(
        self,
        image: NDArray[np.uint8],
        taken: Array | None = None,
        noise: float = 0.0,
        world: NDArray[np.bool_] | None = None,
    ) -> Array:
        """New corners: the best ones of each cell of a grid, as far as `taken` points leave room there.

        Args:
            noise: standard deviation of the image's noise, grey levels, before `grain.smoothed`: what does not stand
                out from it is no corner.
            world: (H,W) pixels where corners may be; None for all.
        """
        small = (
            cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) if min(image.shape) > 300 else image
        )
        factor = image.shape[0] / small.shape[0], image.shape[1] / small.shape[1]
        strength = cv2.cornerMinEigenVal(small, 3)
        height, width = strength.shape
        cell = min(max(4, int(np.sqrt(height * width / self.count))), height, width)
        rows, columns = height // cell, width // cell
        peak = strength >= cv2.dilate(strength, np.ones((5, 5), np.uint8))
        if world is not None:
            peak &= cv2.resize(world.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST) > 0
        peak[:_BORDER], peak[-_BORDER:], peak[:, :_BORDER], peak[:, -_BORDER:] = False, False, False, False
        strength = (strength * peak)[: rows * cell, : columns * cell]
        empty = np.ones((rows, columns), bool)
        if taken is not None and len(taken):
            row = np.clip(taken[:, 1] / factor[0] // cell, 0, rows - 1).astype(int)
            column = np.clip(taken[:, 0] / factor[1] // cell, 0, columns - 1).astype(int)
            empty[row, column] = False
        row, column = np.nonzero(empty)
        cells = strength.reshape(rows, cell, columns, cell)[row, :, column].reshape(-1, cell * cell)
        best = cells.argmax(axis=1)
        good = cells[np.arange(len(cells)), best] > max(_WEAKEST, _GRAINY * noise**2)
        x = (column * cell + best % cell)[good]
        y = (row * cell + best // cell)[good]
        return np.stack([(x + 0.5) * factor[1] - 0.5, (y + 0.5) * factor[0] - 0.5], axis=1)

    def follow(
        self,
        last: NDArray[np.uint8],
        this: NDArray[np.uint8],
        points: Array,
        guess: Array | None = None,
        far: bool = True,
    ) -> tuple[Array, NDArray[np.bool_]]:
        """Where `points` of the last image are in this one, and which of them were found.

        Args:
            guess: where they are expected; NaN, or None for all, where nothing is known.
            far: they may be anywhere. Otherwise, within a window's width of the guess: what repeats itself, or hardly
                stands out, is not drawn away from there.
        """
        if not len(points):
            return points.copy(), np.zeros(0, bool)
        last, this = (last, tones.like(this, last)) if far else (tones.levelled(last), tones.levelled(this))
        height, width = last.shape
        levels = max(1, round(np.log2(max(width, height) / self.window / 6))) if far else 1
        window = (self.window, self.window)
        start = points.astype(np.float32)[:, None]
        expected = start if guess is None else np.where(np.isfinite(guess), guess, points).astype(np.float32)[:, None]
        flags = cv2.OPTFLOW_USE_INITIAL_FLOW
        moved, found, _ = cv2.calcOpticalFlowPyrLK(
            last, this, start, expected.copy(), winSize=window, maxLevel=levels, criteria=_CRITERIA, flags=flags
        )
        back, returned, _ = cv2.calcOpticalFlowPyrLK(
            this, last, moved, start.copy(), winSize=window, maxLevel=1, criteria=_CRITERIA, flags=flags
        )
        place = moved[:, 0].astype(np.float64)
        inside = (place > 1).all(axis=1) & (place < [width - 2, height - 2]).all(axis=1)
        closed = np.linalg.norm(back - start, axis=2)[:, 0] < self.agreement
        return place, (found[:, 0] > 0) & (returned[:, 0] > 0) & inside & closed
