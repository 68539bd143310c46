"""From a trained network to a model with a card: calibration, measurement, export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from training.calibrate import covariance_scale
from training.config import Experiment, Measure
from training.data import streams
from training.evaluate import errors
from training.export import Origin, export, open_model
from training.measure import on_clips, read_recording, recording_errors
from training.networks import d_rate
from training.quantize import quantize
from training.steps import TorchSteps
from training.trained import clips_seen, description, load_network


def ship(
    path: Path,
    name: str,
    experiment: Experiment,
    measures: tuple[Measure, ...],
    teacher: Path | None,
    out: Path,
    command: str,
) -> Path:
    """Calibrate the network's covariance on held-out clips, measure it, and write out/NAME."""
    network = load_network(path)
    known = None if teacher is None else load_network(teacher)
    held_out = streams.held_out(experiment.data, network, torch.device("cpu"))
    motions = on_clips(network, held_out, experiment.data.held_out)
    measured: list[dict[str, Any]] = [
        {"data": f"{experiment.shipping.data}, held out", "command": command, **errors(motions, experiment)}
    ]
    for recording in map(read_recording, measures):
        found = recording_errors(TorchSteps(network), recording)
        measured.append({"data": recording.name, "command": command, "height": recording.mount.height, **found})
    origin = Origin(
        name=name,
        samples=clips_seen(path),
        teacher=None if teacher is None else description(teacher)["name"],
        d_rate=None if known is None else round(d_rate(network, known), 6),
    )
    scale = covariance_scale(motions)
    return export(network, origin, experiment.shipping, motions, scale, measured, held_out, out)


def lower(model: Path, precision: str, experiment: Experiment, out: Path) -> Path:
    """A lower precision of an exported model, calibrated on training clips and measured on held-out ones."""
    steps, cpu = open_model(model), torch.device("cpu")
    calibration = streams.training(experiment.data, steps, 8, experiment.seed, cpu)
    held_out = streams.held_out(experiment.data, steps, cpu)
    return quantize(model, precision, out, calibration, held_out, experiment.data.held_out)
