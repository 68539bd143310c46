"""The loss on where cells were in the last frame, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import View
from tests.training.toy import description
from training import config, networks
from training.data.batch import Batch
from training.learner import Learner
from training.losses import Confidence
from training.losses.tracking import TAILS, tracking
from training.networks.base import of_view
from training.stages import Feature, Pose, Stage
from training.teacher import Teacher


def loss(shift: tuple[float, float], spread: tuple[float, float, float], flow: Tensor) -> float:
    """Of one frame of 2x3 cells that all say the same."""
    said, sure = (torch.tensor(x).view(1, 1, -1, 1, 1).expand(1, 1, len(x), 2, 3) for x in (shift, spread))
    return float(tracking({"image": said}, {"image": sure}, {"image": flow}))


def flow(x: float, y: float) -> Tensor:
    return torch.tensor([x, y]).view(1, 1, 2, 1, 1).repeat(1, 1, 1, 2, 3)


def test_where_the_truth_is_told_only_the_spread_counts() -> None:
    assert loss((3.0, -1.0), (0.5, 0.25, 0.1), flow(3.0, -1.0)) == pytest.approx(math.log(0.5) + math.log(0.25))


def test_errors_are_measured_by_the_spread() -> None:
    """The spread's covariance is [[0.25, 0.15], [0.15, 0.25]]."""
    a, b, c = 0.5, 0.4, 0.3
    error = torch.tensor([1.0, -0.5])
    covariance = torch.tensor([[a * a, a * c], [a * c, b * b + c * c]])
    squared = float(error @ torch.linalg.solve(covariance, error))
    expected = (TAILS + 2) / 2 * math.log1p(squared / TAILS) + 0.5 * float(covariance.logdet())
    assert loss((0.0, 0.0), (a, b, c), flow(1.0, -0.5)) == pytest.approx(expected, rel=1e-5)


def test_it_is_least_where_the_spread_is_that_of_the_errors() -> None:
    torch.manual_seed(0)
    truth = 2.0 * torch.randn(1, 1, 2, 100, 100)
    at = {
        s: float(tracking({"image": torch.zeros(1, 1, 2, 100, 100)},
                          {"image": torch.tensor([s, s, 0.0]).view(1, 1, 3, 1, 1).expand(1, 1, 3, 100, 100)},
                          {"image": truth}))
        for s in (0.5, 1.0, 1.5, 3.0, 6.0)
    }  # fmt: skip
    assert min(at, key=at.__getitem__) == 1.5


def test_cells_whose_flow_is_unknown_do_not_count() -> None:
    partly = flow(1.0, 0.0)
    partly[..., 0, :] = torch.nan
    assert loss((1.0, 0.0), (1.0, 1.0, 0.0), partly) == loss((1.0, 0.0), (1.0, 1.0, 0.0), flow(1.0, 0.0)) == 0.0
    assert loss((1.0, 0.0), (1.0, 1.0, 0.0), torch.full((1, 1, 2, 2, 3), torch.nan)) == 0.0


def test_unknown_flow_leaves_no_gradient_behind() -> None:
    shift = torch.zeros(1, 1, 2, 2, 3, requires_grad=True)
    spread = torch.ones(1, 1, 3, 2, 3, requires_grad=True)
    partly = flow(1.0, 1.0)
    partly[..., 0, 0] = torch.nan
    tracking({"image": shift}, {"image": spread}, {"image": partly}).backward()
    for value in (shift, spread):
        assert value.grad is not None and value.grad.isfinite().all()
        assert not value.grad[..., 0, 0].any() and value.grad[..., 1, 1].any()


def test_finer_flow_is_averaged() -> None:
    fine = torch.zeros(1, 1, 2, 4, 6)
    fine[:, :, 0, ::2] = 2.0
    assert loss((1.0, 0.0), (1.0, 1.0, 0.0), fine) == 0.0


def test_views_count_alike() -> None:
    maps = [{"image": torch.zeros(1, 1, n, 2, 3), "view_road": torch.zeros(1, 1, n, 1, 1)} for n in (2, 3)]
    maps[1] = {name: value + torch.tensor([1.0, 1.0, 0.0]).view(3, 1, 1) for name, value in maps[1].items()}
    truth = {"image": flow(0.0, 0.0), "view_road": torch.tensor([3.0, 0.0]).view(1, 1, 2, 1, 1)}
    assert float(tracking(*maps, truth)) == pytest.approx((TAILS + 2) / 4 * math.log1p(9 / TAILS))


VIEWS = {"image": View(64, 32, 40.0, 40.0, 31.5, 15.5), "view_road": View(96, 32, 80.0, 80.0, 47.5, -6.0)}


