"""Where cells were: peaks of scores, against bumps whose place is known, and frames that moved by a known way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ros2_vodistill.view import View
from training.networks.align import Align, smoothed
from training.networks.base import Match
from training.networks.peaks import Peaks, spread
from training.networks.polish import Tracks

MATCH = Match((3, 4), cell=4, spacing=8)
ONE, SIX, WIDE = (View(width, height, 60.0, 60.0, 20.0, 20.0) for width, height in ((8, 8), (24, 16), (96, 64)))
CONTEXT = torch.zeros(1, 5, 1, 1)


def bump(x: float, y: float, sharp: float = 12.0) -> Tensor:
    """(1, D, 1, 1) scores of one cell that was (x, y) cells away."""
    down, across = torch.arange(-3.0, 4.0), torch.arange(-4.0, 5.0)
    return -sharp * ((down[:, None] - y) ** 2 + (across - x) ** 2).view(1, -1, 1, 1)


def seen(scores: Tensor, view: View = ONE, images: bool = False) -> Tracks:
    """By peaks that have learned nothing, and believe the scores, in frames that say nothing; or the images."""
    peaks = Peaks(MATCH, view, 5)
    torch.nn.init.zeros_(peaks.tell.weight)
    with torch.no_grad():
        peaks.tell.bias[5] = 20.0 if images else -20.0  # type: ignore[index]
    blank = torch.zeros(1, 1, view.height, view.width)
    return peaks(scores, (blank, blank), torch.zeros(1, 5, *scores.shape[2:]))


def texture(moved: tuple[float, float], seed: int = 0) -> Tensor:
    """(1, 1, 64, 96) waves of many lengths, exactly displaced by pixels (x, y)."""
    random = torch.Generator().manual_seed(seed)
    waves = 0.5 * torch.randn(60, 2, generator=random)
    phases = 6.3 * torch.rand(60, generator=random)
    y, x = torch.meshgrid(torch.arange(64.0) - moved[1], torch.arange(96.0) - moved[0], indexing="ij")
    return torch.cos(x[..., None] * waves[:, 0] + y[..., None] * waves[:, 1] + phases).mean(2)[None, None] * 7


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, -2.0), (-4.0, 3.0), (4.0, -3.0), (4.0, 3.0)])
def test_whole_displacements_are_found_up_to_the_edge_of_reach(place: tuple[float, float]) -> None:
    shift = seen(bump(*place)).shift
    torch.testing.assert_close(shift[0, :, 0, 0], 4 * torch.tensor(place), atol=1e-3, rtol=0)


@pytest.mark.parametrize("place", [(0.4, -0.3), (-2.3, 1.45), (1.7, 0.6)])
def test_fractions_are_the_mean_around_the_peak(place: tuple[float, float]) -> None:
    shift = seen(bump(*place, sharp=0.8)).shift
    torch.testing.assert_close(shift[0, :, 0, 0], 4 * torch.tensor(place), atol=0.25, rtol=0)


def test_what_is_far_from_the_peak_does_not_pull() -> None:
    two = torch.maximum(bump(2.0, 1.0), bump(-3.0, -2.0) - 0.1)
    shift = seen(two).shift
    torch.testing.assert_close(shift[0, :, 0, 0], torch.tensor([8.0, 4.0]), atol=1e-3, rtol=0)


def test_where_all_is_alike_a_cell_stays_whatever_the_rounding() -> None:
    blank = torch.full((1, 63, 1, 1), 3.0)
    for i in range(63):
        rounded = blank.clone()
        rounded[0, i] += 1e-6
        torch.testing.assert_close(seen(rounded).shift, torch.zeros(1, 2, 1, 1), atol=0.05, rtol=0)


def test_the_peak_of_each_cell_is_its_own() -> None:
    rows = [torch.cat([bump(x, y) for x in (-1.0, 2.0, 3.0)], 3) for y in (1.0, -3.0)]
    told = seen(torch.cat(rows, 2), SIX)
    shift = told.shift
    assert told.spread.shape == (1, 3, 2, 3) and told.ground.shape == (1, 1, 2, 3)
    torch.testing.assert_close(shift[0, 0], torch.tensor([[-4.0, 8.0, 12.0]] * 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(shift[0, 1], torch.tensor([[4.0] * 3, [-12.0] * 3]), atol=1e-3, rtol=0)


def test_what_is_learned_sees_the_same_wherever_the_peak_is() -> None:
    torch.manual_seed(0)
    peaks = Peaks(MATCH, ONE, 5)
    torch.nn.init.normal_(peaks.tell.weight)
    blank = torch.zeros(1, 1, 8, 8)
    here, there = (peaks(bump(x, 0.3, 2.0), (blank, blank), CONTEXT) for x in (-1.8, 1.2))
    torch.testing.assert_close(there.shift - here.shift, torch.tensor([12.0, 0.0]).view(1, 2, 1, 1), atol=3e-2, rtol=0)
    torch.testing.assert_close(here.spread, there.spread, atol=1e-2, rtol=1e-2)


def test_a_spread_is_a_root_of_a_covariance() -> None:
    a, b, c = spread(torch.tensor([[0.5], [-0.2], [0.8]]).view(1, 3, 1, 1))[0, :, 0, 0].double()
    torch.testing.assert_close(torch.stack([a, b, c]), torch.tensor([0.5, -0.2, -0.2]).exp().double()
                               * torch.tensor([1.0, 1.0, 0.8]))  # fmt: skip


def test_scores_and_context_learn() -> None:
    torch.manual_seed(0)
    scores, context = bump(0.3, 0.2, 0.5).requires_grad_(), torch.randn(1, 5, 1, 1, requires_grad=True)
    blank = torch.zeros(1, 1, 8, 8)
    told = Peaks(MATCH, ONE, 5)(scores, (blank, blank), context)
    (told.shift.sum() + told.spread.sum() + told.ground.sum()).backward()
    for value in (scores, context):
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any()


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.3, -0.4), (2.5, 1.2), (-3.6, -1.7)])
def test_images_tell_a_fraction_of_a_pixel(moved: tuple[float, float]) -> None:
    this, last = (smoothed(texture(by)) for by in ((0.0, 0.0), moved))
    start = torch.tensor(moved).round().view(1, 2, 1, 1).expand(1, 2, 8, 12)
    shift, worth = Align(WIDE, 8, 3)(this, last, start)
    inside = (shift[0] - torch.tensor(moved).view(2, 1, 1))[:, 2:-2, 2:-2]
    assert float(inside.abs().median()) < 0.05 and float(inside.flatten(1).mean(1).abs().max()) < 0.04
    assert worth.shape == (1, 4, 8, 12) and (worth[:, :2] > 0).all()


def test_a_smooth_wall_is_left_where_it_is() -> None:
    blank = torch.full((1, 1, 64, 96), 0.7)
    start = torch.full((1, 2, 8, 12), 2.5)
    shift, worth = Align(WIDE, 8, 3)(blank, blank, start)
    torch.testing.assert_close(shift, start)
    torch.testing.assert_close(worth, torch.zeros_like(worth))


def test_brightness_does_not_matter() -> None:
    this, last = (smoothed(texture(by)) for by in ((0.0, 0.0), (1.3, 0.2)))
    start = torch.ones(1, 2, 8, 12)
    plain, lighter = (Align(WIDE, 8, 3)(this, frame, start)[0] for frame in (last, last + 3.0))
    torch.testing.assert_close(plain, lighter, atol=1e-3, rtol=0)


def test_places_far_outside_the_frame_are_no_error() -> None:
    frame = smoothed(texture((0.0, 0.0)))
    for far in (-500.0, 500.0):
        shift, worth = Align(WIDE, 8, 3)(frame, frame, torch.full((1, 2, 8, 12), far))
        assert shift.isfinite().all() and worth.isfinite().all()
