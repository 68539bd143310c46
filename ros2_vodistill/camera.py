"""What a calibrated camera is, and how it is mounted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.lens import BrownConrady, Equidistant, Lens, lens_model

Matrix = tuple[tuple[float, ...], ...]

_CALIBRATE = "Calibrate the camera (camera_calibration for ROS, kalibr) or give a calibration file with --calib."


@dataclass(frozen=True)
class Camera:
    """A camera with known intrinsics. Pixels: integer coordinates at pixel centres, as OpenCV and ROS.

    Attributes:
        width, height: of the images, in pixels.
        model: one of `lens.MODELS`; other usual spellings are accepted and made one of these.
        fx, fy, cx, cy: focal lengths and principal point, in pixels.
        distortion: coefficients in OpenCV's order.
        rotation: 3x3, takes a direction from the physical sensor's axes to the axes that rays are given in (ROS calls
            it R); None is the identity.
    """

    width: int
    height: int
    model: str
    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    rotation: Matrix | None = None

    def __post_init__(self) -> None:
        def put(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        put("model", lens_model(self.model, len(self.distortion)))
        put("distortion", tuple(float(value) for value in self.distortion))
        for name in ("fx", "fy", "cx", "cy"):
            put(name, float(getattr(self, name)))
        for name in ("width", "height"):
            if not getattr(self, name) >= 1:
                raise VodistillError(
                    f"the camera's image is {self.width}x{self.height} pixels", "Give the size of the images in pixels."
                )
            put(name, int(getattr(self, name)))
        for name in ("fx", "fy", "cx", "cy"):
            if not math.isfinite(getattr(self, name)):
                raise VodistillError(f"the camera's {name} is {getattr(self, name)}", _CALIBRATE)
        for name in ("fx", "fy"):
            if not getattr(self, name) > 0:
                raise VodistillError(f"the camera's focal length {name} is {getattr(self, name):g} pixels", _CALIBRATE)
        if not all(math.isfinite(value) for value in self.distortion):
            raise VodistillError(f"the camera's distortion is {list(self.distortion)}", _CALIBRATE)
        if self.rotation is not None:
            rotation = np.array(self.rotation, float)
            put("rotation", tuple(map(tuple, rotation.tolist())))
            small = rotation.shape == (3, 3) and bool((np.abs(rotation) < 2).all())
            orthonormal = small and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3)
            if not (orthonormal and np.linalg.det(rotation) > 0):
                raise VodistillError(
                    f"the camera's rectification R is no rotation: {rotation.tolist()}",
                    "Use the identity for a single camera, or calibrate the pair again.",
                )

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """3x3 K."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @cached_property
    def _lens(self) -> Lens:
        return Equidistant(self.distortion) if self.model == "equidistant" else BrownConrady(self.distortion)

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """(...,3) points in the optical frame to (...,2) pixels; NaN where the lens cannot see them."""
        points = np.asarray(points, float)
        flat = points.reshape(-1, 3)
        if self.rotation is not None:
            flat = flat @ np.asarray(self.rotation)
        return (self._lens.project(flat) * [self.fx, self.fy] + [self.cx, self.cy]).reshape(*points.shape[:-1], 2)

    def rays(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """(...,2) pixels to (...,3) unit vectors in the optical frame; NaN where the calibration gives none."""
        pixels = np.asarray(pixels, float)
        rays = self._lens.rays((pixels.reshape(-1, 2) - [self.cx, self.cy]) / [self.fx, self.fy])
        if self.rotation is not None:
            rays = rays @ np.asarray(self.rotation).T
        return rays.reshape(*pixels.shape[:-1], 3)

    def scaled(self, width: int, height: int) -> Camera:
        """The same camera for images that were resized, whole, to width x height."""
        if (width, height) == (self.width, self.height):
            return self
        x, y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * x,
            fy=self.fy * y,
            cx=(self.cx + 0.5) * x - 0.5,
            cy=(self.cy + 0.5) * y - 0.5,
        )

    def cropped(self, left: int, top: int, width: int, height: int) -> Camera:
        """The same camera for images of which only this rectangle is kept."""
        return replace(self, width=width, height=height, cx=self.cx - left, cy=self.cy - top)

    @classmethod
    def from_camera_info(cls, info: Any, *, rectified: bool = False) -> Camera:
        """From a sensor_msgs/CameraInfo of ROS 1 or 2: a message object or a mapping with its fields.

        Args:
            info: the message. Its region of interest and binning are honoured; a binned pixel has its centre at the
                centre of the pixels that it is made of.
            rectified: the images are rectified already (image_rect): P holds without distortion. Otherwise K and the
                distortion hold, and rays are given in the rectified axes, which are those of the message's frame.
        """
        size = _whole(info, "width"), _whole(info, "height")
        matrix = _numbers(info, "p", 12).reshape(3, 4) if rectified else _numbers(info, "k", 9).reshape(3, 3)
        if not matrix.any():
            name = "P" if rectified else "K"
            raise VodistillError(f"camera_info's {name} is all zero: the driver publishes no calibration", _CALIBRATE)
        focal = (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
        if rectified:
            camera = cls(*size, "pinhole", *focal)
        else:
            model, distortion = str(_field(info, "distortion_model", "")), _numbers(info, "d")
            if not distortion.any() and lens_model(model) != "equidistant":
                model, distortion = "pinhole", np.empty(0)
            rotation = _numbers(info, "r", 0, 9).reshape(-1, 3)
            turned = rotation.any() and not np.array_equal(rotation, np.eye(3))
            axes = tuple(map(tuple, rotation.tolist())) if turned else None
            camera = cls(*size, model, *focal, tuple(distortion.tolist()), axes)
        roi = _field(info, "roi", {})
        left, top, width, height = (_whole(roi, name) for name in ("x_offset", "y_offset", "width", "height"))
        if width and height:
            camera = camera.cropped(left, top, width, height)
        across, down = max(1, _whole(info, "binning_x")), max(1, _whole(info, "binning_y"))
        width, height = camera.width // across, camera.height // down
        return camera.cropped(0, 0, width * across, height * down).scaled(width, height)


@dataclass(frozen=True)
class Mount:
    """How the camera sits on the robot.

    Attributes:
        height: of the camera above the ground, in metres; None where it is unknown.
        pitch: radians, positive looks down.
        roll: radians, positive when the right side is lower.
    """

    height: float | None = None
    pitch: float = 0.0
    roll: float = 0.0

    def __post_init__(self) -> None:
        if self.height is not None and not (math.isfinite(self.height) and self.height > 0):
            raise VodistillError(
                f"the camera's height above the ground is {self.height} m",
                "Give it in metres, more than zero; leave it out if it is unknown.",
            )
        for name in ("pitch", "roll"):
            if not math.isfinite(getattr(self, name)):
                raise VodistillError(f"the mount's {name} is {getattr(self, name)}", "Give a finite angle.")
        if abs(self.pitch) >= math.radians(80):
            raise VodistillError(
                f"the mount's pitch is {self.pitch:g} rad ({math.degrees(self.pitch):.0f} degrees)",
                "It must be less than 80 degrees up or down; in Python, it is given in radians.",
            )

    @classmethod
    def from_down(cls, down: ArrayLike, height: float | None = None) -> Mount:
        """From the direction of gravity in the camera's optical frame, such as a static transform gives."""
        x, y, z = np.asarray(down, float) / np.linalg.norm(down)
        return cls(height, math.asin(float(np.clip(z, -1.0, 1.0))), math.atan2(x, y))

    def overruled(self, height: float | None = None, pitch: float | None = None, roll: float | None = None) -> Mount:
        """The same but for what is given, in metres and radians."""
        given = {"height": height, "pitch": pitch, "roll": roll}
        return replace(self, **{name: value for name, value in given.items() if value is not None})

    @property
    def level_from_camera(self) -> NDArray[np.float64]:
        """3x3 that takes directions from the camera's optical frame to the level frame: Rx(-pitch) @ Rz(roll)."""
        (sin_p, cos_p), (sin_r, cos_r) = ((math.sin(a), math.cos(a)) for a in (self.pitch, self.roll))
        about_x = np.array([[1.0, 0.0, 0.0], [0.0, cos_p, sin_p], [0.0, -sin_p, cos_p]])
        about_z = np.array([[cos_r, -sin_r, 0.0], [sin_r, cos_r, 0.0], [0.0, 0.0, 1.0]])
        return about_x @ about_z


def _field(info: Any, name: str, absent: Any) -> Any:
    """A field of a message or mapping; the one-letter matrices are upper-case in ROS 1."""
    for spelling in (name, name.upper()):
        value = info.get(spelling) if isinstance(info, Mapping) else getattr(info, spelling, None)
        if value is not None:
            return value
    return absent


def _numbers(info: Any, name: str, *counts: int) -> NDArray[np.float64]:
    """The numbers of a field, none where it is absent; as many as one of `counts`, if there are any."""
    value = _field(info, name, ())
    try:
        numbers = np.asarray(value, float).ravel()
    except (TypeError, ValueError):
        raise VodistillError(f"camera_info's {name} is {value!r}", "It must hold numbers.") from None
    if counts and len(numbers) not in counts:
        raise VodistillError(
            f"camera_info's {name.upper()} has {len(numbers)} numbers", f"It must have {max(counts)}. {_CALIBRATE}"
        )
    return numbers


def _whole(info: Any, name: str) -> int:
    """A whole number, not negative; 0 where it is absent."""
    value = _field(info, name, 0)
    if not isinstance(value, (int, np.integer)) or value < 0:
        raise VodistillError(f"camera_info's {name} is {value!r}", "It must be a whole number, not negative.")
    return int(value)
