"""Motions from the matches of all cells, against geometry in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch
from tests.training.matched import IMAGE, MOTION, VIEWS, errors, joined, tracks
from training import networks
from training.networks.polish import Polish

HINT = torch.zeros(1, 4)


def polished(guess: NDArray[np.float64], seen: dict[str, Tensor], worth: float = 1.0) -> NDArray[np.float64]:
    """`worth` is the guess's standard deviation beside that at first."""
    polish = Polish(VIEWS, 8, HINT.shape[1], 2)
    with torch.no_grad():
        polish.weighing.bias[2 * len(VIEWS) : -1] += math.log(worth)
        found, heard = polish(torch.from_numpy(guess)[None].float(), polish.counts(HINT), joined(seen))
    assert heard.shape == HINT.shape and not heard.any()
    return found[0].double().numpy()


MOTIONS = [MOTION, MOTION * [1, 1, -1, 1, 1, 1], MOTION * [1, 1, 1, 3, 4, 3], np.array([0.4, 0.01, 0.1, 0, 0.01, 0])]


@pytest.mark.parametrize("off", [0.0, 0.005])
@pytest.mark.parametrize("motion", MOTIONS)
def test_turn_and_direction_are_found_from_a_guess_that_is_off(motion: NDArray[np.float64], off: float) -> None:
    guess = motion + np.array([0.05, -0.03, 0.02, 1.0, -1.0, 0.5]) * np.array([1, 1, 1, off, off, off])
    turn, way = errors(polished(guess, tracks(motion), worth=5.2), motion)
    assert turn < 0.03 and way < 0.1


@pytest.mark.parametrize("share", [0.6, 1.5])
@pytest.mark.parametrize("motion", MOTIONS[:3])
@pytest.mark.parametrize("rise", [-0.015, 0.0, 0.015])
def test_the_ground_tells_the_length(motion: NDArray[np.float64], share: float, rise: float) -> None:
    guess = motion * [share, share, share, 1, 1, 1]
    found = polished(guess, tracks(motion, ground=1.0, rise=rise), worth=3.0)
    far, right = (float(np.linalg.norm(x[:3])) for x in (found, motion))
    assert far == pytest.approx(right, rel=0.06 if rise else 0.02)
    assert errors(found, motion)[1] < 0.3


def test_without_ground_the_length_stays() -> None:
    guess = MOTION * [0.5, 0.5, 0.5, 1, 1, 1]
    found = polished(guess, tracks(MOTION))
    assert float(np.linalg.norm(found[:3])) == pytest.approx(float(np.linalg.norm(guess[:3])), rel=1e-2)


def test_what_is_no_ground_is_not_taken_for_it_above_the_horizon() -> None:
    below = tracks(MOTION, ground=1.0)
    above, everywhere = ({name: told.clone() for name, told in below.items()} for _ in range(2))
    above["image"][:, 5] += torch.from_numpy(VIEWS["image"].rays()[::8, ::8, 1] < 0)
    for told in everywhere.values():
        told[:, 5] = 1.0
    np.testing.assert_allclose(polished(MOTION, above), polished(MOTION, below), atol=1e-6)
    assert np.abs(polished(MOTION, everywhere) - polished(MOTION, below)).max() < 0.02


def test_a_third_of_the_matches_may_be_wrong() -> None:
    seen = tracks(MOTION, ground=1.0)
    astray = torch.rand(1, 1, 8, 20, generator=torch.Generator().manual_seed(0)) < 0.33
    seen["image"][:, :2] += torch.where(astray, torch.tensor([9.0, -6.0]).view(1, 2, 1, 1), 0.0)
    turn, way = errors(polished(MOTION, seen), MOTION)
    assert turn < 0.1 and way < 1.0


def test_who_knows_nothing_has_no_influence() -> None:
    guess = MOTION + np.array([0.05, 0, 0, 0.004, 0.004, 0])
    found = polished(guess, tracks(MOTION, pixels=1e4, ground=1.0))
    np.testing.assert_allclose(found, guess, atol=1e-4)


