"""A large network that begins as a small one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training import networks
from training.networks.base import Network
from training.networks.grow import grow
from training.trained import load_network

VIEW = View(96, 64, 60.0, 50.0, 47.5, 31.5)
SMALL: dict[str, Any] = {
    "name": "swift-s", "views": {"image": VIEW}, "encoder": (8, 12), "match": (6, 10), "decoder": (8, 10, 12),
    "encoder_blocks": (0, 1), "decoder_blocks": (0, 1, 1), "squeeze": 4, "vector": 10, "memory": 6, "hint": 16,
    "head": 8,
}  # fmt: skip
LARGE: dict[str, Any] = {
    **SMALL, "encoder": (12, 20), "decoder": (16, 20, 24), "encoder_blocks": (1, 2), "decoder_blocks": (1, 1, 3),
    "squeeze": 7, "vector": 24, "memory": 11,
}  # fmt: skip


def clip() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"image": torch.randint(0, 256, (2, 4, 64, 96), dtype=torch.uint8, generator=generator)}


def made(spec: dict[str, Any], seed: int, **changes: Any) -> Network:
    """A network whose every parameter is random, as if it were trained."""
    torch.manual_seed(seed)
    network = networks.build({**spec, **changes}).double()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("separable", [False, True])
def test_a_grown_network_computes_what_the_small_one_does(separable: bool) -> None:
    small, large = made(SMALL, 0, separable=separable), made(LARGE, 1, separable=separable)
    before = large(clip()).motion
    grow(large, small)
    ours, theirs = large(clip()), small(clip())
    torch.testing.assert_close(ours.motion, theirs.motion, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(ours.log_variance, theirs.log_variance, rtol=1e-9, atol=1e-12)
    assert (before - theirs.motion).abs().max() > 1e-3


def test_every_view_grows() -> None:
    views = {"image": VIEW, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}
    small, large = made(SMALL, 0, views=views), made(LARGE, 1, views=views)
    seen = {**clip(), "view_ground": torch.randint(0, 256, (2, 4, 32, 64), dtype=torch.uint8)}
    grow(large, small)
    torch.testing.assert_close(large(seen).motion, small(seen).motion, rtol=1e-9, atol=1e-12)


def test_a_view_may_be_new() -> None:
    """It begins as the first one, and what it says counts for nothing before it has learned."""
    views = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}
    small, large = made(SMALL, 0), made(LARGE, 1, views=views)
    seen = {**clip(), "view_road": torch.randint(0, 256, (2, 4, 32, 64), dtype=torch.uint8)}
    grow(large, small)
    output = large(seen)
    torch.testing.assert_close(output.motion, small(clip()).motion, rtol=1e-9, atol=1e-12)
    output.motion.square().sum().backward()
    torch.optim.SGD(large.parameters(), lr=1e-3).step()
    other = {**seen, "view_road": seen["view_road"].flip(1)}
    assert (large(seen).motion - large(other).motion).abs().max() > 1e-6


def test_what_polishes_grows() -> None:
    views = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}
    small, large = made(SMALL, 0, views=views, polish=2), made(LARGE, 1, views=views, polish=2)
    seen = {**clip(), "view_road": torch.randint(0, 256, (2, 4, 32, 64), dtype=torch.uint8)}
    grow(large, small)
    torch.testing.assert_close(large(seen).motion, small(seen).motion, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(large(seen).log_variance, small(seen).log_variance, rtol=1e-7, atol=1e-9)


def test_what_shares_an_encoder_grows() -> None:
    views = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}
    small, large = (made(spec, i, views=views, shared=True) for i, spec in enumerate((SMALL, LARGE)))
    seen = {**clip(), "view_road": torch.randint(0, 256, (2, 4, 32, 64), dtype=torch.uint8)}
    grow(large, small)
    torch.testing.assert_close(large(seen).motion, small(seen).motion, rtol=1e-9, atol=1e-12)


def test_polishing_may_be_new() -> None:
    small, large = made(SMALL, 0), made(LARGE, 1, polish=2)
    grow(large, small)
    torch.testing.assert_close(large(clip(), features=True).features["guess"], small(clip()).motion)


def test_the_steps_of_polishing_stay() -> None:
    with pytest.raises(VodistillError, match="2 steps of polishing do not fit"):
        grow(made(LARGE, 1, polish=3), made(SMALL, 0, polish=2))


def test_a_memory_may_be_new() -> None:
    small, large = made(SMALL, 0, memory=0), made(LARGE, 1)
    grow(large, small)
    torch.testing.assert_close(large(clip()).motion, small(clip()).motion, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("separable", [False, True])
def test_what_is_new_learns(separable: bool) -> None:
    """One step of descent moves filters that are new, also those behind a block that added nothing."""
    small, large = made(SMALL, 0, separable=separable), made(LARGE, 1, separable=separable)
    grow(large, small)
    optimiser = torch.optim.SGD(large.parameters(), lr=1e-3)
    for _ in range(2):
        optimiser.zero_grad()
        output = large(clip())
        (output.motion.square().sum() + output.log_variance.square().sum()).backward()
        optimiser.step()
    still = [name for name, p in large.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still


@pytest.mark.parametrize(
    ("small", "large", "told"),
    [
        ({"match": (8, 10)}, {}, "match"),
        ({"encoder": (8, 24)}, {}, "encoder do not fit"),
        ({"decoder_blocks": (0, 2, 1)}, {}, "decoder_blocks"),
        ({"unit": "metre"}, {}, "unit"),
        ({}, {"shared": True}, "shared"),
        ({"views": {"image": View(64, 64, 60.0, 50.0, 31.5, 31.5)}}, {}, "views"),
        ({}, {"memory": 0}, "memory"),
    ],
)
def test_what_does_not_fit_is_named(small: dict[str, Any], large: dict[str, Any], told: str) -> None:
    with pytest.raises(VodistillError, match=f"weights.safetensors: its .*{told}"):
        grow(made(LARGE, 1, **large), made(SMALL, 0, **small), "weights.safetensors")


def test_another_family_cannot_begin_so() -> None:
    with pytest.raises(VodistillError, match="do not fit"):
        grow(networks.build("flownet-3-3"), made(SMALL, 0))


def test_the_teacher_can_begin_as_the_student_that_ships() -> None:
    weights = Path(__file__).parents[2] / "training" / "weights" / "swift-s.safetensors"
    grow(networks.build("swift-t"), load_network(weights))
