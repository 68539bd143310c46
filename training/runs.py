"""Training a network from its description: stages in order, in a folder that says how it came about."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from ros2_vodistill.errors import VodistillError
from training import checkpoint, losses, networks, origin, schedule
from training.budget import Budget
from training.config import Experiment
from training.data import streams
from training.learner import Learner
from training.loop import Trainer
from training.measure import clip_errors, on_clips, read_recordings, recording_errors
from training.networks.base import Network
from training.networks.grow import grow
from training.processes import agreed
from training.recipes import recipe
from training.settings import override
from training.stages import UNTAUGHT, Run, Stage, Training
from training.steps import TorchSteps
from training.teacher import Teacher, confidence
from training.trained import WEIGHTS, clips_seen, final_folder, finished, load_network, weights_file

WATCHED = ("rpe_t_m", "rpe_r_deg", "rpe_t_scaled_m", "direction_deg", "step_ratio", "ate_gps_m")
"""What is written of a real sequence's metrics while training."""


@dataclass(frozen=True)
class Place:
    """Where and on what a run is trained.

    Attributes:
        folder: of the run.
        accelerator: processes, devices and precision.
        teacher: for the stages that have one.
        say: takes a line for the user.
        quiet: show no progress.
    """

    folder: Path
    accelerator: Accelerator
    teacher: Network | None = None
    say: Callable[[str], None] = print
    quiet: bool = False


def train(experiment: Experiment, run: Run, place: Place, budget: Budget) -> bool:
    """Train `run` in its folder, from where it was left; True when it is finished.

    The run's network.safetensors is its newest average until a stage is finished, and the finished network then.
    """
    stages = resolved(run)
    plans = [(stage, _settings(experiment, run, stage, place)) for stage in stages]
    _check_names(stages, place.folder)
    description = networks.specify(network_name(run), networks.build(run.network))
    origin.check(place.folder, experiment, run, stages, place.teacher)
    start = weights_file(Path(run.start)) if run.start else None
    for stage, settings in plans:
        folder = place.folder / stage.name
        if not finished(folder):
            if agreed(place.accelerator, budget.spent):
                return False
            ending = budget.decay > 0 and settings.steps == 0
            if ending:
                folder = _branch(folder, place.accelerator)
            torch.manual_seed(experiment.seed)
            network = networks.build(description)
            _begin(network, start, place.teacher if run.start_from_teacher and not run.start else None)
            _adopt(network, stage, place.teacher)
            shown = place.folder if ending or not finished(final_folder(folder)) else None
            trainer = _trainer(experiment, stage, settings, folder, shown, place, network, description)
            if place.accelerator.is_main_process:  # only now: what cannot be trained leaves nothing behind
                origin.write(place.folder, experiment, run, stages, place.teacher)
            if start is not None and trainer.state.step == 0:
                trainer.state.samples = clips_seen(start)
            done = budget.train(trainer, place.say)
            place.accelerator.wait_for_everyone()
            if not done:
                return False
        start = folder / WEIGHTS
    return True


def resolved(run: Run) -> tuple[Stage, ...]:
    """The stages of a run."""
    return tuple(replace(s, freeze=s.freeze + run.freeze) for s in run.stages or recipe(run.method))


def _settings(experiment: Experiment, run: Run, stage: Stage, place: Place) -> Training:
    """Of a stage, whose losses are looked at, too, before anything is trained."""
    where = place.folder / stage.name
    settings = override(experiment.training, {**run.training, **stage.training}, f"{where}: training")
    schedule.check(settings)
    if not (stage.losses or stage.needs_flow):
        raise VodistillError(f"{where}: the stage has no loss", "give it one: pose, features, matching, ... (explain)")
    if settings.precision != experiment.training.precision:
        raise VodistillError(
            f"{where}: precision is {settings.precision}, and {experiment.training.precision} elsewhere",
            "set it for the whole experiment: training.precision",
        )
    for pose in stage.pose:
        losses.build_pose(pose.loss, **pose.options)
    for feature in stage.features:
        losses.check_features(feature.loss, feature.options)
    if stage.taught and place.teacher is None:
        needing = ", ".join(sorted(stage.losses - UNTAUGHT))
        raise VodistillError(f"{where}: {needing} without a teacher", "only students have one: see the key `students`")
    return settings


