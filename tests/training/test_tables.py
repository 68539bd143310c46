"""The tables: which cells they need, that finished ones stay, and what the report says."""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from tests.training.sequences import write_kitti
from tests.training.test_measure import Told
from tests.training.toy import SPEC, ShiftStream, network
from training import checkpoint, report, runs, tables
from training.budget import Budget
from training.cells import ABLATION, BLENDING, Cell, cells, run_of
from training.config import Data, Experiment, Table
from training.data import kitti, streams
from training.loop import Trainer
from training.processes import make_accelerator
from training.score import hint_error, score
from training.stages import Pose, Run, Stage, Training

TABLE = Table(
    networks={"A": {**SPEC}, "B": {**SPEC, "layers": [8, 8, 16, 8]}},
    methods=("supervised", "aht_ail", "md"),
    ablation=("B",),
    blending="A",
    alphas=(0.25, 0.5, 0.75),
    rates={"C": {**SPEC, "layers": [4, 8, 16, 8]}},
    seeds=(0, 1),
    sequences=4,
    length=5,
)


def test_every_cell_is_wanted_once() -> None:
    wanted = cells(TABLE)
    assert len(set(wanted)) == len(wanted)
    seeds = {cell.seed for cell in wanted}
    assert seeds == {0, 1}
    found = {(cell.network, cell.method) for cell in wanted}
    assert {("A", m) for m in (*TABLE.methods, *BLENDING, "aht_ail@0.25", "aht_ail@0.75")} == {
        (n, m) for n, m in found if n == "A"
    }
    assert {("B", m) for m in (*TABLE.methods, *ABLATION)} <= found
    assert {(n, m) for n, m in found if n == "C"} == {("C", "aht_ail")}
    assert len(wanted) == 2 * len(found)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(VodistillError, match="'Z'"):
        cells(Table(networks={"A": SPEC}, ablation=("Z",)))
    with pytest.raises(VodistillError, match="nonsense"):
        cells(Table(networks={"A": SPEC}, methods=("nonsense",)))


def test_map_losses_never_start_from_the_teacher() -> None:
    table = Table(networks={"A": SPEC}, start_from_teacher=True, freeze=("encoder*",))
    assert run_of(table, Cell("A", "aht_ail", 0)).freeze == ("encoder*",)
    assert run_of(table, Cell("A", "aht_ail", 0)).start_from_teacher
    for method in ("review", "lad", "md", "fgd"):
        assert not run_of(table, Cell("A", method, 0)).start_from_teacher
        assert run_of(table, Cell("A", method, 0)).freeze == ()


def test_probabilistic_imitation_has_a_deviation_for_each_sample() -> None:
    """The paper's students otherwise learn one constant."""
    swift = {"name": "swift-xs"}
    table = Table(networks={"A": "flownet-3-3", "B": {"name": "flownet-7-2", "unit": "metre"}, "C": swift})
    for method in ("pil_laplace", "pil_gaussian"):
        assert run_of(table, Cell("A", method, 0)).network == {"name": "flownet-3-3", "uncertainty": True}
        assert run_of(table, Cell("B", method, 0)).network == {
            "name": "flownet-7-2", "unit": "metre", "uncertainty": True,
        }  # fmt: skip
        assert run_of(table, Cell("C", method, 0)).network == swift
    assert run_of(table, Cell("A", "ail", 0)).network == "flownet-3-3"


@pytest.fixture
def shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    def held_out(data: Data, observer: object, device: object, frames: int = 3) -> ShiftStream:
        return ShiftStream(data.held_out, frames, seed=99)

    monkeypatch.setattr(streams, "training", lambda data, observer, size, seed, *_, **__: ShiftStream(size, 3, seed))
    monkeypatch.setattr(streams, "held_out", held_out)
    monkeypatch.setattr(streams, "confidence", lambda *_: (ShiftStream(4, 3, seed=98), 8))
    monkeypatch.setattr("training.tables.milliseconds", lambda network: network.parameter_count() / 1e3)


def experiment(**table: Any) -> Experiment:
    training = Training(steps=3, batch_size=4, rate=1e-3, warmup=1, evaluate_steps=1)
    settings = Table(
        **{"networks": {"A": SPEC}, "methods": ("supervised", "aht_ail"), "sequences": 2, "length": 5, **table}
    )
    teacher = Run(network={**SPEC, "width": 0.25, "layers": [32, 16, 16, 8]}, method="supervised")
    return Experiment("toy", data=Data(held_out=4), training=training, teacher=teacher, table=settings)


