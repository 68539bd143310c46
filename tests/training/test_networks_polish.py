"""Motions from the matches of all cells, against geometry in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training import networks
from training.networks.polish import Polish, Tracks, cross, rotation, skew, solved

IMAGE, ROAD = View(160, 64, 92.0, 90.0, 79.5, 31.5), View(64, 32, 160.0, 160.0, 31.5, -20.0)
VIEWS = {"image": IMAGE, "view_road": ROAD}
HINT = torch.zeros(1, 4)
MOTION = np.array([0.06, -0.03, 0.5, 0.01, -0.04, 0.006])
GROUND = 0.08
"""Slope below the horizon where it begins."""


def tracks(
    motion: NDArray[np.float64], pixels: float = 0.3, ground: float = 0.0, rise: float = 0.0
) -> dict[str, Tracks]:
    """From each cell to its place in the last frame: level ground where the ray meets it near enough, or ground that
    rises so much ahead, and random depths elsewhere. `ground` is how far that ground is taken for ground."""
    pose, found = geometry.from_motion(motion), {}
    for name, view in VIEWS.items():
        rays = view.rays()[::8, ::8]
        below = rays[..., 1] + rise
        depths = np.random.default_rng(0).uniform(1.5, 20.0, rays.shape[:2])
        depths = np.where(below > GROUND, 1 / np.maximum(below, GROUND), depths)
        x, y, z = np.moveaxis(rays * depths[..., None] @ pose[:3, :3].T + pose[:3, 3], 2, 0)
        rows, columns = np.indices(depths.shape) * 8
        shift = np.stack([view.fx * x / z + view.cx - columns, view.fy * y / z + view.cy - rows])
        sure = torch.tensor([pixels, pixels, 0.0]).view(1, 3, 1, 1).repeat(1, 1, *depths.shape)
        trust = torch.from_numpy(ground * (below > GROUND)).float()[None, None]
        found[name] = Tracks(torch.from_numpy(shift).float()[None], sure, trust)
    return found


def polished(guess: NDArray[np.float64], seen: dict[str, Tracks], worth: float = 1.0) -> Tensor:
    """`worth` is the guess's standard deviation beside that at first."""
    polish = Polish(VIEWS, 8, HINT.shape[1], 4)
    with torch.no_grad():
        polish.weighing.bias[2 * len(VIEWS) : -1] += math.log(worth)
        found, heard = polish(torch.from_numpy(guess)[None].float(), HINT, seen)
    assert heard.shape == HINT.shape and not heard.any()
    return found[0]


def errors(found: Tensor, truth: NDArray[np.float64]) -> tuple[float, float]:
    """Degrees of rotation and of direction."""
    motion = found.detach().double().numpy()
    turn = geometry.angle(geometry.invert(geometry.from_motion(truth)) @ geometry.from_motion(motion))
    way, right = (x[:3] / np.linalg.norm(x[:3]) for x in (motion, truth))
    return float(np.degrees(turn)), float(np.degrees(np.arctan2(np.linalg.norm(np.cross(way, right)), way @ right)))


MOTIONS = [MOTION, MOTION * [1, 1, -1, 1, 1, 1], MOTION * [1, 1, 1, 3, 4, 3], np.array([0.4, 0.01, 0.1, 0, 0.01, 0])]


@pytest.mark.parametrize("off", [0.0, 0.005])
@pytest.mark.parametrize("motion", MOTIONS)
def test_turn_and_direction_are_found_from_a_guess_that_is_off(motion: NDArray[np.float64], off: float) -> None:
    guess = motion + np.array([0.05, -0.03, 0.02, 1.0, -1.0, 0.5]) * np.array([1, 1, 1, off, off, off])
    turn, way = errors(polished(guess, tracks(motion), worth=3.0), motion)
    assert turn < 0.03 and way < 0.1


@pytest.mark.parametrize("share", [0.6, 1.5])
@pytest.mark.parametrize("motion", MOTIONS[:3])
@pytest.mark.parametrize("rise", [-0.015, 0.0, 0.015])
def test_the_ground_tells_the_length(motion: NDArray[np.float64], share: float, rise: float) -> None:
    guess = motion * [share, share, share, 1, 1, 1]
    found = polished(guess, tracks(motion, ground=1.0, rise=rise), worth=3.0)
    assert float(found[:3].norm()) == pytest.approx(float(np.linalg.norm(motion[:3])), rel=0.06 if rise else 0.02)
    assert errors(found, motion)[1] < 0.3


def test_without_ground_the_length_stays() -> None:
    guess = MOTION * [0.5, 0.5, 0.5, 1, 1, 1]
    found = polished(guess, tracks(MOTION))
    assert float(found[:3].norm()) == pytest.approx(float(np.linalg.norm(guess[:3])), rel=1e-2)


def test_what_is_no_ground_is_not_taken_for_it_above_the_horizon() -> None:
    seen = tracks(MOTION)
    everywhere = {name: Tracks(each.shift, each.spread, torch.ones_like(each.ground)) for name, each in seen.items()}
    view, below = VIEWS["image"], tracks(MOTION, ground=1.0)
    high = torch.from_numpy(view.rays()[::8, ::8, 1] < 0).float()
    above = {**below, "image": Tracks(below["image"].shift, below["image"].spread, below["image"].ground + high)}
    torch.testing.assert_close(polished(MOTION, above), polished(MOTION, below))
    assert (polished(MOTION, everywhere) - polished(MOTION, below)).abs().max() < 0.02