def _check_names(stages: tuple[Stage, ...], folder: Path) -> None:
    """A stage's name is that of its folder."""
    names = [stage.name for stage in stages]
    for name in names:
        if names.count(name) > 1 or final_folder(folder / name).name in names:
            raise VodistillError(f"{folder}: stages are named {', '.join(names)}", "give each a name of its own")


def network_name(run: Run) -> str:
    """The registered name of a run's network."""
    return run.network if isinstance(run.network, str) else str(run.network.get("name", ""))


def evaluation(experiment: Experiment, network: Network, device: torch.device) -> Callable[[Network], dict[str, float]]:
    """What is measured while training: held-out clips, then the real sequences that the experiment names."""
    data = experiment.data
    held_out = streams.held_out(replace(data, test=data.validation or data.test), network, device)
    recordings = read_recordings(experiment.measure)
    weight = experiment.confidence.rotation_weight

    def measure(network: Network) -> dict[str, float]:
        values = clip_errors(on_clips(network, held_out, experiment.data.held_out), weight)
        for name, recording in recordings.items():
            found = recording_errors(TorchSteps(network), recording)
            values.update({f"{name}/{k}": found[k] for k in WATCHED if found.get(k) is not None})
        return values

    return measure


def _trainer(
    experiment: Experiment,
    stage: Stage,
    settings: Training,
    folder: Path,
    shown: Path | None,
    place: Place,
    network: Network,
    description: dict[str, Any],
) -> Trainer:
    device = place.accelerator.device
    data = experiment.data
    teacher = None
    masks = "fgd" in stage.losses
    stream = streams.training(
        data, network, settings.batch_size, experiment.seed, device, masks=masks, flow=stage.needs_flow
    )
    if stage.taught and place.teacher is not None:
        known, trust = place.teacher.to(device), experiment.confidence
        fixed, count = streams.confidence(data, known, settings.batch_size, trust, device)
        with place.accelerator.main_process_first():
            spread = confidence(known, fixed, count, trust, folder.parent.parent / "confidence.json")
        teacher = Teacher(known, trust, spread)
        if spread.doubt and place.accelerator.is_main_process:
            place.say(f"{folder}: {spread.doubt}")
    learner = Learner(network, description, stage, experiment.confidence.rotation_weight, teacher, settings.blank)
    return Trainer(
        learner,
        stream,
        settings,
        folder,
        place.accelerator,
        seed=experiment.seed,
        workers=data.workers,
        evaluate=evaluation(experiment, network, device),
        shown=shown,
        quiet=place.quiet,
    )


def _begin(network: Network, start: Path | None, teacher: Network | None) -> None:
    """Weights to start from: those of a file, else the teacher's parameters of the same name and shape."""
    if start is not None:
        known = load_network(start)
        if known.config == network.config:
            network.load_state_dict(known.state_dict())
        else:
            grow(network, known, str(start))
    elif teacher is not None and not network.adopt(teacher):
        raise VodistillError("start_from_teacher: the student's encoder has no layer of the teacher's", "remove it")


def _adopt(network: Network, stage: Stage, teacher: Network | None) -> None:
    """Take over what the stage begins with as the teacher's."""
    for pattern in stage.adopt:
        if teacher is None:
            raise VodistillError(f"stage {stage.name} adopts parameters without a teacher", "see the key `teacher`")
        if not network.adopt(teacher, [pattern]):
            raise VodistillError(f"stage {stage.name}: adopt {pattern!r} matches nothing of the teacher's", "remove it")


def _branch(folder: Path, accelerator: Accelerator) -> Path:
    """The folder in which an open-ended stage is ended: a copy of its newest checkpoint, or an ending in progress."""
    final, newest = final_folder(folder), checkpoint.latest(folder / "checkpoints")
    if newest is None:
        raise VodistillError(f"{folder}: nothing is trained that --decay could end", "train without --decay first")
    ending = checkpoint.latest(final / "checkpoints")
    if accelerator.is_main_process:
        if ending is not None and finished(final):
            state = checkpoint.read_json(ending / "state.json")
            if state["decay"][0] != checkpoint.read_json(newest / "state.json")["step"]:
                checkpoint.remove(final)
                ending = None
        if ending is None:
            copy = final / "checkpoints" / f".{newest.name}"
            shutil.copytree(newest, copy, dirs_exist_ok=True)
            copy.replace(copy.with_name(newest.name))
    accelerator.wait_for_everyone()
    return final
