"""The two commands that train: a teacher, and students that learn from it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ros2_vodistill.errors import VodistillError
from training.config import Experiment
from training.networks.base import Network
from training.runs import Budget, Place, load_network, make_accelerator, train

TEACHER = "teacher"


def train_teacher(experiment: Experiment, folder: Path, budget: Budget, say: Callable[[str], None]) -> bool:
    """Train the experiment's teacher in folder/teacher; True when it is finished."""
    if not experiment.teacher.network:
        raise VodistillError(f"experiment {experiment.name}: `teacher.network` is not given", "name a network to train")
    place = Place(folder / TEACHER, make_accelerator(experiment.training), say=say)
    return train(experiment, experiment.teacher, place, budget)


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
        done &= train(experiment, run, Place(folder / name, accelerator, teacher, say), budget)
    return done


def find_teacher(experiment: Experiment, folder: Path, budget: Budget, say: Callable[[str], None]) -> Network | None:
    """The teacher that the experiment names or trains; None where the budget ended before its training did."""
    if experiment.teacher.path:
        return load_network(experiment.teacher.path)
    if not train_teacher(experiment, folder, budget, say):
        return None
    return load_network(folder / TEACHER)
