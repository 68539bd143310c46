"""What all networks promise, on small views."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View
from training import networks
from training.networks import Network, StepModule

VIEW = View(96, 64, 60.0, 60.0, 47.5, 31.5)
GROUND = Patch(64, 32, 1.0, 5.0, 3.0)
ROAD = View(64, 32, 80.0, 80.0, 31.5, -6.0)
SMALL = {"name": "swift-xs", "views": {"image": VIEW}}
SPECS: dict[str, dict[str, Any]] = {
    "swift": SMALL,
    "swift with two views": {**SMALL, "views": {"image": VIEW, "view_ground": GROUND}},
    "swift without memory": {**SMALL, "memory": 0},
    "swift that polishes": {**SMALL, "views": {"image": VIEW, "view_road": ROAD}, "polish": 2},
    "paper's teacher": {"name": "flownet-t", "views": {"image": VIEW}, "width": 0.05, "lstm": (16, 8)},
    "paper's student": {"name": "flownet-6-2", "views": {"image": VIEW}, "width": 0.05},
    "paper's student, uncertain": {"name": "flownet-5-3", "views": {"image": VIEW}, "width": 0.05, "uncertainty": True},
}


@pytest.fixture(params=SPECS)
def network(request: pytest.FixtureRequest) -> Network:
    torch.manual_seed(1)
    return networks.build(SPECS[request.param]).eval()


def clip(network: Network, clips: int = 2, frames: int = 4, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randint(0, 256, (clips, frames, view.height, view.width), generator=generator, dtype=torch.uint8)
        for name, view in network.views.items()
    }


@torch.no_grad()
def test_a_clip_is_its_steps(network: Network) -> None:
    views = clip(network, frames=5)
    output = network(views)
    for i in range(2):
        states = network.initial_states()
        for t in range(5):
            frame = {name: view[i : i + 1, t : t + 1] for name, view in views.items()}
            motion, log_variance, states = network.step(frame, states)
            assert {k: tuple(s.shape) for k, s in zip(network.state_names, states, strict=True)} == network.state_shapes
            if t:
                torch.testing.assert_close(motion[0], output.motion[i, t - 1], atol=1e-5, rtol=1e-4)
                torch.testing.assert_close(log_variance[0], output.log_variance[i, t - 1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_motions_depend_on_the_frames(network: Network) -> None:
    views = clip(network)
    motion = network(views).motion
    other = network({name: view.flip(1) for name, view in views.items()}).motion
    assert motion.shape == (2, 3, 6)
    assert (motion - other).abs().amax() > 1e-6
    assert motion.isfinite().all()


@torch.no_grad()
def test_the_first_frame_leaves_no_memory(network: Network) -> None:
    """It has nothing to be compared with; from the second frame on the memory fills."""
    views = clip(network)
    states = network.initial_states()
    for t in range(2):
        _, _, states = network.step({name: view[:1, t : t + 1] for name, view in views.items()}, states)
        kept = dict(zip(network.state_names, states, strict=True))
        assert [bool(kept[name].any()) for name in network.memory_shapes()] == [t > 0] * len(network.memory_shapes())


def test_the_hint_reaches_the_trunk_and_nothing_else(network: Network) -> None:
    output = network(clip(network), features=True)
    output.features["hint"].square().sum().backward()
    assert all(p.grad is None for p in network.head_parameters())
    head = {id(p) for p in network.head_parameters()}
    assert head < {id(p) for p in network.parameters()}
    assert all(p.grad is not None and p.grad.any() for p in network.parameters() if id(p) not in head)


def test_motion_and_log_variance_reach_the_head(network: Network) -> None:
    output = network(clip(network))
    (output.motion.sum() + output.log_variance.sum()).backward()
    assert all(p.grad is not None and p.grad.any() for p in network.head_parameters())


@torch.no_grad()
def test_features_have_the_shapes_that_are_told(network: Network) -> None:
    features = network(clip(network), features=True).features
    assert features["hint"].shape == (2, 3, network.hint_width)
    levels = [name for name in features if name.startswith("level")]
    assert levels == [f"level{i}" for i in range(len(levels))] == list(network.level_channels)[: len(levels)]
    for shallow, deep in itertools.pairwise(levels):
        assert features[shallow].shape[3] >= features[deep].shape[3]
    for name, channels in network.level_channels.items():
        assert features[name].shape[:3] == (2, 3, channels)
    assert network(clip(network)).features == {}


def test_a_network_is_rebuilt_from_its_description(network: Network, request: pytest.FixtureRequest) -> None:
    name = SPECS[request.node.callspec.params["network"]]["name"]
    again = networks.build(networks.specify(name, network))
    assert again.config == network.config
    again.load_state_dict(network.state_dict())


def test_step_module_names_its_tensors(network: Network) -> None:
    module = StepModule(network)
    assert module.input_names[: len(network.views)] == list(network.views)
    assert [f"next_{name}" for name in module.input_names[len(network.views) :]] == module.output_names[2:]
    outputs = module(*module.example())
    assert len(outputs) == len(module.output_names)
    assert outputs[0].shape == outputs[1].shape == (1, 6)


def test_one_frame_is_no_clip(network: Network) -> None:
    with pytest.raises(ValueError, match="no motion"):
        network(clip(network, frames=1))


def test_unknown_names_list_the_known() -> None:
    with pytest.raises(VodistillError, match=r"swift-q.*\n.*swift-s.*flownet-t"):
        networks.build("swift-q")
    with pytest.raises(VodistillError, match=r"swift-s.*wheels.*\n.*memory"):
        networks.build({"name": "swift-s", "wheels": 4})


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"name": "swift-s", "views": {"view_ground": GROUND}}, "image"),
        ({"name": "swift-s", "views": {"image": VIEW, "ground": GROUND}}, "view_"),
        ({"name": "swift-s", "views": {"image": View(100, 64, 60.0, 60.0, 50.0, 32.0)}}, "multiples of 32"),
        ({"name": "flownet-t", "views": {"image": VIEW, "view_ground": GROUND}}, "'image' only"),
        ({"name": "flownet-t", "views": {"image": VIEW}, "pool": (9, 9)}, "leaves nothing"),
        ({"name": "flownet-t", "convolutions": "conv9"}, "conv9"),
        ({"name": "flownet-3-3", "guided": 5}, "guided layer 5"),
        ({"name": "flownet-t", "hint": "both"}, "both"),
    ],
)
def test_what_cannot_be_built_says_why(spec: dict[str, Any], problem: str) -> None:
    with pytest.raises(VodistillError, match=problem):
        networks.build(spec)
