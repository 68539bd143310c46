"""The images of a bag, and their stamps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from tests.sources import recordings
from tests.sources.bags import Make, info
from tests.sources.recordings import Array, Ros, Sequence


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
