"""The loss on matches, by hand, and where the cells of a network's correlations are."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import View
from tests.training.toy import description, network
from training import networks
from training.config import Data
from training.data import streams
from training.learner import Learner
from training.losses.matching import matching
from training.networks.base import Match
from training.stages import Pose, Stage

CELLS = Match((1, 2), cell=4, spacing=8)


def flow(x: float, y: float, height: int = 3, width: int = 5) -> Tensor:
    """(1, 1, 2, H, W) the same everywhere, pixels."""
    return torch.tensor([x, y]).view(1, 1, 2, 1, 1).repeat(1, 1, 1, height, width)


def loss(scores: Tensor, flow: Tensor, match: Match = CELLS) -> Tensor:
    return matching({"m": scores}, {"m": match}, {"image": flow})


def test_a_network_that_knows_nothing_is_surprised_by_the_number_of_cells() -> None:
    assert float(loss(torch.zeros(1, 1, 15, 3, 5), flow(0.0, 0.0))) == pytest.approx(math.log(15), rel=1e-6)


def test_a_network_that_knows_a_whole_displacement_is_not_surprised() -> None:
    scores = torch.full((1, 1, 15, 3, 5), -50.0)
    scores[:, :, 0 * 5 + 3] = 50.0  # one cell up, one to the right
    assert float(loss(scores, flow(4.0, -4.0))) == pytest.approx(0.0, abs=1e-6)
    assert float(loss(scores, flow(0.0, 0.0))) > 50
    corner = torch.full((1, 1, 15, 3, 5), -50.0)
    corner[:, :, 14] = 50.0  # as far as it reaches
    assert float(loss(corner, flow(8.0, 4.0))) == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("way", [1, -1])
def test_between_cells_the_truth_is_shared_bilinearly(way: int) -> None:
    near = {(0, 1): 0.75 * 0.75, (0, 2): 0.25 * 0.75, (1, 1): 0.75 * 0.25, (1, 2): 0.25 * 0.25}  # (dy, dx): (1/4, 5/4)
    shares = {(way * dy, way * dx): share for (dy, dx), share in near.items()}
    scores = torch.full((1, 1, 15, 3, 5), -60.0)
    for (dy, dx), share in shares.items():
        scores[:, :, (dy + 1) * 5 + dx + 2] = math.log(share)
    entropy = -sum(share * math.log(share) for share in shares.values())
    assert float(loss(scores, flow(way * 5.0, way * 1.0))) == pytest.approx(entropy, rel=1e-5)
    learnt = torch.zeros(1, 1, 15, 3, 5, requires_grad=True)
    loss(learnt, flow(way * 5.0, way * 1.0)).backward()
    assert learnt.grad is not None
    cells = learnt.grad[0, 0].any(0).sum()
    pull = -cells * learnt.grad[0, 0, :, 1, 2]  # of one of the cells: the truth's share less the network's
    assert float(pull[5 + 2 + way]) == pytest.approx(shares[0, way] - 1 / 15, rel=1e-5)
    assert float(pull[7]) == pytest.approx(-1 / 15, rel=1e-5)


def test_the_least_surprising_scores_have_the_true_displacement_as_their_mean() -> None:
    scores = torch.zeros(1, 1, 15, 3, 5, requires_grad=True)
    optimiser = torch.optim.Adam([scores], 0.3)
    for _ in range(300):
        optimiser.zero_grad()
        loss(scores, flow(-2.6, 1.2)).backward()
        optimiser.step()
    likely = scores.detach().softmax(2)[0, 0, :, 1, 2].view(3, 5)
    x, y = (likely.sum(0) * torch.arange(-2.0, 3)).sum(), (likely.sum(1) * torch.arange(-1.0, 2)).sum()
    assert float(4 * x) == pytest.approx(-2.6, abs=0.05) and float(4 * y) == pytest.approx(1.2, abs=0.05)


@pytest.mark.parametrize("away", [(math.nan, 0.0), (8.1, 0.0), (0.0, -4.1)])
def test_what_is_unknown_or_out_of_reach_does_not_teach(away: tuple[float, float]) -> None:
    truth = flow(0.0, 0.0)
    truth[..., 1, 2] = torch.tensor(away)
    scores = torch.randn(1, 1, 15, 3, 5, requires_grad=True)
    loss(scores, truth).backward()
    assert scores.grad is not None and scores.grad.isfinite().all()
    assert not scores.grad[..., 1, 2].any() and scores.grad[..., 1, 1].any()


NONE = slice(0)


@pytest.mark.parametrize(
    ("shift", "offset", "outside"),
    [
        ((-4.0, 0.0), 0, (slice(None), 0)),  # cells are at 0, 8, .. 32 across and 0, 8, 16 down, of 40 x 24 pixels
        ((8.0, 0.0), 0, (slice(None), 4)),
        ((0.0, -4.0), 0, (0, slice(None))),
        ((0.0, 4.0), 0, (NONE, NONE)),
        ((-4.0, 0.0), 4, (NONE, NONE)),  # four pixels further
        ((4.0, 0.0), 4, (slice(None), 4)),
        ((0.0, 4.0), 4, (2, slice(None))),
    ],
)
def test_matches_outside_the_last_frame_do_not_teach(
    shift: tuple[float, float], offset: int, outside: tuple[int | slice, int | slice]
) -> None:
    scores = torch.randn(1, 1, 15, 3, 5, requires_grad=True)
    loss(scores, flow(*shift), replace(CELLS, offset=offset)).backward()
    assert scores.grad is not None
    expected = torch.ones(3, 5, dtype=torch.bool)
    expected[outside] = False
    assert torch.equal(scores.grad[0, 0].any(0), expected)


def test_nothing_known_is_no_loss() -> None:
    assert float(loss(torch.randn(1, 1, 15, 3, 5), torch.full((1, 1, 2, 3, 5), math.nan))) == 0.0


@pytest.mark.parametrize("shift", [(0, 0), (16, 0), (-16, 16)])
@torch.no_grad()
def test_scores_of_a_network_are_where_the_loss_takes_them_to_be(shift: tuple[int, int]) -> None:
    """An image that moves by whole cells of every correlation: its features move with it, trained or not."""
    torch.manual_seed(0)
    view = View(192, 128, 120.0, 120.0, 95.5, 63.5)
    learner = networks.build({"name": "swift-xs", "views": {"image": view, "view_road": view}}).eval()
    # Smooth, so that features of two frames with other borders are alike.
    coarse = torch.rand(1, 1, 16, 24)
    last = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 1)[0, 0] * 255
    dx, dy = shift
    this = last.roll((-dy, -dx), (0, 1))  # pixel (x, y) shows what (x + dx, y + dy) did
    clip = torch.stack([last, this]).to(torch.uint8)[None]
    still = last.to(torch.uint8).expand(1, 2, -1, -1)
    features = learner({"image": still, "view_road": clip}, features=True).features
    swapped = learner({"image": clip, "view_road": still}, features=True).features
    grid = flow(dx, dy, 16, 24)
    assert {match.view for match in learner.matches.values()} == {"image", "view_road"}
    for name, match in learner.matches.items():
        if max(abs(dx) / match.radius[1], abs(dy) / match.radius[0]) > match.cell:
            continue
        seen, truths = features if match.view == "view_road" else swapped, (grid, flow(-dx, -dy + 16.0, 16, 24))
        known, other = (matching(seen, {name: match}, {match.view: truth}) for truth in truths)
        assert float(known) < float(other) - 0.5, name


def test_who_cannot_learn_matches_is_refused() -> None:
    stage = Stage(pose=(Pose("baseline"),), matching=1.0)
    with pytest.raises(VodistillError, match="finds no matches"):
        Learner(network(), description(), stage)
    with pytest.raises(VodistillError, match="need optical flow"):
        streams.training(Data(kind="kitti"), network(), 4, 0, torch.device("cpu"), flow=True)
