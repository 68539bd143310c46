"""Models, engines and the classical baseline side by side in one run.

Every contender has a process of its own and they take turns, round by round, so that whatever else the machine does
meets them alike; ratios within a run mean more than its milliseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, fields
from datetime import datetime, timezone
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from ros2_vodistill.console import sheet
from ros2_vodistill.contender import PARTS, Task
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.machine import machine, versions
from ros2_vodistill.model import shipped
from ros2_vodistill.odometry import CLASSICAL
from ros2_vodistill.scenes import Scene, generated, recorded

SIZES = ((1241, 376), (1280, 720))
FRAMES = 20
_WARM_UP = 5  # frames before the first round
_BUSY = 0.3  # of the processors, by others, beyond which the figures say so
_TABLE = ".md"
_MIXED = "Models differ in precision: of int8 beside fp32, a ratio is the network's and the precision's together."
Figures = dict[str, Any]


def default_models() -> list[str]:
    """All that ship, and the classical baseline."""
    return [*(folder.name for folder in shipped()), CLASSICAL]


def compare(
    models: list[str],
    engines: list[str],
    threads: list[int],
    source: Path | None = None,
    rounds: int = 5,
    each: Callable[[int, int], object] = lambda done, total: None,
    teachers: Sequence[str] = (),
) -> Figures:
    """Time every model on every engine with every number of threads, on frames of every size.

    Args:
        models: names or folders, or 'classical'; networks alone, and refined.
        source: a recording; without one, a generated corridor at each of `SIZES`.
        each: called with the turns taken and their total.
        teachers: further models, alone; what is of their family is compared with them.
    """
    busy = os.getloadavg()[0] / (os.cpu_count() or 1)
    alone = [(model, False) for model in (*teachers, *models)]
    refined = [(model, True) for model in models if model != CLASSICAL]
    contenders = list(
        dict.fromkeys(
            (model, refine, "auto" if model == CLASSICAL else engine, count)
            for (model, refine), engine, count in product(alone + refined, engines, threads)
        )
    )
    rows: list[Figures] = []
    with tempfile.TemporaryDirectory() as folder:
        scenes = [recorded(source, FRAMES, Path(folder))] if source else _corridors(Path(folder))
        turns = len(scenes) * len(contenders) * (rounds + 1)
        for number, scene in enumerate(scenes):
            before = number * len(contenders) * (rounds + 1)
            found = _scene(scene, contenders, rounds, lambda done, before=before: each(before + done, turns))  # type: ignore[misc]
            rows += [
                {**row, "asked_for": model, "given_as_teacher": model in teachers}
                for row, (model, *_) in zip(found, contenders, strict=True)
            ]
    return {
        "command": " ".join(["vodistill", *sys.argv[1:]]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "versions": versions(),
        "load_before": round(busy, 2),
        "notes": [f"the machine was busy before: {busy:.0%} of its processors"] if busy > _BUSY else [],
        "rounds": rounds,
        "frames_per_round": FRAMES,
        "rows": _with_ratios(_told_apart(rows)),
    }


def require_file(path: Path) -> None:
    """An error, before any work, where the figures could not be written there."""
    require_folder(path.parent)
    if path.suffix == _TABLE:
        raise VodistillError(f"{path} is where the table goes, beside the figures", "Name a .json file.")
    for file in (path, path.with_suffix(_TABLE)):
        if file.is_dir():
            raise VodistillError(f"{file} is a folder", "Name a .json file.")


def write(figures: Figures, path: Path) -> None:
    """The figures as JSON and, beside it, as Markdown."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    with replacing(path.with_suffix(_TABLE)) as temporary:
        temporary.write_text(markdown(figures), encoding="utf-8")


def table(figures: Figures) -> Table:
    """For the terminal: totals only."""
    baselines = _baselines(figures)
    shown = sheet("model", "engine", "threads", "frame", "ms", "p99", "MB", *(f"x {b}" for b in baselines))
    for row in figures["rows"]:
        total, ratios = row["ms"]["total"], (row["times_as_fast"].get(name) for name in baselines)
        cells = [*_named(row), f"{total['p50']:.2f}", f"{total['p99']:.2f}", f"{row['memory_mb']['now']:.0f}"]
        shown.add_row(*cells, *(f"{ratio['total']:.2f}" if ratio else "-" for ratio in ratios))
    return shown


def markdown(figures: Figures) -> str:
    """A table with all parts, the command and the machine."""
    baselines = _baselines(figures)
    head = ["model", "engine", "threads", "frame", "raw frame to pose", "p99", "rounds", *PARTS, "CPU", "MB"]
    lines = [head + [f"x {name}" for name in baselines], ["---"] * 2 + ["---:"] * (len(head) + len(baselines) - 2)]
    for row in figures["rows"]:
        ms, ratios = row["ms"], (row["times_as_fast"].get(name) for name in baselines)
        lines.append(
            [
                *_named(row),
                f"{ms['total']['p50']:.2f}",
                f"{ms['total']['p99']:.2f}",
                f"{ms['total']['least']:.2f}-{ms['total']['greatest']:.2f}",
                *(f"{ms[part]['p50']:.2f}" for part in PARTS),
                f"{row['processor_ms']:.2f}",
                f"{row['memory_mb']['now']:.0f}",
                *(
                    " / ".join(f"{ratio[part]:.2f}" for part in ("total", "step", "processor")) if ratio else "-"
                    for ratio in ratios
                ),
            ]
        )
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    where = ", ".join(str(value) for value in figures["machine"].values() if value)
    used = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return "\n".join(
        [
            f"{body}\n",
            "Milliseconds per frame, medians over all rounds; rounds: the least and the greatest median of one.",
            "CPU: processor time of all threads, in milliseconds per frame. MB: resident memory of the process.",
            "x: how many times as fast, from raw frame to pose / the step alone / by processor time.",
            *([_MIXED] if len({row["precision"] for row in figures["rows"]} - {None}) > 1 else []),
            "",
            f"- `{figures['command']}`, {figures['date']}",
            f"- {where}",
            f"- {used}",
            f"- {figures['rounds']} interleaved rounds of {figures['frames_per_round']} frames",
            *(f"- Note: {note}." for note in figures["notes"]),
            "",
        ]
    )


