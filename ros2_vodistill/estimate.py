"""What the odometry says after a frame."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.scale import Scale


class Status(str, Enum):
    """How far an estimate is to be trusted."""

    INITIALISING = "initialising"
    TRACKING = "tracking"
    DEGRADED = "degraded"


@dataclass(frozen=True)
class Estimate:
    """What is known after one frame; camera optical axes, camera-to-world.

    Attributes:
        stamp: of the frame, seconds.
        pose: 4x4, metres where the scale is known.
        pose_covariance: 6x6 of a right perturbation, since the first frame.
        twist: 6, velocity (m/s, rad/s) in the camera's own axes.
        twist_covariance: 6x6.
        scale: where the metres come from.
        status: how far to trust it.
        reasons: why not further, in words.
        still: the camera stands.
        step_covariance: 6x6 of the right perturbation of the motion since the last frame; None where that was not
            measured by itself.
    """

    stamp: float
    pose: NDArray[np.float64]
    pose_covariance: NDArray[np.float64]
    twist: NDArray[np.float64]
    twist_covariance: NDArray[np.float64]
    scale: Scale
    status: Status
    reasons: tuple[str, ...] = ()
    still: bool = False
    step_covariance: NDArray[np.float64] | None = None
