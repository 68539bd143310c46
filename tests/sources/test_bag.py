"""What is found in a bag: images, camera, mount and truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import Source, open_source
from tests.sources import recordings
from tests.sources.recordings import FLU, Array, Ros, Sequence, some_pose

CAMERA_ON_BASE = geometry.make(FLU, [0.3, 0.1, 0.5])


@pytest.fixture
def make(tmp_path: Path, sequence: Sequence) -> Callable[..., Source]:
    """A bag with images on the topics, and what `more(ros, index, time, pose)` adds at every frame, opened."""

    def build(
        topics: tuple[str, ...] = ("/cam/image_raw",), more: Callable[..., None] | None = None, **options: Any
    ) -> Source:
        path = tmp_path / f"bag{len(list(tmp_path.iterdir()))}"
        with Ros(path) as ros:
            for index, (stamp, frame) in enumerate(zip(sequence.stamps, sequence.frames, strict=True)):
                time = round(stamp * 1e9)
                for topic in topics:
                    ros.write(topic, ros.image(frame, time), time)
                if more:
                    more(ros, index, time, sequence.poses[index])
        return open_source(path, **options)

    return build


Make = Callable[..., Source]


def assert_true(source: Source, sequence: Sequence, world: Array) -> None:
    """The truth is the camera's, in the recorded world."""
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.poses, world @ sequence.poses, atol=1e-9)
    np.testing.assert_allclose(source.truth.stamps, sequence.stamps, atol=1e-9)


# Images


def test_two_image_topics_and_none_chosen(make: Make) -> None:
    with pytest.raises(VodistillError) as error:
        make(("/left/image_raw", "/right/image_raw"))
    assert "2 image topics" in error.value.problem
    for topic in ("/left/image_raw", "/right/image_raw"):
        assert f"{topic} (sensor_msgs/msg/Image)" in error.value.problem


@pytest.mark.parametrize("chosen", ["/right/image_raw", "right/image_raw"])
def test_a_chosen_topic(make: Make, chosen: str, sequence: Sequence) -> None:
    assert len(list(make(("/left/image_raw", "/right/image_raw"), topic=chosen))) == len(sequence.frames)


def test_an_unknown_topic(make: Make) -> None:
    with pytest.raises(VodistillError, match="'/nose' is not there") as error:
        make(topic="/nose")
    assert "/cam/image_raw (sensor_msgs/msg/Image)" in error.value.remedy


def info(ros: Ros, index: int, time: int, _pose: Array, topic: str = "/cam/camera_info") -> None:
    ros.write(topic, ros.info(recordings.make_sequence(8).camera, time), time)


def test_a_topic_of_another_type(make: Make) -> None:
    with pytest.raises(VodistillError, match="'/cam/camera_info' is of type sensor_msgs/msg/CameraInfo, not images"):
        make(more=info, topic="/cam/camera_info")


def test_a_bag_without_images(make: Make) -> None:
    with pytest.raises(VodistillError, match="has no images") as error:
        make((), more=info)
    assert "/cam/camera_info (sensor_msgs/msg/CameraInfo)" in error.value.remedy


def test_an_image_topic_without_messages(tmp_path: Path) -> None:
    with Ros(tmp_path / "bag") as ros:
        ros.writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=ros.store)
    with pytest.raises(VodistillError, match="has no messages in /image"):
        open_source(tmp_path / "bag")
    with pytest.raises(VodistillError, match="'/image' has no messages"):
        open_source(tmp_path / "bag", topic="/image")


def test_the_raw_stream_is_taken_and_its_copies_are_not(make: Make, sequence: Sequence) -> None:
    def copies(ros: Ros, index: int, time: int, _pose: Array) -> None:
        data = np.frombuffer(b"no image", np.uint8)
        for ending in ("compressed", "compressedDepth"):
            message = ros.make("sensor_msgs/msg/CompressedImage", header=ros.header(time), format="jpeg", data=data)
            ros.write(f"/cam/image_raw/{ending}", message, time)

    source = make(more=copies)
    np.testing.assert_array_equal([image for _, image in source], sequence.frames)
    assert any(note.startswith("images: '/cam/image_raw' is used") for note in source.notes)


