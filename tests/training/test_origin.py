"""A run's folder is only taken for what it was trained as, and what is wrong is said before anything is trained."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.sequences import write_malaga
from tests.training.toy import SPEC, TEACHER, ShiftStream, description, network
from training import checkpoint, runs
from training.budget import Budget
from training.config import Confidence, Data, Experiment, Measure
from training.data import streams
from training.distill import distill
from training.learner import Learner
from training.losses import build_features, build_pose
from training.origin import complete
from training.processes import make_accelerator
from training.runs import Place, evaluation
from training.stages import Feature, Pose, Run, Stage, Training
from training.trained import load_network

SUPERVISED = Run(network=SPEC, method="supervised")


def experiment(training: dict[str, Any] | None = None, **settings: Any) -> Experiment:
    known = {"steps": 4, "batch_size": 4, "rate": 1e-3, "warmup": 1, "log_steps": 2, "evaluate_steps": 2}
    return Experiment("toy", data=Data(held_out=4), training=Training(**{**known, **(training or {})}), **settings)


def place(folder: Path) -> Place:
    return Place(folder, make_accelerator(Training()), say=lambda _: None, quiet=True)


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (experiment({"steps": 40}), r"stages\.pose\.training\.steps 4, not 40"),
        (experiment({"rate": 0.5}), r"stages\.pose\.training\.rate 0\.001, not 0\.5"),
        (experiment(seed=7), "seed 0, not 7"),
        (dataclasses.replace(experiment(), data=Data(held_out=4, clips=64)), r"data\.clips 0, not 64"),
        (
            dataclasses.replace(experiment(), data=Data(held_out=4, world={"samples": 1})),
            r"data\.world\.samples nothing, not 1",
        ),
        (experiment(confidence=Confidence(rotation_weight=5.0)), r"confidence\.rotation_weight 100\.0, not 5\.0"),
    ],
    ids=["steps", "rate", "seed", "data", "world", "rotation"],
)
@pytest.mark.parametrize("steps", [2, 0], ids=["begun", "finished"])
def test_a_folder_is_not_taken_for_another_training(
    tmp_path: Path, shifts: None, other: Experiment, named: str, steps: int
) -> None:
    runs.train(experiment(), SUPERVISED, place(tmp_path), Budget(steps=steps))
    told = (tmp_path / "config.yaml").read_text()
    with pytest.raises(VodistillError, match=f"was trained with {named}"):
        runs.train(other, SUPERVISED, place(tmp_path), Budget())
    assert (tmp_path / "config.yaml").read_text() == told
    assert runs.train(experiment({"threads": 1, "log_steps": 1}), SUPERVISED, place(tmp_path), Budget())


def likely(**changes: Any) -> Run:
    stage = Stage(name="pose", pose=(Pose("laplace", options={"beta": 0.5}),), training={"rate": 1e-3})
    return Run(network=SPEC, stages=(dataclasses.replace(stage, **changes),))


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (likely(pose=(Pose("laplace"),)), r"stages\.pose\.pose\.0\.options\.beta 0\.5, not nothing"),
        (likely(training={"rate": 2e-3}), r"stages\.pose\.training\.rate 0\.001, not 0\.002"),
        (likely(training={"rate": 1e-3, "ema": 0}), r"stages\.pose\.training\.ema 0\.999, not 0"),
        (dataclasses.replace(likely(), training={"clip": 2.0}), r"stages\.pose\.training\.clip 1\.0, not 2\.0"),
        (dataclasses.replace(likely(), network={**SPEC, "dropout": 0.5}), r"network\.dropout nothing, not 0\.5"),
    ],
    ids=["option", "rate", "added", "run", "dropout"],
)
def test_what_a_run_says_of_itself_decides_too(tmp_path: Path, shifts: None, other: Run, named: str) -> None:
    runs.train(experiment(), likely(), place(tmp_path), Budget(steps=2))
    with pytest.raises(VodistillError, match=f"was trained with {named}"):
        runs.train(experiment(), other, place(tmp_path), Budget())
    alike = likely(training={"rate": "1e-3", "threads": 1})  # what the stage says itself may change elsewhere
    assert runs.train(experiment({"rate": 0.5}), alike, place(tmp_path), Budget())


def test_a_run_is_held_to_its_teacher(tmp_path: Path, shifts: None) -> None:
    """To its weights, wherever they lie, and to how far it is trusted; a run that has none is not."""
    one, other = (dataclasses.replace(place(tmp_path / "taught"), teacher=network(seed, **TEACHER)) for seed in (1, 2))
    taught, alone = Run(network=SPEC, method="ail"), dataclasses.replace(other, folder=tmp_path / "alone")
    clamped = experiment(confidence=Confidence(clamp=True))
    runs.train(experiment(), taught, one, Budget(steps=2))
    with pytest.raises(VodistillError, match="was trained with teacher"):
        runs.train(experiment(), taught, other, Budget())
    with pytest.raises(VodistillError, match=r"was trained with confidence\.clamp false, not true"):
        runs.train(clamped, taught, one, Budget())
    assert runs.train(experiment(), taught, one, Budget())
    runs.train(experiment(), SUPERVISED, alone, Budget(steps=2))
    assert runs.train(clamped, SUPERVISED, dataclasses.replace(alone, teacher=one.teacher), Budget())


def test_another_network_is_another_training(tmp_path: Path, shifts: None) -> None:
    runs.train(experiment(), SUPERVISED, place(tmp_path), Budget())
    wider = dataclasses.replace(SUPERVISED, network=TEACHER)
    with pytest.raises(VodistillError, match=r"was trained with network\.width"):
        runs.train(experiment(), wider, place(tmp_path), Budget())


def test_stages_may_follow(tmp_path: Path, shifts: None) -> None:
    first, second = (Stage(name=name, pose=(Pose("baseline"),)) for name in ("first", "second"))
    assert runs.train(experiment(), Run(network=SPEC, stages=(first,)), place(tmp_path), Budget())
    assert runs.train(experiment(), Run(network=SPEC, stages=(first, second)), place(tmp_path), Budget())
    assert (tmp_path / "second" / "network.safetensors").exists()


def test_stages_of_one_name_are_refused(tmp_path: Path, shifts: None) -> None:
    stages = (Stage(pose=(Pose("baseline"),)), Stage(pose=(Pose("laplace"),), train="after_hint"))
    with pytest.raises(VodistillError, match="stages are named train, train"):
        runs.train(experiment(), Run(network=SPEC, stages=stages), place(tmp_path), Budget())
    ended = (dataclasses.replace(stages[0], name="a"), dataclasses.replace(stages[1], name="a-final"))
    with pytest.raises(VodistillError, match="a name of its own"):
        runs.train(experiment(), Run(network=SPEC, stages=ended), place(tmp_path), Budget())


@pytest.mark.parametrize(
    ("late", "told"),
    [
        (Stage(name="late", pose=(Pose("aill"),)), "unknown pose loss 'aill'"),
        (Stage(name="late", pose=(Pose("ail", options={"alhpa": 1.0}),)), "alhpa"),
        (Stage(name="late", features=(Feature("attt"),)), "unknown feature loss"),
        (Stage(name="late", pose=(Pose("baseline"),), training={"rat": 1.0}), "rat"),
        (Stage(name="late", pose=(Pose("baseline"),), training={"steps": 0}), "training.steps is 0"),
        (Stage(name="late"), "late: the stage has no loss"),
        (Stage(name="late", pose=(Pose("ail"), Pose("baseline"))), "late: ail without a teacher"),
        (Stage(name="late", pose=(Pose("baseline"),), training={"precision": "bf16"}), "precision is bf16"),
    ],
    ids=["loss", "option", "feature", "setting", "steps", "nothing", "teacher", "precision"],
)
def test_what_is_wrong_in_a_later_stage_is_said_first(tmp_path: Path, shifts: None, late: Stage, told: str) -> None:
    first = Stage(name="first", pose=(Pose("baseline"),))
    with pytest.raises(VodistillError, match=told):
        runs.train(experiment(), Run(network=SPEC, stages=(first, late)), place(tmp_path), Budget())
    assert not (tmp_path / "first").exists()


def test_two_losses_of_one_name_both_count() -> None:
    poses = (Pose("baseline", 100.0), Pose("baseline", 1.0), Pose("baseline", 10.0))
    learner = Learner(network(dropout=0.0), description(dropout=0.0), Stage(pose=poses)).eval()
    with torch.no_grad():
        losses = {name: float(value) for name, value in learner(ShiftStream().batch(0), 0).items()}
    assert set(losses) == {"loss", "baseline", "baseline#2", "baseline#3"}
    assert losses["baseline"] == pytest.approx(100 * losses["baseline#2"], rel=1e-5)
    assert losses["loss"] == pytest.approx(111 * losses["baseline#2"], rel=1e-5)


def test_options_that_yaml_reads_as_text_are_numbers() -> None:
    assert build_pose("ail", alpha="5e-1") == build_pose("ail", alpha=0.5)
    build_features("mgd", [8], [8], alpha="2e-5")


def test_a_teacher_that_was_ended_teaches(tmp_path: Path, shifts: None) -> None:
    endless = {"steps": 0, "schedule": "stable"}
    toy = experiment(endless, teacher=dataclasses.replace(SUPERVISED, network=TEACHER), students={"mine": SUPERVISED})
    assert not runs.train(toy, toy.teacher, place(tmp_path / "teacher"), Budget(steps=4))
    assert not complete(tmp_path / "teacher")
    assert runs.train(toy, toy.teacher, place(tmp_path / "teacher"), Budget(decay=2))
    assert complete(tmp_path / "teacher")
    before = checkpoint.latest(tmp_path / "teacher" / "pose" / "checkpoints")
    assert not distill(toy, tmp_path, Budget(steps=3), None, lambda _: None)
    assert checkpoint.latest(tmp_path / "teacher" / "pose" / "checkpoints") == before
    assert not complete(tmp_path / "mine")
    assert load_network(tmp_path / "mine").parameter_count() > 0


def test_training_is_not_watched_on_what_it_is_measured_on(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def held_out(data: Data, *_: object) -> ShiftStream:
        asked.append(data.test)
        return ShiftStream(4, 3, seed=99)

    monkeypatch.setattr(streams, "held_out", held_out)
    for validation in ((), ("08",)):
        toy = dataclasses.replace(experiment(), data=Data(held_out=4, validation=validation))
        evaluation(toy, network(), torch.device("cpu"))
    assert asked == [("09", "10"), ("08",)]


def test_a_recording_without_poses_is_measured_while_training(tmp_path: Path, shifts: None) -> None:
    folder = tmp_path / "malaga-urban-dataset-extract-07"
    write_malaga(folder)
    toy = experiment(measure=(Measure(str(folder), 1.5),))
    found = evaluation(toy, network(), torch.device("cpu"))(network().eval())
    assert "error" in found and not any(name.endswith("rpe_t_m") for name in found)
