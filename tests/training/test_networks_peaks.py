"""Where cells were: peaks of scores, against bumps whose place is known, and frames that moved by a known way."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ros2_vodistill.view import View
from training.networks.align import Align, smoothed
from training.networks.base import Match
from training.networks.peaks import Peaks, Seen, spread

NEAR, FAR = Match((3, 4), cell=4, spacing=8), Match((3, 3), cell=8, spacing=8)
ONE, SIX, WIDE = (View(width, height, 60.0, 60.0, 20.0, 20.0) for width, height in ((8, 8), (24, 16), (96, 64)))
CONTEXT, FLAT = torch.zeros(1, 5, 1, 1), torch.zeros(1, 49, 1, 1)


def bump(x: float, y: float, sharp: float = 12.0, match: Match = NEAR) -> Tensor:
    """(1, D, 1, 1) scores of one cell that was (x, y) cells away."""
    down, across = (torch.arange(-float(r), r + 1.0) for r in match.radius)
    return -sharp * ((down[:, None] - y) ** 2 + (across - x) ** 2).view(1, -1, 1, 1)


def flat(scores: Tensor) -> Tensor:
    """The far correlation's, where all is alike."""
    return torch.zeros(1, 49, *scores.shape[2:])


def blank(view: View) -> Tensor:
    return torch.zeros(1, 1, view.height, view.width)


def seen(scores: Tensor, view: View = ONE, far: Tensor | None = None) -> Tensor:
    """What cells tell (6, P) by peaks that have learned nothing, and believe the scores, in frames that say nothing."""
    peaks = Peaks(NEAR, FAR, {"image": view}, 5)
    tell = peaks.read["image"].tell
    assert isinstance(tell, torch.nn.Linear)
    torch.nn.init.zeros_(tell.weight)
    with torch.no_grad():
        tell.bias[5] = -20.0
    context = torch.zeros(1, 5, *scores.shape[2:])
    return peaks([Seen(scores, flat(scores) if far is None else far, blank(view), blank(view), context)])[0]


def texture(moved: tuple[float, float], seed: int = 0) -> Tensor:
    """(1, 1, 64, 96) waves of many lengths, exactly displaced by pixels (x, y)."""
    random = torch.Generator().manual_seed(seed)
    waves = 0.5 * torch.randn(60, 2, generator=random)
    phases = 6.3 * torch.rand(60, generator=random)
    y, x = torch.meshgrid(torch.arange(64.0) - moved[1], torch.arange(96.0) - moved[0], indexing="ij")
    return torch.cos(x[..., None] * waves[:, 0] + y[..., None] * waves[:, 1] + phases).mean(2)[None, None] * 7


@pytest.mark.parametrize("place", [(0.0, 0.0), (1.0, -2.0), (-4.0, 3.0), (4.0, -3.0), (4.0, 3.0)])
def test_whole_displacements_are_found_up_to_the_edge_of_reach(place: tuple[float, float]) -> None:
    shift = seen(bump(*place))[:2]
    torch.testing.assert_close(shift[:, 0], 4 * torch.tensor(place), atol=1e-3, rtol=0)


@pytest.mark.parametrize("place", [(0.4, -0.3), (-2.3, 1.45), (1.7, 0.6)])
def test_fractions_are_the_mean_around_the_peak(place: tuple[float, float]) -> None:
    shift = seen(bump(*place, sharp=0.8))[:2]
    torch.testing.assert_close(shift[:, 0], 4 * torch.tensor(place), atol=0.25, rtol=0)


def test_what_is_far_from_the_peak_does_not_pull() -> None:
    two = torch.maximum(bump(2.0, 1.0), bump(-3.0, -2.0) - 0.1)
    shift = seen(two)[:2]
    torch.testing.assert_close(shift[:, 0], torch.tensor([8.0, 4.0]), atol=1e-3, rtol=0)


