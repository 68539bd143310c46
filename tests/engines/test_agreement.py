"""All engines that this machine can run compute the same, step by step, on what ships and on what training exports."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from ros2_vodistill import corridor
from ros2_vodistill.engines import ENGINES, Engine
from ros2_vodistill.model import read_card, shipped
from ros2_vodistill.view import Warp
from tests.models import opened

STEPS = 200
STATE, POSE = 1e-4, 1e-6
NETWORKS = ("swift-s", "swift-xs", "flownet-3-3")
SHIPPED = list(shipped())


def agree(ours: Engine, reference: Engine, steps: int) -> tuple[float, float]:
    """Largest difference of a motion, and of a state relative to the larger of 1 and its size."""
    camera = corridor.camera(640, 240)
    frames = corridor.frames(camera, 20)
    warps = {name: Warp(camera, view, np.eye(3)) for name, view in reference.model.card.views.items()}
    motions = states = 0.0
    for index in range(steps):
        image = (
            np.roll(frames[index % 20], index, axis=1) if index % 3 else cv2.GaussianBlur(frames[index % 20], (9, 9), 0)
        )
        found = []
        for engine in (ours, reference):
            for name, warp in warps.items():
                warp(image, out=engine.inputs[name])
            found.append((engine.step()[0].copy(), engine.states()))
        (motion, state), (wanted, expected) = found
        assert np.isfinite(wanted).all()
        motions = max(motions, float(np.abs(motion - wanted).max()))
        for name, value in expected.items():
            states = max(states, float((np.abs(state[name] - value) / np.maximum(1.0, np.abs(value))).max()))
        if index % 4 != 2:
            ours.advance()
            reference.advance()
    return motions, states


def others() -> list[str]:
    return [name for name in ENGINES if name != "onnxruntime"]


@pytest.mark.parametrize("engine", others())
@pytest.mark.parametrize("folder", SHIPPED, ids=[folder.name for folder in SHIPPED])
def test_what_ships_gives_the_same_on_every_engine(folder: Path, engine: str) -> None:
    ours, reference = opened(folder, engine), opened(folder, "onnxruntime")
    motion, state = agree(ours, reference, STEPS)
    if read_card(folder / "card.json").precision == "fp32":
        assert motion <= POSE
        assert state <= STATE
    else:
        assert motion <= 0.05


@pytest.mark.parametrize("engine", others())
@pytest.mark.parametrize("network", NETWORKS)
def test_exports_give_the_same_on_every_engine(network: str, engine: str, exported: dict[str, Path]) -> None:
    ours, reference = opened(exported[network], engine), opened(exported[network], "onnxruntime")
    motion, state = agree(ours, reference, STEPS if network != "flownet-3-3" else 20)
    assert motion <= POSE
    assert state <= STATE


@pytest.mark.parametrize("network", NETWORKS[:1])
def test_more_threads_change_nothing_that_matters(network: str, exported: dict[str, Path]) -> None:
    two, one = (opened(exported[network], "onnxruntime", threads) for threads in (2, 1))
    motion, state = agree(two, one, 20)
    assert motion <= POSE
    assert state <= STATE
