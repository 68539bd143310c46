"""The true poses in a bag, brought to the camera's optical frame."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.sources.base import Notes
from ros2_vodistill.sources.recording import Message, Recording, listed, stamp_of
from ros2_vodistill.sources.ros_types import ALL_TRANSFORMS, POSE, POSES, TRANSFORM
from ros2_vodistill.sources.transforms import Transforms, plain, pose_of_pose, pose_of_transform
from ros2_vodistill.trajectory import Trajectory

TYPES = (*POSES, *ALL_TRANSFORMS)
NAME = re.compile(r"(^|[/_])(ground_?truth|truth|gt|vicon|mocap|optitrack|qualisys)($|[/_])", re.IGNORECASE)


def choose_topic(recording: Recording, chosen: str | None, notes: Notes) -> str | None:
    """The topic that the user chose, or the only one whose name says that it holds the truth."""
    if chosen is None:
        named = [t for t, kind in recording.types.items() if kind in POSES and NAME.search(t) and recording.counts[t]]
        if len(named) > 1:
            notes.add("truth", f"not used, because none was chosen of {listed(recording, named)}")
        return named[0] if len(named) == 1 else None
    topic = chosen if chosen in recording.types else f"/{chosen}"
    if topic not in recording.types:
        raise VodistillError(
            f"{recording.path} has no topic '{chosen}' for the truth",
            f"Topics that could hold it: {listed(recording, TYPES)}.",
        )
    if recording.types[topic] not in TYPES:
        raise VodistillError(
            f"topic '{topic}' of {recording.path} is of type {recording.types[topic]}, which holds no poses",
            f"Types that do: {', '.join(TYPES)}.",
        )
    return topic


def read_truth(recording: Recording, topic: str, transforms: Transforms, frame: str, notes: Notes) -> Trajectory:
    """The poses of the camera's optical frame `frame`, in the topic's own world.

    A pose without a child frame (PoseStamped) is that of base_footprint or base_link where /tf_static has it, else
    the camera's own.
    """
    poses: dict[str, dict[float, Array]] = {}
    for message in recording.messages([topic]):
        for stamp, child, pose in _poses(message):
            if not np.isfinite(pose).all():
                notes.add("pose that is none", f"'{topic}' at {stamp:.6f} s")
                continue
            poses.setdefault(child, {})[stamp] = pose
    if not poses:
        raise VodistillError(f"topic '{topic}' of {recording.path} has no readable pose", "Choose another topic.")
    linked = {}
    for child in poses:
        body = child or transforms.base(frame) or frame
        offset = transforms.lookup(body, frame)
        if offset is not None:
            linked[child] = (body, offset)
    if len(linked) != 1:
        found = ", ".join(f"'{child}'" for child in sorted(linked or poses))
        raise VodistillError(
            f"topic '{topic}' of {recording.path} holds the poses of {found}, "
            + (
                f"all fixed to the camera's frame '{frame}'"
                if linked
                else f"none fixed to the camera's frame '{frame}'"
            ),
            "Choose a topic with poses of one frame that /tf_static connects to the camera, or give a file with --gt.",
        )
    ((child, (body, offset)),) = linked.items()
    assumed = "" if child else ", which the messages do not say"
    notes.add("truth", f"'{topic}': the poses of '{body}'{assumed}, moved to the camera's frame '{frame}'")
    stamps = np.array(sorted(poses[child]))
    return Trajectory(stamps, np.stack([poses[child][stamp] for stamp in stamps]) @ offset)


def _poses(message: Message) -> Iterator[tuple[float, str, Array]]:
    """(stamp, child frame, pose) of all poses in a message."""
    body = message.body
    if message.type in ALL_TRANSFORMS:
        for stamped in body.transforms:
            yield _transform(stamped, message.time)
    elif message.type == TRANSFORM:
        yield _transform(body, message.time)
    else:
        pose = body.pose if message.type == POSE else body.pose.pose
        yield stamp_of(body.header, message.time), plain(getattr(body, "child_frame_id", "")), pose_of_pose(pose)


def _transform(stamped: Any, time: int) -> tuple[float, str, Array]:
    return stamp_of(stamped.header, time), plain(stamped.child_frame_id), pose_of_transform(stamped.transform)
