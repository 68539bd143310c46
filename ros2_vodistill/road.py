"""The road under the camera over time: how it slopes against the level frame, and why.

Two slopes of the ground in this frame's level axes: `slope_x` (positive: the ground rises to the right) and `slope_z`
(positive: it rises ahead, or the camera looks further down than its mount says). Each is the sum of how far the mount
is off, which stays with the camera, and of how the robot stands on the road at the moment, which the measured rotation
carries from frame to frame and the suspension takes back. The road's curvature along z is the third number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOUNT = 0.03  # radians that a mount may be off
_STANCE = 0.005  # radians that a robot stands off the road
_CURVATURE = 0.002  # per camera height
_MEMORY = 20.0  # camera heights of way in which the stance is forgotten
_BEND = 30.0  # the same for the curvature
_TURN = 3e-4  # radians that a measured rotation may be off

_SEEN = np.array([[1.0, 0, 1, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 0, 1]])


def plane_normal(road: Array) -> Array:
    """Unit normal (3,), pointing down, of the plane with these slopes."""
    normal = np.array([road[0], 1.0, road[1]])
    return normal / np.linalg.norm(normal)


def _start() -> Array:
    return np.diag([_MOUNT**2] * 2 + [_STANCE**2] * 2 + [_CURVATURE**2])


@dataclass(frozen=True)
class Road:
    """A Kalman filter's state: mount (x, z), stance (x, z), curvature; with its 5x5 covariance."""

    state: Array
    covariance: Array

    @classmethod
    def unknown(cls) -> Road:
        return cls(np.zeros(5), _start())

    @property
    def seen(self) -> tuple[Array, Array]:
        """(3,) slope_x, slope_z, curvature; and their 3x3 covariance."""
        return _SEEN @ self.state, _SEEN @ self.covariance @ _SEEN.T

    def moved(self, rotation: Array, length: float) -> Road:
        """After a motion: its rotation (of the new frame in the old, level axes) and length in camera heights."""
        mount, stance, curvature = self.state[:2], self.state[2:4], self.state[4]
        ahead = np.array([0.0, curvature * length])
        normal = rotation.T @ plane_normal(mount + stance + ahead)
        fade, bend = np.exp(-length / _MEMORY), np.exp(-length / _BEND)
        state = np.concatenate([mount, fade * (normal[[0, 2]] / normal[1] - mount), [bend * curvature]])
        change = np.diag([1.0, 1.0, fade, fade, bend])
        change[3, 4] = fade * length
        noise = np.diag([1e-8] * 2 + [_STANCE**2 * (1 - fade**2) + _TURN**2] * 2 + [_CURVATURE**2 * (1 - bend**2)])
        return Road(state, change @ self.covariance @ change.T + noise)

    def updated(self, road: Array, covariance: Array) -> Road:
        """After a fit that had `seen` as its prior and gave these three numbers as its posterior."""
        mean, before = self.seen
        gain = self.covariance @ _SEEN.T @ np.linalg.inv(before)
        return Road(self.state + gain @ (road - mean), self.covariance - gain @ (before - covariance) @ gain.T)
