"""Lens models by name: points in front of the camera to the plane at unit focal length, and back.

Both lenses answer NaN where there is nothing to answer: behind the camera, or beyond the angle at which the
polynomial of the calibration turns back (there it would fold far-away things into the image).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError

Array = NDArray[np.float64]

_TOLERANCE = 1e-9  # of the plane at unit focal length: a millionth of a pixel
_STEEPEST = np.radians(89.9)  # the widest angle that a plane can hold
_SAMPLES = 4096  # of a radial profile

MODELS: dict[str, tuple[int, ...]] = {
    "pinhole": (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}
"""The lens models and how many coefficients each takes, in OpenCV's order."""

_SPELLINGS = {
    "none": "pinhole",
    "radtan": "plumb_bob",
    "radial-tangential": "plumb_bob",
    "brown_conrady": "plumb_bob",
    "rational": "rational_polynomial",
    "thin_prism": "rational_polynomial",
    "fisheye": "equidistant",
    "equi": "equidistant",
    "kannala_brandt": "equidistant",
}


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
    def _padded(self) -> tuple[float, ...]:
        return (*self.coefficients, *(0.0,) * 14)[:14]

    @cached_property
    def _profile(self) -> tuple[Array, Array]:
        """Distances from the centre without and with the radial distortion, as far as both grow."""
        k1, k2, _, _, k3, k4, k5, k6, *_ = self._padded
        radii = np.tan(np.linspace(0.0, _STEEPEST, _SAMPLES))
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = Polynomial([1.0, k1, k2, k3])(radii**2) / Polynomial([1.0, k4, k5, k6])(radii**2)
        return _rising(radii, radii * factor)

    def project(self, points: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            plane = points[:, :2] / points[:, 2:]
            seen = (points[:, 2] > 0) & self._within(plane)
        result = np.full(plane.shape, np.nan)
        result[seen] = self._distort(plane[seen])
        return result

    def rays(self, plane: Array) -> Array:
        undistorted = self._undistort(plane)
        rays = np.concatenate([undistorted, np.ones_like(plane[:, :1])], axis=1)
        return rays / np.linalg.norm(rays, axis=1, keepdims=True)

    def _within(self, plane: Array) -> NDArray[np.bool_]:
        return np.linalg.norm(plane, axis=1) <= self._profile[0][-1]

    def _distort(self, plane: Array) -> Array:
        if not any(self.coefficients):
            return plane
        k1, k2, p1, p2, k3, k4, k5, k6, s1, s2, s3, s4, tilt_x, tilt_y = self._padded
        x, y = plane.T
        square = x * x + y * y
        radial = (1 + square * (k1 + square * (k2 + square * k3))) / (1 + square * (k4 + square * (k5 + square * k6)))
        u = x * radial + 2 * p1 * x * y + p2 * (square + 2 * x * x) + square * (s1 + square * s2)
        v = y * radial + p1 * (square + 2 * y * y) + 2 * p2 * x * y + square * (s3 + square * s4)
        if tilt_x or tilt_y:
            turn = _about_y(-tilt_y) @ _about_x(-tilt_x)
            u, v, w = turn @ np.stack([u, v, np.ones_like(u)])
            u, v = (turn[2, 2] * u - turn[0, 2] * w) / w, (turn[2, 2] * v - turn[1, 2] * w) / w
        return np.stack([u, v], axis=1)

    def _undistort(self, target: Array) -> Array:
        """The radial profile inverted by table, then Newton's method on both coordinates."""
        if not any(self.coefficients):
            return target
        radii, profile = self._profile
        distance = np.linalg.norm(target, axis=1, keepdims=True)
        plane = target * np.interp(distance, profile, radii) / np.maximum(distance, 1e-12)
        step = 1e-7
        with np.errstate(all="ignore"):
            for _ in range(20):
                image = self._distort(plane)
                miss = image - target
                if np.fmax.reduce(np.abs(miss), axis=None, initial=0.0) < _TOLERANCE / 100:  # NaN apart
                    break
                (a, c), (b, d) = ((self._distort(plane + side) - image).T / step for side in step * np.eye(2))
                u, v = miss.T
                plane = plane - np.stack([d * u - b * v, a * v - c * u], axis=1) / (a * d - b * c)[:, None]
            found = (np.abs(miss).max(axis=1) < _TOLERANCE) & self._within(plane)
        return np.where(found[:, None], plane, np.nan)


@dataclass(frozen=True)
class Equidistant:
    """Kannala-Brandt: the distance from the centre is a polynomial of the angle from the axis. Sees beyond 90 degrees.

    Attributes:
        coefficients: k1..k4 of `angle (1 + k1 angle^2 + k2 angle^4 + k3 angle^6 + k4 angle^8)`.
    """

    coefficients: tuple[float, ...]

    @cached_property
    def _radius(self) -> Polynomial:
        """Of the angle."""
        k1, k2, k3, k4 = self.coefficients
        return Polynomial([0.0, 1.0, 0.0, k1, 0.0, k2, 0.0, k3, 0.0, k4])

    @cached_property
    def _profile(self) -> tuple[Array, Array]:
        """Angles and distances from the centre, as far as both grow."""
        angles = np.linspace(0.0, np.pi, _SAMPLES, endpoint=False)
        return _rising(angles, self._radius(angles))

    def project(self, points: Array) -> Array:
        across = np.linalg.norm(points[:, :2], axis=1)
        angle = np.arctan2(across, points[:, 2])
        direction = points[:, :2] / np.maximum(across, 1e-300)[:, None]
        return np.where((angle <= self._profile[0][-1])[:, None], direction * self._radius(angle)[:, None], np.nan)

    def rays(self, plane: Array) -> Array:
        angles, radii = self._profile
        distance = np.linalg.norm(plane, axis=1)
        angle = np.interp(distance, radii, angles, right=np.nan)
        slope = self._radius.deriv()
        with np.errstate(all="ignore"):
            for _ in range(10):
                angle = angle - (self._radius(angle) - distance) / slope(angle)
            angle = np.where(np.abs(self._radius(angle) - distance) < _TOLERANCE, angle, np.nan)[:, None]
        direction = plane / np.maximum(distance, 1e-300)[:, None]
        return np.concatenate([direction * np.sin(angle), np.cos(angle)], axis=1)


def lens_model(name: str, coefficients: int | None = None) -> str:
    """The model of `MODELS` that this spelling means.

    Args:
        name: as found in messages and files; an empty one means no distortion.
        coefficients: how many there are, to be checked against the model; None checks nothing.
    """
    plain = name.strip().lower()
    model = _SPELLINGS.get(plain, plain or "pinhole")
    if model not in MODELS:
        raise VodistillError(f"unknown distortion model '{name}'", f"Known: {', '.join([*MODELS, *_SPELLINGS])}.")
    if coefficients is not None and coefficients not in MODELS[model]:
        fitting = [known for known, counts in MODELS.items() if coefficients in counts]
        hint = f" {coefficients} coefficients fit {' and '.join(fitting)}." if fitting else ""
        expected = " or ".join(str(count) for count in MODELS[model])
        raise VodistillError(
            f"distortion model '{name}' with {coefficients} coefficients", f"It takes {expected}.{hint}"
        )
    return model


def _rising(places: Array, values: Array) -> tuple[Array, Array]:
    """Both, up to where the values stop growing."""
    falls = np.flatnonzero(~(np.diff(values) > 0))
    end = falls[0] + 1 if len(falls) else len(values)
    return places[:end], values[:end]


def _about_x(angle: float) -> Array:
    return np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])


def _about_y(angle: float) -> Array:
    return np.array([[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]])
