"""Models, engines and the classical baseline side by side in one run.

Every contender has a process of its own and they take turns, round by round, so that whatever else the machine does
meets them alike; ratios within a run mean more than its milliseconds.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from datetime import datetime, timezone
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import timings
from ros2_vodistill.contender import PARTS, Process, Task
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.machine import machine, versions
from ros2_vodistill.model import shipped
from ros2_vodistill.odometry import CLASSICAL
from ros2_vodistill.scenes import Scene, generated, recorded
from ros2_vodistill.timings import Figures

SIZES = ((1241, 376), (1280, 720))
FRAMES = 20
_WARM_UP = 5  # frames before the first round
_BUSY = 0.3  # of the processors, by others, beyond which the figures say so
_TABLE = ".md"


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
        temporary.write_text(timings.markdown(figures), encoding="utf-8")


def _scene(
    scene: Scene, contenders: list[tuple[str, bool, str, int]], rounds: int, each: Callable[[int], object]
) -> list[Figures]:
    camera, mount = asdict(scene.camera), asdict(scene.mount)
    turns: list[list[Figures]] = [[] for _ in contenders]
    done = 0
    with ExitStack() as stack:
        processes = []
        for model, refine, engine, threads in contenders:
            task = Task(model, refine, engine, threads, str(scene.path), camera, mount)
            processes.append(stack.enter_context(Process(task)))
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


def _corridors(folder: Path) -> list[Scene]:
    return [generated(*size, FRAMES, folder) for size in SIZES]
