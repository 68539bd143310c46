"""The length of a step from the ground, by corners alone.

All corners on level ground are equally deep below the camera, however far they are: their depths, of which one step
tells the ratios, have a peak there. What stands on the ground is above it; only what moves, or was matched wrongly,
seems to be below. This needs no texture that could be aligned (see `ground`), only a handful of corners, and is less
precise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.lengths import Length

Array = NDArray[np.float64]

_EVEN, _ROUGH = (0.05, 4.0), (0.1, 5.0)  # relative range of the depths of corners on a ground; how many are enough
_SHARE = 0.05  # of all corners that is enough
_BELOW = 0.5  # corners on the ground that one below it outweighs
_DOUBT = 0.1  # relative: slopes, kerbs, and a mount that is off by a degree


def footing(depths: Array) -> Length | None:
    """The length of a step, in camera heights; None where no ground can be made out.

    Args:
        depths: (N,) of corners below the camera, along the ground's normal, per length of the step.
    """
    logs = np.sort(np.log(depths[depths > 0]))
    if not len(logs):
        return None
    above = np.arange(len(logs))
    below = above[::-1]
    for width, fewest in (_EVEN, _ROUGH):
        first = np.searchsorted(logs, logs - width)
        count = above + 1 - first
        net = count - _BELOW * below
        last = int(np.argmax(net))
        if net[last] >= max(fewest, _SHARE * len(depths)):
            value = float(np.exp(-np.median(logs[first[last] : last + 1])))
            return Length(value, (_DOUBT**2 + 1 / float(count[last]) ** 2) * value**2)
    return None
