"""From a trained network to a model with a card: calibration, measurement, export."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ros2_vodistill.model import read_card
from training.calibrate import covariance_scale
from training.config import Experiment, Measure, Shipping
from training.data import streams
from training.data.batch import Stream
from training.evaluate import errors
from training.export import CARD, CHECKED_STEPS, Origin, export, open_model, place
from training.measure import on_clips, read_recordings, recording_errors
from training.networks import Network, d_rate
from training.quantize import quantize
from training.steps import TorchSteps
from training.trained import clips_seen, description, load_network

SOURCES = {
    "world": ("generated world", "Apache-2.0"),
    "kitti": ("KITTI odometry", "CC BY-NC-SA 3.0"),
}
"""What networks are trained on, and the licence that they fall under, by `data.kind`."""


def ship(
    path: Path,
    name: str,
    experiment: Experiment,
    measures: tuple[Measure, ...],
    teacher: Path | None,
    out: Path,
    command: str,
    *,
    overwrite: bool = False,
) -> Path:
    """Calibrate the network's covariance on held-out clips, measure it, and write out/NAME."""
    place(out, name, overwrite=overwrite)  # before all that takes long
    network = load_network(path)
    taught, size = (None, 0) if teacher is None else _teacher(teacher)
    held_out = streams.held_out(experiment.data, network, torch.device("cpu"))
    motions = on_clips(network, held_out, experiment.data.held_out)
    measured: list[dict[str, Any]] = [
        {"data": f"{named(experiment).data}, held out", "command": command, **errors(motions, experiment)}
    ]
    for known, recording in read_recordings(measures).items():
        found = recording_errors(TorchSteps(network), recording)
        measured.append({"data": known, "command": command, "height": recording.mount.height, **found})
    origin = Origin(
        name=name,
        samples=clips_seen(path),
        teacher=taught,
        d_rate=None if taught is None else round(d_rate(network, size), 6),
    )
    scale = covariance_scale(motions)
    frames = _consecutive(experiment, network)
    return export(network, origin, named(experiment), motions, scale, measured, frames, out, overwrite=overwrite)


def named(experiment: Experiment) -> Shipping:
    """What the card is to say, with the data and their licence."""
    shipping, (data, licence) = experiment.shipping, SOURCES[experiment.data.kind]
    return replace(shipping, data=shipping.data or data, licence=shipping.licence or licence)


def _teacher(path: Path) -> tuple[str, int]:
    """Name and number of parameters, of an exported model or of a trained network."""
    if (path / CARD).exists():
        card = read_card(path / CARD)
        return card.name, card.parameters
    return description(path)["name"], load_network(path).parameter_count()


def _consecutive(experiment: Experiment, network: Network) -> Stream:
    """Frames to check a graph on: one after the other, as a robot's are, where they can be had for the asking."""
    frames = CHECKED_STEPS + 1 if experiment.data.kind == "world" else 0
    return streams.held_out(replace(experiment.data, held_out=1), network, torch.device("cpu"), frames)


def lower(
    model: Path, precision: str, experiment: Experiment, out: Path, command: str, *, overwrite: bool = False
) -> Path:
    """A lower precision of an exported model, calibrated on training clips and measured on held-out ones."""
    steps, cpu = open_model(model), torch.device("cpu")
    calibration = streams.training(experiment.data, steps, 8, experiment.seed, cpu)
    held_out = streams.held_out(experiment.data, steps, cpu)
    return quantize(
        model,
        precision,
        out,
        calibration,
        held_out,
        experiment.data.held_out,
        rotation_weight=experiment.confidence.rotation_weight,
        data=f"{named(experiment).data}, held out",
        command=command,
        overwrite=overwrite,
    )
