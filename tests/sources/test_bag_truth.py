"""The true poses in a bag."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.errors import VodistillError
from tests.sources import recordings
from tests.sources.bags import CAMERA_ON_BASE, Make, assert_true, static
from tests.sources.recordings import Array, Ros, Sequence, some_pose


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
