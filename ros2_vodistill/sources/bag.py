"""Bags: rosbag2 (sqlite3, mcap) and ROS 1. What is in them is found by types and names; they are read as a stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path

from ros2_vodistill.calibration import load_camera
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.image import ImageError, decode_compressed, to_grey
from ros2_vodistill.sources import truth
from ros2_vodistill.sources.base import Frame, Image, Notes, Options, Source
from ros2_vodistill.sources.recording import Message, Recording, listed, stamp_of
from ros2_vodistill.sources.ros_types import ALL_TRANSFORMS, COMPRESSED, IMAGE, INFO
from ros2_vodistill.sources.transforms import Transforms, mount_of, plain
from ros2_vodistill.trajectory import Trajectory

_PATIENCE = 100  # calibrations that may be unusable before the first good one


class BagSource(Source):
    """The frames of one image topic.

    A stamp is the header's; where that is zero, the time of recording. The camera is the camera_info beside the image
    topic. The mount comes from /tf_static: the height is the camera's above base_footprint, else above base_link;
    pitch and roll are those of the images' frame, which must be optical. The truth is the topic that the user names,
    or the only one whose name says so (ground_truth, truth, gt, vicon, mocap, ...), moved to the images' frame by
    /tf_static.

    Attributes:
        topic: of the images.
        info: the topic that the camera is from; None if it is from none.
    """

    def __init__(self, path: Path, options: Options) -> None:
        super().__init__(path, truth=options.true_path())
        options.refuse(path, "a bag", "rate")
        self._recording = Recording(path, self._notes)
        self.topic = choose_topic(self._recording, options.topic, self._notes)
        self._truth_topic = truth.choose_topic(self._recording, options.truth_topic, self._notes)
        self._truth_chosen = options.truth_topic is not None
        first = self._recording.first(self.topic)
        self.info: str | None = None
        self._frame = plain(first.body.header.frame_id) if first else ""
        self._transforms = self._read_transforms()
        self.mount, remark = mount_of(self._transforms, self._frame)
        if remark:
            self._notes.add("mount", remark)
        self.camera = self._find_camera(options.calibration)

    def __len__(self) -> int:
        return self._recording.counts[self.topic]

    @cached_property
    def _true_poses(self) -> Trajectory | None:
        if self._truth_topic is None:
            return None
        try:
            return truth.read_truth(self._recording, self._truth_topic, self._transforms, self._frame, self._notes)
        except VodistillError as error:
            if self._truth_chosen:
                raise
            self._notes.add("truth", f"not used: {error.problem}")
            return None

    @property
    def truth(self) -> Trajectory | None:
        """See `Source.truth`; read when it is asked for first."""
        return self._truth or self._true_poses

    def place(self, base: str) -> Array | None:
        """The pose (4x4) of the images' frame in the frame `base`, if /tf_static connects them."""
        return self._transforms.lookup(base, self._frame)

    def _frames(self) -> Iterator[Frame]:
        for message in self._recording.messages([self.topic, self.info] if self.info else [self.topic]):
            stamp = stamp_of(message.body.header, message.time)
            if message.topic == self.info:
                self._compare(message, stamp)
                continue
            if stamp_of(message.body.header, 0) == 0 != message.time:
                self._notes.add("header without a stamp", f"the time of recording, {stamp:.6f} s, is used")
            try:
                image = _grey(message)
            except ImageError as error:
                self._notes.add("unreadable image", f"{self.topic} at {stamp:.6f} s: {error.problem}")
                continue
            yield stamp, image

    def _read_transforms(self) -> Transforms:
        transforms = Transforms()
        topics = [
            topic
            for topic, kind in self._recording.types.items()
            if kind in ALL_TRANSFORMS and topic.endswith("tf_static")
        ]
        for message in self._recording.messages(topics):
            transforms.add_message(message.body)
        return transforms

    def _find_camera(self, calibration: Path | None) -> Camera | None:
        """From the user's file, the camera_info beside the images, or the only camera_info that there is."""
        if calibration is not None:
            first = next(iter(self))
            return load_camera(calibration, first[1].shape[::-1], rectified=self._rectified, name=self.topic)
        beside = info_beside(self.topic)
        infos = [topic for topic, kind in self._recording.types.items() if kind == INFO]
        topic = beside
        if beside not in infos and len(infos) == 1:
            topic = infos[0]
            self._notes.add("camera", f"'{topic}' is used, the only camera_info; there is no '{beside}'")
        if topic not in infos:
            others = f"; not taken, because not beside the images: {', '.join(infos)}" if infos else ""
            self.searched.append(f"topic {beside} (not there{others})")
            return None
        problem = "no message"
        for message in islice(self._recording.messages([topic]), _PATIENCE):
            try:
                camera = Camera.from_camera_info(message.body, rectified=self._rectified)
            except VodistillError as error:
                problem = error.problem
                continue
            self.info = topic
            return camera
        self.searched.append(f"topic {topic} ({problem})")
        return None

    def _compare(self, message: Message, stamp: float) -> None:
        """A calibration that is not the first one: which one fits the images is not known here, so it is told."""
        try:
            if Camera.from_camera_info(message.body, rectified=self._rectified) == self.camera:
                return
            problem = "it differs"
        except VodistillError as error:
            problem = error.problem
        kept = "the first one that can be used holds for all images"
        self._notes.add("calibration changes", f"'{message.topic}' at {stamp:.6f} s: {problem}; {kept}")

    @property
    def _rectified(self) -> bool:
        return image_base(self.topic).rpartition("/")[2].startswith("image_rect")


