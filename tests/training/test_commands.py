"""The commands as users call them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ros2_vodistill.model import Model
from tests.training.killed import kill_at
from training import checkpoint

ROOT = Path(__file__).resolve().parents[2]
TINY = "training/configs/tiny.yaml"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "training", *map(str, arguments)]


def run(*arguments: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command(*arguments), cwd=ROOT, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == expect, done.stderr[-3000:]
    return done


def test_problems_are_told_without_a_traceback(tmp_path: Path) -> None:
    done = run("teacher", "--config", TINY, "--set", "training.bach_size=3", "--runs", tmp_path, expect=2)
    assert "training.bach_size" in done.stderr
    assert "batch_size" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_torch_the_remedy_is_told() -> None:
    code = "import sys, runpy; sys.modules['torch'] = None; runpy.run_module('training', run_name='__main__')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "error: training needs torch\n  from the checkout: pip install -e '.[train]'\n"


def test_a_training_without_its_data_leaves_nothing_behind(tmp_path: Path) -> None:
    done = run("teacher", "--config", "training/configs/paper.yaml", "--runs", tmp_path / "runs", expect=2)
    assert "data.root is empty" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_path_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run("teacher", "--config", TINY, "--set", f"data.cache={tmp_path / 'file' / 'clips'}", expect=2)
    assert f"{tmp_path / 'file' / 'clips'}" in done.stderr and "Traceback" not in done.stderr


def test_every_setting_is_explained() -> None:
    text = run("explain").stdout
    assert "training.rate" in text
    assert "the highest learning rate" in text


@pytest.mark.slow
def test_from_an_experiment_to_a_model_and_its_tables(tmp_path: Path) -> None:
    """The whole road on the smallest experiment: distil, measure, export, quantise, compare."""
    runs = tmp_path / "runs"
    own = ("--runs", runs, "--set", f"data.cache={tmp_path / 'clips'}")
    run("distill", "--config", TINY, *own)
    rows = json.loads((runs / "tiny" / "distill.json").read_text())
    assert [row["network"] for row in rows] == ["teacher", "aht_ail", "supervised"]
    assert all(row["network"] in (runs / "tiny" / "distill.md").read_text() for row in rows)

    student = runs / "tiny" / "aht_ail"
    found = json.loads(run("evaluate", student).stdout)
    assert found["parameters"] == rows[1]["parameters"]
    assert found["held_out"]["motions"] == 16
    assert found["command"].startswith("python -m training evaluate")

    models = tmp_path / "models"
    run("export", student, "--name", "tiny-s", "--teacher", runs / "tiny" / "teacher", "--out", models)
    run("quantize", models / "tiny-s", "--config", TINY)
    card = Model.load(models / "tiny-s").card
    assert card.d_rate == pytest.approx(rows[1]["d_rate"], abs=1e-5)
    assert card.teacher == "flownet-t"
    assert card.data["samples"] == 2 * 12 * 4
    assert card.measured[0]["error"] == pytest.approx(found["held_out"]["error"])
    lower = Model.load(models / "tiny-s-int8").card
    assert lower.precision == "int8"
    exported = json.loads(run("evaluate", models / "tiny-s", "--config", TINY).stdout)
    assert exported["held_out"]["error"] == pytest.approx(found["held_out"]["error"], rel=1e-4)
    run("card", models / "tiny-s", "demo/bag")
    rows = [row for row in Model.load(models / "tiny-s").card.measured if row.get("recording") == "demo/bag"]
    assert [row["refined"] for row in rows] == [False, True]
    assert "--data FOLDER" in run("card", models / "tiny-s", "nowhere@1.65", expect=2).stderr
    assert "is no height" in run("card", models / "tiny-s", "demo/bag@high", expect=2).stderr

    run("tables", "--config", TINY, *own, "--jobs", "2")
    text = (runs / "tiny" / "report" / "tables.md").read_text()
    assert "AHT + AIL beside the supervised student" in text
    results = [path.stat().st_mtime for path in runs.glob("tiny/tables/*/result.json")]
    assert len(results) == 3
    run("tables", "--config", TINY, *own)
    assert [path.stat().st_mtime for path in runs.glob("tiny/tables/*/result.json")] == results


@pytest.mark.slow
def test_a_killed_training_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    """kill -9 in the middle, the same command again, and the weights are those of a training that nothing disturbed, to
    the last bit, where one thread adds up."""
    settings = [
        *("--config", TINY, "--set", f"data.cache={tmp_path / 'clips'}", "--set", "training.checkpoint_minutes=0"),
        *("--set", "training.steps=60", "--set", "training.evaluate_steps=60"),
        *("--set", "training.threads=1"),
    ]
    run("teacher", *settings, "--runs", tmp_path / "whole")
    folder = tmp_path / "killed" / "tiny" / "teacher" / "train"
    process = subprocess.Popen(command("teacher", *settings, "--runs", tmp_path / "killed"), cwd=ROOT)
    assert kill_at(process, folder / "checkpoints", step=3).name < "step-000000060"
    run("teacher", *settings, "--runs", tmp_path / "killed")
    one, other = (
        checkpoint.load_tensors(tmp_path / name / "tiny" / "teacher" / "network.safetensors")[0]
        for name in ("whole", "killed")
    )
    assert all(torch.equal(one[k], other[k]) for k in one)


@pytest.mark.slow
def test_killed_tables_go_on(tmp_path: Path) -> None:
    """kill -9 between two cells: its processes end too, finished cells stay, and the figures are those of a call that
    nothing disturbed."""
    own = ("--set", f"data.cache={tmp_path / 'clips'}", "--set", "training.threads=1", "--jobs", "2")
    run("tables", "--config", TINY, *own, "--runs", tmp_path / "whole")
    cells = tmp_path / "killed" / "tiny" / "tables"
    process = subprocess.Popen(command("tables", "--config", TINY, *own, "--runs", tmp_path / "killed"), cwd=ROOT)
    try:
        for _ in range(6000):
            if list(cells.glob("*/result.json")) or process.poll() is not None:
                break
            time.sleep(0.02)
        workers = _descendants(process.pid)
    finally:
        process.kill()
        process.wait()
    finished = {path: path.stat().st_mtime_ns for path in cells.glob("*/result.json")}
    assert 0 < len(finished) < 3
    assert workers
    for _ in range(500):
        if not any(Path(f"/proc/{pid}").exists() for pid in workers):
            break
        time.sleep(0.02)
    else:
        pytest.fail("processes went on without their parent")
    run("tables", "--config", TINY, *own, "--runs", tmp_path / "killed")
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())
    whole, killed = (
        json.loads((tmp_path / name / "tiny" / "report" / "tables.json").read_text()) for name in ("whole", "killed")
    )
    assert whole["rows"] == killed["rows"]


def _descendants(pid: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    children = [int(c) for task in Path(f"/proc/{pid}/task").glob("*/children") for c in task.read_text().split()]
    return children + [grandchild for child in children for grandchild in _descendants(child)]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_polite_end_leaves_a_checkpoint(tmp_path: Path, workers: int) -> None:
    """SIGTERM to all its processes ends the training after the step in progress."""
    folder = tmp_path / "runs" / "tiny" / "teacher" / "train"
    settings = ("--set", f"data.cache={tmp_path / 'clips'}", "--set", "teacher.training={steps: 1000000}")
    call = command(
        "teacher", "--config", TINY, *settings, "--set", f"data.workers={workers}", "--runs", tmp_path / "runs"
    )
    process = subprocess.Popen(call, cwd=ROOT, start_new_session=True)
    try:
        for _ in range(2400):
            if (folder / "metrics.jsonl").exists() and (folder / "metrics.jsonl").read_text():
                break
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(timeout=120) == 130
    finally:
        if process.poll() is None:
            process.kill()
    newest = checkpoint.latest(folder / "checkpoints")
    assert newest is not None
    state = checkpoint.read_json(newest / "state.json")
    assert state["step"] > 0
    assert not state["finished"]
