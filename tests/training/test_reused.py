"""Clips that are shown again: still true, and a pure function of the batch's number."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from tests.training.toy import ShiftStream
from training import networks
from training.config import Augmentation, Data
from training.data import streams
from training.data.batch import Batch
from training.data.reused import Clip, Reused, mirrored, reversed_in_time, soften

RNG = np.random.default_rng(0)


class Counted:
    """Batch n: images filled with n, motions with n; counts how often it was asked."""

    batch_size = 2

    def __init__(self) -> None:
        self.asked: list[int] = []

    def batch(self, index: int, rank: int = 0, ranks: int = 1) -> Batch:
        self.asked.append(index)
        image = torch.full((2, 3, 4, 6), index, dtype=torch.uint8)
        return Batch({"image": image}, torch.full((2, 2, 6), 0.01 * index))

    def key(self) -> dict[str, Any]:
        return {"kind": "counted"}


def test_a_mirrored_motion_is_the_motion_between_mirrored_poses() -> None:
    motions = 0.3 * RNG.standard_normal((4, 6))
    mirror = np.diag([-1.0, 1, 1, 1])
    image = RNG.integers(0, 255, (5, 4, 6), dtype=np.uint8)
    flipped = mirrored(Clip({"image": image}, motions))
    np.testing.assert_allclose(
        geometry.from_motion(flipped.motions), mirror @ geometry.from_motion(motions) @ mirror, atol=1e-12
    )
    np.testing.assert_array_equal(flipped.views["image"], image[..., ::-1])
    assert not flipped.flow


def test_mirrored_flow_is_that_of_the_mirrored_pixels() -> None:
    """Of a flow that is linear over the image: (0.1 x + 3, 0.2 x + 0.3 y) at pixel (x, y)."""
    x, y = np.meshgrid(8.0 * np.arange(5), 8.0 * np.arange(3))
    flow = np.stack([0.1 * x + 3, 0.2 * x + 0.3 * y])[None].astype(np.float32)
    motions, width = np.zeros((1, 6)), 40
    found = mirrored(Clip({"image": np.zeros((2, 24, width), np.uint8)}, motions, {"image": flow})).flow["image"]
    assert found is not None and np.isnan(found[..., 0]).all()
    there = width - 1 - x
    expected = np.stack([-(0.1 * there + 3), 0.2 * there + 0.3 * y])
    np.testing.assert_allclose(found[0, ..., 1:], expected[..., 1:], atol=1e-5)


def test_a_reversed_clip_has_the_motions_of_its_poses_in_reverse() -> None:
    motions = 0.3 * RNG.standard_normal((4, 6))
    poses = geometry.accumulate(geometry.from_motion(motions))
    image = RNG.integers(0, 255, (5, 4, 6), dtype=np.uint8)
    back = reversed_in_time(Clip({"image": image}, motions, {"image": np.zeros((4, 2, 1, 1), np.float32)}))
    np.testing.assert_allclose(geometry.from_motion(back.motions), geometry.relative(poses[::-1]), atol=1e-12)
    np.testing.assert_array_equal(back.views["image"], image[::-1])
    assert np.isnan(back.flow["image"]).all()


@pytest.mark.parametrize(("share", "fewest", "most"), [(0.0, 0, 0), (0.5, 20, 60), (1.0, 80, 80)])
def test_as_many_clips_are_reversed_as_are_asked_for(share: float, fewest: int, most: int) -> None:
    """Textures that shift to the side; in reverse, the last frame comes first, and the last shift, back."""
    source = ShiftStream(batch_size=4, frames=5)
    known = list(zip(source.batch(0).views["image"], source.batch(0).motions, strict=True))
    forth = {clip.numpy().tobytes(): motions for clip, motions in known}
    back = {clip.flip(0).numpy().tobytes(): -motions.flip(0) for clip, motions in known}
    assert not forth.keys() & back.keys()
    stream = Reused(source, 50, Augmentation(reverse=share))
    count = 0
    for batch in map(stream.batch, range(20)):
        for shown, motions in zip(batch.views["image"], batch.motions, strict=True):
            image = shown.numpy().tobytes()
            count += image in back
            torch.testing.assert_close(motions, {**forth, **back}[image])
    assert fewest <= count <= most


def test_softening_keeps_the_mean_and_lowers_the_contrast() -> None:
    image = RNG.integers(0, 255, (2, 64, 64), dtype=np.uint8)
    soft = soften({"image": image}, 0.8)["image"]
    assert soft.std() < 0.6 * image.std()
    assert soft.mean() == pytest.approx(image.mean(), abs=1.0)
    assert soften({"image": image}, 0.0)["image"] is image


def test_batches_come_from_the_newest_window_and_each_is_rendered_once() -> None:
    source = Counted()
    stream = Reused(source, 4, Augmentation(), window=3)
    for i in range(40):
        batch = stream.batch(i)
        newest = i // 4
        drawn = (batch.motions[:, 0, 0] / 0.01).round().int().tolist()
        assert all(max(0, newest - 2) <= n <= newest for n in drawn)
        assert batch.views["image"][:, 0, 0, 0].tolist() == drawn
    assert sorted(source.asked) == list(range(10))


def test_going_on_somewhere_renders_one_window_and_then_only_what_is_new() -> None:
    source = Counted()
    stream = Reused(source, 4, Augmentation(), window=8)
    for i in range(400, 480):
        stream.batch(i)
    assert len(source.asked) == len(set(source.asked)) <= 8 + 20


def test_a_batch_depends_on_its_number_alone() -> None:
    changes = Augmentation(mirror=0.5, reverse=0.5, noise=2.0, gain=0.3, blur=0.7)
    one, other = Reused(Counted(), 3, changes), Reused(Counted(), 3, changes)
    for i in range(20):
        one.batch(i)
    for i in (19, 3, 11):
        assert torch.equal(one.batch(i).views["image"], other.batch(i).views["image"])
        assert torch.equal(one.batch(i).motions, other.batch(i).motions)


def test_processes_share_a_batch() -> None:
    stream = Reused(Counted(), 2, Augmentation())
    whole = stream.batch(30)
    parts = [stream.batch(30, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([p.motions for p in parts]), whole.motions)


def test_masks_are_not_to_be_had_of_clips_that_are_shown_again() -> None:
    with pytest.raises(VodistillError, match="lost the objects' masks"):
        streams.training(Data(reuse=2), networks.build("swift-xxs"), 2, 0, torch.device("cpu"), masks=True)
