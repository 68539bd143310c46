"""The camera of a bag, and its mount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from tests.sources.bags import CAMERA_ON_BASE, Make, info, static
from tests.sources.recordings import FLU, Array, Ros, Sequence


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
