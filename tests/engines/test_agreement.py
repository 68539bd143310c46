"""All engines that this machine can run compute the same, step by step, on what ships and on what training exports."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import corridor
from ros2_vodistill.camera import Camera
from ros2_vodistill.engines import ENGINES, Engine
from ros2_vodistill.measured import TOLERANCE, find
from ros2_vodistill.model import read_card, shipped
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.run import replay
from ros2_vodistill.sources import Source, open_source
from ros2_vodistill.view import Warp
from tests.models import opened

STEPS = 200
STATE, POSE = 1e-4, 1e-6
NETWORKS = ("swift-s", "swift-xs", "flownet-3-3")
SHIPPED = {folder.name: folder for folder in shipped()}
FP32 = [name for name, folder in SHIPPED.items() if read_card(folder / "card.json").precision == "fp32"]
LOWER = [name for name in SHIPPED if name not in FP32]
RECORDING = "demo/bag"
Shots: TypeAlias = tuple[Camera, Iterable[NDArray[np.uint8]]]
ERRORS = ("rpe_t_m", "rpe_t_scaled_m", "direction_deg", "rpe_r_deg")


def jumping(steps: int) -> Shots:
    """Of a corridor, which jump now and then as no camera does."""
    camera = corridor.camera(640, 240)
    frames = corridor.frames(camera, 20)
    turned = (
        np.roll(frames[index % 20], index, axis=1) if index % 3 else cv2.GaussianBlur(frames[index % 20], (9, 9), 0)
        for index in range(steps)
    )
    return camera, turned


def recording() -> Source:
    """The demo's, of a drive."""
    path = find(RECORDING, None)
    assert path is not None
    return open_source(path)


def driven() -> Shots:
    """Of the demo's recording."""
    source = recording()
    return source.require_camera(), (image for _, image in source)


def agree(ours: Engine, reference: Engine, shots: Shots) -> tuple[NDArray[np.float64], float]:
    """Largest difference of each motion, from the second frame on, and of all states relative to the larger of 1 and
    their size."""
    camera, images = shots
    warps = {name: Warp(camera, view, np.eye(3)) for name, view in reference.model.card.views.items()}
    motions, states = [], 0.0
    for index, image in enumerate(images):
        found = []
        for engine in (ours, reference):
            for name, warp in warps.items():
                warp(image, out=engine.inputs[name])
            found.append((engine.step()[0].copy(), engine.states()))
        (motion, state), (wanted, expected) = found
        assert np.isfinite(wanted).all()
        if index:
            motions.append(np.abs(motion - wanted).max())
        for name, value in expected.items():
            states = max(states, float((np.abs(state[name] - value) / np.maximum(1.0, np.abs(value))).max()))
        if index % 4 != 2:
            ours.advance()
            reference.advance()
    return np.array(motions), states


def others() -> list[str]:
    return [name for name in ENGINES if name != "onnxruntime"]


@pytest.mark.parametrize("engine", others())
@pytest.mark.parametrize("name", FP32)
def test_what_ships_gives_the_same_on_every_engine(name: str, engine: str) -> None:
    ours, reference = opened(SHIPPED[name], engine), opened(SHIPPED[name], "onnxruntime")
    motions, state = agree(ours, reference, jumping(STEPS))
    assert state <= STATE
    if "state_frame_image" in reference.model.card.states:
        # A motion that is polished by cells depends on which of two equal matches, or beginnings, is taken, and on
        # small systems that single precision solves. Where images jump, cells are vague: one step in thirty differs.
        assert np.median(motions) <= POSE and np.quantile(motions, 0.95) <= 1e3 * POSE
        motions, _ = agree(ours, reference, driven())
        assert len(motions) > 80 and np.quantile(motions, 0.95) <= 10 * POSE
        assert motions.max() <= 30 * POSE  # 2e-5 on processors without AVX-512
    else:
        assert motions.max() <= POSE


def on_card(name: str) -> dict[str, dict[str, float]]:
    """A model's errors by recording, not refined."""
    rows = [row for row in read_card(SHIPPED[name] / "card.json").measured if "recording" in row and not row["refined"]]
    return {row["recording"]: {key: row[key] for key in ERRORS if row[key] is not None} for row in rows}


@pytest.mark.parametrize("key", ERRORS)
@pytest.mark.parametrize("name", LOWER)
def test_a_lower_precision_is_hardly_less_accurate(name: str, key: str) -> None:
    """On average: on a single recording its rounding is now and then for the worse, and for the better."""
    fp32, lower = on_card(name.rpartition("-")[0]), on_card(name)
    logs = [np.log(lower[recording][key] / fp32[recording][key]) for recording in fp32 if key in fp32[recording]]
    assert len(logs) > 2
    assert np.mean(logs) < np.log(1 + 0.5 * TOLERANCE)
    assert max(logs) < np.log(1 + 2 * TOLERANCE)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize("name", LOWER)
def test_a_lower_precision_is_as_accurate_as_its_card_says_on_every_engine(name: str, engine: str) -> None:
    """Engines round in places of their own: single motions differ, errors hardly do."""
    opened(SHIPPED[name], engine)
    source = recording()
    odometry = VisualOdometry(
        SHIPPED[name], engine=engine, camera=source.require_camera(), mount=source.mount, refine=False
    )
    metrics = replay(source, odometry, truth=source.truth).metrics
    assert {key: metrics[key] for key in ERRORS} == pytest.approx(on_card(name)[RECORDING], rel=TOLERANCE)


@pytest.mark.parametrize("engine", others())
@pytest.mark.parametrize("network", NETWORKS)
def test_exports_give_the_same_on_every_engine(network: str, engine: str, exported: dict[str, Path]) -> None:
    ours, reference = opened(exported[network], engine), opened(exported[network], "onnxruntime")
    motions, state = agree(ours, reference, jumping(STEPS if network != "flownet-3-3" else 20))
    assert motions.max() <= POSE
    assert state <= STATE


@pytest.mark.parametrize("network", NETWORKS[:1])
def test_more_threads_change_nothing_that_matters(network: str, exported: dict[str, Path]) -> None:
    two, one = (opened(exported[network], "onnxruntime", threads) for threads in (2, 1))
    motions, state = agree(two, one, jumping(20))
    assert motions.max() <= POSE
    assert state <= STATE
