"""The generated world as a stream of clips."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from tests.training.sequences import CPU, OBSERVER, VIEW, world
from training.config import Confidence
from training.data import streams
from training.data.generated import PARTS, WorldStream
from training.world import render


def test_flow_of_every_eighth_pixel_is_in_pixels_of_the_whole_view() -> None:
    """Beside that of all pixels of the same clips, whose numbers go up by `PARTS`."""
    stream = WorldStream(world(), OBSERVER, 2, flow=True)
    batch = stream.batch(0)
    whole = render(stream.config, [0, PARTS], labels=True)
    assert torch.equal(batch.views["image"], whole.images)
    assert whole.flow_back is not None
    expected = whole.flow_back[..., ::8, ::8]
    assert batch.flow["image"].shape == expected.shape == (2, 1, 2, 4, 6)
    assert ((batch.flow["image"] - expected).abs() < 0.02).float().mean() > 0.9
    assert (expected.abs() > 0.2).float().mean() > 0.5


def test_the_generated_world_is_a_pure_function_of_seed_and_number() -> None:
    one = streams.training(world(), OBSERVER, 2, 5, CPU).batch(3)
    again = streams.training(world(), OBSERVER, 2, 5, CPU).batch(3)
    other = streams.training(world(), OBSERVER, 2, 6, CPU).batch(3)
    assert torch.equal(one.views["image"], again.views["image"])
    assert torch.equal(one.motions, again.motions)
    assert not torch.equal(one.views["image"], other.views["image"])
    assert one.views["image"].shape == (2, 2, 32, 48)
    halves = [streams.training(world(), OBSERVER, 2, 5, CPU).batch(3, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([h.views["image"] for h in halves]), one.views["image"])


def test_training_held_out_and_fixed_clips_are_disjoint() -> None:
    parts = [
        streams.training(world(), OBSERVER, 2, 0, CPU),
        streams.held_out(world(), OBSERVER, CPU),
        streams.confidence(world(), OBSERVER, 2, Confidence(), CPU)[0],
    ]
    motions = [part.batch(0).motions for part in parts]
    assert not torch.equal(motions[0], motions[1])
    assert not torch.equal(motions[0], motions[2])
    assert len({str(part.key()) for part in parts}) == 3


def test_further_views_show_the_same_moments() -> None:
    part = View(24, 16, VIEW.fx, VIEW.fy, VIEW.cx - 12, VIEW.cy - 8)
    both = SimpleNamespace(views={"image": VIEW, "view_same": VIEW, "view_part": part}, unit="camera_height")
    plain_view, stream = streams.training(world(), OBSERVER, 2, 5, CPU), streams.training(world(), both, 2, 5, CPU)
    batch = stream.batch(3)
    assert torch.equal(batch.views["image"], plain_view.batch(3).views["image"])
    assert torch.equal(batch.views["view_same"], batch.views["image"])
    for own, whole in zip(batch.views["view_part"].flatten(0, 1), batch.views["image"].flatten(0, 1), strict=True):
        assert np.corrcoef(own.flatten(), whole[8:24, 12:36].flatten())[0, 1] > 0.9
    assert stream.key() != plain_view.key()


def test_a_patch_of_ground_is_not_rendered() -> None:
    observer = SimpleNamespace(views={"image": VIEW, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}, unit="metre")
    with pytest.raises(VodistillError, match="'view_ground' is a patch"):
        streams.training(world(), observer, 2, 5, CPU)


def test_the_unit_of_the_labels_is_the_observers() -> None:
    heights = streams.training(world(), OBSERVER, 2, 0, CPU).batch(0).motions
    metre = SimpleNamespace(views={"image": VIEW}, unit="metre")
    metres = streams.training(world(), metre, 2, 0, CPU).batch(0).motions
    assert torch.equal(metres[..., 3:], heights[..., 3:])
    ratio = metres[..., :3].norm(dim=-1) / heights[..., :3].norm(dim=-1)
    assert torch.isfinite(ratio).any()
    assert ((ratio > 0.1) & (ratio < 13))[torch.isfinite(ratio)].all()


def test_masks_are_there_when_asked_for() -> None:
    batch = streams.training(world(), OBSERVER, 2, 0, CPU, masks=True).batch(0)
    assert batch.masks is not None
    assert batch.masks.shape == (2, 2, 32, 48)
    assert streams.training(world(), OBSERVER, 2, 0, CPU).batch(0).masks is None