def test_a_third_of_the_matches_may_be_wrong() -> None:
    seen = tracks(MOTION, ground=1.0)
    astray = torch.rand(1, 1, 8, 20, generator=torch.Generator().manual_seed(0)) < 0.33
    shift, spread, ground = (getattr(seen["image"], name) for name in ("shift", "spread", "ground"))
    shift = torch.where(astray, shift + torch.tensor([9.0, -6.0]).view(1, 2, 1, 1), shift)
    turn, way = errors(polished(MOTION, {**seen, "image": Tracks(shift, spread, ground)}), MOTION)
    assert turn < 0.1 and way < 1.0


def test_who_knows_nothing_has_no_influence() -> None:
    guess = MOTION + np.array([0.05, 0, 0, 0.004, 0.004, 0])
    found = polished(guess, tracks(MOTION, pixels=1e4, ground=1.0))
    torch.testing.assert_close(found, torch.from_numpy(guess).float(), atol=1e-4, rtol=0)


@pytest.mark.parametrize(("known", "told"), [(0, False), (1, True)])
def test_an_edge_counts_across_it_alone(known: int, told: bool) -> None:
    """Sideways, all lines are level: only what is known up and down tells the pitch."""
    motion = np.array([0.2, 0.0, 0.0, 0.004, 0.0, 0.0])
    edges = tracks(motion)
    for each in edges.values():
        each.spread[:, 1 - known] = 20.0
    found = polished(motion * [1, 1, 1, 0, 1, 1], edges)
    assert float(found[3]) == pytest.approx(0.004 if told else 0.0, abs=3e-4)


@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_at_rest_the_way_stays_at_nothing(ground: float) -> None:
    found = polished(np.zeros(6), tracks(np.array([0, 0, 0, 0.004, 0, 0]), ground=ground))
    assert found.isfinite().all() and float(found[:3].abs().max()) < 1e-3
    assert float(found[3]) == pytest.approx(0.004, abs=2e-4)


def test_gradients_reach_what_the_cells_tell_and_the_guess() -> None:
    seen = tracks(MOTION, ground=0.5)
    parts = [part.requires_grad_() for each in seen.values() for part in (each.shift, each.spread, each.ground)]
    polish = Polish(VIEWS, 8, 4, 2)
    guess = torch.from_numpy(MOTION + 0.003)[None].float().requires_grad_()
    found, _ = polish(guess, HINT, seen)
    (found * torch.randn(6)).sum().backward()
    for value in (*parts, guess, polish.weighing.bias):
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any()


def test_gradients_agree_with_differences() -> None:
    polish = Polish(VIEWS, 8, 4, 2).double()
    seen = {
        name: Tracks(each.shift.double(), each.spread.double(), each.ground.double())
        for name, each in tracks(MOTION, ground=0.5).items()
    }
    guess = torch.from_numpy(MOTION + 0.003)[None]

    def of(shift: Tensor, ground: Tensor, guess: Tensor) -> Tensor:
        return polish(guess, HINT.double(), {**seen, "image": Tracks(shift, seen["image"].spread, ground)})[0]

    inputs = (seen["image"].shift.requires_grad_(), seen["image"].ground.requires_grad_(), guess.requires_grad_())
    assert torch.autograd.gradcheck(of, inputs, fast_mode=True)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.1, 0.5])
def test_rotation_is_that_of_the_vector(angle: float) -> None:
    turn = angle * np.array([0.6, -0.64, 0.48])
    expected = geometry.from_motion(np.concatenate([np.zeros(3), turn]))[:3, :3]
    np.testing.assert_allclose(rotation(torch.from_numpy(turn)[None])[0].numpy(), expected, atol=1e-5)


def test_cross_and_skew_are_the_cross_product() -> None:
    a, b = torch.randn(4, 5, 3), torch.randn(4, 5, 3)
    torch.testing.assert_close(cross(a, b), torch.linalg.cross(a, b))
    torch.testing.assert_close((skew(a[:, 0]) @ b[:, 0, :, None])[..., 0], torch.linalg.cross(a[:, 0], b[:, 0]))


def test_solved_is_torchs_solution() -> None:
    torch.manual_seed(0)
    root, vector = torch.randn(5, 6, 6), torch.randn(5, 6)
    matrix = root @ root.mT + 0.1 * torch.eye(6)
    torch.testing.assert_close(solved(matrix, vector), torch.linalg.solve(matrix, vector), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "changes", [{"unit": "metre"}, {"views": {"image": IMAGE, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}}]
)
def test_polishing_needs_camera_heights_and_level_views(changes: dict[str, object]) -> None:
    with pytest.raises(VodistillError, match="set polish to 0"):
        networks.build({"name": "swift-xxs", "polish": 2, **changes})


def test_a_network_guesses_what_one_without_polish_says() -> None:
    torch.manual_seed(3)
    polishing, plain = (networks.build({"name": "swift-xxs", "polish": steps}).eval() for steps in (2, 0))
    known = polishing.state_dict()
    plain.load_state_dict({name: known[name] for name in plain.state_dict()})
    image = torch.randint(0, 256, (1, 3, 96, 320), dtype=torch.uint8)
    told, said = polishing({"image": image}, features=True), plain({"image": image})
    torch.testing.assert_close(told.features["guess"], said.motion)
    assert (told.motion - said.motion).abs().max() > 1e-6