@pytest.mark.parametrize(("known", "told"), [(0, False), (1, True)])
def test_an_edge_counts_across_it_alone(known: int, told: bool) -> None:
    """Sideways, all lines are level: only what is known up and down tells the pitch."""
    motion = np.array([0.2, 0.0, 0.0, 0.004, 0.0, 0.0])
    edges = tracks(motion)
    for each in edges.values():
        each[:, 3 - known] = 20.0
    found = polished(motion * [1, 1, 1, 0, 1, 1], edges)
    assert float(found[3]) == pytest.approx(0.004 if told else 0.0, abs=3e-4)


@pytest.mark.parametrize("ground", [0.0, 1.0])
def test_at_rest_the_way_stays_at_nothing(ground: float) -> None:
    found = polished(np.zeros(6), tracks(np.array([0, 0, 0, 0.004, 0, 0]), ground=ground))
    assert np.isfinite(found).all() and np.abs(found[:3]).max() < 1e-3
    assert float(found[3]) == pytest.approx(0.004, abs=2e-4)


SIDEWAYS = np.array([0.3, 0.02, -0.02, 0.004, -0.006, 0.003])
UP = np.array([0.02, -0.3, 0.03, -0.003, 0.005, 0.01])


@pytest.mark.parametrize("motion", [SIDEWAYS, UP, -SIDEWAYS, -UP, -MOTION])
def test_a_guess_of_quite_another_way_is_left(motion: NDArray[np.float64]) -> None:
    """Forwards was guessed, and a turn that is off by a degree."""
    guess = np.array([0.0, 0.0, 0.3, *(motion[3:] + [0.01, -0.01, 0.01])])
    turn, way = errors(polished(guess, tracks(motion)), motion)
    assert turn < 0.03 and way < 0.3


def test_many_pairs_are_polished_as_each_alone() -> None:
    motions = [MOTION, SIDEWAYS, -UP]
    guesses = [MOTION + 0.003, MOTION, UP]
    seen = [tracks(motion, ground=1.0) for motion in motions]
    alone = [polished(guess, told) for guess, told in zip(guesses, seen, strict=True)]
    told = torch.cat([joined(each) for each in seen])
    polish = Polish(VIEWS, 8, 4, 2)
    found, _ = polish(torch.from_numpy(np.stack(guesses)).float(), polish.counts(HINT.expand(3, -1)), told)
    np.testing.assert_allclose(found.detach().numpy(), np.stack(alone), atol=2e-5)


def test_gradients_reach_what_the_cells_tell_but_for_what_is_ground_and_the_guess() -> None:
    seen = joined(tracks(MOTION, ground=0.5)).requires_grad_()
    polish = Polish(VIEWS, 8, 4, 2)
    guess = torch.from_numpy(MOTION + 0.003)[None].float().requires_grad_()
    found, _ = polish(guess, polish.counts(HINT), seen)
    (found * torch.randn(6)).sum().backward()
    for value in (guess, polish.weighing.bias):
        assert value.grad is not None and value.grad.isfinite().all() and value.grad.any()
    assert seen.grad is not None and seen.grad.isfinite().all()
    assert seen.grad.any(2).flatten().tolist() == [True] * 5 + [False]


def test_gradients_agree_with_differences() -> None:
    """After so many steps that it does not matter where they began."""
    polish = Polish(VIEWS, 8, 4, 12).double()
    inputs = (torch.from_numpy(MOTION + 0.003)[None].requires_grad_(), joined(tracks(MOTION, ground=0.5)).double())
    inputs[1].requires_grad_()
    counts = polish.counts(HINT.double())
    assert torch.autograd.gradcheck(lambda guess, told: polish(guess, counts, told)[0], inputs, fast_mode=True)


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
