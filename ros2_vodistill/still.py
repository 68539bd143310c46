"""Whether the camera stands, and which motions two views without a visible motion may hide.

At rest a network's small errors would add up to drift. So the displacement along the image gradient (normal flow) is
measured in pixels wherever there is a gradient. Noise and moving objects leave its median near zero; the slightest
motion of the camera does not.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry, robust

TYPICAL_DEPTH = 6.0
"""Camera heights: how far things are if nothing else is known."""

COPIES = 2
"""Frames in a row that show no motion and may be copies of the one before them, as in a stream that was brought to a
higher rate; what shows none for longer stands."""

LIMIT = 0.06
"""Median shift, in pixels of the view, below which the camera is taken to stand."""

_AT_MOST = 0.1, 0.01  # camera heights and radians that a camera that seems to stand moves and turns
_STRONGEST = 0.25  # share of the pixels that are used: those of the strongest gradient
_WEAKEST = 4.0  # grey levels per pixel below which a gradient says nothing


def shift(last: NDArray[np.uint8], this: NDArray[np.uint8]) -> float:
    """Median displacement along the gradient, in pixels, between two (H,W) views; inf where nothing has a gradient.

    A change of exposure or gain between the views is taken out first.
    """
    a, b = (cv2.GaussianBlur(view, (5, 5), 0).astype(np.float32) for view in (last, this))
    seen = ((last > 0) & (this > 0)).view(np.uint8)
    share = np.count_nonzero(seen) / seen.size
    if share < 0.1:
        return float("inf")
    mean, spread = np.reshape([cv2.meanStdDev(view, mask=seen) for view in (a, b)], (2, 2)).T.tolist()
    b = (b - mean[1]) * (spread[0] / max(spread[1], 1e-3)) + mean[0]
    mean_view = 0.5 * (a + b)
    slope = cv2.magnitude(cv2.Scharr(mean_view, -1, 1, 0), cv2.Scharr(mean_view, -1, 0, 1)) / 32
    if share < 1:
        slope[cv2.erode(seen, np.ones((5, 5), np.uint8)) == 0] = 0
    weaker = int((1 - _STRONGEST) * (slope.size - 1)) + 1
    limit = max(np.partition(slope.ravel(), weaker)[weaker], _WEAKEST)
    strong = np.flatnonzero(slope >= limit)
    if strong.size < 0.005 * slope.size:
        return float("inf")
    return robust.median(np.abs(b.ravel()[strong] - a.ravel()[strong]) / slope.ravel()[strong])


def hidden(rays: NDArray[np.float64], nearness: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Covariance (6,6) of the motions (translation, rotation vector) that move points by less than can be seen.

    Errors are taken to be the same in all points, so that more points do not make it smaller.

    Args:
        rays: (N,3) unit rays of the points.
        nearness: (N,) inverse distances, 0 for what is infinitely far.
        sigma: by how much points may have moved unseen, radians.
    """
    across = np.eye(3) - rays[:, :, None] * rays[:, None]
    moves = np.concatenate([nearness[:, None, None] * across, -geometry.hat(rays)], axis=2)
    information = np.einsum("nki,nkj->ij", moves, moves) / len(rays) / sigma**2
    return np.linalg.inv(information + np.diag(np.repeat(_AT_MOST, 3) ** -2.0))