# Time


def test_headers_without_stamps(tmp_path: Path, sequence: Sequence) -> None:
    with Ros(tmp_path / "bag") as ros:
        for stamp, frame in zip(sequence.stamps, sequence.frames, strict=True):
            ros.write("/image", ros.image(frame, 0), round(stamp * 1e9))
    source = open_source(tmp_path / "bag")
    assert [stamp for stamp, _ in source] == sequence.stamps
    assert [note.partition(":")[0] for note in source.notes] == ["header without a stamp"]
    assert "(and 7 more)" in source.notes[0]


def test_stamps_that_go_back(tmp_path: Path, sequence: Sequence) -> None:
    """Frames come as they were recorded; each that is too old is noted."""
    stamps = [1.0, 1.1, 1.2, 0.5, 0.6, 0.7, 0.8, 1.3]
    with Ros(tmp_path / "bag") as ros:
        for index, (stamp, frame) in enumerate(zip(stamps, sequence.frames, strict=True)):
            ros.write("/image", ros.image(frame, round(stamp * 1e9)), index + 1)
    source = open_source(tmp_path / "bag")
    assert [stamp for stamp, _ in source] == stamps
    np.testing.assert_array_equal([image for _, image in source], sequence.frames)
    assert source.notes == ["frame not later than the one before: 0.500000 s after 1.200000 s (and 3 more)"]


def test_stamps_since_1970_keep_every_bit(tmp_path: Path, sequence: Sequence) -> None:
    stamps = [1_700_000_000.123456789 + 0.0333 * index for index in range(len(sequence.frames))]
    recordings.bag(tmp_path / "bag", Sequence(sequence.frames, stamps, sequence.poses, sequence.camera, sequence.mount))
    assert [stamp for stamp, _ in open_source(tmp_path / "bag")] == stamps


# Calibration


def test_no_calibration(make: Make) -> None:
    source = make()
    assert source.camera is None
    with pytest.raises(VodistillError, match=r"has no calibration.*/cam/camera_info \(not there\)"):
        source.require_camera()


def test_an_empty_calibration(make: Make) -> None:
    """What a driver publishes that was never calibrated."""

    def empty(ros: Ros, index: int, time: int, _pose: Array) -> None:
        message = ros.info(Camera(80, 60, "pinhole", 1, 1, 0, 0), time)
        message.k[:] = 0
        ros.write("/cam/camera_info", message, time)

    source = make(more=empty)
    assert source.camera is None
    with pytest.raises(VodistillError, match="K is all zero"):
        source.require_camera()


def test_a_calibration_that_is_empty_at_first(make: Make, sequence: Sequence) -> None:
    """What a driver publishes until it has read its file."""

    def late(ros: Ros, index: int, time: int, _pose: Array) -> None:
        message = ros.info(sequence.camera, time)
        if index < 2:
            message.k[:] = 0
        ros.write("/cam/camera_info", message, time)

    source = make(more=late)
    assert source.camera == sequence.camera
    assert len(list(source)) == len(sequence.frames)


def test_the_camera_info_beside_the_images(make: Make, sequence: Sequence) -> None:
    def both(ros: Ros, index: int, time: int, pose: Array) -> None:
        info(ros, index, time, pose)
        ros.write("/other/camera_info", ros.info(Camera(10, 10, "pinhole", 5, 5, 5, 5), time), time)

    assert make(more=both).camera == sequence.camera


def test_the_only_camera_info_is_taken_aloud(make: Make, sequence: Sequence) -> None:
    source = make(more=lambda *a: info(*a, topic="/elsewhere/camera_info"))
    assert source.camera == sequence.camera
    assert any("'/elsewhere/camera_info' is used" in note for note in source.notes)