@pytest.mark.parametrize("place", [(3.0, -1.0), (-3.0, 0.0), (0.0, 3.0)])
def test_what_moved_beyond_the_near_reach_is_found_by_the_far_one(place: tuple[float, float]) -> None:
    shift = seen(bump(1.0, -1.0), far=bump(*place, match=FAR))[:2]
    torch.testing.assert_close(shift[:, 0], 8 * torch.tensor(place), atol=1e-3, rtol=0)


@pytest.mark.parametrize("place", [(2.0, 0.0), (-1.0, 1.0), (0.0, 0.0)])
def test_within_the_near_reach_the_near_one_tells(place: tuple[float, float]) -> None:
    shift = seen(bump(1.0, -1.0), far=bump(*place, match=FAR))[:2]
    torch.testing.assert_close(shift[:, 0], torch.tensor([4.0, -4.0]), atol=1e-3, rtol=0)


def test_where_all_is_alike_a_cell_stays_whatever_the_rounding() -> None:
    blank = torch.full((1, 63, 1, 1), 3.0)
    for i in range(63):
        rounded = blank.clone()
        rounded[0, i] += 1e-6
        far = FLAT.clone()
        far[0, i % 49] += 1e-6
        torch.testing.assert_close(seen(rounded, far=far)[:2], torch.zeros(2, 1), atol=0.05, rtol=0)


