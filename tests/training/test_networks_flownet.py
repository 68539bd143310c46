"""The paper's family: its published counts and sizes."""

from __future__ import annotations

import pytest
import torch

from ros2_vodistill.view import View
from training import networks
from training.networks.flownet import FlowNet

COUNTS = {
    "flownet-t": (33_637_190, 0.0),
    "flownet-7-2": (11_508_230, 65.79),
    "flownet-6-2": (9_122_502, 72.88),
    "flownet-5-3": (6_831_702, 79.69),
    "flownet-3-3": (2_371_110, 92.95),
}
SMALL = {"views": {"image": View(96, 64, 60.0, 60.0, 47.5, 31.5)}, "width": 0.05}


@pytest.mark.parametrize("name", COUNTS)
def test_published_parameter_counts(name: str) -> None:
    count, rate = COUNTS[name]
    with torch.device("meta"):
        network = networks.build({"name": name, "colour": 3})
    constants = 6  # the log-variances, which the paper's networks do not have
    assert network.parameter_count() - constants == count
    assert round(100 * (1 - count / COUNTS["flownet-t"][0]), 2) == rate


def test_grey_pairs_have_a_smaller_first_layer_only() -> None:
    with torch.device("meta"):
        grey, colour = (networks.build({"name": "flownet-3-3", "colour": c}) for c in (1, 3))
    assert colour.parameter_count() - grey.parameter_count() == 4 * 64 * 7 * 7


def test_maps_have_the_published_sizes() -> None:
    with torch.device("meta"):
        network = networks.build({"name": "flownet-7-2", "convolutions": "conv6", "layers": (8, 8), "guided": 1})
        clip = torch.zeros(1, 2, 192, 640, dtype=torch.uint8)
        features = network({"image": clip}, features=True).features
    sizes = [tuple(features[f"level{i}"].shape[2:]) for i in range(6)]
    assert sizes == [(64, 96, 320), (128, 48, 160), (256, 24, 80), (512, 12, 40), (512, 6, 20), (1024, 3, 10)]


@torch.no_grad()
def test_colour_repeats_the_grey_image() -> None:
    """Three equal channels see what one channel with the summed filters sees."""
    grey = networks.build({"name": "flownet-6-2", **SMALL}).eval()
    colour = networks.build({"name": "flownet-6-2", **SMALL, "colour": 3}).eval()
    weights = colour.state_dict()
    first = weights["encoder.conv1.weight"]
    weights["encoder.conv1.weight"] = torch.stack([first[:, :3].sum(1), first[:, 3:].sum(1)], 1)
    grey.load_state_dict(weights)
    clip = {"image": torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)}
    torch.testing.assert_close(grey(clip).motion, colour(clip).motion, atol=1e-6, rtol=1e-4)


@torch.no_grad()
def test_hint_of_branches() -> None:
    torch.manual_seed(0)
    spec = {"name": "flownet-t", **SMALL, "lstm": (16,)}
    mean, translation, rotation = (
        networks.build({**spec, "hint": h}).eval() for h in ("mean", "translation", "rotation")
    )
    for network in (translation, rotation):
        network.load_state_dict(mean.state_dict())
    clip = {"image": torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)}
    hints = [network(clip, features=True).features["hint"] for network in (mean, translation, rotation)]
    assert (hints[1] - hints[2]).abs().max() > 1e-3
    torch.testing.assert_close(hints[0], (hints[1] + hints[2]) / 2)


@torch.no_grad()
def test_constant_log_variance_is_in_units_of_the_scale() -> None:
    network = networks.build({"name": "flownet-3-3", **SMALL, "pool": (1, 1), "translation_scale": 2.0})
    assert isinstance(network, FlowNet)
    network.head.log_variance.copy_(torch.arange(6.0) / 10)
    output = network({"image": torch.zeros(1, 2, 64, 96, dtype=torch.uint8)})
    expected = torch.arange(6.0) + torch.tensor([2.0] * 3 + [network.config.rotation_scale] * 3).square().log()
    torch.testing.assert_close(output.log_variance[0, 0], expected)


def test_dropout_leaves_the_students_hint_alone() -> None:
    """The guided layer must be able to match the hint: noise comes after it."""
    network = networks.build({"name": "flownet-6-2", **SMALL}).train()
    clip = {"image": torch.randint(0, 256, (1, 3, 64, 96), dtype=torch.uint8)}
    one, two = network(clip, features=True), network(clip, features=True)
    torch.testing.assert_close(one.features["hint"], two.features["hint"])
    assert not torch.equal(one.motion, two.motion)


def test_students_adopt_the_teachers_convolutions() -> None:
    teacher = networks.build({"name": "flownet-t", **SMALL, "lstm": (16,)})
    student = networks.build({"name": "flownet-5-3", **SMALL})
    before = student.guided[0][0][0].weight.clone()
    adopted = student.adopt(teacher)
    assert sorted(adopted) == sorted(name for name, _ in student.named_parameters() if name.startswith("encoder."))
    for name in adopted:
        torch.testing.assert_close(student.state_dict()[name], teacher.state_dict()[name])
    assert torch.equal(student.guided[0][0][0].weight, before)
