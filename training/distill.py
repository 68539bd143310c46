"""The two commands that train: a teacher, and students that learn from it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import torch

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.budget import Budget
from training.config import Experiment
from training.networks.base import Network, d_rate
from training.origin import check, complete
from training.processes import make_accelerator
from training.recipes import spelled_out
from training.report import markdown
from training.runs import Place, resolved, train
from training.score import milliseconds, score
from training.trained import WEIGHTS, load_network

TEACHER = "teacher"


def train_teacher(experiment: Experiment, folder: Path, budget: Budget, say: Callable[[str], None]) -> bool:
    """Train the experiment's teacher in folder/teacher; True when it is finished."""
    if not experiment.teacher.network:
        raise VodistillError(f"experiment {experiment.name}: `teacher.network` is not given", "name a network to train")
    limit_threads(experiment)
    place = Place(folder / TEACHER, make_accelerator(experiment.training), say=say)
    done = train(experiment, experiment.teacher, place, budget)
    if done and place.accelerator.is_main_process:
        say(f"{place.folder / WEIGHTS}: finished")
    return done


def distill(
    experiment: Experiment,
    folder: Path,
    budget: Budget,
    only: list[str] | None,
    say: Callable[[str], None],
) -> bool:
    """Train the teacher, unless it is there, and the students; True when all are finished."""
    if unknown := set(only or []) - set(experiment.students):
        known = ", ".join(experiment.students) or "none"
        raise VodistillError(f"experiment {experiment.name}: no student {', '.join(unknown)}", f"students: {known}")
    teacher = find_teacher(experiment, folder, budget, say)
    if teacher is None:
        return False
    accelerator = make_accelerator(experiment.training)
    done = True
    for name, run in experiment.students.items():
        if only and name not in only:
            continue
        place = Place(folder / name, accelerator, teacher, say)
        done &= train(experiment, spelled_out(run, experiment.training), place, budget)
    if done and accelerator.is_main_process:
        summarise(experiment, folder, [name for name in experiment.students if complete(folder / name)], say)
    return done


def summarise(experiment: Experiment, folder: Path, names: list[str], say: Callable[[str], None]) -> None:
    """Measure the teacher and the students, and write folder/distill.md and distill.json."""
    places = {"teacher": Path(experiment.teacher.path or folder / TEACHER), **{name: folder / name for name in names}}
    networks = {name: load_network(place) for name, place in places.items()}
    whole = networks["teacher"].parameter_count()
    heads = {"RPE t": "rpe_t", "RPE r (°)": "rpe_r_deg", "ATE": "ate"}
    rows, lines = [], []
    for name, network in networks.items():
        count = network.parameter_count()
        size = {"parameters": count, "d_rate": d_rate(network, whole), "ms": milliseconds(network)}
        errors = score(network, experiment)
        rows.append({"network": name, **size, **errors})
        numbers = [f"{count:,}", f"{100 * size['d_rate']:.2f} %", f"{size['ms']:.2f}"]
        lines.append([name, *numbers, *(f"{errors[key]:.4f}" for key in heads.values())])
    table = markdown(["network", "parameters", "d_rate", "ms", *heads], lines)
    checkpoint.write_text(folder / "distill.json", json.dumps(rows, indent=1) + "\n")
    checkpoint.write_text(folder / "distill.md", table + "\n")
    say(table)


def find_teacher(experiment: Experiment, folder: Path, budget: Budget, say: Callable[[str], None]) -> Network | None:
    """The teacher that the experiment names or trains; None where the budget ended before its training did."""
    limit_threads(experiment)
    if experiment.teacher.path:
        return load_network(experiment.teacher.path)
    if complete(folder / TEACHER):
        check(folder / TEACHER, experiment, experiment.teacher, resolved(experiment.teacher))
        return load_network(folder / TEACHER)
    if not train_teacher(experiment, folder, budget, say):
        return None
    return load_network(folder / TEACHER)


def limit_threads(experiment: Experiment) -> None:
    """From the start: rendering comes before training."""
    if experiment.training.threads:
        torch.set_num_threads(experiment.training.threads)