def test_the_peak_of_each_cell_is_its_own() -> None:
    rows = [torch.cat([bump(x, y) for x in (-1.0, 2.0, 3.0)], 3) for y in (1.0, -3.0)]
    told = seen(torch.cat(rows, 2), SIX)
    assert told.shape == (6, 6)
    torch.testing.assert_close(told[0], torch.tensor([-4.0, 8.0, 12.0] * 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(told[1], torch.tensor([4.0] * 3 + [-12.0] * 3), atol=1e-3, rtol=0)


def test_the_cells_of_all_views_are_told_one_after_the_other() -> None:
    torch.manual_seed(0)
    views = {"image": WIDE, "view_road": SIX}
    both = Peaks(NEAR, FAR, views, 5)
    parts = []
    for view in views.values():
        rows, columns = view.height // 8, view.width // 8
        near, far, context = (torch.randn(1, channels, rows, columns) for channels in (63, 49, 5))
        this, last = torch.randn(2, 1, 1, view.height, view.width)
        parts.append(Seen(near, far, this, last, context))
    told = both(parts)
    assert told.shape == (1, 6, 96 + 6)
    for name, part, cells in zip(views, parts, told.split([96, 6], 2), strict=True):
        alone = Peaks(NEAR, FAR, {name: views[name]}, 5)
        alone.load_state_dict({key: value for key, value in both.state_dict().items() if f".{name}." in key})
        torch.testing.assert_close(alone([part]), cells)


def test_what_is_learned_sees_the_same_wherever_the_peak_is() -> None:
    torch.manual_seed(0)
    peaks = Peaks(NEAR, FAR, {"image": ONE}, 5)
    torch.nn.init.normal_(peaks.read["image"].tell.weight)  # type: ignore[union-attr, arg-type]
    here, there = (
        peaks([Seen(bump(x, 0.3, 2.0), FLAT, blank(ONE), blank(ONE), CONTEXT)])[0, :, 0] for x in (-1.8, 1.2)
    )
    torch.testing.assert_close(there[:2] - here[:2], torch.tensor([12.0, 0.0]), atol=3e-2, rtol=0)
    torch.testing.assert_close(here[2:], there[2:], atol=1e-2, rtol=1e-2)


def test_a_spread_is_a_root_of_a_covariance() -> None:
    expected = torch.tensor([0.5, -0.2, -0.2]).exp() * torch.tensor([1.0, 1.0, 0.8])
    torch.testing.assert_close(spread(torch.tensor([[0.5, -0.2, 0.8]]))[0], expected)


def test_scores_and_context_learn() -> None:
    torch.manual_seed(0)
    scores, context = bump(0.3, 0.2, 0.5).requires_grad_(), torch.randn(1, 5, 1, 1, requires_grad=True)
    Peaks(NEAR, FAR, {"image": ONE}, 5)([Seen(scores, FLAT, blank(ONE), blank(ONE), context)]).sum().backward()
    for value in (scores, context):
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any()


@pytest.mark.parametrize("moved", [(0.0, 0.0), (0.3, -0.4), (2.5, 1.2), (-3.6, -1.7)])
def test_images_tell_a_fraction_of_a_pixel(moved: tuple[float, float]) -> None:
    this, last = (smoothed(texture(by)) for by in ((0.0, 0.0), moved))
    start = torch.tensor(moved).round()[:, None].expand(1, 2, 96)
    shift, worth = Align([WIDE], 8, 3)([this], [last], start)
    inside = (shift[0] - torch.tensor(moved)[:, None]).unflatten(1, (8, 12))[:, 2:-2, 2:-2]
    assert float(inside.abs().median()) < 0.05 and float(inside.flatten(1).mean(1).abs().max()) < 0.04
    assert worth.shape == (1, 4, 96) and (worth[:, :2] > 0).all()


@pytest.mark.parametrize("contrast", [0.15, 1.0])
@pytest.mark.parametrize("off", [(1.5, -1.0), (-1.0, 1.2)])
def test_cells_are_not_held_where_they_begin(off: tuple[float, float], contrast: float) -> None:
    """However faint their texture is: a motion that is measured from all of them would inherit it."""
    moved = (0.8, -1.1)
    this, last = (contrast * smoothed(texture(by)) for by in ((0.0, 0.0), moved))
    start = (torch.tensor(moved) + torch.tensor(off))[:, None].expand(1, 2, 96)
    shift, _ = Align([WIDE], 8, 4)([this], [last], start)
    inside = (shift[0] - torch.tensor(moved)[:, None]).unflatten(1, (8, 12))[:, 2:-2, 2:-2].flatten(1)
    assert float(inside.median(1).values.abs().max()) < 0.05


def test_a_smooth_wall_is_left_where_it_is() -> None:
    wall, start = torch.full((1, 1, 64, 96), 0.7), torch.full((1, 2, 96), 2.5)
    shift, worth = Align([WIDE], 8, 3)([wall], [wall], start)
    torch.testing.assert_close(shift, start)
    torch.testing.assert_close(worth, torch.zeros_like(worth))


def test_brightness_does_not_matter() -> None:
    this, last = (smoothed(texture(by)) for by in ((0.0, 0.0), (1.3, 0.2)))
    start = torch.ones(1, 2, 96)
    plain, lighter = (Align([WIDE], 8, 3)([this], [frame], start)[0] for frame in (last, last + 3.0))
    torch.testing.assert_close(plain, lighter, atol=1e-3, rtol=0)


def test_where_training_halves_products_images_tell_as_much() -> None:
    this, last = (smoothed(texture(by)) for by in ((0.0, 0.0), (1.3, 0.2)))
    align, start = Align([WIDE], 8, 3), torch.ones(1, 2, 96)
    shift, worth = align([this], [last], start)
    with torch.autocast("cpu", torch.bfloat16):
        halved, worth_halved = align([this], [last], start)
    torch.testing.assert_close(halved, shift)
    torch.testing.assert_close(worth_halved, worth)


def test_an_edge_is_moved_across_it_alone() -> None:
    """Slopes all of one direction: what may be divided by next to nothing."""
    x = torch.arange(96.0).expand(1, 1, 64, 96)
    this, last = (30.0 * torch.tanh((x - by) / 2 % 16 - 8) for by in (0.0, 1.0))
    shift, _ = Align([WIDE], 8, 4)([this], [last], torch.zeros(1, 2, 96))
    assert shift.isfinite().all() and float(shift[:, 1].abs().max()) < 0.1


def test_places_far_outside_the_frame_are_no_error() -> None:
    frame = smoothed(texture((0.0, 0.0)))
    for far in (-500.0, 500.0):
        shift, worth = Align([WIDE], 8, 3)([frame], [frame], torch.full((1, 2, 96), far))
        assert shift.isfinite().all() and worth.isfinite().all()
