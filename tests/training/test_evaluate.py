"""Evaluating a run or a model, and shipping one from the other."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model
from ros2_vodistill.view import View
from tests.training.sequences import write_kitti
from tests.training.toy import SPEC, ShiftStream
from training import networks, ship
from training.budget import Budget
from training.config import Data, Experiment, Measure
from training.evaluate import evaluate, find_experiment
from training.processes import make_accelerator
from training.runs import Place, train
from training.stages import Run, Training
from training.steps import Blindfolded, TorchSteps

VIEW = View(64, 32, 40.0, 40.0, 31.5, 15.5)

TOY = Experiment(
    "toy",
    data=Data(held_out=8),
    training=Training(steps=2, batch_size=4, rate=1e-3, warmup=1),
    teacher=Run(network=SPEC, method="likelihood"),
)


@pytest.fixture
def run(tmp_path: Path, shifts: None) -> Path:
    """A trained run; experiments see shifted textures instead of the generated world."""
    place = Place(tmp_path / "run", make_accelerator(TOY.training), say=lambda _: None, quiet=True)
    assert train(TOY, TOY.teacher, place, Budget())
    return place.folder


def test_the_experiment_of_a_run_is_found_beside_it(run: Path, tmp_path: Path) -> None:
    for place in (run, run / "pose", run / "network.safetensors"):
        assert find_experiment(place, None) == TOY
    assert find_experiment(run, None, ["data.held_out=3"]).data.held_out == 3
    with pytest.raises(VodistillError, match=r"config\.yaml"):
        find_experiment(tmp_path / "elsewhere" / "a" / "b", None)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "config.yaml").write_text("of: another program\n")
    with pytest.raises(VodistillError, match=r"no config\.yaml of a training"):
        find_experiment(tmp_path / "elsewhere" / "a" / "b", None)


def test_recordings_of_one_name_are_all_measured(run: Path, tmp_path: Path) -> None:
    folders = [write_kitti(tmp_path / place) for place in ("here", "there")]
    measures = (Measure(str(folders[0]), 1.65), Measure(str(folders[1]), 1.65), Measure(str(folders[1]), 3.3))
    found = evaluate(run, TOY, measures)["recordings"]
    assert [(name, row["height"]) for name, row in found.items()] == [("00", 1.65), ("00#2", 1.65), ("00#3", 3.3)]


def test_a_run_and_its_model_err_alike(run: Path, tmp_path: Path) -> None:
    recording = Measure(str(write_kitti(tmp_path / "kitti")), height=1.65)
    (Path(recording.path) / "poses.txt").write_text((tmp_path / "kitti" / "poses" / "00.txt").read_text())
    model = ship.ship(run, "toy-s", TOY, (recording,), None, tmp_path / "models", "the command")
    trained, exported = (evaluate(path, TOY, (recording,)) for path in (run, model))
    assert trained["parameters"] == exported["parameters"]
    assert trained["held_out"]["motions"] == exported["held_out"]["motions"] == 16
    for key in ("error", "t_median", "r_deg", "normalised"):
        assert exported["held_out"][key] == pytest.approx(trained["held_out"][key], rel=1e-3)
    rpe = [found["recordings"]["00"]["rpe_t_m"] for found in (trained, exported)]
    assert rpe[0] == pytest.approx(rpe[1], rel=1e-4)
    card = Model.load(model).card
    assert card.data["samples"] == 8
    assert card.measured[0]["command"] == "the command"
    assert card.measured[1]["rpe_t_m"] == pytest.approx(rpe[0], rel=1e-4)
    assert (card.teacher, card.d_rate) == (None, None)


def test_a_card_names_the_data_and_their_licence() -> None:
    kitti = dataclasses.replace(TOY, data=dataclasses.replace(TOY.data, kind="kitti"))
    found = [(named.data, named.licence) for named in (ship.named(TOY), ship.named(kitti))]
    assert found == [("generated world", "Apache-2.0"), ("KITTI odometry", "CC BY-NC-SA 3.0")]
    own = dataclasses.replace(kitti, shipping=dataclasses.replace(TOY.shipping, data="KITTI 00-08"))
    assert (ship.named(own).data, ship.named(own).licence) == ("KITTI 00-08", "CC BY-NC-SA 3.0")


def test_what_is_hidden_tells_nothing(run: Path, tmp_path: Path) -> None:
    model = ship.ship(run, "toy-s", TOY, (), None, tmp_path / "models", "the command")
    trained, exported = (evaluate(path, TOY, (), without=["image"]) for path in (run, model))
    assert trained["without"] == ["image"]
    for key in ("error", "t_median", "r_deg"):
        assert exported["held_out"][key] == pytest.approx(trained["held_out"][key], rel=1e-3)
        assert trained["held_out"][key] != pytest.approx(evaluate(run, TOY, ())["held_out"][key], rel=1e-3)
    with pytest.raises(VodistillError, match=r"without view_road\n.*views are image"):
        evaluate(run, TOY, (), without=["view_road"])


def test_a_blindfold_hides_one_view_of_two() -> None:
    network = networks.build({"name": "swift-xxs", "views": {"image": VIEW, "view_road": VIEW}})
    steps, random = Blindfolded(TorchSteps(network), ["image"]), np.random.default_rng(0)
    first, *others = random.integers(0, 256, (4, 32, 64), dtype=np.uint8)

    def motion(image: NDArray[np.uint8], road: NDArray[np.uint8]) -> list[float]:
        steps.reset()
        steps.step({"image": first, "view_road": first})
        return steps.step({"image": image, "view_road": road})[0].tolist()

    assert motion(others[0], others[1]) == motion(others[2], others[1]) != motion(others[0], others[2])


def test_shipped_covariances_are_calibrated(run: Path, tmp_path: Path) -> None:
    """With the card's factors, each axis' squared error is its variance on the held-out clips, gross errors aside."""
    from training.measure import on_clips
    from training.trained import load_network

    model = ship.ship(run, "toy-s", TOY, (), run, tmp_path / "models", "the command")
    card = Model.load(model).card
    assert card.d_rate == 0.0
    motions = on_clips(load_network(run), ShiftStream(4, 3, seed=99), 8)
    shares = (motions.estimate - motions.truth) ** 2 / (math.e**motions.log_variance * card.covariance_scale)
    x = shares[:, 0]
    assert x[x < x.max()].mean() == pytest.approx(0.92477, rel=0.02)


def test_the_teacher_on_a_card_may_be_an_exported_model(run: Path, tmp_path: Path) -> None:
    big = ship.ship(run, "big", TOY, (), None, tmp_path / "models", "the command")
    text = (big / "card.json").read_text()
    (big / "card.json").write_text(text.replace('"parameters": ', '"parameters": 1'))
    card = Model.load(ship.ship(run, "toy-s", TOY, (), big, tmp_path / "models", "the command")).card
    assert card.teacher == "big"
    assert card.d_rate == pytest.approx(1 - card.parameters / int(f"1{card.parameters}"), abs=1e-6)
