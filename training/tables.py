"""Trains every cell of the tables, each in its own folder, and writes what came out."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ros2_vodistill.errors import VodistillError
from training import checkpoint, report
from training.budget import Budget
from training.cells import Cell, cells, network_of, run_of
from training.config import Experiment
from training.data import streams
from training.distill import TEACHER, find_teacher, limit_threads
from training.networks import Network, build, d_rate
from training.origin import stage_names
from training.processes import make_accelerator
from training.progress import METRICS, rows
from training.recipes import spelled_out
from training.runs import Place, train
from training.score import hint_error, milliseconds, score
from training.settings import plain
from training.teacher import confidence
from training.trained import final_folder, fingerprint, load_network

RESULT = "result.json"


def tables(
    experiment: Experiment, folder: Path, out: Path, jobs: int, command: str, say: Callable[[str], None]
) -> dict[str, Any]:
    """Train what is missing, `jobs` cells at a time, and write out/tables.{md,json} and the plots.

    A finished cell is never trained again; one that was interrupted goes on where it was.
    """
    wanted = cells(experiment.table)
    if not wanted:
        raise VodistillError(f"experiment {experiment.name}: its `table` names no networks", "see small.yaml")
    if "fgd" in experiment.table.methods:
        _render_with_masks(experiment)
    teacher = find_teacher(experiment, folder, Budget(), say)
    assert teacher is not None
    _prepare(experiment, teacher, folder, say)
    word = fingerprint(teacher)
    missing = [cell for cell in wanted if _known(experiment, folder, cell, word) is None]
    say(f"{len(wanted)} cells, {len(missing)} to train")
    start = time.monotonic()
    for number, cell in enumerate(_trained(experiment, folder, missing, jobs), 1):
        left = (time.monotonic() - start) / number * (len(missing) - number) / 60
        say(f"{number}/{len(missing)} {cell.name}, about {left:.0f} min left")
    collected = _collect(experiment, folder, wanted, teacher, command)
    report.write(collected, out)
    return collected


def _trained(experiment: Experiment, folder: Path, missing: list[Cell], jobs: int) -> Iterator[Cell]:
    """Train cells, and say of each when it is done."""
    if jobs <= 1:
        for cell in missing:
            train_cell(experiment, folder, cell)
            yield cell
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), initializer=_end_with_parent) as pool:
        pending = {pool.submit(train_cell, experiment, folder, cell): cell for cell in missing}
        try:
            for done in as_completed(pending):
                done.result()
                yield pending[done]
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else it would train all the others first
            raise


def _end_with_parent() -> None:
    """A process whose parent was killed must not go on beside the next call's."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    alive = parent.sentinel

    def watch() -> None:
        multiprocessing.connection.wait([alive])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def train_cell(experiment: Experiment, folder: Path, cell: Cell) -> None:
    """Train one cell and write its result.json."""
    torch.set_num_threads(experiment.training.threads or 1)
    own = replace(experiment, seed=cell.seed, measure=())
    place = _folder(experiment, folder, cell)
    accelerator = make_accelerator(experiment.training)
    teacher = _teacher(experiment, folder).to(accelerator.device)
    where = Place(place, accelerator, teacher, _silent, quiet=True)
    if not train(own, spelled_out(run_of(experiment.table, cell), experiment.training), where, Budget()):
        raise VodistillError(f"{place}: not finished", "run the same command again")
    network = load_network(place).to(accelerator.device)
    held_out = streams.held_out(experiment.data, network, accelerator.device)
    result = {
        **plain(cell),
        "teacher": fingerprint(teacher),
        **score(network, experiment),
        "hint_error": hint_error(network, teacher, held_out, experiment.data.held_out),
    }
    checkpoint.write_text(place / RESULT, json.dumps(result, indent=1))