class _Process:
    """A contender's process; see `contender.serve`."""

    def __init__(self, task: Task) -> None:
        self.task = task
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(task.threads))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ros2_vodistill.contender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits},
        )
        self.about = self.ask(asdict(task))

    def __enter__(self) -> _Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, what: Any) -> Figures:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps(what), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise VodistillError(
                f"the process that timed '{self.task.model}' on engine '{self.task.engine}' ended",
                "Its messages are above. Run that model alone: vodistill run --model ... --engine ...",
            )
        answer: Figures = json.loads(line)
        if "problem" in answer:
            raise VodistillError(answer["problem"], answer["remedy"])
        return answer


def _scene(
    scene: Scene, contenders: list[tuple[str, bool, str, int]], rounds: int, each: Callable[[int], object]
) -> list[Figures]:
    camera = {field.name: _plain(getattr(scene.camera, field.name)) for field in fields(scene.camera)}
    turns: list[list[Figures]] = [[] for _ in contenders]
    done = 0
    with ExitStack() as stack:
        processes = []
        for model, refine, engine, threads in contenders:
            task = Task(model, refine, engine, threads, str(scene.path), camera, asdict(scene.mount))
            processes.append(stack.enter_context(_Process(task)))
            processes[-1].ask(_WARM_UP)
            each(done := done + 1)
        for _ in range(rounds):
            for process, mine in zip(processes, turns, strict=True):
                mine.append(process.ask(FRAMES))
                each(done := done + 1)
    size = f"{scene.camera.width}x{scene.camera.height}"
    return [
        {**process.about, "threads": process.task.threads, "frames": scene.name, "size": size, **_summary(mine)}
        for process, mine in zip(processes, turns, strict=True)
    ]


def _summary(turns: list[Figures]) -> Figures:
    times = {part: [np.array(turn["ms"][part]) for turn in turns] for part in ("total", *PARTS)}
    return {
        "ms": {part: _spread(rounds) for part, rounds in times.items()},
        "frames_per_s": float(1e3 / np.concatenate(times["total"]).mean()),
        "processor_ms": float(np.median([turn["processor_ms"] for turn in turns])),
        "memory_mb": turns[-1]["memory_mb"],
    }


def _spread(rounds: list[NDArray[np.float64]]) -> dict[str, float]:
    """Median and p99 over all frames; the least and the greatest of the rounds' medians."""
    p50, p99 = np.percentile(np.concatenate(rounds), [50, 99])
    medians = [float(np.median(times)) for times in rounds]
    return {"p50": float(p50), "p99": float(p99), "least": min(medians), "greatest": max(medians)}


def _told_apart(rows: list[Figures]) -> list[Figures]:
    """Models that have one name on their cards are called what was asked for."""
    asked: dict[str, set[str]] = {}
    for row in rows:
        asked.setdefault(row["model"], set()).add(row["asked_for"])
    return [{**row, "model": row["asked_for"] if len(asked[row["model"]]) > 1 else row["model"]} for row in rows]


def _with_ratios(rows: list[Figures]) -> list[Figures]:
    """Each row with how many times as fast it is as the baselines: its teacher and 'classical', else the first model.

    Compared are rows of the same frames and threads, and, where the baseline ran on it, the same engine.
    """
    named = {row["model"] for row in rows}
    teachers = {row["teacher"] for row in rows} & named | {row["model"] for row in rows if row["given_as_teacher"]}
    baselines = teachers | {CLASSICAL} & named or {rows[0]["model"]}
    return [{**row, "times_as_fast": dict(_ratios(row, rows, baselines))} for row in rows]


def _ratios(row: Figures, rows: list[Figures], baselines: set[str]) -> Iterable[tuple[str, dict[str, float]]]:
    for name in sorted(baselines):
        others = [
            r
            for r in rows
            if r["model"] == name and not r["refine"] and all(r[key] == row[key] for key in ("size", "threads"))
        ]
        others.sort(key=lambda other: other["engine"] != row["engine"])
        if others and (len(baselines) == 1 or _related(row, others[0])):
            clock = {part: others[0]["ms"][part]["p50"] / row["ms"][part]["p50"] for part in ("total", "step")}
            yield name, {**clock, "processor": others[0]["processor_ms"] / row["processor_ms"]}


def _related(row: Figures, other: Figures) -> bool:
    """The other one is the row's teacher, or one of its family; all are compared with classical, and it with all."""
    if CLASSICAL in (row["model"], other["model"]) or other["model"] in (row["teacher"], row["model"]):
        return True
    return bool(other["given_as_teacher"]) and other["family"] == row["family"]


def _baselines(figures: Figures) -> list[str]:
    return sorted({name for row in figures["rows"] for name in row["times_as_fast"]})


def _named(row: Figures) -> list[str]:
    name = f"{row['model']}, refined" if row["refine"] else row["model"]
    return [name, row["engine"] or "-", str(row["threads"]), row["size"]]


def _corridors(folder: Path) -> list[Scene]:
    return [generated(*size, FRAMES, folder) for size in SIZES]


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value