def choose_topic(recording: Recording, chosen: str | None, notes: Notes) -> str:
    """The image topic that the user chose, or the only one; of a stream and its compressed copy, the stream."""
    found = {topic: kind for topic, kind in sorted(recording.types.items()) if kind in (IMAGE, COMPRESSED)}
    found = {topic: kind for topic, kind in found.items() if not topic.endswith("/compressedDepth")}
    if chosen is not None:
        topic = chosen if chosen in found else f"/{chosen}"
        if topic not in found:
            kind = recording.types.get(chosen)
            raise VodistillError(
                f"{recording.path}: topic '{chosen}' " + (f"is of type {kind}, not images" if kind else "is not there"),
                f"Image topics: {listed(recording, list(found))}. All: {listed(recording, list(recording.types))}.",
            )
        if not recording.counts[topic]:
            raise VodistillError(f"{recording.path}: topic '{topic}' has no messages", "Choose another topic.")
        return topic
    if not found:
        damage = "".join(f"; {line}" for line in notes.lines)
        raise VodistillError(
            f"{recording.path} has no images: no topic of type {IMAGE} or {COMPRESSED}{damage}",
            f"Its topics: {listed(recording, list(recording.types))}.",
        )
    filled = [topic for topic in found if recording.counts[topic]]
    streams = [topic for topic in filled if topic == image_base(topic) or image_base(topic) not in filled]
    if not filled:
        raise VodistillError(
            f"{recording.path} has no messages in {listed(recording, list(found))}", "Record it again."
        )
    if len(streams) > 1:
        raise VodistillError(
            f"{recording.path} has {len(streams)} image topics: {listed(recording, streams)}",
            "Choose one with --topic.",
        )
    if len(filled) > 1:
        notes.add("images", f"'{streams[0]}' is used; '{filled[-1]}' is a copy")
    return streams[0]


def image_base(topic: str) -> str:
    """The topic of the raw images, of which this may be image_transport's compressed copy."""
    return topic.removesuffix("/compressed")


def info_beside(topic: str) -> str:
    """The topic of the calibration that belongs to images."""
    return f"{image_base(topic).rpartition('/')[0]}/camera_info"


def _grey(message: Message) -> Image:
    body = message.body
    if message.type == COMPRESSED:
        return decode_compressed(bytes(body.data))
    return to_grey(body.data, body.height, body.width, body.encoding, body.step, bool(body.is_bigendian))