def _collect(
    experiment: Experiment, folder: Path, wanted: list[Cell], teacher: Network, command: str
) -> dict[str, Any]:
    word = fingerprint(teacher)
    results = [known for cell in wanted if (known := _known(experiment, folder, cell, word))]
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["network"], result["method"]), []).append(result)
    averaged = [
        {"network": label, "method": method, "seeds": len(group), **_spread(group)}
        for (label, method), group in groups.items()
    ]
    own = teacher.parameter_count()
    sizes = {"T": {"parameters": own, "d_rate": 0.0, "ms": milliseconds(teacher)}}
    for label in dict.fromkeys(cell.network for cell in wanted):
        network = build(network_of(experiment.table, label))
        count = network.parameter_count()
        sizes[label] = {"parameters": count, "d_rate": d_rate(network, own), "ms": milliseconds(network)}
    curves = {"T": _curve(folder / TEACHER)}
    for cell in wanted:
        if cell.method in ("supervised", experiment.table.rate_method) and cell.seed == experiment.table.seeds[0]:
            curves[f"{cell.network} {cell.method}"] = _curve(_folder(experiment, folder, cell))
    return {
        "command": command,
        "experiment": plain(experiment),
        "code": checkpoint.read_json(folder / TEACHER / "code.json") if (folder / TEACHER).exists() else {},
        "teacher": score(teacher, experiment),
        "sizes": sizes,
        "rows": averaged,
        "curves": curves,
    }


def _spread(group: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean and standard deviation over the seeds of every number."""
    out = {}
    for name in ("rpe_t", "rpe_r_deg", "ate", "median", "p90", "max", "hint_error"):
        values = [result[name] for result in group if result[name] is not None]
        if values:
            out[name] = {
                "mean": statistics.fmean(values),
                "spread": statistics.stdev(values) if len(values) > 1 else None,
            }
    return out


def _curve(run: Path) -> list[tuple[int, float]]:
    """(step, error on held-out clips) of all stages, one after the other; of one that was ended, with its ending."""
    curve: list[tuple[int, float]] = []
    for stage in (run / name for name in stage_names(run)):
        ending = rows(final_folder(stage) / METRICS)
        known = [row for row in rows(stage / METRICS) if not ending or row["step"] < ending[0]["step"]]
        before = curve[-1][0] if curve else 0
        evaluations = [row for row in (*known, *ending) if "evaluation/error" in row]
        curve += [(before + row["step"], row["evaluation/error"]) for row in evaluations]
    return curve


def _render_with_masks(experiment: Experiment) -> None:
    """The clips of a finite set, before the teacher has them rendered without the masks that a student asks for."""
    limit_threads(experiment)
    path, size = experiment.teacher.path, experiment.training.batch_size
    observer = load_network(path) if path else build(experiment.teacher.network)
    device = make_accelerator(experiment.training).device
    streams.training(experiment.data, observer, size, experiment.seed, device, masks=True)


def _prepare(experiment: Experiment, teacher: Network, folder: Path, say: Callable[[str], None]) -> None:
    """What all cells share is made once, before several processes ask for it: the clips and eta."""
    device = make_accelerator(experiment.training).device
    settings, data = experiment.confidence, experiment.data
    known = teacher.to(device)
    fixed, count = streams.confidence(data, known, experiment.training.batch_size, settings, device)
    spread = confidence(known, fixed, count, settings, folder / "tables" / "confidence.json")
    if spread.doubt:
        say(spread.doubt)


def _teacher(experiment: Experiment, folder: Path) -> Network:
    return load_network(experiment.teacher.path or folder / TEACHER)


def _known(experiment: Experiment, folder: Path, cell: Cell, teacher: str) -> dict[str, Any] | None:
    """The result of a cell, if it is finished, beside a teacher of these weights."""
    path = _folder(experiment, folder, cell) / RESULT
    known = dict(checkpoint.read_json(path)) if path.exists() else None
    return known if known and known.get("teacher", teacher) == teacher else None


def _key(experiment: Experiment, cell: Cell) -> str:
    settings = plain(experiment)
    told = {name: settings[name] for name in ("data", "training", "confidence", "teacher")}
    for place in ("cache", "workers"):
        del told["data"][place]
    scored = [experiment.table.sequences, experiment.table.length]
    key = json.dumps([told, plain(run_of(experiment.table, cell)), cell.seed, scored], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:8]


def _folder(experiment: Experiment, folder: Path, cell: Cell) -> Path:
    """A cell's own folder; other settings, another folder."""
    return folder / "tables" / f"{cell.name}-{_key(experiment, cell)}"


def _silent(_: str) -> None:
    """Cells say nothing: the caller tells when each is done."""
