"""The rigid part of a robot: /tf_static as a tree of frames, and the camera's mount in it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array

BASES = ("base_footprint", "base_link")
"""Frames that a mount is measured from, the best first: base_footprint is on the ground (REP-120), base_link may be."""

FLU_FROM_OPTICAL = np.array([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
"""3x3 from optical axes (right, down, forward) to those of a robot's body (forward, left, up; REP-103)."""


class Transforms:
    """Frames that do not move in each other."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Array]] = {}

    def add(self, parent: str, child: str, pose: Array) -> None:
        """`pose` (4x4) is the child's in the parent."""
        self._parents[plain(child)] = (plain(parent), pose)

    def add_message(self, message: Any) -> None:
        """All transforms of a TFMessage."""
        for stamped in message.transforms:
            self.add(stamped.header.frame_id, stamped.child_frame_id, pose_of_transform(stamped.transform))

    def lookup(self, target: str, source: str) -> Array | None:
        """The pose (4x4) of the frame `source` in the frame `target`; None if they are not connected."""
        up, down = self._to_root(plain(source)), self._to_root(plain(target))
        for frame, pose in up.items():
            if frame in down:
                return geometry.invert(down[frame]) @ pose
        return None

    def base(self, frame: str, names: tuple[str, ...] = BASES) -> str | None:
        """The robot's frame, of these names with or without a prefix, that this frame is fixed to."""
        known = sorted({*self._parents, *(parent for parent, _ in self._parents.values())})
        for name in names:
            for candidate in known:
                if name in (candidate, candidate.rpartition("/")[2]) and self.lookup(candidate, frame) is not None:
                    return candidate
        return None

    def _to_root(self, frame: str) -> dict[str, Array]:
        """This frame's pose in itself, its parent, and so on."""
        poses = {frame: np.eye(4)}
        while frame in self._parents:
            parent, pose = self._parents[frame]
            if parent in poses:  # a loop
                break
            poses[parent] = pose @ poses[frame]
            frame = parent
        return poses


def mount_of(transforms: Transforms, frame: str, bases: tuple[str, ...] = BASES) -> tuple[Mount | None, str]:
    """The mount of the camera whose optical frame this is, above the first of `bases` that there is, if the transforms
    tell, and what to know about it."""
    base = transforms.base(frame, bases)
    if base is None:
        return None, ""
    pose = transforms.lookup(base, frame)
    assert pose is not None
    height = float(pose[2, 3])
    try:
        mount = Mount.from_down(pose[:3, :3].T @ [0.0, 0.0, -1.0], height if height > 0 else None)
    except VodistillError as error:
        return None, f"no mount: {error.problem}; is '{frame}' an optical frame (x right, y down, z forward)?"
    words = f"{height:g} m" if height > 0 else f"unknown, because the camera is at {height:g} m"
    ground = "" if base.endswith(BASES[0]) else f", as if {base} were on the ground"
    angles = f"pitch {math.degrees(mount.pitch):.2f}, roll {math.degrees(mount.roll):.2f} degrees"
    return mount, f"'{frame}' in '{base}': height {words}{ground}; {angles}"


def tilted(pose: Array, told: Mount, mount: Mount) -> Array:
    """A camera's pose (4x4) whose mount by itself is `told`, with the pitch and the roll of `mount`."""
    turn = pose[:3, :3] @ told.level_from_camera.T @ mount.level_from_camera
    return geometry.make(turn, pose[:3, 3])


def pose_of_transform(transform: Any) -> Array:
    """4x4 of a geometry_msgs/Transform."""
    return _pose(transform.translation, transform.rotation)


def pose_of_pose(pose: Any) -> Array:
    """4x4 of a geometry_msgs/Pose."""
    return _pose(pose.position, pose.orientation)


def plain(frame: str) -> str:
    """A frame's name without the leading slash of ROS 1."""
    return frame.lstrip("/")


def _pose(t: Any, q: Any) -> Array:
    """4x4; not finite where the message holds no rotation."""
    with np.errstate(invalid="ignore"):  # of a quaternion of zeros, which many a driver sends when it has no pose
        return geometry.make(geometry.from_quaternion([q.x, q.y, q.z, q.w]), [t.x, t.y, t.z])
