"""What is published after a frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ros2_vodistill.geometry import Array
from ros2_vodistill.live.body import Body
from ros2_vodistill.odometry import Estimate


@dataclass(frozen=True)
class Output:
    """base_link in odom.

    Attributes:
        stamp: nanoseconds, the frame's.
        pose: 4x4.
        pose_covariance: 6x6 about odom's axes, position then rotation.
        twist: 6 in base_link's axes.
        twist_covariance: 6x6.
        estimate: the camera's, which it was made of.
    """

    stamp: int
    pose: Array
    pose_covariance: Array
    twist: Array
    twist_covariance: Array
    estimate: Estimate

    @classmethod
    def of(cls, stamp: int, estimate: Estimate, body: Body) -> Output:
        """From the camera's motion to the robot's."""
        return cls(
            stamp,
            body.pose(estimate.pose),
            body.pose_covariance(estimate.pose, estimate.pose_covariance),
            body.twist(estimate.twist),
            body.twist_covariance(estimate.twist_covariance),
            estimate,
        )

    @property
    def finite(self) -> bool:
        """All numbers are."""
        numbers = (self.pose, self.pose_covariance, self.twist, self.twist_covariance)
        return all(np.isfinite(array).all() for array in numbers)
