"""Batches that are prepared ahead, shared, and kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.sequences import CPU, OBSERVER, world
from tests.training.toy import ShiftStream
from training import checkpoint
from training.config import Augmentation
from training.data import streams
from training.data.batch import batches, share
from training.data.generated import WorldStream
from training.data.kept import ClipSet, Kept


def test_processes_share_a_batch_equally() -> None:
    stream = ShiftStream(batch_size=4)
    whole = stream.batch(3)
    parts = [stream.batch(3, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([p.motions for p in parts]), whole.motions[[0, 2, 1, 3]])
    with pytest.raises(VodistillError, match="multiple"):
        share(range(5), 0, 2)


def test_batches_come_in_order_from_any_number_on() -> None:
    stream = ShiftStream()
    for workers in (0, 2):
        loaded = batches(stream, 5, workers, 0, 1)
        for number in (5, 6, 7):
            index, batch = next(loaded)
            assert index == number
            assert torch.equal(batch.motions, stream.batch(number).motions)


class Counting(ShiftStream):
    """Counts what it is asked for."""

    asked = 0

    def key(self) -> dict[str, object]:
        return {**super().key(), "counting": id(self)}

    def batch(self, index: int, rank: int = 0, ranks: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN201
        self.asked += 1
        return super().batch(index, rank, ranks)


class Remembered(Counting):
    """The same clips whoever makes it; interrupted after batch `last`."""

    def __init__(self, batch_size: int, last: int = 99) -> None:
        super().__init__(batch_size)
        self.last = last

    def key(self) -> dict[str, object]:
        return {"kind": "remembered"}

    def batch(self, index: int, rank: int = 0, ranks: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN201
        if index > self.last:
            raise KeyboardInterrupt
        return super().batch(index, rank, ranks)


def test_kept_batches_are_made_once() -> None:
    source = Counting()
    kept = Kept(source)
    assert torch.equal(kept.batch(1).motions, kept.batch(1).motions)
    assert torch.equal(Kept(source).batch(1).motions, kept.batch(1).motions)
    assert source.asked == 1


def test_a_finite_set_is_rendered_once_and_seen_whole(tmp_path: Path) -> None:
    source = Remembered(batch_size=4)
    clips = ClipSet(source, 12, 6, tmp_path)
    seen = torch.cat([clips.batch(i).motions for i in range(2)])
    all_of_them = torch.cat([ShiftStream(4).batch(i).motions for i in range(3)])
    assert sorted(map(str, seen.tolist())) == sorted(map(str, all_of_them.tolist()))
    assert not torch.equal(clips.batch(0).motions, clips.batch(2).motions)
    asked = source.asked
    again = ClipSet(source, 12, 6, tmp_path)
    assert source.asked == asked == 3
    assert torch.equal(again.batch(3).views["image"], clips.batch(3).views["image"])
    with pytest.raises(VodistillError, match=r"data\.clips"):
        ClipSet(source, 10, 6, tmp_path)


def test_an_interrupted_rendering_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.data.kept.PIECE", 1)
    whole = ClipSet(Remembered(batch_size=4), 12, 4, tmp_path / "whole").clips
    killed = Remembered(batch_size=4, last=1)
    with pytest.raises(KeyboardInterrupt):
        ClipSet(killed, 12, 4, tmp_path / "killed")
    again = Remembered(batch_size=4)
    assert torch.equal(ClipSet(again, 12, 4, tmp_path / "killed").clips.motions, whole.motions)
    assert again.asked == 1


def test_clips_of_other_settings_in_the_place_of_these_are_refused(tmp_path: Path) -> None:
    ClipSet(Remembered(batch_size=4), 4, 4, tmp_path)
    (file,) = tmp_path.glob("*/*.safetensors")
    tensors, metadata = checkpoint.load_tensors(file)
    checkpoint.save_tensors(file, tensors, {"key": metadata["key"].replace("remembered", "mistaken")})
    with pytest.raises(VodistillError, match=r"000000\.safetensors: was rendered by other settings"):
        ClipSet(Remembered(batch_size=4), 4, 4, tmp_path)


def test_clips_with_masks_serve_those_who_ask_for_none(tmp_path: Path) -> None:
    def clips(masks: bool) -> ClipSet:
        source = WorldStream(world(), OBSERVER, 2, masks=masks)
        return ClipSet(source, 4, 2, tmp_path, shuffle=False)

    plain = clips(masks=False)
    masked = clips(masks=True)
    (file,) = tmp_path.glob("*/*.safetensors")
    written = file.stat().st_mtime_ns
    again = clips(masks=False)
    assert file.stat().st_mtime_ns == written
    assert masked.batch(1).masks is not None
    assert plain.batch(1).masks is None
    assert again.batch(1).masks is None
    for other in (plain, again):
        assert torch.equal(other.batch(1).views["image"], masked.batch(1).views["image"])


def test_a_set_that_learns_a_label_keeps_the_others(tmp_path: Path) -> None:
    def clips(**labels: bool) -> ClipSet:
        return ClipSet(WorldStream(world(), OBSERVER, 2, **labels), 4, 2, tmp_path, shuffle=False)

    flowing = clips(flow=True).batch(1)
    masked = clips(masks=True).batch(1)
    (file,) = tmp_path.glob("*/*.safetensors")
    written = file.stat().st_mtime_ns
    again = clips(flow=True).batch(1)
    assert file.stat().st_mtime_ns == written
    assert masked.masks is not None
    assert not masked.flow
    assert torch.equal(flowing.flow["image"].nan_to_num(9e9), again.flow["image"].nan_to_num(9e9))


def test_a_finite_set_can_be_shown_again_changed_and_with_its_flow(tmp_path: Path) -> None:
    data = world(clips=4, cache=str(tmp_path), reuse=2, augmentation=Augmentation(mirror=1.0))
    reused = streams.training(data, OBSERVER, 2, 0, CPU, flow=True).batch(0)
    once = streams.training(replace(data, reuse=1), OBSERVER, 2, 0, CPU, flow=True).batch(0)
    assert reused.flow.keys() == once.flow.keys() == {"image"}
    shown = [frame.flip(-1) for frame in once.views["image"]]
    assert all(any(torch.equal(clip, known) for known in shown) for clip in reused.views["image"])