def test_several_camera_infos_elsewhere_are_not_guessed_from(make: Make) -> None:
    def two(*arguments: Any) -> None:
        info(*arguments, topic="/a/camera_info")
        info(*arguments, topic="/b/camera_info")

    with pytest.raises(VodistillError, match="not beside the images: /a/camera_info, /b/camera_info"):
        make(more=two).require_camera()


def test_a_calibration_that_changes_is_told(make: Make, tmp_path: Path, sequence: Sequence) -> None:
    """The images are still the first calibration's to the reader, who cannot know which one is right."""

    def changes(ros: Ros, index: int, time: int, _pose: Array) -> None:
        message = ros.info(sequence.camera, time)
        message.k[0] += index // 3
        message.p[0] += index // 3
        ros.write("/cam/camera_info", message, time)

    source = make(more=changes)
    np.testing.assert_array_equal([image for _, image in source], sequence.frames)
    assert source.camera == sequence.camera
    (note,) = (note for note in source.notes if note.startswith("calibration"))
    assert note.startswith("calibration changes: '/cam/camera_info' at 100.300000 s")
    assert note.endswith("(and 4 more)")
    (tmp_path / "other.txt").write_text("100 100 40 30")
    source = make(more=changes, calibration=tmp_path / "other.txt")
    assert len(list(source)) == len(sequence.frames)
    assert not any(note.startswith("calibration") for note in source.notes)


def test_images_that_cannot_be_read_are_told_before_a_calibration_without_a_size(tmp_path: Path) -> None:
    with Ros(tmp_path / "bag") as ros:
        data = np.frombuffer(b"no image", np.uint8)
        message = ros.make("sensor_msgs/msg/CompressedImage", header=ros.header(5), format="jpeg", data=data)
        ros.write("/image/compressed", message, 5)
    (tmp_path / "calib.txt").write_text("100 100 40 30")
    with pytest.raises(VodistillError, match="could be read: unreadable image"):
        open_source(tmp_path / "bag", calibration=tmp_path / "calib.txt")


def test_a_calibration_file_comes_first(make: Make, tmp_path: Path) -> None:
    (tmp_path / "other.txt").write_text("100 100 40 30")
    source = make(more=info, calibration=tmp_path / "other.txt")
    assert source.camera == Camera(80, 60, "pinhole", 100, 100, 40, 30)


def test_rectified_images_have_no_distortion(make: Make) -> None:
    """camera_info describes the raw images in K and D and the rectified ones in P."""

    def distorted(ros: Ros, index: int, time: int, _pose: Array) -> None:
        message = ros.info(Camera(80, 60, "pinhole", 70, 72, 39.5, 30), time)
        message.d[:] = [-0.3, 0.1, 0, 0, 0]
        message.p[0], message.p[5] = 60, 61
        ros.write("/cam/camera_info", message, time)

    assert make(("/cam/image_rect",), more=distorted).camera == Camera(80, 60, "pinhole", 60, 61, 39.5, 30)
    raw = make(("/cam/image_raw",), more=distorted).camera
    assert raw is not None
    assert (raw.fx, raw.model, raw.distortion[0]) == (70, "plumb_bob", -0.3)


# Mount


def static(*transforms: tuple[str, str, Array]) -> Callable[..., None]:
    def write(ros: Ros, index: int, time: int, _pose: Array) -> None:
        if index == 0:
            ros.write("/tf_static", ros.transforms(*(ros.transform(*t, time) for t in transforms)), time)

    return write


def test_no_static_transforms(make: Make) -> None:
    assert make().mount is None


def test_base_footprint_is_the_ground(make: Make) -> None:
    """0.25 m from the footprint to base_link, 0.5 m from there to the camera, which looks 0.2 rad down."""
    c, s = np.cos(0.2), np.sin(0.2)
    down = geometry.make(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), [0.1, 0, 0.4])  # about y (left): nose down
    source = make(
        more=static(
            ("base_footprint", "base_link", geometry.make(np.eye(3), [0, 0, 0.25])),
            ("base_link", "camera_link", down),
            ("camera_link", "camera", geometry.make(FLU, [0, 0, 0])),
        )
    )
    assert source.mount is not None
    np.testing.assert_allclose([source.mount.height, source.mount.pitch, source.mount.roll], [0.65, 0.2, 0], atol=1e-9)
    assert any("'base_footprint'" in note and "as if" not in note for note in source.notes)


