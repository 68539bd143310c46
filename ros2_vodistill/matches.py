"""Corners of one frame found in the next, and the motion that they agree on.

They are followed from where they are predicted, for each of the predictions. Where too few of them are inliers of one
motion, all predictions were wrong, and they are looked for in the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import rays, robust
from ros2_vodistill.epipolar import Epipolar, Inertia
from ros2_vodistill.rays import Rays
from ros2_vodistill.tracks import Tracker

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Solve = Callable[[Array, Array], Epipolar]
Settle = Callable[[Array, Array], Array]
"""Where corners at points (N,2) of the last image are in this one, more exactly than the places where they were
found."""

FEWEST = 12  # corners that are needed
STILL = 0.15  # pixels that half of the corners move at most while the camera stands
_LOOSE = 10.0  # times the noise: largest residual of a ray that agrees with a motion
_CONVINCING = 0.6  # share of the corners expected in view that agree on a motion


@dataclass(frozen=True)
class Match:
    """What became of a frame's corners.

    Attributes:
        points: (N,2) where they are in the newer frame.
        found: (M,) which of the older frame's they are.
        rays: (N,3) unit rays in the older frame, and in the newer one; level axes.
        travel: pixels that half of them moved at most.
        fit: the motion that explains the rays; None where they are few, or hardly moved.
        agreeing: number of rays that agree with it.
    """

    points: Array
    found: NDArray[np.bool_]
    rays: Rays
    travel: float
    fit: Epipolar | None = None
    agreeing: int = 0

    @property
    def stands(self) -> bool:
        """Whether the corners hardly moved."""
        return self.fit is None and len(self.points) >= FEWEST

    def cost(self, looked_for: int, noise: float, inertia: Inertia | None = None) -> float:
        """Outliers among the corners that were looked for, those not found included; `noise` in radians."""
        missing = looked_for - len(self.points)
        if self.fit is None:
            return missing if self.stands else math.inf
        rotation, direction = self.fit.rotation, self.fit.direction
        unlikely = 0.0 if inertia is None else float(inertia.cost(rotation, direction))
        return missing + unlikely + len(self.points) * float(rays.cost(rotation, direction, *self.rays, noise))


class Matcher:
    """Follows corners and fits motions.

    Args:
        tracker: how corners are followed.
        looked_at: unit rays (N,3) of pixels (N,2), level axes; NaN where there are none.
        noise: of the rays, radians.
    """

    def __init__(self, tracker: Tracker, looked_at: Callable[[Array], Array], noise: float) -> None:
        self._tracker, self._rays, self._noise = tracker, looked_at, noise

    def __call__(
        self,
        last: Image,
        this: Image,
        points: Array,
        seen: Array,
        expected: Sequence[Array],
        solve: Solve,
        inertia: Inertia | None = None,
        settle: Settle | None = None,
        otherwise: Sequence[Array] = (),
    ) -> Match:
        """The corners `points` of the last image, whose rays were `seen`, in this one: at the best of the places (N,2)
        where they are expected or, if need be, where they may be `otherwise`, or anywhere. Inertia decides between
        motions that explain about as many."""
        size = np.array(this.shape[::-1])
        found: list[Match] = []
        enough: list[Match] = []
        for number, places in enumerate((*expected, *otherwise)):
            if enough and number >= len(expected):
                break
            near = self._followed(last, this, points, seen, places, solve, settle, far=False)
            in_view = int(((places >= 0) & (places < size)).all(axis=1).sum())
            found.append(near)
            if near.stands or near.agreeing >= max(FEWEST, _CONVINCING * in_view):
                enough.append(near)
        if not enough:
            enough = [self._followed(last, this, points, seen, expected[0], solve, settle, far=True), *found]
        if len(enough) == 1:
            return enough[0]
        return min(enough, key=lambda match: match.cost(len(points), self._noise, inertia))

    def _followed(
        self,
        last: Image,
        this: Image,
        points: Array,
        seen: Array,
        expected: Array,
        solve: Solve,
        settle: Settle | None,
        far: bool,
    ) -> Match:
        places, found = self._tracker.follow(last, this, points, expected, far)
        places = places[found] if settle is None else settle(points[found], places[found])
        second = self._rays(places)
        whole = np.isfinite(seen[found]).all(axis=1) & np.isfinite(second).all(axis=1)
        found[found], places = whole, places[whole]
        pairs = seen[found], second[whole]
        if len(places) < FEWEST:
            return Match(places, found, pairs, 0.0)
        travel = robust.median(np.linalg.norm(places - points[found], axis=1))
        if travel < STILL:
            return Match(places, found, pairs, travel)
        fit = solve(*pairs)
        return Match(places, found, pairs, travel, fit, fit.agreeing(_LOOSE * self._noise))
