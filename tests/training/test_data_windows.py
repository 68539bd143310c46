"""Windows of recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.sequences import CPU, OBSERVER, VIEW, write_kitti
from tests.training.toy import ShiftStream
from training.config import Augmentation, Confidence, Data
from training.data import kitti, streams
from training.data.kept import numbers
from training.data.windows import WindowStream


def test_what_decides_which_windows_there_are_is_in_their_key(tmp_path: Path) -> None:
    """Their number is the same: three of each."""
    write_kitti(tmp_path, count=7)

    def key(**settings: object) -> object:
        data = Data(kind="kitti", root=str(tmp_path), train=("00",), **settings)  # type: ignore[arg-type]
        stream, count = streams.confidence(data, OBSERVER, 1, Confidence(), CPU)
        assert count == 3
        return stream.key()

    whole = key(stride=2)
    assert key(stride=2) == whole
    assert key(stride=2, skips=(2,)) != whole
    truth = tmp_path / "poses" / "00.txt"
    rows = np.loadtxt(truth)
    rows[:, 3::4] *= 2
    np.savetxt(truth, rows)
    assert key(stride=2) != whole


def test_windows_are_seen_once_in_an_epoch(tmp_path: Path) -> None:
    write_kitti(tmp_path, "00", 6)
    write_kitti(tmp_path, "01", 5)
    recordings = [kitti.read_sequence(tmp_path, name) for name in ("00", "01")]
    stream = WindowStream(recordings, OBSERVER, frames=3, batch_size=7, seed=1)
    assert len(stream.windows) == 4 + 3
    one, again, next_epoch = stream.batch(0), stream.batch(0), stream.batch(1)
    assert torch.equal(one.views["image"], again.views["image"])
    assert one.views["image"].shape == (7, 3, 32, 48)
    totals = [x.views["image"].long().sum((1, 2, 3)).sort().values for x in (one, next_epoch)]
    assert torch.equal(*totals)
    assert not torch.equal(one.views["image"], next_epoch.views["image"])


def test_windows_may_skip_frames(tmp_path: Path) -> None:
    write_kitti(tmp_path, count=6)
    recording = kitti.read_sequence(tmp_path, "00")
    stream = WindowStream([recording], OBSERVER, frames=3, batch_size=2, skips=(2,), shuffle=False)
    batch = stream.batch(0)
    expected = torch.from_numpy(recording.motions("camera_height", 2)).float()
    assert torch.equal(batch.motions[0], expected[[0, 2]])
    assert torch.equal(batch.motions[1], expected[[1, 3]])
    with pytest.raises(VodistillError, match="less than a batch"):
        WindowStream([recording], OBSERVER, frames=6, batch_size=2)


def test_the_papers_splits_are_the_defaults(tmp_path: Path) -> None:
    assert Data().train == tuple(f"{i:02d}" for i in range(9))
    assert Data().test == ("09", "10")
    write_kitti(tmp_path, "09")
    write_kitti(tmp_path, "10")
    data = Data(kind="kitti", root=str(tmp_path), frames=2, held_out=4)
    assert len(streams.held_out(data, OBSERVER, CPU).batch(0)) == 4
    with pytest.raises(VodistillError, match=r"sequences/00"):
        streams.training(data, OBSERVER, 2, 0, CPU)


def test_eta_is_over_the_whole_recorded_training_set(tmp_path: Path) -> None:
    write_kitti(tmp_path, "00", 6)
    data = Data(kind="kitti", root=str(tmp_path), train=("00",), augmentation=Augmentation(gain=0.5))
    stream, count = streams.confidence(data, OBSERVER, 4, Confidence(samples=3), CPU)
    assert count == 5
    recording = kitti.read_sequence(tmp_path, "00")
    seen = torch.stack([stream.batch(i).views["image"][0, 0] for i in range(count)])
    frames = [torch.from_numpy(recording.views(i, {"image": VIEW})["image"]) for i in range(count)]
    assert torch.equal(seen, torch.stack(frames))


def test_no_window_is_measured_twice(tmp_path: Path) -> None:
    """Of 11 frames: five windows, fewer than are asked for at once, or in all."""
    write_kitti(tmp_path, "09", 11)
    data = Data(kind="kitti", root=str(tmp_path), test=("09",), frames=3, held_out=512)
    stream = streams.held_out(data, OBSERVER, CPU)
    seen = torch.cat([stream.batch(i).motions for i in numbers(stream, data.held_out)]).flatten(0, 1)
    truth = kitti.read_sequence(tmp_path, "09").motions("camera_height")
    assert sorted(seen[:, 2].tolist()) == pytest.approx(sorted(truth[:, 2].tolist()))
    assert len(numbers(stream, 1)) == 1
    assert len(numbers(ShiftStream(4), 10)) == 3