def test_base_link_stands_in_for_the_ground_aloud(make: Make) -> None:
    source = make(more=static(("robot1/base_link", "camera", CAMERA_ON_BASE)))
    assert source.mount is not None
    assert source.mount.height == pytest.approx(0.5)
    assert any("as if robot1/base_link were on the ground" in note for note in source.notes)


def test_a_camera_below_base_link_has_no_height(make: Make) -> None:
    source = make(more=static(("base_link", "camera", geometry.make(FLU, [0, 0, -0.1]))))
    assert source.mount is not None
    assert source.mount.height is None
    assert any("height unknown" in note for note in source.notes)


def test_a_frame_that_is_not_optical(make: Make) -> None:
    """Simulators put images into the body's axes: the camera would look at the sky."""
    source = make(more=static(("base_link", "camera", geometry.make(np.eye(3), [0, 0, 0.5]))))
    assert source.mount is None
    assert any("is 'camera' an optical frame" in note for note in source.notes)


# Truth


def odometry(topic: str, child: str, offset: Array, world: Array, frame: str = "map") -> Callable[..., None]:
    """Poses of a frame at `offset` from the camera."""

    def write(ros: Ros, index: int, time: int, pose: Array) -> None:
        static(("base_link", "camera", CAMERA_ON_BASE))(ros, index, time, pose)
        ros.write(topic, ros.odometry(world @ pose @ offset, time, frame, child), time)

    return write


CAMERA_TO_BASE = np.linalg.inv(CAMERA_ON_BASE)


def test_truth_of_the_base(make: Make, sequence: Sequence) -> None:
    world = some_pose(7)
    source = make(more=odometry("/ground_truth/odom", "base_link", CAMERA_TO_BASE, world))
    assert_true(source, sequence, world)
    assert any(note.startswith("truth: '/ground_truth/odom': the poses of 'base_link'") for note in source.notes)


def test_truth_of_the_camera_itself_needs_no_transform(make: Make, sequence: Sequence) -> None:
    source = make(
        more=lambda ros, i, time, pose: ros.write("/gt", ros.odometry(pose, time, "map", "camera"), time),
    )
    assert_true(source, sequence, np.eye(4))


def test_odometry_is_not_taken_for_truth_unless_chosen(make: Make, sequence: Sequence) -> None:
    wheels = odometry("/odom", "base_link", CAMERA_TO_BASE, np.eye(4))
    assert make(more=wheels).truth is None
    assert_true(make(more=wheels, truth_topic="/odom"), sequence, np.eye(4))


@pytest.mark.parametrize("with_covariance", [False, True])
@pytest.mark.parametrize("on_robot", [False, True])
def test_poses_without_a_child_are_of_the_base_or_else_the_camera(
    make: Make, sequence: Sequence, on_robot: bool, with_covariance: bool
) -> None:
    world = some_pose(8)

    def write(ros: Ros, index: int, time: int, pose: Array) -> None:
        if on_robot:
            static(("base_link", "camera", CAMERA_ON_BASE))(ros, index, time, pose)
        stated = ros.pose(world @ pose @ (CAMERA_TO_BASE if on_robot else np.eye(4)))
        header, kind = ros.header(time, "world"), "geometry_msgs/msg/PoseStamped"
        if with_covariance:
            stated = ros.make("geometry_msgs/msg/PoseWithCovariance", pose=stated, covariance=np.zeros(36))
            kind = "geometry_msgs/msg/PoseWithCovarianceStamped"
        ros.write("/mocap/pose", ros.make(kind, header=header, pose=stated), time)

    source = make(more=write)
    assert_true(source, sequence, world)
    assert any("which the messages do not say" in note for note in source.notes)


