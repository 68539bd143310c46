"""Sequences written as a rosbag2, which ROS 2 plays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from rosbags.interfaces import Connection, Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import StoragePlugin, Writer

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.sources import messages, ros_types
from ros2_vodistill.sources.bag import info_beside
from ros2_vodistill.sources.base import Image
from ros2_vodistill.sources.transforms import FLU_FROM_OPTICAL
from ros2_vodistill.sources.written import new_folder
from ros2_vodistill.trajectory import Trajectory

BASE, WORLD = "base_link", "map"
_STORAGES, _FORMS = ("mcap", "sqlite3"), ("jpeg", "png")
LATCHED = Qos(
    history=QosHistory.KEEP_LAST,
    depth=1,
    reliability=QosReliability.RELIABLE,
    durability=QosDurability.TRANSIENT_LOCAL,
    deadline=QosTime(0, 0),
    lifespan=QosTime(0, 0),
    liveliness=QosLiveliness.AUTOMATIC,
    liveliness_lease_duration=QosTime(0, 0),
    avoid_ros_namespace_conventions=False,
)


def write_bag(
    folder: str | Path,
    frames: Iterable[Image],
    camera: Camera | None,
    stamps: Sequence[float],
    poses: ArrayLike | None = None,
    *,
    storage: Literal["mcap", "sqlite3"] = "mcap",
    compressed: Literal["jpeg", "png"] | None = None,
    mount: Mount | None = None,
    topic: str = "/camera/image_raw",
    truth_topic: str = "/ground_truth/odom",
    frame: str = "camera_optical_frame",
) -> None:
    """A rosbag2 that ROS 2 plays: images, camera_info, the truth and the mount.

    With a mount, /tf_static holds the camera in base_link, which stands on the ground below it (height 0 if it is
    unknown), and the truth is base_link's in a map that has base_link's axes at the first pose; without one, the truth
    is the camera's own in such a map. The truth is an Odometry with the twist in the child's axes.

    Args:
        folder: must not exist.
        frames: grey, uint8, as many as there are stamps.
        camera: None leaves camera_info out.
        stamps: seconds; written to the nanosecond, in headers and as times of recording. With poses, they increase.
        poses: (N, 4, 4) of the camera's optical frame in any world.
        storage: of the bag.
        compressed: writes CompressedImage on `topic`/compressed instead of Image.
        mount: of the camera on the robot.
        topic: of the raw images; camera_info is beside it.
        truth_topic: of the truth.
        frame: of the images.
    """
    times = [messages.nanoseconds(stamp) for stamp in stamps]
    if not times:
        raise VodistillError(f"no frames to write to {folder}", "Give at least one frame with its stamp.")
    _require("storage", storage, _STORAGES)
    _require("compressed", compressed, (None, *_FORMS))
    child, child_from_camera = (BASE, _base_from_camera(mount)) if mount else (frame, np.eye(4))
    with new_folder(folder) as new, Writer(new, version=8, storage_plugin=StoragePlugin[storage.upper()]) as bag:
        outputs: list[tuple[Connection, Callable[[int, Image], object]]] = []

        def add(name: str, kind: str, make: Callable[[int, Image], object], qos: Sequence[Qos] = ()) -> None:
            connection = bag.add_connection(name, kind, typestore=messages.STORE, offered_qos_profiles=qos)
            outputs.append((connection, make))

        if mount is not None:
            static = messages.transform(times[0], BASE, frame, child_from_camera)
            add("/tf_static", ros_types.TRANSFORMS, lambda i, _: None if i else static, [LATCHED])
        if camera is not None:
            beside = info_beside(topic)
            add(beside, ros_types.INFO, lambda i, _: messages.camera_info(times[i], frame, camera))
        if poses is not None:
            world = child_from_camera if mount else geometry.make(FLU_FROM_OPTICAL, np.zeros(3))
            path = Trajectory(np.asarray(stamps, float), np.asarray(poses, float))
            track = _moved(path.poses, world, child_from_camera)
            twists = _twists(track, path.stamps)
            add(
                truth_topic,
                ros_types.ODOMETRY,
                lambda i, _: messages.odometry(times[i], WORLD, child, track[i], twists[i]),
            )
        if compressed is None:
            add(topic, ros_types.IMAGE, lambda i, image: messages.image(times[i], frame, image))
        else:
            name = f"{topic}/compressed"
            add(name, ros_types.COMPRESSED, lambda i, image: messages.compressed(times[i], frame, image, compressed))
        for index, (time, image) in enumerate(zip(times, frames, strict=True)):
            for connection, make in outputs:
                message = make(index, image)
                if message is not None:
                    bag.write(connection, time, messages.STORE.serialize_cdr(message, connection.msgtype))


def _require(name: str, value: str | None, choices: Sequence[str | None]) -> None:
    if value not in choices:
        raise VodistillError(f"there is no {name} {value!r}", f"It can be {', '.join(map(str, choices))}.")


def _base_from_camera(mount: Mount) -> Array:
    """The pose (4x4) of the camera's optical frame in a base_link on the ground below it."""
    return geometry.make(FLU_FROM_OPTICAL @ mount.level_from_camera, [0.0, 0.0, mount.height or 0.0])


def _moved(poses: Array, world: Array, child_from_camera: Array) -> Array:
    """Camera poses as the child's, in a world in which the first camera is at `world`."""
    return world @ geometry.invert(poses[0]) @ poses @ geometry.invert(child_from_camera)


def _twists(poses: Array, stamps: Array) -> Array:
    """(N, 6) per second, linear first, in the moving axes: between the poses before and after each."""
    if len(poses) < 2:
        return np.zeros((len(poses), 6))
    before = np.maximum(np.arange(len(poses)) - 1, 0)
    after = np.minimum(np.arange(len(poses)) + 1, len(poses) - 1)
    return geometry.log(geometry.invert(poses[before]) @ poses[after]) / (stamps[after] - stamps[before])[:, None]
