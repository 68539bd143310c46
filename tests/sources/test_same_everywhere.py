"""The same frames come out of every kind of recording."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import Source, open_source
from tests.sources import recordings
from tests.sources.recordings import Sequence

KINDS: dict[str, tuple[str, Callable[[Path, Sequence], None]]] = {
    "kitti": ("00", recordings.kitti),
    "mcap": ("bag", recordings.bag),
    "sqlite3": ("bag", partial(recordings.bag, storage="sqlite3")),
    "png in mcap": ("bag", partial(recordings.bag, compressed="png")),
    "rosbag1": ("recording.bag", recordings.rosbag1_bag),
    "euroc": ("MH_01", recordings.euroc),
    "tum": ("fr1", recordings.tum),
    "folder": ("images", recordings.folder),
    "video": ("clip.mkv", recordings.video),
}
BAGS = {"mcap", "sqlite3", "png in mcap", "rosbag1"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(kind: str, tmp_path: Path, sequence: Sequence) -> Source:
    name, write = KINDS[kind]
    write(tmp_path / name, sequence)
    extra: dict[str, Path] = {}
    if kind in ("folder", "video"):
        extra["truth"] = tmp_path / "truth.txt"
        start = sequence.stamps[0] if kind == "video" else 0.0  # a video begins at zero
        moved = Sequence(
            [], [stamp - start for stamp in sequence.stamps], sequence.poses, sequence.camera, sequence.mount
        )
        extra["truth"].write_text(recordings.tum_lines(moved))
    if kind == "video":
        c = sequence.camera
        extra["calibration"] = tmp_path / "calib.txt"
        extra["calibration"].write_text(f"{c.fx} {c.fy} {c.cx} {c.cy}")
    return open_source(tmp_path / name, **extra)  # type: ignore[arg-type]


def test_frames_stamps_and_length(source: Source, kind: str, sequence: Sequence) -> None:
    assert len(source) == len(sequence.frames)
    for _ in range(2):  # a source may be read again
        stamps, frames = zip(*source, strict=True)
        assert all(image.dtype == np.uint8 for image in frames)
        np.testing.assert_array_equal(frames, sequence.frames)
        if kind == "video":
            np.testing.assert_allclose(np.array(stamps) + sequence.stamps[0], sequence.stamps, rtol=0, atol=1e-9)
        else:
            assert list(stamps) == sequence.stamps


def test_truth_is_of_the_camera(source: Source, kind: str, sequence: Sequence) -> None:
    truth = source.truth
    assert truth is not None
    offset = sequence.stamps[0] if kind == "video" else 0.0
    np.testing.assert_allclose(truth.stamps + offset, sequence.stamps, rtol=0, atol=1e-9)
    np.testing.assert_allclose(np.linalg.inv(truth.poses[0]) @ truth.poses, sequence.poses, rtol=0, atol=1e-9)


def test_camera(source: Source, sequence: Sequence) -> None:
    assert source.require_camera() == sequence.camera


def test_mount(source: Source, kind: str, sequence: Sequence) -> None:
    if kind not in BAGS:
        assert source.mount is None
        return
    assert source.mount is not None
    got, true = source.mount, sequence.mount
    np.testing.assert_allclose([got.height, got.pitch, got.roll], [true.height, true.pitch, true.roll], atol=1e-9)


def test_nothing_is_said_to_be_damaged(source: Source) -> None:
    list(source)
    assert source.truth is not None
    assert {note.partition(":")[0] for note in source.notes} <= {"mount", "truth"}


def test_jpeg_is_close(tmp_path: Path, sequence: Sequence) -> None:
    smooth = [np.full_like(frame, 20 * index) for index, frame in enumerate(sequence.frames)]
    recordings.bag(
        tmp_path / "bag",
        Sequence(smooth, sequence.stamps, sequence.poses, sequence.camera, sequence.mount),
        compressed="jpeg",
    )
    frames = [image for _, image in open_source(tmp_path / "bag")]
    np.testing.assert_allclose(frames, smooth, atol=2)


def test_reading_stops_early_and_begins_again(source: Source, sequence: Sequence) -> None:
    first = next(iter(source))
    again = next(iter(source))
    assert first[0] == again[0]
    np.testing.assert_array_equal(first[1], sequence.frames[0])
    np.testing.assert_array_equal(again[1], sequence.frames[0])


def test_options_that_mean_nothing_are_refused(source: Source, kind: str) -> None:
    wrong = {"rate": 10.0} if kind in BAGS else {"truth_topic": "/gt"}
    with pytest.raises(VodistillError, match="has no use for"):
        open_source(source.path, **wrong)  # type: ignore[arg-type]
