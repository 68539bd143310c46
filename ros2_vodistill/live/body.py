"""From the camera's motion to the robot's: REP-103 axes, REP-105 frames, the covariances of nav_msgs/Odometry."""

from __future__ import annotations

import numpy as np

from ros2_vodistill import geometry
from ros2_vodistill.geometry import Array


class Body:
    """Where base_link is in odom when the camera is somewhere in its own world.

    `odom` is where base_link was when the camera was at its world's origin.

    Args:
        base_from_camera: 4x4 pose of the camera's optical frame in base_link.
        odom_from_world: 4x4 pose of the camera's world in odom; None puts base_link at odom's origin at the start.
    """

    def __init__(self, base_from_camera: Array, odom_from_world: Array | None = None) -> None:
        self.base_from_camera = np.asarray(base_from_camera, float)
        self.odom_from_world = self.base_from_camera if odom_from_world is None else np.asarray(odom_from_world, float)
        self._camera_from_base = geometry.invert(self.base_from_camera)
        self._adjoint = geometry.adjoint(self.base_from_camera)

    def pose(self, camera: Array) -> Array:
        """4x4 of base_link in odom, of the camera's pose in its world."""
        return self.odom_from_world @ camera @ self._camera_from_base

    def pose_covariance(self, camera: Array, covariance: Array) -> Array:
        """6x6 about odom's axes (position, then rotation), of the camera's right perturbation."""
        turn = np.kron(np.eye(2), self.pose(camera)[:3, :3]) @ self._adjoint
        return turn @ covariance @ turn.T

    def twist(self, camera: Array) -> Array:
        """6, linear then angular, of base_link in its own axes, of the camera's in its own."""
        return self._adjoint @ camera

    def twist_covariance(self, covariance: Array) -> Array:
        """6x6 in base_link's axes."""
        return self._adjoint @ covariance @ self._adjoint.T

    def camera(self, pose: Array) -> Array:
        """4x4 of the camera in its world, of base_link's pose in odom."""
        return geometry.invert(self.odom_from_world) @ pose @ self.base_from_camera

    def camera_covariance(self, pose: Array, covariance: Array) -> Array:
        """6x6 of the camera's right perturbation, of base_link's covariance about odom's axes."""
        turn = np.linalg.inv(np.kron(np.eye(2), pose[:3, :3]) @ self._adjoint)
        return turn @ covariance @ turn.T

    def remounted(self, base_from_camera: Array, camera: Array) -> Body:
        """The same with the camera elsewhere on the robot; base_link stays where it is."""
        odom_from_world = self.pose(camera) @ np.asarray(base_from_camera, float) @ geometry.invert(camera)
        return Body(base_from_camera, odom_from_world)
