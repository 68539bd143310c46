"""Every loss between a teacher and a student of both families: it can be computed, and moves what it should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ros2_vodistill.view import View
from training import networks
from training.losses import FEATURES, POSE, Features, Poses, build_features, build_pose
from training.networks import Network

VIEW = View(96, 64, 60.0, 60.0, 47.5, 31.5)
FAMILIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "swift": ({"name": "swift-s"}, {"name": "swift-xs"}),
    "flownet": ({"name": "flownet-t", "width": 0.05, "lstm": (16, 8)}, {"name": "flownet-6-2", "width": 0.03}),
}
LEVELS = ("level1", "level2", "level3")
BEHIND_LEVELS = (
    *("memory.", "hint.", "decoders.image.thirtysecond.", "decoders.image.squeeze.", "decoders.image.vector."),
    "guided.",
)
"""Parameters of the trunk, in either family, on which these maps do not depend."""


@pytest.fixture(params=FAMILIES, scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[Network, Network]:
    torch.manual_seed(0)
    teacher, student = (networks.build({**spec, "views": {"image": VIEW}}) for spec in FAMILIES[request.param])
    return teacher.eval().requires_grad_(False), student


def trunk(network: Network) -> dict[str, torch.nn.Parameter]:
    """All parameters by name, up to and including the hint layer: what the first stage trains."""
    head = {id(p) for p in network.head_parameters()}
    return {name: p for name, p in network.named_parameters() if id(p) not in head}


def outputs(pair: tuple[Network, Network]) -> tuple[networks.Output, networks.Output]:
    teacher, student = pair
    clip = noise(teacher)
    student.zero_grad()
    return teacher(clip, features=True), student(clip, features=True)


@pytest.mark.parametrize("name", FEATURES)
def test_feature_losses(name: str, pair: tuple[Network, Network]) -> None:
    """The student's parameters behind the features learn, together with the loss's own; the head never does."""
    teacher, student = pair
    theirs, ours = outputs(pair)
    vectors = name in ("ht", "aht")
    keys = ("hint",) if vectors else LEVELS
    widths = [[n.hint_width] if vectors else [n.level_channels[k] for k in keys] for n in (student, teacher)]
    loss = build_features(name, *widths)
    objects = torch.zeros(4, 64, 96, dtype=torch.bool)
    objects[:, 20:40, 30:70] = True
    batch = Features(
        tuple(ours.features[k].flatten(0, 1) for k in keys),
        tuple(theirs.features[k].flatten(0, 1) for k in keys),
        confidence=torch.tensor([0.9, 0.5, 0.1, -0.1]),
        objects=objects,
    )
    value = loss(batch)
    assert value.shape == ()
    assert value.isfinite()
    value.backward()
    assert all(p.grad is not None for p in loss.parameters())
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is None for p in student.head_parameters())
    reached = {name for name, p in student.named_parameters() if p.grad is not None}
    expected = set(trunk(student))
    if not vectors:
        expected = {name for name in expected if not name.startswith(BEHIND_LEVELS)}
    assert reached == expected
    assert any(p.grad.any() for p in student.parameters() if p.grad is not None)


def noise(network: Network) -> dict[str, Tensor]:
    """Two clips of three frames, in all views of a network."""
    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randint(0, 256, (2, 3, view.height, view.width), dtype=torch.uint8, generator=generator)
        for name, view in network.views.items()
    }


def polished(name: str) -> Network:
    """Sees two views through one encoder, with separable convolutions behind its first layers."""
    views = {"image": VIEW, "view_road": View(64, 32, 80.0, 80.0, 31.5, -6.0)}
    spec = {"name": name, "views": views, "polish": 1, "shared": True, "separable": name != "swift-s"}
    return networks.build({**spec, "match": (16, 32), "encoder_blocks": (0, 1)})


@pytest.mark.parametrize(("key", "learning"), [("match8", ("eighth.", "match8.")), ("match4", ("match4.",))])
def test_what_is_matched_can_be_taught(key: str, learning: tuple[str, ...]) -> None:
    """It is as wide in teacher and student whatever their widths, and only what it depends on learns."""
    torch.manual_seed(0)
    teacher, student = polished("swift-s"), polished("swift-xs")
    seen = noise(teacher)
    ours, theirs = (network(seen, features=True).features[key].flatten(0, 1) for network in (student, teacher))
    widths = [[network.level_channels[key]] for network in (student, teacher)]
    assert widths == [[ours.shape[1]], [theirs.shape[1]]] and ours.shape == theirs.shape
    build_features("pixel_angle", *widths)(Features((ours,), (theirs,))).backward()
    reached = {name for name, p in student.named_parameters() if p.grad is not None and p.grad.any()}
    expected = tuple(f"encoders.image.{part}" for part in ("quarter.", *learning))
    assert all(name.startswith(expected) for name in reached)
    assert all(any(name.startswith(part) for name in reached) for part in expected)


def test_cells_learn_from_the_motion_that_they_agree_on_but_not_what_is_ground() -> None:
    torch.manual_seed(0)
    network = polished("swift-xs")
    found = network(noise(network))
    motions = (found.motion.flatten(0, 1), torch.zeros(4, 6), None, found.log_variance.flatten(0, 1))
    build_pose("laplace", beta=0.0)(Poses(*motions)).backward()
    assert network.peaks is not None
    for read in network.peaks.read.values():
        assert read.tell.weight.grad.any(1).tolist() == [True] * 6 + [False]


@pytest.mark.parametrize("name", POSE)
def test_pose_losses(name: str, pair: tuple[Network, Network]) -> None:
    teacher, student = pair
    theirs, ours = outputs(pair)
    flat = [x.flatten(0, 1) for x in (ours.motion, torch.randn_like(ours.motion), theirs.motion, ours.log_variance)]
    value = build_pose(name)(Poses(*flat, confidence=torch.tensor([0.9, 0.5, 0.1, -0.1])))
    assert value.isfinite()
    value.backward()
    assert all(p.grad is None for p in teacher.parameters())
    without_gradient = [n for n, p in student.named_parameters() if p.grad is None]
    # nothing asks for the constant log-variance of the paper's students where the loss is not probabilistic
    assert set(without_gradient) <= {"head.log_variance"}


def gradients(parameters: list[torch.nn.Parameter]) -> list[Tensor | None]:
    return [p.grad for p in parameters]


def test_the_second_stage_moves_the_head_alone(pair: tuple[Network, Network]) -> None:
    """With a frozen trunk, attentive imitation reaches the head and stops there."""
    _, student = pair
    for parameter in trunk(student).values():
        parameter.requires_grad_(False)
    theirs, ours = outputs(pair)
    poses = Poses(
        ours.motion.flatten(0, 1), torch.zeros(4, 6), theirs.motion.flatten(0, 1), confidence=torch.full((4,), 0.5)
    )
    build_pose("ail")(poses).backward()
    moved = [n for n, p in student.named_parameters() if p.grad is not None]
    assert moved
    assert all(name.startswith("head.") for name in moved)
    for parameter in trunk(student).values():
        parameter.requires_grad_(True)
