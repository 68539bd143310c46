"""Videos."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from tests.sources import recordings
from tests.sources.recordings import Sequence


@pytest.fixture
def clip(tmp_path: Path, sequence: Sequence) -> Path:
    recordings.video(tmp_path / "clip.mkv", sequence)
    return tmp_path / "clip.mkv"


def test_a_rate_instead_of_the_videos_own(clip: Path) -> None:
    assert [stamp for stamp, _ in open_source(clip, rate=4.0)] == [index / 4 for index in range(8)]


def test_a_video_by_its_content(clip: Path, sequence: Sequence) -> None:
    renamed = clip.rename(clip.with_name("clip.data"))
    assert len(list(open_source(renamed))) == len(sequence.frames)


def test_no_calibration(clip: Path) -> None:
    with pytest.raises(VodistillError, match="has no calibration"):
        open_source(clip).require_camera()


@pytest.mark.parametrize("name", ["clip.mp4", "clip.avi"])
def test_a_video_that_does_not_open(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"RIFF but not really a video" * 100)
    with pytest.raises(VodistillError, match=f"{name} is no video that OpenCV can read"):
        open_source(tmp_path / name)


def test_a_video_that_is_cut(tmp_path: Path, long_sequence: Sequence) -> None:
    """AVI says at its beginning how many frames there are."""
    recordings.video(tmp_path / "clip.avi", long_sequence)
    data = (tmp_path / "clip.avi").read_bytes()
    (tmp_path / "clip.avi").write_bytes(data[: len(data) // 2])
    source = open_source(tmp_path / "clip.avi")
    frames = [image for _, image in source]
    count = len(long_sequence.frames)
    assert count / 3 < len(frames) < count * 2 / 3
    np.testing.assert_array_equal(frames[:-1], long_sequence.frames[: len(frames) - 1])
    assert source.notes == [f"shorter than announced: {len(frames)} of {count} frames could be read"]


def test_kitti_poses_need_a_rate(clip: Path, tmp_path: Path, sequence: Sequence) -> None:
    """They have no times, and a video's own are known only when it has been read."""
    recordings.kitti(tmp_path / "00", sequence)
    poses = tmp_path / "00" / "poses.txt"
    paced = open_source(clip, truth=poses, rate=10.0).truth
    assert paced is not None
    np.testing.assert_allclose(paced.stamps, np.arange(8) / 10)
    with pytest.raises(VodistillError, match="has no times"):
        open_source(clip, truth=poses)
