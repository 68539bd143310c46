"""What is written, read by rosbags' own reader and by hand."""

from __future__ import annotations

import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Writer
from scipy.spatial.transform import Rotation

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.messages import nanoseconds
from ros2_vodistill.sources.record import write_bag
from ros2_vodistill.sources.written import write_kitti
from tests.sources import recordings
from tests.sources.recordings import Sequence

LENSES = {
    "pinhole": (),
    "plumb_bob": (-0.3, 0.1, 0.001, -0.002, 0.01),
    "rational_polynomial": (-0.3, 0.1, 0.001, -0.002, 0.01, 0.2, 0.03, 0.004),
    "equidistant": (0.1, -0.02, 0.003, -0.0004),
}


def messages(bag: Path, topic: str) -> list[Any]:
    with AnyReader([bag]) as reader:
        connections = [connection for connection in reader.connections if connection.topic == topic]
        return (
            [reader.deserialize(data, c.msgtype) for c, _, data in reader.messages(connections)] if connections else []
        )


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_topics_types_and_metadata(tmp_path: Path, sequence: Sequence, storage: str) -> None:
    recordings.bag(tmp_path / "bag", sequence, storage=storage)
    metadata = yaml.safe_load((tmp_path / "bag" / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["storage_identifier"] == storage
    assert metadata["version"] == 8  # Humble reads QoS as text; later versions of the file have it otherwise
    assert metadata["message_count"] == 3 * len(sequence.frames) + 1
    topics = {
        entry["topic_metadata"]["name"]: (entry["topic_metadata"]["type"], entry["message_count"])
        for entry in metadata["topics_with_message_count"]
    }
    count = len(sequence.frames)
    assert topics == {
        "/tf_static": ("tf2_msgs/msg/TFMessage", 1),
        "/camera/camera_info": ("sensor_msgs/msg/CameraInfo", count),
        "/camera/image_raw": ("sensor_msgs/msg/Image", count),
        "/ground_truth/odom": ("nav_msgs/msg/Odometry", count),
    }
    static = next(e for e in metadata["topics_with_message_count"] if e["topic_metadata"]["name"] == "/tf_static")
    (qos,) = yaml.safe_load(static["topic_metadata"]["offered_qos_profiles"])
    assert (qos["durability"], qos["reliability"]) == (1, 1)  # transient local, so that late listeners get it; reliable


def test_truth_is_base_link_on_a_level_floor(tmp_path: Path, sequence: Sequence) -> None:
    """REP-103: a camera that moves one metre along its level axis moves base_link one metre along x."""
    mount = Mount(0.7, 0.3, 0.0)
    poses = np.stack([np.eye(4)] * 2)
    ahead = mount.level_from_camera.T @ [0, 0, 1.0]
    poses[1, :3, 3] = ahead
    write_bag(tmp_path / "bag", sequence.frames[:2], sequence.camera, [5.0, 5.5], poses, mount=mount)
    first, second = messages(tmp_path / "bag", "/ground_truth/odom")
    assert (first.header.frame_id, first.child_frame_id) == ("map", "base_link")

    def numbers(message: Any, *names: str) -> list[float]:
        for name in names:
            message = getattr(message, name)
        return [message.x, message.y, message.z]

    np.testing.assert_allclose(numbers(first, "pose", "pose", "position"), [0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(numbers(second, "pose", "pose", "position"), [1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(numbers(first, "twist", "twist", "linear"), [2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(numbers(first, "twist", "twist", "angular"), [0, 0, 0], atol=1e-12)
    assert first.pose.pose.orientation.w == pytest.approx(1)


def test_the_static_transform(tmp_path: Path, sequence: Sequence) -> None:
    """0.7 m up; looking 0.3 rad down, then rolled: a turn about y of the body, then about the camera's own z."""
    mount = Mount(0.7, 0.3, -0.1)
    write_bag(tmp_path / "bag", sequence.frames[:1], sequence.camera, [0.0], mount=mount, frame="eye")
    (message,) = messages(tmp_path / "bag", "/tf_static")
    (stamped,) = message.transforms
    assert (stamped.header.frame_id, stamped.child_frame_id) == ("base_link", "eye")
    t, q = stamped.transform.translation, stamped.transform.rotation
    np.testing.assert_allclose([t.x, t.y, t.z], [0, 0, 0.7])
    expected = Rotation.from_euler("y", 0.3).as_matrix() @ recordings.FLU @ Rotation.from_euler("z", -0.1).as_matrix()
    np.testing.assert_allclose(Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix(), expected, atol=1e-12)


def test_a_turning_camera_has_its_twist_in_its_own_axes(tmp_path: Path, sequence: Sequence) -> None:
    """Constant speed along the camera's z and a constant turn about its y, without a mount."""
    step = np.eye(4)
    step[:3, :3] = Rotation.from_euler("y", 0.02).as_matrix()
    step[:3, 3] = [0.5 * (1 - np.cos(0.02)) / 0.02, 0, 0.5 * np.sin(0.02) / 0.02]  # an arc of 0.5 m
    poses = np.stack([np.linalg.matrix_power(step, i) for i in range(5)])
    stamps = [0.1 * i for i in range(5)]
    write_bag(tmp_path / "bag", sequence.frames[:5], sequence.camera, stamps, poses)
    for message in messages(tmp_path / "bag", "/ground_truth/odom"):
        assert message.child_frame_id == "camera_optical_frame"
        v, w = message.twist.twist.linear, message.twist.twist.angular
        np.testing.assert_allclose([v.x, v.y, v.z, w.x, w.y, w.z], [0, 0, 5, 0, 0.2, 0], atol=1e-9)


@pytest.mark.parametrize("model", LENSES)
@pytest.mark.parametrize("turned", [False, True])
def test_every_lens_survives(tmp_path: Path, sequence: Sequence, model: str, turned: bool) -> None:
    rotation = Rotation.from_euler("xyz", [0.01, 0.02, -0.01]).as_matrix().tolist() if turned else None
    camera = Camera(80, 60, model, 70, 72, 39.5, 30, LENSES[model], rotation)
    write_bag(tmp_path / "bag", sequence.frames, camera, sequence.stamps)
    read = open_source(tmp_path / "bag").require_camera()
    np.testing.assert_allclose(
        np.array(read.rotation if turned else np.eye(3)), rotation if turned else np.eye(3), atol=1e-12
    )
    assert (read.model, read.distortion, read.fx) == (camera.model, camera.distortion, camera.fx)


@pytest.mark.parametrize("form", ["jpeg", "png"])
def test_compressed(tmp_path: Path, sequence: Sequence, form: Any) -> None:
    write_bag(tmp_path / "bag", sequence.frames, sequence.camera, sequence.stamps, compressed=form, topic="/eye/image")
    read = messages(tmp_path / "bag", "/eye/image/compressed")
    assert {message.format for message in read} == {f"mono8; {form} compressed mono8"}
    decoded = cv2.imdecode(read[0].data, cv2.IMREAD_UNCHANGED)
    assert decoded.shape == sequence.frames[0].shape
    assert open_source(tmp_path / "bag").camera == sequence.camera
    assert messages(tmp_path / "bag", "/eye/image") == []


def test_without_camera_truth_and_mount(tmp_path: Path, sequence: Sequence) -> None:
    write_bag(tmp_path / "bag", sequence.frames, None, sequence.stamps)
    source = open_source(tmp_path / "bag")
    assert (source.camera, source.truth, source.mount, source.notes) == (None, None, None, [])


def test_a_mount_of_unknown_height(tmp_path: Path, sequence: Sequence) -> None:
    write_bag(tmp_path / "bag", sequence.frames, None, sequence.stamps, mount=Mount(None, 0.2, 0.1))
    mount = open_source(tmp_path / "bag").mount
    assert mount is not None
    assert mount.height is None
    assert (mount.pitch, mount.roll) == (pytest.approx(0.2), pytest.approx(0.1))


def test_frames_are_taken_one_by_one(tmp_path: Path, sequence: Sequence) -> None:
    def frames() -> Iterator[np.ndarray]:
        yield from sequence.frames

    write_bag(tmp_path / "bag", frames(), None, sequence.stamps)
    write_kitti(tmp_path / "00", frames(), None, sequence.stamps)
    assert len(list(open_source(tmp_path / "bag"))) == len(list(open_source(tmp_path / "00"))) == len(sequence.frames)


@settings(deadline=None, max_examples=50)
@given(stamp=st.floats(0, 4e9))
def test_stamps_survive(stamp: float) -> None:
    """To the nanosecond, and where a float is coarser, to its last bit."""
    assert nanoseconds(stamp) / 10**9 == pytest.approx(stamp, abs=1e-9)
    if stamp > 2**24:
        assert nanoseconds(stamp) / 10**9 == stamp


def test_kitti_by_hand(tmp_path: Path, sequence: Sequence) -> None:
    recordings.kitti(tmp_path / "00", sequence)
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "00" / "times.txt"), sequence.stamps)
    rows = np.loadtxt(tmp_path / "00" / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_array_equal(rows, sequence.poses[:, :3])
    name, *numbers = (tmp_path / "00" / "calib.txt").read_text().split()
    assert name == "P0:"
    np.testing.assert_array_equal(
        np.reshape([float(number) for number in numbers], (3, 4))[:, :3], [[70, 0, 39.5], [0, 72, 30], [0, 0, 1]]
    )


@pytest.mark.parametrize("stamps", [[1.0, 1.0, 1.1], [1.0, 0.9, 1.1]])
def test_poses_at_times_that_do_not_increase_have_no_twist(
    tmp_path: Path, sequence: Sequence, stamps: list[float]
) -> None:
    with pytest.raises(VodistillError, match="not later than the one before"):
        write_bag(tmp_path / "bag", sequence.frames[:3], sequence.camera, stamps, sequence.poses[:3])
    assert not list(tmp_path.iterdir())


def test_kitti_has_no_distortion(tmp_path: Path, sequence: Sequence) -> None:
    camera = Camera(80, 60, "plumb_bob", 70, 72, 39.5, 30, LENSES["plumb_bob"])
    with pytest.raises(VodistillError, match="does not fit KITTI"):
        write_kitti(tmp_path / "00", sequence.frames, camera, sequence.stamps)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("write", [write_kitti, write_bag])
def test_nothing_is_overwritten(tmp_path: Path, sequence: Sequence, write: Any) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").write_text("x")
    with pytest.raises(VodistillError, match="out exists already"):
        write(tmp_path / "out", sequence.frames, sequence.camera, sequence.stamps)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]


@pytest.mark.parametrize("write", [write_kitti, write_bag])
def test_nothing_half_written_is_left(tmp_path: Path, sequence: Sequence, write: Any) -> None:
    """One frame fewer than stamps; then frames that fail on the way."""
    with pytest.raises(ValueError, match="zip"):
        write(tmp_path / "out", sequence.frames[:-1], sequence.camera, sequence.stamps)

    def failing() -> Iterator[np.ndarray]:
        yield sequence.frames[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "out", failing(), sequence.camera, sequence.stamps)
    assert not list(tmp_path.iterdir())


def test_a_full_disk(tmp_path: Path, sequence: Sequence, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "write", full)
    with pytest.raises(VodistillError, match=r"out cannot be written: .*No space left"):
        write_bag(tmp_path / "out", sequence.frames, sequence.camera, sequence.stamps)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path, sequence: Sequence) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(VodistillError, match="cannot be written"):
        write_bag(tmp_path / "file" / "bag", sequence.frames, sequence.camera, sequence.stamps)


def ros2(*arguments: str) -> str:
    """The output of a ros2 command, or a skip where there is no ROS 2."""
    if shutil.which("ros2") is None:
        pytest.skip("ros2 is not found: source a ROS 2 to let it read what is written here")
    done = subprocess.run(["ros2", *arguments], capture_output=True, text=True, timeout=120, check=False)
    if "does not support message compression" in done.stderr:
        pytest.skip(f"this ROS 2 writes no such bag: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_ros_2_reads_it(tmp_path: Path, sequence: Sequence, storage: str) -> None:
    recordings.bag(tmp_path / "bag", sequence, storage=storage)
    told = ros2("bag", "info", str(tmp_path / "bag"))
    assert f"Messages:          {3 * len(sequence.frames) + 1}\n" in told
    assert "/camera/image_raw | Type: sensor_msgs/msg/Image | Count: 8" in told


@pytest.mark.parametrize(
    "output",
    [
        "storage_id: mcap",
        "storage_id: mcap, storage_preset_profile: zstd_fast",
        "storage_id: mcap, compression_mode: message, compression_format: zstd, compression_queue_size: 0",
        "storage_id: sqlite3",
        "storage_id: sqlite3, storage_preset_profile: resilient",
        "storage_id: sqlite3, compression_mode: message, compression_format: zstd, compression_queue_size: 0",
        "storage_id: sqlite3, compression_mode: file, compression_format: zstd",
        "storage_id: sqlite3, max_bagfile_size: 86016",
    ],
)
def test_what_ros_2_makes_of_it(tmp_path: Path, sequence: Sequence, output: str) -> None:
    """ROS 2 reads the bag and writes it again, in each of its own ways."""
    recordings.bag(tmp_path / "bag", sequence)
    uri, options = tmp_path / "other", tmp_path / "options.yaml"
    options.write_text(f"output_bags:\n- {{uri: {uri}, all_topics: true, {output}}}\n")
    ros2("bag", "convert", "-i", str(tmp_path / "bag"), "-o", str(options))
    source = open_source(uri)
    stamps, frames = zip(*source, strict=True)
    assert list(stamps) == sequence.stamps
    np.testing.assert_array_equal(frames, sequence.frames)
    assert source.camera == sequence.camera
    assert source.mount is not None
    truth = source.truth
    assert truth is not None
    np.testing.assert_allclose(np.linalg.inv(truth.poses[0]) @ truth.poses, sequence.poses, atol=1e-9)
    assert {note.partition(":")[0] for note in source.notes} == {"mount", "truth"}


def test_no_frames(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="no frames to write"):
        write_bag(tmp_path / "bag", [], None, [])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"storage": "mcapp"}, "there is no storage 'mcapp'\n  It can be mcap, sqlite3."),
        ({"compressed": "jpg"}, "there is no compressed 'jpg'\n  It can be None, jpeg, png."),
    ],
)
def test_a_storage_or_form_that_is_none_names_the_choices(
    tmp_path: Path, sequence: Sequence, wrong: dict[str, Any], told: str
) -> None:
    with pytest.raises(VodistillError) as error:
        write_bag(tmp_path / "bag", sequence.frames, sequence.camera, sequence.stamps, **wrong)
    assert str(error.value) == told
    assert not (tmp_path / "bag").exists()
