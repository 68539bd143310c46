"""Runs through their stages, in pieces, and what they begin with."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.toy import SPEC, ShiftStream, big, description
from training import checkpoint, networks, runs
from training.budget import Budget
from training.config import Data, Experiment
from training.distill import train_teacher
from training.losses import Confidence
from training.processes import make_accelerator
from training.runs import Place
from training.settings import build, read
from training.stages import Pose, Run, Stage, Training
from training.trained import clips_seen, finished, load_network


def experiment(**settings: object) -> Experiment:
    training = Training(steps=4, batch_size=4, rate=1e-3, warmup=1, log_steps=2, evaluate_steps=2)
    return Experiment("toy", data=Data(held_out=4), training=training, **settings)  # type: ignore[arg-type]


def place(folder: Path) -> Place:
    return Place(folder, make_accelerator(Training()), big(), say=lambda _: None, quiet=True)


def test_a_run_goes_through_its_stages(tmp_path: Path, shifts: None) -> None:
    run = Run(network=SPEC, method="aht_ail")
    assert not runs.train(experiment(), run, place(tmp_path), Budget(steps=3))
    assert not (tmp_path / "pose").exists()
    assert not runs.train(experiment(), run, place(tmp_path), Budget(steps=3))
    assert finished(tmp_path / "hint")
    assert runs.train(experiment(), run, place(tmp_path), Budget())
    hint, pose, final = (
        checkpoint.load_tensors(tmp_path / name)[0]
        for name in ("hint/network.safetensors", "pose/network.safetensors", "network.safetensors")
    )
    trunk = [k for k in hint if not k.startswith("head")]
    assert all(torch.equal(hint[k], pose[k]) for k in trunk)
    assert any(not torch.equal(hint[k], pose[k]) for k in hint if k not in trunk)
    assert all(torch.equal(final[k], pose[k]) for k in pose)
    assert clips_seen(tmp_path) == clips_seen(tmp_path / "network.safetensors") == 2 * 4 * 4
    assert (tmp_path / "code.json").exists()
    told = build(Experiment, read(tmp_path / "config.yaml")["experiment"], "config.yaml")
    assert told == experiment()
    loaded = load_network(tmp_path)
    batch = ShiftStream().batch(0)
    assert torch.isfinite(loaded(batch.views).motion).all()


def test_a_teacher_that_is_never_trusted_is_told(tmp_path: Path, shifts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    taught = dataclasses.replace(place(tmp_path), say=told.append)
    for largest, doubts in ((9.0, 0), (1.5, 1)):
        monkeypatch.setattr(runs, "confidence", lambda *_, most=largest: Confidence(1.0, most))
        runs.train(experiment(), Run(network=SPEC, method="ail"), taught, Budget(steps=1))
        assert sum("nothing that it says is trusted" in line for line in told) == doubts


def test_a_finished_teacher_is_said_to_be(tmp_path: Path, shifts: None) -> None:
    told: list[str] = []
    toy = experiment(teacher=Run(network=SPEC, method="supervised"))
    assert not train_teacher(toy, tmp_path, Budget(steps=3), told.append)
    assert not any(line.endswith(": finished") for line in told)
    for _ in range(2):
        assert train_teacher(toy, tmp_path, Budget(), told.append)
        assert told.pop() == f"{tmp_path / 'teacher' / 'network.safetensors'}: finished"


def test_pieces_of_a_run_are_the_run(tmp_path: Path, shifts: None) -> None:
    run = Run(network=SPEC, method="aht_ail")
    runs.train(experiment(), run, place(tmp_path / "whole"), Budget())
    while not runs.train(experiment(), run, place(tmp_path / "pieces"), Budget(steps=3)):
        pass
    one, other = (checkpoint.load_tensors(tmp_path / n / "network.safetensors")[0] for n in ("whole", "pieces"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_an_open_ended_run_can_be_ended_and_still_goes_on(tmp_path: Path, shifts: None) -> None:
    open_ended = dataclasses.replace(experiment().training, steps=0, schedule="stable")
    endless = dataclasses.replace(experiment(), training=open_ended)
    run = Run(network=SPEC, method="supervised")
    with pytest.raises(VodistillError, match="nothing is trained"):
        runs.train(endless, run, place(tmp_path), Budget(decay=2))
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    assert runs.train(endless, run, place(tmp_path), Budget(decay=2))
    ended = checkpoint.load_tensors(tmp_path / "network.safetensors")
    assert ended[1]["step"] == "6"
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    newest = checkpoint.latest(tmp_path / "pose" / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000000008"
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "6"
    assert runs.train(endless, run, place(tmp_path), Budget(decay=3))
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "11"


def test_an_ending_begins_though_a_kill_left_half_a_copy(tmp_path: Path, shifts: None) -> None:
    """Half of the checkpoint that it goes on from is copied."""
    open_ended = dataclasses.replace(experiment().training, steps=0, schedule="stable")
    endless = dataclasses.replace(experiment(), training=open_ended)
    run = Run(network=SPEC, method="supervised")
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    half = tmp_path / "pose-final" / "checkpoints" / ".step-000000004"
    half.mkdir(parents=True)
    (half / "state.json").write_text("{")
    assert runs.train(endless, run, place(tmp_path), Budget(decay=2))
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "6"


def test_a_student_starts_with_the_teachers_encoder(tmp_path: Path, shifts: None) -> None:
    alike = {**SPEC, "layers": [32, 16, 16, 8]}
    torch.manual_seed(5)
    known = networks.build(alike)
    taught = Place(tmp_path, make_accelerator(Training()), known, say=lambda _: None, quiet=True)
    run = Run(network=SPEC, method="aht_ail", start_from_teacher=True, freeze=("encoder*",))
    assert runs.train(experiment(), run, taught, Budget())
    student, original = load_network(tmp_path).state_dict(), known.state_dict()
    encoder = [k for k in student if k.startswith("encoder")]
    assert encoder
    assert all(torch.equal(student[k], original[k]) for k in encoder)


def test_a_stage_begins_with_what_it_adopts(tmp_path: Path, shifts: None) -> None:
    """After a first stage that knows nothing of it; taken up again, it goes on with what it learned itself."""
    torch.manual_seed(5)
    known = networks.build(SPEC)
    taught = Place(tmp_path, make_accelerator(Training()), known, say=lambda _: None, quiet=True)
    first = Stage("first", pose=(Pose("baseline"),))
    second = Stage("second", pose=(Pose("baseline"),), train="after_hint", adopt=("head.*",))
    still = dataclasses.replace(second, training={"rate": 1e-30, "weight_decay": 0.0})
    assert runs.train(experiment(), Run(network=SPEC, stages=(first, still)), taught, Budget())
    student, original = load_network(tmp_path).state_dict(), known.state_dict()
    head = [k for k in student if k.startswith("head.")]
    assert head
    assert all(torch.allclose(student[k], original[k], atol=1e-6) for k in head)
    assert not any(
        torch.allclose(student[k], original[k]) for k in student if k.startswith("encoder") and "weight" in k
    )

    whole, pieces = (dataclasses.replace(taught, folder=tmp_path / name) for name in ("whole", "pieces"))
    learning = Run(network=SPEC, stages=(first, second))
    assert runs.train(experiment(), learning, whole, Budget())
    assert not runs.train(experiment(), learning, pieces, Budget(steps=experiment().training.steps + 2))
    assert runs.train(experiment(), learning, pieces, Budget())
    once, twice = (load_network(place.folder).state_dict() for place in (whole, pieces))
    assert all(torch.equal(once[k], twice[k]) for k in once)
    assert not any(torch.allclose(once[k], original[k]) for k in head)

    alone = dataclasses.replace(taught, folder=tmp_path / "alone", teacher=None)
    with pytest.raises(VodistillError, match="without a teacher"):
        runs.train(experiment(), Run(network=SPEC, stages=(still,)), alone, Budget())
    strange = dataclasses.replace(still, name="strange", adopt=("polish.*",))
    elsewhere = dataclasses.replace(taught, folder=tmp_path / "elsewhere")
    with pytest.raises(VodistillError, match=r"adopt 'polish\.\*' matches nothing"):
        runs.train(experiment(), Run(network=SPEC, stages=(strange,)), elsewhere, Budget())


def test_a_run_goes_on_from_trained_weights_and_counts_their_clips(tmp_path: Path, shifts: None) -> None:
    """At a rate of nothing it ends with what it started from; the clips of both count."""
    first, second = Run(network=SPEC, method="supervised"), tmp_path / "second"
    assert runs.train(experiment(), first, place(tmp_path / "first"), Budget())
    seen = clips_seen(tmp_path / "first")
    assert seen > 0
    idle = dataclasses.replace(first, start=str(tmp_path / "first"), training={"rate": 1e-30, "weight_decay": 0.0})
    assert runs.train(experiment(), idle, place(second), Budget())
    assert clips_seen(second) == 2 * seen
    before, after = (load_network(folder).state_dict() for folder in (tmp_path / "first", second))
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in dict(load_network(second).named_parameters()))
    other = dataclasses.replace(idle, network={**SPEC, "layers": [8, 8, 16, 8]})
    with pytest.raises(VodistillError, match="do not fit"):
        runs.train(experiment(), other, place(tmp_path / "third"), Budget())


def test_files_that_are_no_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="not there"):
        load_network(tmp_path)
    checkpoint.save_tensors(tmp_path / "network.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(VodistillError, match="which network"):
        load_network(tmp_path)
    told = {"network": json.dumps(description())}
    checkpoint.save_tensors(tmp_path / "network.safetensors", {"a": torch.zeros(1)}, told)
    with pytest.raises(VodistillError, match="do not fit"):
        load_network(tmp_path)
