"""The loss on optical flow, by hand; and what it teaches."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from tests.training.toy import description, network
from training.data.batch import Batch
from training.learner import Learner
from training.losses.flow import OpticalFlow
from training.stages import Flow, Pose, Stage


def reader(weight: list[list[float]]) -> OpticalFlow:
    loss = OpticalFlow(len(weight[0]))
    with torch.no_grad():
        loss.read.weight.copy_(torch.tensor(weight)[:, :, None, None])
        loss.read.bias.zero_()
    return loss


def field(x: float, y: float, height: int = 4, width: int = 6) -> Tensor:
    return torch.tensor([x, y]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def test_a_perfect_reading_costs_nothing_and_a_gap_its_root() -> None:
    loss = reader([[1.0, 0.0], [0.0, 1.0]])
    feature = field(0.5, -0.25).requires_grad_()  # units of 8 pixels
    perfect = loss(feature, field(4.0, -2.0))
    assert float(perfect.detach()) == pytest.approx(0.0, abs=1e-5)
    perfect.backward()
    assert feature.grad is not None and not feature.grad.any()
    gap = float(loss(feature, field(4.0 + 24.0, -2.0 + 32.0)).detach())  # 40 pixels, 5 units
    assert gap == pytest.approx(5.1**0.4 - 0.1**0.4, rel=1e-5)


def test_finer_flow_is_averaged_and_unknown_flow_does_not_count() -> None:
    loss = reader([[1.0, 0.0], [0.0, 1.0]])
    fine = field(8.0, 0.0, 8, 12)
    fine[..., 1::2] = 16.0 * torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    assert float(loss(field(1.5, 0.0), fine).detach()) == pytest.approx(0.0, abs=1e-5)
    fine[:, :, :, 6:] = torch.nan
    fine[:, :, 0, :6] = torch.nan
    assert float(loss(field(1.5, 0.0), fine).detach()) == pytest.approx(0.0, abs=1e-5)
    feature = field(1.5, 0.0).requires_grad_()
    loss(feature, torch.full_like(fine, torch.nan)).backward()
    assert feature.grad is not None
    assert float(feature.grad.abs().sum()) == 0.0


def test_it_teaches_the_convolutions_below_its_map_and_nothing_else() -> None:
    student = network()
    learner = Learner(student, description(), Stage(flow=Flow("level1", 2.0)))
    images = torch.randint(0, 256, (2, 3, 32, 64), dtype=torch.uint8)
    flow = torch.randn(2, 2, 2, 8, 16)
    losses = learner(Batch({"image": images}, torch.zeros(2, 2, 6), None, {"image": flow}), 0)
    losses["loss"].backward()
    assert set(losses) == {"loss", "flow"}
    taught = {name.split(".")[1] for name, p in student.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"conv1", "conv2"}
    assert learner.flow is not None and learner.flow.read.weight.grad is not None


def test_a_network_learns_to_read_a_shift() -> None:
    learner = Learner(network(), description(), Stage(pose=(Pose("baseline"),), flow=Flow("level2")))
    optimiser = torch.optim.Adam(learner.parameters(), 2e-3)
    random = torch.Generator().manual_seed(0)
    losses = []
    for _ in range(60):
        last = torch.nn.functional.interpolate(torch.rand(8, 1, 8, 16, generator=random), scale_factor=4) * 255
        shifts = torch.randint(-3, 4, (8, 2), generator=random)
        this = torch.stack([a.roll((-int(y), -int(x)), (1, 2)) for a, (x, y) in zip(last, shifts, strict=True)])
        images = torch.stack([last, this], 1)[:, :, 0].to(torch.uint8)
        flow = shifts.float().view(8, 1, 2, 1, 1).expand(8, 1, 2, 4, 8)
        loss = learner(Batch({"image": images}, torch.zeros(8, 1, 6), None, {"image": flow}), 0)["flow"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


def test_a_map_that_is_not_there_is_named() -> None:
    with pytest.raises(VodistillError, match="no feature 'level9'"):
        Learner(network(), description(), Stage(flow=Flow("level9")))
