"""The frame that new ones are compared with, and when another takes its place.

A keyframe serves until the motion since is large enough to be measured well and, unless it is much larger than that, a
tenth of a second has passed. So a slow robot or a fast camera adds no drift, and one that stands adds none at all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.drift import Drift
from ros2_vodistill.frontend import Frontend

_SOON = 0.09  # seconds; before that only a large motion makes a new one: errors of many short ones add up
_FARTHER, _TURNED = 8.0, 0.05  # what is large: times the frontend's shortest translation; radians


@dataclass(frozen=True)
class Keyframe:
    """Such a frame.

    Attributes:
        pose: 4x4 of the camera.
        drift: how well it is known.
        stamp: seconds, since when the camera may have moved.
    """

    pose: NDArray[np.float64]
    drift: Drift
    stamp: float = 0.0


def left(motion: NDArray[np.float64], distance: float, elapsed: float, frontend: Frontend) -> bool:
    """Whether a camera went far enough for a new keyframe.

    Args:
        motion: (6,) since the keyframe; `distance` is its length as the frontend measured it, in its unit.
        elapsed: seconds.
    """
    worth = 1.0 if elapsed >= _SOON else _FARTHER
    angle = float(np.linalg.norm(motion[3:]))
    turned = min(worth * frontend.min_rotation, max(_TURNED, frontend.min_rotation))
    return distance >= worth * frontend.min_translation or angle >= turned