def test_truth_from_tf(make: Make, sequence: Sequence) -> None:
    """Of all that moves in /tf, the frame that is fixed to the camera counts."""
    world = some_pose(9)

    def write(ros: Ros, index: int, time: int, pose: Array) -> None:
        static(("base_link", "camera", CAMERA_ON_BASE))(ros, index, time, pose)
        base = ros.transform("odom", "base_link", world @ pose @ CAMERA_TO_BASE, time)
        others = [ros.transform("map", "odom", some_pose(index), time)]
        others.append(ros.transform("base_link", "wheel", some_pose(index), time))
        ros.write("/tf", ros.transforms(*others, base), time)

    assert_true(make(more=write, truth_topic="/tf"), sequence, world)
    assert make(more=write).truth is None


def test_truth_that_is_not_connected_to_the_camera(make: Make) -> None:
    stranger = odometry("/vicon/odom", "balloon", np.eye(4), np.eye(4))
    with pytest.raises(VodistillError, match="'balloon', none fixed to the camera's frame 'camera'"):
        _ = make(more=stranger, truth_topic="/vicon/odom").truth
    source = make(more=stranger)
    assert source.truth is None
    assert any(note.startswith("truth: not used: ") and "'balloon'" in note for note in source.notes)


def test_two_truths_and_none_chosen(make: Make) -> None:
    def write(ros: Ros, index: int, time: int, pose: Array) -> None:
        for topic in ("/gt/a", "/gt/b"):
            ros.write(topic, ros.odometry(pose, time, "map", "camera"), time)

    source = make(more=write)
    assert source.truth is None
    assert any("/gt/a (nav_msgs/msg/Odometry), /gt/b" in note for note in source.notes)


def test_truth_topics_that_hold_none(make: Make) -> None:
    with pytest.raises(VodistillError, match="no topic '/truth' for the truth") as error:
        make(more=odometry("/odom", "base_link", np.eye(4), np.eye(4)), truth_topic="/truth")
    assert "/odom (nav_msgs/msg/Odometry)" in error.value.remedy
    with pytest.raises(VodistillError, match="sensor_msgs/msg/Image, which holds no poses"):
        make(truth_topic="/cam/image_raw")


def test_a_truth_file_comes_first(make: Make, tmp_path: Path, sequence: Sequence) -> None:
    (tmp_path / "truth.txt").write_text(recordings.tum_lines(sequence))
    source = make(more=odometry("/gt", "camera", np.eye(4), some_pose(1)), truth=tmp_path / "truth.txt")
    assert_true(source, sequence, np.eye(4))


def test_poses_of_a_tracker_that_lost_its_target(make: Make, sequence: Sequence) -> None:
    """Quaternions of zeros and positions that are not numbers are left out."""

    def write(ros: Ros, index: int, time: int, pose: Array) -> None:
        message = ros.odometry(pose, time, "map", "camera")
        if index == 2:
            message.pose.pose.orientation = ros.make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=0.0)
        if index == 5:
            message.pose.pose.position.x = float("nan")
        ros.write("/gt", message, time)

    source = make(more=write)
    assert source.truth is not None
    kept = [index for index in range(len(sequence.stamps)) if index not in (2, 5)]
    np.testing.assert_allclose(source.truth.poses, sequence.poses[kept], atol=1e-9)
    assert any(note.startswith("pose that is none: '/gt' at 100.2") and "1 more" in note for note in source.notes)


def test_truth_twice_and_out_of_order(make: Make, sequence: Sequence) -> None:
    """Some recorders repeat messages; a trajectory has each time once."""

    def write(ros: Ros, index: int, time: int, _pose: Array) -> None:
        for at in (len(sequence.stamps) - 1 - index, index):
            stamp = round(sequence.stamps[at] * 1e9)
            ros.write("/gt", ros.odometry(sequence.poses[at], stamp, "map", "camera"), time)

    assert_true(make(more=write), sequence, np.eye(4))
