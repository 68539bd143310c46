"""What a lens does to a ray: points in front of the camera to the plane at unit focal length, and back.

Both lenses answer NaN where there is nothing to answer: behind the camera, or beyond the angle at which the
polynomial of the calibration turns back (there it would fold far-away things into the image).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import cv2
import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

Array = NDArray[np.float64]

_TOLERANCE = 1e-11  # of the plane at unit focal length; some 1e-8 pixels
_STEEPEST = np.radians(89.9)  # the widest angle that a plane can hold


class Lens(Protocol):
    def project(self, points: Array) -> Array:
        """(N,3) points in the camera's optical frame to (N,2) on the plane at unit focal length."""

    def rays(self, plane: Array) -> Array:
        """(N,2) on the plane at unit focal length to (N,3) unit vectors in the camera's optical frame."""


@dataclass(frozen=True)
class BrownConrady:
    """OpenCV's rational polynomial with tangential, thin-prism and tilt terms; pinhole where there are none.

    Attributes:
        coefficients: k1, k2, p1, p2, k3, k4, k5, k6, s1..s4, tilt x, tilt y: the first 0, 4, 5, 8, 12 or 14 of them.
    """

    coefficients: tuple[float, ...] = ()

    @cached_property
    def radius(self) -> float:
        """Of the undistorted plane: up to here the radial profile grows; infinite where it always does."""
        k1, k2, _, _, k3, k4, k5, k6 = (*self.coefficients, *(0.0,) * 8)[:8]
        over, under = Polynomial([1.0, k1, k2, k3]), Polynomial([1.0, k4, k5, k6])  # in the squared radius
        slope = over * under + Polynomial([0.0, 2.0]) * (over.deriv() * under - over * under.deriv())
        return min(_first_root(slope), _first_root(under)) ** 0.5

    def project(self, points: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            plane = points[:, :2] / points[:, 2:]
            seen = (points[:, 2] > 0) & (np.linalg.norm(plane, axis=1) < self.radius)
        result = np.full(plane.shape, np.nan)
        result[seen] = self._distort(plane[seen])
        return result

    def rays(self, plane: Array) -> Array:
        undistorted = self._undistort(plane)
        rays = np.concatenate([undistorted, np.ones_like(plane[:, :1])], axis=1)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def _distort(self, plane: Array) -> Array:
        if not any(self.coefficients) or not len(plane):
            return plane
        points = np.concatenate([plane, np.ones_like(plane[:, :1])], axis=1)
        still = np.zeros(3)
        pixels, _ = cv2.projectPoints(points, still, still, np.eye(3), np.array(self.coefficients))
        return np.asarray(pixels[:, 0], np.float64)

    def _undistort(self, target: Array) -> Array:
        """The radial profile inverted by table, then Newton on both coordinates."""
        if not any(self.coefficients):
            return target
        radii = np.tan(np.linspace(0.0, min(np.arctan(self.radius), _STEEPEST), 4096))
        k1, k2, _, _, k3, k4, k5, k6 = (*self.coefficients, *(0.0,) * 8)[:8]
        square = radii**2
        profile = radii * Polynomial([1.0, k1, k2, k3])(square) / Polynomial([1.0, k4, k5, k6])(square)
        profile, order = np.unique(profile, return_index=True)
        distance = np.linalg.norm(target, axis=1, keepdims=True)
        plane = target * np.interp(distance, profile, radii[order]) / np.maximum(distance, 1e-12)
        step = 1e-7
        with np.errstate(all="ignore"):
            for _ in range(30):
                error = self._distort(plane) - target
                if np.nanmax(np.abs(error), initial=0.0) < _TOLERANCE:
                    break
                along_x = (self._distort(plane + np.array([step, 0.0])) - error - target) / step
                along_y = (self._distort(plane + np.array([0.0, step])) - error - target) / step
                det = along_x[:, 0] * along_y[:, 1] - along_x[:, 1] * along_y[:, 0]
                plane = plane - np.stack(
                    [
                        (along_y[:, 1] * error[:, 0] - along_y[:, 0] * error[:, 1]) / det,
                        (along_x[:, 0] * error[:, 1] - along_x[:, 1] * error[:, 0]) / det,
                    ],
                    axis=1,
                )
            error = np.abs(self._distort(plane) - target).max(axis=1)
            lost = ~(error < 1e3 * _TOLERANCE) | ~(np.linalg.norm(plane, axis=1) < self.radius)
        return np.where(lost[:, None], np.nan, plane)


@dataclass(frozen=True)
class Equidistant:
    """Kannala-Brandt: the distance from the centre is a polynomial of the angle from the axis. Sees beyond 90 degrees.

    Attributes:
        coefficients: k1..k4 of `angle (1 + k1 angle^2 + k2 angle^4 + k3 angle^6 + k4 angle^8)`.
    """

    coefficients: tuple[float, ...]

    @cached_property
    def _profile(self) -> Polynomial:
        odd = np.zeros(10)
        odd[1::2] = (1.0, *self.coefficients)
        return Polynomial(odd)

    @cached_property
    def angle(self) -> float:
        """From the axis, in radians: up to here the profile grows."""
        return min(_first_root(self._profile.deriv()), np.pi)

    def project(self, points: Array) -> Array:
        across = np.linalg.norm(points[:, :2], axis=1, keepdims=True)
        angle = np.arctan2(across, points[:, 2:])
        central = across < 1e-12 * np.abs(points[:, 2:])
        with np.errstate(divide="ignore", invalid="ignore"):
            plane = points[:, :2] * self._profile(angle) / across
        plane = np.where(central, 0.0, plane)
        return np.where((angle < self.angle) & (angle < np.pi), plane, np.nan)

    def rays(self, plane: Array) -> Array:
        distance = np.linalg.norm(plane, axis=1)
        angles = np.linspace(0.0, self.angle, 4096)
        angle = np.interp(distance, self._profile(angles), angles, right=np.nan)
        slope = self._profile.deriv()
        with np.errstate(all="ignore"):
            for _ in range(10):
                angle = angle - (self._profile(angle) - distance) / slope(angle)
            lost = ~(np.abs(self._profile(angle) - distance) < 1e3 * _TOLERANCE)
        across = np.sin(angle) / np.maximum(distance, 1e-12)
        rays = np.stack([plane[:, 0] * across, plane[:, 1] * across, np.cos(angle)], axis=1)
        return np.where(lost[:, None], np.nan, rays)


def _first_root(polynomial: Polynomial) -> float:
    """The smallest positive real root; infinite where there is none."""
    roots = polynomial.trim().roots()
    real = roots.real[(np.abs(roots.imag) < 1e-9 * np.maximum(1.0, np.abs(roots))) & (roots.real > 0)]
    return float(real.min(initial=np.inf))