def test_a_finished_cell_is_not_trained_again(tmp_path: Path, shifts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    first = tables.tables(experiment(), tmp_path, tmp_path / "report", 1, "command", lambda _: None)
    trained: list[str] = []
    original = runs.train

    def watch(experiment: Experiment, run: Run, place: runs.Place, budget: Budget) -> bool:
        trained.append(place.folder.name)
        return original(experiment, run, place, budget)

    monkeypatch.setattr(tables, "train", watch)
    again = tables.tables(experiment(), tmp_path, tmp_path / "report", 1, "command", lambda _: None)
    assert trained == []
    assert again["rows"] == first["rows"]
    more = tables.tables(experiment(seeds=(0, 1)), tmp_path, tmp_path / "report", 1, "command", lambda _: None)
    assert sorted(name.rsplit("-", 1)[0] for name in trained) == ["A-aht_ail-seed1", "A-supervised-seed1"]
    values = [json.loads(p.read_text())["ate"] for p in tmp_path.glob("tables/A-supervised-*/result.json")]
    (row,) = (r for r in more["rows"] if r["method"] == "supervised")
    assert row["ate"]["mean"] == pytest.approx(sum(values) / 2)
    assert row["ate"]["spread"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)


def test_cells_of_another_teacher_are_not_taken_for_this_ones(tmp_path: Path, shifts: None) -> None:
    def compare() -> None:
        tables.tables(experiment(), tmp_path, tmp_path / "report", 1, "command", lambda _: None)

    compare()
    weights = tmp_path / "teacher" / "network.safetensors"
    tensors, metadata = checkpoint.load_tensors(weights)
    checkpoint.save_tensors(weights, {k: v + 0.01 for k, v in tensors.items()}, metadata)
    with pytest.raises(VodistillError, match=r"A-aht_ail.* was trained with teacher"):
        compare()
    shutil.rmtree(next(tmp_path.glob("tables/A-aht_ail-*")))
    compare()


def test_an_interrupted_cell_goes_on(tmp_path: Path, shifts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps, then the process ends; the next call does the third step only."""
    toy = experiment(methods=("supervised",))
    tables.tables(toy, tmp_path, tmp_path / "report", 1, "command", lambda _: None)
    steps: list[int] = []
    original = Trainer._step

    def watch(self: Trainer, number: int, batch: Any) -> Any:
        steps.append(number)
        return original(self, number, batch)

    monkeypatch.setattr(Trainer, "_step", watch)
    cell = Cell("A", "supervised", 7)
    monkeypatch.setattr(tables, "Budget", lambda: Budget(steps=2))
    with pytest.raises(VodistillError, match="not finished"):
        tables.train_cell(toy, tmp_path, cell)
    monkeypatch.setattr(tables, "Budget", Budget)
    tables.train_cell(toy, tmp_path, cell)
    assert steps == [0, 1, 2]


def test_a_curve_goes_through_the_stages_in_their_order(tmp_path: Path, shifts: None) -> None:
    """Whenever their files were written last; an ending takes the place of what was trained on beside it."""
    toy = experiment()
    endless = replace(toy, training=replace(toy.training, steps=0, schedule="stable"))
    stages = (
        Stage("short", pose=(Pose("baseline"),), training={"steps": 2}),
        Stage("long", pose=(Pose("baseline"),)),
    )
    run = Run(network=SPEC, stages=stages)
    place = runs.Place(tmp_path, make_accelerator(toy.training), say=lambda _: None, quiet=True)
    for budget in (Budget(steps=5), Budget(decay=2), Budget(steps=1)):
        runs.train(endless, run, place, budget)
    (tmp_path / "short" / "metrics.jsonl").touch()
    with (tmp_path / "long" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 9, "eval')
    assert [step for step, _ in tables._curve(tmp_path)] == [1, 2, 3, 4, 5, 6, 7]
    assert tables._curve(tmp_path / "none") == []


def test_scores_are_those_of_the_trajectories(shifts: None) -> None:
    """A network that says the truth has no error; one that says nothing errs by all there is."""

    class Oracle(torch.nn.Module):
        unit = "camera_height"
        views: ClassVar[dict[str, Any]] = {}
        factor = 1.0

        def __init__(self) -> None:
            super().__init__()
            self.motion_scale = torch.zeros(1)
            stream = ShiftStream(2, 5, seed=99)
            self.truth = iter([stream.batch(0).motions, stream.batch(1).motions])

        def forward(self, views: object) -> Any:
            return type("Output", (), {"motion": next(self.truth) * self.factor})

    perfect = score(Oracle(), experiment())  # type: ignore[arg-type]
    assert perfect["rpe_t"] == pytest.approx(0.0, abs=1e-6)
    assert perfect["ate"] == pytest.approx(0.0, abs=1e-6)
    still = Oracle()
    still.factor = 0.0
    truth = ShiftStream(2, 5, seed=99).batch(0).motions[..., :3].norm(dim=-1)
    assert score(still, experiment())["rpe_t"] == pytest.approx(float(truth.square().mean().sqrt()), rel=1e-5)  # type: ignore[arg-type]


class Drifting(torch.nn.Module):
    """Says the truth of `ShiftStream` but for an error of its own in each clip."""

    unit = "camera_height"
    views: ClassVar[dict[str, Any]] = {}

    def __init__(self, errors: torch.Tensor, batch_size: int) -> None:
        super().__init__()
        self.motion_scale = torch.zeros(1)
        self.errors, self.batch_size, self.asked = errors, batch_size, 0

    def said(self, batch: int) -> torch.Tensor:
        rows = slice(batch * self.batch_size, (batch + 1) * self.batch_size)
        return ShiftStream(self.batch_size, 5, seed=99).batch(batch).motions + self.errors[rows]

    def forward(self, views: object) -> Any:
        self.asked += 1
        return type("Output", (), {"motion": self.said(self.asked - 1)})


def test_absolute_errors_are_of_sequences_and_of_all_frames(shifts: None) -> None:
    """`ate` counts a sequence as one, however badly it went; the rest is over all frames of all sequences."""
    size = torch.tensor([0.01, 0.05, 0.3]).view(3, 1, 1)
    network = Drifting(size * torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(3)), 3)
    found = score(network, experiment(sequences=3))  # type: ignore[arg-type]
    distances = []
    for motions, truth in zip(network.said(0), ShiftStream(3, 5, seed=99).batch(0).motions, strict=True):
        ours, theirs = (
            geometry.accumulate(geometry.from_motion(x.double().numpy()))[:, :3, 3] for x in (motions, truth)
        )
        scale, rotation, translation = geometry.umeyama(ours, theirs, with_scale=True)
        distances.append(np.linalg.norm(scale * ours @ rotation.T + translation - theirs, axis=1))
    roots = [float(np.sqrt((each**2).mean())) for each in distances]
    every = np.sort(np.concatenate(distances))  # 15 of them
    assert found["ate"] == pytest.approx(sum(roots) / 3, rel=1e-5)
    assert found["median"] == pytest.approx(every[7], rel=1e-5)
    assert found["p90"] == pytest.approx(0.4 * every[12] + 0.6 * every[13], rel=1e-5)
    assert found["max"] == pytest.approx(every[14], rel=1e-5)
    assert found["p90"] > 1.5 * found["median"]
    assert found["ate"] < 0.9 * float(np.sqrt((every**2).mean()))


def test_no_more_sequences_are_scored_than_the_table_says(shifts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last batch is not filled by the three that are asked for: what is beyond them errs here, and is not seen."""
    monkeypatch.setattr(streams, "held_out", lambda data, observer, device, frames: ShiftStream(2, frames, seed=99))
    errors = torch.zeros(4, 4, 6)
    errors[3] = 1.0
    network = Drifting(errors, 2)
    assert score(network, experiment(sequences=3))["rpe_t"] == pytest.approx(0.0, abs=1e-6)  # type: ignore[arg-type]
    assert network.asked == 2


@pytest.mark.parametrize(("unit", "metres"), [("camera_height", 1.2), ("metre", 1.0)])
def test_recordings_are_scored_in_metres(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unit: str, metres: float
) -> None:
    """A network that says the truth in its own unit, of a camera that is 1.2 m above the ground."""
    write_kitti(tmp_path)
    motions = kitti.read_sequence(tmp_path, "00").motions("metre")
    motions[:, :3] /= metres
    monkeypatch.setattr("training.score.TorchSteps", lambda network: Told(motions, network.unit))
    recorded = replace(experiment(), data=Data(kind="kitti", root=str(tmp_path), test=("00",), height=1.2))
    assert score(network(unit=unit), recorded)["rpe_t"] == pytest.approx(0.0, abs=1e-6)
    motions[:, :3] *= 2
    steps = np.linalg.norm(kitti.read_sequence(tmp_path, "00").motions("metre")[:, :3], axis=1)
    assert score(network(unit=unit), recorded)["rpe_t"] == pytest.approx(math.sqrt((steps**2).mean()), rel=1e-5)


def test_the_hint_error_is_a_mean_square(shifts: None) -> None:
    class Hinting(torch.nn.Module):
        hint_width = 3

        def __init__(self, *hint: float) -> None:
            super().__init__()
            self.motion_scale, self.hint = torch.zeros(1), torch.tensor(hint)

        def forward(self, views: dict[str, torch.Tensor], features: bool) -> Any:
            batch, frames = views["image"].shape[:2]
            return type("Output", (), {"features": {"hint": self.hint.expand(batch, frames - 1, 3)}})

    student, teacher = Hinting(0.5, 1.0, 2.0), Hinting(0.0, 3.0, 2.0)
    assert hint_error(student, teacher, ShiftStream(), 6) == pytest.approx((0.25 + 4.0 + 0.0) / 3)  # type: ignore[arg-type]


def test_the_hint_error_is_none_where_widths_differ() -> None:
    from training import networks

    same, other = networks.build(SPEC), networks.build({**SPEC, "layers": [16, 8, 12, 8]})
    assert hint_error(same, other, ShiftStream(), 4) is None
    assert hint_error(same, same, ShiftStream(), 4) == 0.0


def row(network: str, method: str, rpe_t: float, spread: float | None = 0.01) -> dict[str, Any]:
    value = {"mean": rpe_t, "spread": spread}
    keys = ("rpe_t", "rpe_r_deg", "ate", "median", "p90", "max", "hint_error")
    return {"network": network, "method": method, "seeds": 2, **dict.fromkeys(keys, value)}


def collected(better: float) -> dict[str, Any]:
    from training.settings import plain

    methods = dict.fromkeys((*TABLE.methods, *BLENDING, *ABLATION, "aht_ail@0.25", "aht_ail@0.75"))
    rows = [row(n, m, better if m == "aht_ail" else 0.5) for n in ("A", "B", "C") for m in methods]
    size = {"parameters": 10, "d_rate": 0.9, "ms": 1.0}
    return {
        "command": "the command",
        "experiment": plain(Experiment("toy", table=TABLE)),
        "code": {"commit": "0123456789abcdef", "changed": True},
        "teacher": {"rpe_t": 0.1, "rpe_r_deg": 0.2, "ate": 0.3},
        "sizes": {"T": {**size, "d_rate": 0.0}, "A": size, "B": size, "C": size},
        "rows": rows,
        "curves": {"T": [(1, 0.5), (2, 0.4)], "A supervised": []},
    }


@pytest.mark.parametrize(
    ("better", "says"), [(0.4, "-20.0 % (rank 1 of 3)"), (0.6, "+20.0 % (rank 3 of 3)"), (0.495, "within the spread")]
)
def test_the_report_says_what_came_out(tmp_path: Path, better: float, says: str) -> None:
    report.write(collected(better), tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert says in text
    assert "the command" in text
    assert "0123456789ab with changes" in text
    for name in re.findall(r"\]\((\w+\.png)\)", text):
        assert (tmp_path / name).read_bytes()[:4] == b"\x89PNG"
    assert {p.name for p in tmp_path.iterdir()} == {
        "tables.md", "tables.json", "blending.png", "rates.png", "convergence.png",
    }  # fmt: skip
    assert json.loads((tmp_path / "tables.json").read_text()) == json.loads(json.dumps(collected(better)))
    swept = text.split("## Share of the truth (AHT + AIL, A)\n\n")[1].splitlines()[2:5]
    assert [line.split(" | ")[:2] for line in swept] == [
        ["| 0.25", "0.5000 ± 0.0100"], ["| 0.5", f"{better:.4f} ± 0.0100"], ["| 0.75", "0.5000 ± 0.0100"],
    ]  # fmt: skip
    widths = {line.count("|") for line in text.split("## Blending")[1].split("![")[0].splitlines() if "|" in line}
    assert len(widths) == 1


def test_an_error_of_nothing_is_no_measure(tmp_path: Path) -> None:
    """As that of positions along a path that stays where it is."""
    known = collected(0.4)
    for found in known["rows"]:
        found["ate"] = {"mean": 0.0, "spread": 0.0}
    report.write(known, tmp_path)
    lines = (tmp_path / "tables.md").read_text().splitlines()
    verdict = next(line for line in lines if "beside the supervised" in line)
    assert "RPE r -20.0 %" in verdict
    assert "ATE" not in verdict
