"""The family that ships."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ros2_vodistill.view import Patch, View
from training import networks
from training.networks.branch import Decoder
from training.networks.swift import Swift, SwiftConfig

VIEW = View(96, 64, 60.0, 50.0, 47.5, 31.5)


def small(**changes: Any) -> Swift:
    torch.manual_seed(2)
    network = networks.build({"name": "swift-xs", "views": {"image": VIEW}, **changes})
    assert isinstance(network, Swift)
    return network.eval()


def frames(count: int = 3, top: int = 256) -> Tensor:
    return torch.randint(0, top, (1, count, 64, 96), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("name", "rate"), [("swift-l", 65), ("swift-m", 81), ("swift-s", 93), ("swift-xs", 98)])
def test_students_have_the_rates_that_are_told(name: str, rate: int) -> None:
    with torch.device("meta"):
        teacher, student = networks.build("swift-t"), networks.build(name)
    assert rate == int(100 * networks.d_rate(student, teacher))
    assert student.hint_width == teacher.hint_width


@pytest.mark.parametrize(("student", "teacher"), [("swift-s", "swift-t"), ("swift-xxs", "swift-s")])
def test_students_have_the_papers_highest_rate(student: str, teacher: str) -> None:
    with torch.device("meta"):
        assert 0.9295 <= networks.d_rate(networks.build(student), networks.build(teacher)) < 0.94


@torch.no_grad()
def test_exposure_and_gain_do_not_matter() -> None:
    network, dark = small(), frames(top=100)
    bright = 2 * dark + 40
    one, two = network({"image": dark}), network({"image": bright})
    torch.testing.assert_close(one.motion, two.motion, atol=1e-4 * one.motion.abs().max().item(), rtol=1e-2)


@torch.no_grad()
def test_light_and_shade_do_not_matter_to_further_views() -> None:
    """A step of brightness across the view, and half the contrast beyond it, far from where the features are read."""
    encoder = small().encoder("image")
    texture = torch.randint(0, 60, (1, 64, 192), generator=torch.Generator().manual_seed(1)).float() + 100
    shaded = texture.clone()
    shaded[..., 96:] = 0.5 * shaded[..., 96:]
    one, two = (encoder(view, locally=True)[0] for view in (texture, shaded))
    near, far = (one - two)[..., 10:14].abs().max(), (one - two)[..., -8:-1].abs().max()
    assert near > 10 * far
    assert far < 0.05 * one.abs().max()


@torch.no_grad()
def test_a_uniform_image_gives_finite_numbers() -> None:
    output = small()({"image": torch.full((1, 3, 64, 96), 255, dtype=torch.uint8)})
    assert output.motion.isfinite().all()
    assert output.log_variance.isfinite().all()


@torch.no_grad()
def test_log_variance_stays_within_soft_limits() -> None:
    network = small()
    scale = network.motion_scale.square().log()
    for bias, limit in ((1e3, 5.0), (-1e3, -11.0), (0.0, -3.0)):
        network.head[-1].weight.zero_()
        network.head[-1].bias.fill_(bias)
        output = network({"image": frames()})
        torch.testing.assert_close(output.log_variance - scale, torch.full((1, 2, 6), limit))


@torch.no_grad()
def test_motion_comes_in_multiples_of_its_scale() -> None:
    network = small(translation_scale=2.0, rotation_scale=0.1)
    network.head[-1].weight.zero_()
    network.head[-1].bias.copy_(torch.arange(12.0))
    motion = network({"image": frames()}).motion[0, 0]
    torch.testing.assert_close(motion, torch.tensor([0.0, 2.0, 4.0, 0.3, 0.4, 0.5]))


def test_cells_know_where_they_look() -> None:
    """Standardised coordinates: linear in the pixel, of mean 0 and deviation 1."""
    view = Decoder(SwiftConfig(views={"image": VIEW}), VIEW).directions[0].numpy()
    assert view.shape == (2, 8, 12)
    column, row = np.meshgrid(np.arange(12.0), np.arange(8.0))
    for found, coordinate in ((view[0], column), (view[1], row)):
        expected = (coordinate - coordinate.mean()) / coordinate.std(ddof=1)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    patch = Patch(64, 32, 1.0, 5.0, 3.0)
    ground = Decoder(SwiftConfig(views={"image": patch}), patch).directions[0].numpy()
    assert ground.shape == (2, 4, 8)
    assert (np.diff(ground[0], axis=1) > 0).all()  # to the right
    assert (np.diff(ground[1], axis=0) < 0).all()  # row 0 is far


def test_every_view_is_listened_to() -> None:
    patch = Patch(64, 32, 1.0, 5.0, 3.0)
    network = small(views={"image": VIEW, "view_ground": patch})
    clip = {"image": frames(), "view_ground": torch.randint(0, 256, (1, 3, 32, 64), dtype=torch.uint8)}
    assert network.state_names == (
        "match4_image", "match8_image", "match4_view_ground", "match8_view_ground", "memory", "started",
    )  # fmt: skip
    network(clip).motion.sum().backward()
    for name in clip:
        assert all(p.grad is not None and p.grad.any() for p in network.encoders[name].match4.parameters())


@torch.no_grad()
def test_one_encoder_may_look_at_all_views() -> None:
    """As two that are equal do, with the parameters of one."""
    views = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}
    one, two = small(views=views, shared=True), small(views=views)
    both = {name: one.state_dict()[name.replace("encoders.view_road", "encoders.image")] for name in two.state_dict()}
    two.load_state_dict(both)
    seen = {"image": frames(), "view_road": frames()[..., :32, :64]}
    torch.testing.assert_close(one(seen).motion, two(seen).motion, rtol=0, atol=0)
    spared = sum(p.numel() for p in two.encoder("view_road").parameters())
    assert two.parameter_count() - one.parameter_count() == spared > 0


def test_memory_carries_from_step_to_step() -> None:
    """With a memory, an earlier pair of frames changes a later motion; without, it cannot."""
    clip = frames(4)
    other = clip.clone()
    other[:, 0] = 255 - other[:, 0]
    with torch.no_grad():
        for memory, differs in ((16, True), (0, False)):
            network = small(memory=memory)
            last, changed = (network({"image": x}).motion[0, -1] for x in (clip, other))
            assert bool((last - changed).abs().max() > 1e-7) == differs
