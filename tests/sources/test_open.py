"""How the kind of a recording is found out, and what is said when it is none."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from tests.sources import recordings
from tests.sources.recordings import Sequence


def test_no_such_path(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="nowhere does not exist"):
        open_source(tmp_path / "nowhere")


def test_an_empty_folder_lists_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="no recording of a known kind; the folder holds nothing") as error:
        open_source(tmp_path)
    for kind in ("rosbag2", "EuRoC", "KITTI", "TUM", "image files"):
        assert kind in error.value.remedy


def test_a_folder_of_other_things(tmp_path: Path) -> None:
    for index in range(7):
        (tmp_path / f"note{index}.md").write_text("x")
    (tmp_path / "metadata.yaml").write_text("title: not a bag")
    with pytest.raises(VodistillError, match=r"holds metadata.yaml, note0.md.* and 3 more"):
        open_source(tmp_path)


@pytest.mark.parametrize("content", [b"", b"plain words\n", b"\x89PNG\r\n"])
def test_a_file_of_another_kind(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "thing.dat").write_bytes(content)
    with pytest.raises(VodistillError, match=f"the file holds {len(content)} bytes") as error:
        open_source(tmp_path / "thing.dat")
    assert "bag" in error.value.remedy
    assert "video" in error.value.remedy


def test_one_image_is_no_recording(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0001.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(VodistillError, match="no recording of a known kind"):
        open_source(tmp_path / "0001.png")


@pytest.mark.parametrize("rate", [0.0, -3.0, float("nan"), float("inf")])
def test_a_rate_that_is_none(tmp_path: Path, rate: float) -> None:
    with pytest.raises(VodistillError, match="frames per second"):
        open_source(tmp_path, rate=rate)


def test_a_storage_file_alone(tmp_path: Path, sequence: Sequence) -> None:
    """Of a rosbag2, without its folder's metadata, and under any name."""
    for storage, ending in (("mcap", "mcap"), ("sqlite3", "db3")):
        recordings.bag(tmp_path / storage, sequence, storage=storage)
        file = tmp_path / storage / f"{storage}.{ending}"
        assert len(list(open_source(file))) == len(sequence.frames)
        renamed = file.rename(tmp_path / f"{storage}.renamed")
        assert len(list(open_source(renamed))) == len(sequence.frames)


def test_the_path_may_be_text_and_names_the_source(tmp_path: Path, sequence: Sequence) -> None:
    recordings.kitti(tmp_path / "00", sequence)
    assert open_source(f"{tmp_path}/00/").name == "00"


def test_mav0_itself(tmp_path: Path, sequence: Sequence) -> None:
    recordings.euroc(tmp_path / "seq", sequence)
    assert len(open_source(tmp_path / "seq" / "mav0")) == len(sequence.frames)


def test_what_lies_in_a_recording_names_it(tmp_path: Path, sequence: Sequence) -> None:
    recordings.euroc(tmp_path / "flight", sequence)
    recordings.bag(tmp_path / "bag", sequence)
    for given, meant, kind in (
        (tmp_path / "flight" / "mav0" / "cam0", tmp_path / "flight" / "mav0", "EuRoC"),
        (tmp_path / "bag" / "metadata.yaml", tmp_path / "bag", "rosbag2"),
    ):
        with pytest.raises(VodistillError, match="no recording of a known kind") as error:
            open_source(given)
        assert error.value.remedy == f"Its folder {meant} is a recording ({kind}): give that."
        assert len(open_source(meant)) == len(sequence.frames)


def test_an_image_names_the_images_that_it_is_one_of(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0001.png"), np.zeros((8, 8), np.uint8))
    with pytest.raises(VodistillError, match=f"{tmp_path} is a recording .image files.: give that"):
        open_source(tmp_path / "0001.png")
    (tmp_path / "notes").mkdir()
    with pytest.raises(VodistillError, match="Looked for in a folder"):
        open_source(tmp_path / "notes")


def test_a_folder_of_recordings_names_them(tmp_path: Path, sequence: Sequence) -> None:
    recordings.kitti(tmp_path / "kitti00", sequence)
    recordings.bag(tmp_path / "drive", sequence)
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").write_text("x")
    with pytest.raises(VodistillError, match="no recording of a known kind") as error:
        open_source(tmp_path)
    assert error.value.remedy == "In it are recordings, drive, kitti00: give one."
