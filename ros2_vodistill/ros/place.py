"""Where the camera is on the robot: from the parameters, else from /tf_static. Never assumed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from tf2_msgs.msg import TFMessage

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.ros.entities import Entities
from ros2_vodistill.sources.transforms import BASES, Transforms, mount_of, plain, tilted

_LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_UNLATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)
"""Hears those, too, who do not latch, such as a bag that has lost its profiles."""


class Place:
    """Waits until the parameters or the transforms tell, and tells again when they change.

    Args:
        made: where the subscriptions go.
        settings: the parameters' values.
        use: called with the mount and the camera's pose (4x4) in the base frame.

    Attributes:
        problem: what it waits for; '' if it is known.
    """

    def __init__(self, made: Entities, settings: dict[str, Any], use: Callable[[Mount, Array], None]) -> None:
        self._settings, self._use = settings, use
        self._logger = made.node.get_logger()
        self._transforms = Transforms()
        self._base = plain(settings["base_frame"])
        self._frame: str | None = plain(settings["camera_frame"]) or None  # until the first image
        self._known: tuple[Mount, tuple[float, ...]] | None = None
        self.problem = ""
        for profile in (_LATCHED, _UNLATCHED):
            made.subscription(TFMessage, "/tf_static", self._on_transforms, profile)
        self._find()

    def seen(self, frame: str) -> None:
        """An image with this frame_id has come."""
        if frame != self._frame and not self._settings["camera_frame"]:
            self._frame = frame
            self._find()

    def _on_transforms(self, message: TFMessage) -> None:
        self._transforms.add_message(message)
        self._find()

    def _find(self) -> None:
        try:
            mount, pose = self._mount_and_pose()
        except VodistillError as error:
            problem = error.line
            if self._frame is not None and problem != self.problem:  # until the first image there is nothing to look up
                self._logger.warning(problem)
            self.problem = problem
            return
        self.problem = ""
        known = mount, tuple(pose.ravel().tolist())
        if known == self._known:
            return
        self._known = known
        height = f"{mount.height:g} m" if mount.height else "unknown"
        angles = f"pitch {math.degrees(mount.pitch):.2f}, roll {math.degrees(mount.roll):.2f} deg"
        self._logger.info(f"camera: height {height}, {angles}")
        self._use(mount, pose)

    def _mount_and_pose(self) -> tuple[Mount, Array]:
        given = self._settings["camera_pose"]
        if any(given):
            pose = geometry.make(geometry.from_quaternion(given[3:]), given[:3])
            told = _mount(pose)
        else:
            pose = self._looked_up()
            told = mount_of(self._transforms, self._frame or "", (BASES[0], self._base))[0] or _mount(pose)
        angles = {name: self._settings[f"camera_{name}"] for name in ("pitch", "roll")}
        mount = replace(told, **{name: math.radians(a) for name, a in angles.items() if not math.isnan(a)})
        if mount != told:
            pose = tilted(pose, told, mount)
        height = self._settings["camera_height"]
        return mount if math.isnan(height) else replace(mount, height=height), pose

    def _looked_up(self) -> Array:
        """4x4 of the camera in the base frame."""
        if self._frame == "":
            raise VodistillError(
                "the images name no frame: their frame_id is empty",
                "Set it in the driver, or the parameter camera_frame or camera_pose",
            )
        pose = self._transforms.lookup(self._base, self._frame) if self._frame else None
        if pose is None:
            raise VodistillError(
                f"waiting for the transform from {self._base} to {self._frame or 'the camera (no image yet)'}",
                "Publish it on /tf_static, or set the parameter camera_pose",
            )
        if not np.isfinite(pose).all():
            raise VodistillError(
                f"the transform from {self._base} to {self._frame} holds no rotation, or numbers that are not finite",
                "Correct what publishes it on /tf_static, or set the parameter camera_pose",
            )
        return pose


def _mount(pose: Array) -> Mount:
    """Of a camera at `pose` in the base frame, which is taken to stand on the ground."""
    height = float(pose[2, 3])
    try:
        return Mount.from_down(pose[:3, :3].T @ [0.0, 0.0, -1.0], height if height > 0 else None)
    except VodistillError as error:
        optical = "The camera's frame must be an optical one: x right, y down, z forward"
        raise VodistillError(error.problem, f"{error.remedy} {optical}") from None