@pytest.fixture
def clip() -> Batch:
    """Noise that moves by a cell to the left from frame to frame, in every view."""
    random = torch.Generator().manual_seed(0)
    views, known = {}, {}
    for name, view in VIEWS.items():
        first = torch.randint(0, 256, (2, view.height, view.width), dtype=torch.uint8, generator=random)
        views[name] = torch.stack([first.roll(-4 * i, 2) for i in range(3)], 1)
        shift = torch.tensor([4.0, 0.0]).view(2, 1, 1)
        known[name] = shift.expand(2, 2, 2, view.height // 8, view.width // 8).clone()
    motions = torch.zeros(2, 2, 6)
    motions[..., 2] = 0.3
    return Batch(views, motions, None, known)


def test_tracking_reaches_the_cells_and_what_they_are_made_of(clip: Batch) -> None:
    torch.manual_seed(0)
    tracking_network = networks.build({"name": "swift-xxs", "views": VIEWS, "polish": 2})
    learner = Learner(tracking_network, {}, Stage(tracking=1.0))
    losses = learner(clip, 0)
    losses["loss"].backward()
    assert set(losses) == {"loss", "tracking"}
    reached = {name for name, p in tracking_network.named_parameters() if p.grad is not None and p.grad.any()}
    for view in VIEWS:
        assert any(name.startswith(f"peaks.read.{view}.tell") for name in reached)
        assert any(name.startswith(f"encoders.{view}.quarter") for name in reached)
    assert not any(name.startswith(("polish", "head", "hint", "memory")) for name in reached)


def test_grounding_reaches_what_says_it_and_not_where_cells_were(clip: Batch) -> None:
    torch.manual_seed(0)
    network = networks.build({"name": "swift-xxs", "views": VIEWS, "polish": 1})
    losses = Learner(network, {}, Stage(grounding=2.0))(clip, 0)
    losses["loss"].backward()
    assert set(losses) == {"loss", "grounding"} and losses["loss"] > 0
    for view in VIEWS:
        told = network.get_parameter(f"peaks.read.{view}.tell.weight").grad
        assert told is not None and told[6].any() and not told[:6].any()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert not any(name.startswith(("polish", "head", "hint", "memory")) for name in reached)


def test_a_student_learns_how_much_its_teacher_lets_each_side_count(clip: Batch) -> None:
    """By a layer over its own hint, and nothing else of it moves."""
    torch.manual_seed(0)
    knowing, network = (networks.build({"name": "swift-xxs", "views": VIEWS, "polish": 1}) for _ in range(2))
    torch.nn.init.normal_(knowing.get_parameter("polish.weighing.weight"), std=0.1)
    frozen = ("head.*", "peaks.*", "polish.heard.*")
    stage = Stage(features=(Feature("ht", "counts", "counts"),), train="after_hint", freeze=frozen)
    learner = Learner(network, {}, stage, teacher=Teacher(knowing, config.Confidence(), Confidence(0.0, 1.0)))
    optimiser = torch.optim.Adam(learner.parameters(), 3e-2)
    losses = []
    for step in range(25):
        optimiser.zero_grad()
        losses.append(learner(clip, step)["loss"])
        losses[-1].backward()
        optimiser.step()
    reached = {name for name, p in network.named_parameters() if p.grad is not None}
    assert reached == {"polish.weighing.weight", "polish.weighing.bias"}
    theirs, own = (n(clip.views, features=True).features["counts"] for n in (knowing, network))
    assert theirs.shape == own.shape == (2, 2, 2 * len(VIEWS) + 6)
    assert float(losses[-1].detach()) < 0.2 * float(losses[0].detach())


def test_cells_of_both_views_learn_where_they_were(clip: Batch) -> None:
    torch.manual_seed(0)
    tracking_network = networks.build({"name": "swift-xxs", "views": VIEWS, "polish": 1})
    learner = Learner(tracking_network, {}, Stage(tracking=1.0))
    optimiser = torch.optim.Adam(learner.parameters(), 3e-3)
    before = float(learner(clip, 0)["tracking"].detach())
    for step in range(30):
        optimiser.zero_grad()
        loss = learner(clip, step)["loss"]
        loss.backward()
        optimiser.step()
    features = tracking_network(clip.views, features=True).features
    assert float(loss.detach()) < before - 1.0
    for view in VIEWS:
        shift = features[of_view("shift", view)][:, :, :, :, 1:-1].detach()
        assert float((shift - torch.tensor([4.0, 0.0]).view(2, 1, 1)).abs().median()) < 0.2


def test_a_guess_is_judged_for_itself(clip: Batch) -> None:
    """Its loss is that of the guess, and no cell's and no polish's concern; what else there is has no variances."""
    torch.manual_seed(0)
    network = networks.build({"name": "swift-xxs", "views": VIEWS, "polish": 1})
    learner = Learner(network, {}, Stage(pose=(Pose("baseline"), Pose("baseline", 3.0, of="guess"))), 50.0)
    losses = learner(clip, 0)
    guess = network(clip.views, features=True).features["guess"]
    off = (guess - clip.motions) * torch.tensor([1.0, 1.0, 1.0, *[50.0**0.5] * 3])
    torch.testing.assert_close(losses["baseline:guess"], 3 * off.square().sum(-1).mean())
    assert float(losses["baseline"].detach()) != pytest.approx(float(losses["baseline:guess"].detach()) / 3, rel=1e-3)
    losses["baseline:guess"].backward()
    reached = {name for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.startswith("head") for name in reached)
    assert not any(name.startswith(("polish", "peaks")) for name in reached)
    with pytest.raises(VodistillError, match="log-variance"):
        Learner(network, {}, Stage(pose=(Pose("laplace", of="guess"),)))(clip, 0)


@pytest.mark.parametrize("feature", ["guess", "hint"])
def test_what_is_no_motion_cannot_be_judged(clip: Batch, feature: str) -> None:
    plain = networks.build({"name": "swift-xxs", "views": VIEWS})
    with pytest.raises(VodistillError, match=f"no motions '{feature}'"):
        Learner(plain, {}, Stage(pose=(Pose("baseline", of=feature),)))(clip, 0)


@pytest.mark.parametrize("loss", ["tracking", "grounding"])
def test_a_network_that_tracks_nothing_cannot_learn_it(loss: str) -> None:
    with pytest.raises(VodistillError, match=f"tracks no cells\n  leave `{loss}` out"):
        Learner(networks.build(description()), description(), Stage(**{loss: 1.0}))  # type: ignore[arg-type]
