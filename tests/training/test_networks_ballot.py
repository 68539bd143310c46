"""The ground's vote on lengths, against places computed with numpy, exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training import networks
from training.networks.ballot import LONGEST, SHORTEST, Ballot, log_lengths
from training.networks.base import Match, StepModule

VIEW = View(96, 64, 60.0, 50.0, 47.5, 21.5)
MATCH = Match((4, 4), cell=4, spacing=8)
COUNT = 32


def displacements(motion: NDArray[np.float64], rise: float = 0.0, view: View = VIEW) -> NDArray[np.float64]:
    """(2, H/8, W/8) pixels from each cell of the new frame to what it shows in the last one: ground a camera height
    below, that rises so much ahead; NaN above the horizon."""
    pose = geometry.from_motion(motion)
    found = np.full((2, view.height // 8, view.width // 8), np.nan)
    for i, j in np.ndindex(found.shape[1:]):
        ray = view.rays_at([8.0 * j, 8.0 * i])
        down = ray[1] + rise * ray[2]
        if down <= 0.03:
            continue
        x, y, z = pose[:3, :3] @ (ray / down) + pose[:3, 3]
        if z > 0.2:
            found[:, i, j] = view.fx * x / z + view.cx - 8 * j, view.fy * y / z + view.cy - 8 * i
    return found


def scores(shift: NDArray[np.float64]) -> Tensor:
    """(1, D, H, W) a bump at each displacement; all alike where it is unknown or out of reach."""
    cells = np.arange(-4, 5)
    x, y = shift / MATCH.cell
    bump = -((cells[:, None, None, None] - y) ** 2) - (cells[:, None, None] - x) ** 2
    return torch.from_numpy(np.where(np.maximum(abs(x), abs(y)) < 4.5, bump, 0.0)).float().flatten(0, 1)[None]


def ballot(view: View = VIEW) -> Ballot:
    """That believes all that is said."""
    counter = Ballot({"image": view}, MATCH, COUNT, 3)
    torch.nn.init.constant_(counter.weighing.bias[:1], 1.0)
    return counter


def voted(motion: NDArray[np.float64], seen: Tensor, trust: Tensor | None = None, view: View = VIEW) -> Tensor:
    """(S, L) the votes."""
    trust = torch.ones(1, 1, 8, 12) if trust is None else trust
    return ballot(view).votes(torch.tensor(motion)[None].float(), {"image": seen}, {"image": trust})[0, 0]


def counted(motion: NDArray[np.float64], rise: float = 0.0, view: View = VIEW) -> Tensor:
    """(S, L) the votes, where the guess is right."""
    return 3 * voted(motion, scores(displacements(motion, rise, view)), view=view)


def elected(votes: Tensor) -> float:
    """The mean length, of (L,) votes."""
    return float(torch.softmax(votes, 0) @ log_lengths(COUNT).exp())


@pytest.mark.parametrize("length", [0.1, 0.3, 0.7, 1.2])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.01, 0.08, -0.01)])
@pytest.mark.parametrize(
    ("direction", "within"), [((0.0, 0.0, 1.0), 0.12), ((0.3, 0.0, 0.95), 0.12), ((0.05, -0.02, -1.0), 0.25)]
)
def test_the_true_length_is_elected(
    length: float, turn: tuple[float, ...], direction: tuple[float, ...], within: float
) -> None:
    """The way back is longer than it seems: the nearest cells were not in the last frame, and say nothing."""
    way = length * np.array(direction) / np.linalg.norm(direction)
    assert elected(counted(np.concatenate([way, turn]))[1]) == pytest.approx(length, rel=within)


@pytest.mark.parametrize("index", [0, 2])
def test_a_slope_is_not_taken_for_another_length(index: int) -> None:
    motion, rise, road = np.array([0, 0, 0.4, 0, 0.01, 0]), (-0.02, 0.0, 0.02)[index], View(96, 64, 240, 240, 47.5, -20)
    votes = counted(motion, rise, road)
    true = (log_lengths(COUNT).exp() - 0.4).abs().argmin()
    assert votes[index, true] > votes[1, true] > votes[2 - index, true] + 1
    right, level = (abs(elected(votes[i]) - 0.4) for i in (index, 1))
    assert right < min(level, 0.03)


AHEAD = np.array([0, 0, 0.7, 0, 0, 0])


def test_who_knows_nothing_has_no_influence() -> None:
    votes = voted(AHEAD, torch.full((1, 81, 8, 12), 3.0))
    torch.testing.assert_close(votes, torch.zeros_like(votes), atol=1e-4, rtol=0)


def test_who_is_not_trusted_has_no_influence() -> None:
    assert not voted(AHEAD, scores(displacements(AHEAD)), torch.zeros(1, 1, 8, 12)).any()


HINT = torch.tensor([[1.0, 0.0, 2.0]])


def ask(guess: Tensor, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return ballot()(guess, HINT, {"image": seen}, {"image": torch.ones(len(guess), 1, 8, 12)})


def test_a_guess_is_changed_to_what_the_votes_say_along_its_way() -> None:
    motion = np.array([0.06, 0.0, 0.6, 0.0, 0.05, 0.0])
    seen = scores(displacements(motion))
    guess = torch.tensor(motion)[None].float()
    guess[:, :3] *= 0.6
    total, heard, change = ask(guess, seen)
    assert total.shape == (1, COUNT)
    assert heard.shape == HINT.shape and not heard.any()
    changed = guess[0, :3] + change[0]
    torch.testing.assert_close(changed, torch.tensor(motion[:3]).float(), atol=0.06, rtol=0)
    torch.testing.assert_close(torch.linalg.cross(changed, guess[0, :3]), torch.zeros(3), atol=1e-6, rtol=0)


@pytest.mark.parametrize("length", [0.0, 1e-4, 0.02, 0.5, 2.5, 9.0])
def test_where_nothing_is_known_the_guess_stays(length: float) -> None:
    blank = torch.zeros(1, 81, 8, 12)
    _, _, change = ask(torch.tensor([[0.0, 0.0, length, 0.0, 0.1, 0.0]]), blank)
    torch.testing.assert_close(change, torch.zeros(1, 3), atol=1e-4, rtol=0)


def test_the_lengths_reach_from_the_shortest_to_the_longest() -> None:
    logs = log_lengths(COUNT)
    torch.testing.assert_close(logs[[0, -1]].exp(), torch.tensor([SHORTEST, LONGEST]))
    torch.testing.assert_close(logs.diff(), logs.diff()[:1].expand(COUNT - 1))


def test_scores_and_trust_learn_from_votes_and_the_guess_does_not() -> None:
    shift = displacements(np.array([0, 0, 0.7, 0, 0, 0]))
    seen = scores(shift).requires_grad_()
    guess = torch.tensor([[0.0, 0.0, 0.5, 0.0, 0.01, 0.0]], requires_grad=True)
    trust = torch.full((1, 1, 8, 12), 0.5, requires_grad=True)
    total, _, change = ballot()(guess, HINT, {"image": seen}, {"image": trust})
    (total.log_softmax(1)[0, 20] + change.sum()).backward()
    assert guess.grad is None
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (seen, trust))
    assert not trust.grad[:, :, :3].any()  # type: ignore[index]


def test_gradients_agree_with_differences() -> None:
    torch.manual_seed(0)
    vote = ballot().double()
    seen = torch.randn(1, 81, 8, 12, dtype=torch.float64, requires_grad=True)
    guess = torch.tensor([[0.01, 0.02, 0.5, 0.0, 0.013, 0.0]], dtype=torch.float64)
    trust = torch.rand(1, 1, 8, 12, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda seen: vote(guess, HINT.double(), {"image": seen}, {"image": trust}), (seen,), fast_mode=True
    )


VIEWS = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}


def network(**changes: object) -> networks.base.Network:
    torch.manual_seed(3)
    built = networks.build({"name": "swift-xxs", "views": VIEWS, "votes": COUNT, **changes}).eval()
    for parameter in built.ballot.heard.parameters():  # type: ignore[union-attr]
        torch.nn.init.normal_(parameter, std=0.3)
    return built


@torch.no_grad()
def test_a_network_that_asks_the_ground_says_the_same_frame_by_frame() -> None:
    asking = network()
    generator = torch.Generator().manual_seed(0)
    views = {
        n: torch.randint(0, 256, (1, 4, v.height, v.width), dtype=torch.uint8, generator=generator)
        for n, v in VIEWS.items()
    }
    clip = asking(views, features=True)
    assert clip.features["votes"].shape == (1, 3, COUNT)
    assert clip.features["guess"].shape == (1, 3, 6)
    states = asking.initial_states()
    for i in range(4):
        motion, log_variance, states = asking.step({n: v[:, i : i + 1] for n, v in views.items()}, states)
        if i:
            torch.testing.assert_close(motion[0], clip.motion[0, i - 1], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(log_variance[0], clip.log_variance[0, i - 1], rtol=1e-4, atol=1e-4)


def test_a_network_guesses_what_one_without_votes_says_and_keeps_all_but_the_length_of_the_way() -> None:
    torch.manual_seed(3)
    asking, plain = (networks.build({"name": "swift-xxs", "votes": votes}).eval() for votes in (COUNT, 0))
    known = asking.state_dict()
    plain.load_state_dict({name: known[name] for name in plain.state_dict()})
    image = torch.randint(0, 256, (1, 3, 96, 320), dtype=torch.uint8)
    told, said = asking({"image": image}, features=True), plain({"image": image})
    torch.testing.assert_close(told.features["guess"], said.motion)
    torch.testing.assert_close(told.motion[..., 3:], said.motion[..., 3:])
    assert (told.motion - said.motion)[..., :3].abs().max() > 1e-6
    torch.testing.assert_close(torch.linalg.cross(told.motion[..., :3], said.motion[..., :3]), torch.zeros(1, 2, 3))
    assert plain.parameter_count() < asking.parameter_count()


@pytest.mark.parametrize(
    "changes", [{"unit": "metre"}, {"views": {"image": VIEW, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}}]
)
def test_votes_need_camera_heights_and_level_views(changes: dict[str, object]) -> None:
    with pytest.raises(VodistillError, match="set votes and polish to 0"):
        networks.build({"name": "swift-xxs", "votes": COUNT, **changes})


def test_the_step_function_has_no_more_inputs_for_it() -> None:
    asking, plain = (
        StepModule(network(votes=votes)) if votes else StepModule(networks.build({"name": "swift-xxs", "views": VIEWS}))
        for votes in (COUNT, 0)
    )
    assert asking.input_names == plain.input_names and asking.output_names == plain.output_names
