"""The errors of a trained or exported network, on generated clips that no training saw and on recordings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ros2_vodistill.errors import VodistillError
from training import checkpoint, config
from training.config import Experiment, Measure
from training.data import streams
from training.export import CARD, open_model
from training.measure import Motions, clip_errors, on_clips, on_frames, read_recordings, recording_errors
from training.networks import Network
from training.origin import CONFIG
from training.settings import build, overridden, read
from training.steps import Blindfolded, Steps, TorchSteps
from training.trained import load_network


def find_experiment(network: Path, file: Path | None, overrides: list[str] | None = None) -> Experiment:
    """The experiment in `file`, or the one that the network's run was trained by."""
    if file is not None:
        return config.load(file, overrides)
    for folder in (network, *network.parents)[:4]:
        origin = folder / CONFIG
        known = read(origin).get("experiment") if origin.exists() else None
        if known is not None:  # another program may call its file so
            return build(Experiment, overridden(known, overrides), str(origin))
    raise VodistillError(f"{network}: no config.yaml of a training beside it", "name an experiment: --config FILE")


def evaluate(
    path: Path, experiment: Experiment, measures: tuple[Measure, ...], without: Sequence[str] = ()
) -> dict[str, Any]:
    """Errors on `data.held_out` clips or windows, and on every recording, as plain values.

    Args:
        without: views that are black.
    """
    network, steps = open_network(path)
    steps = Blindfolded(steps, without)
    device = network.motion_scale.device if network else torch.device("cpu")
    held_out = streams.held_out(experiment.data, steps, device)
    count = experiment.data.held_out
    motions = on_clips(network, held_out, count) if network and not without else on_frames(steps, held_out, count)
    recordings = read_recordings(measures)
    return {
        "network": str(path),
        **({"without": list(without)} if without else {}),
        "parameters": network.parameter_count() if network else checkpoint.read_json(path / CARD)["parameters"],
        "held_out": {"data": held_out.key(), "motions": len(motions.truth), **errors(motions, experiment)},
        "recordings": {
            name: {"height": r.mount.height, **recording_errors(steps, r)} for name, r in recordings.items()
        },
    }


def errors(motions: Motions, experiment: Experiment) -> dict[str, float]:
    """The errors of motions in the experiment's measure."""
    return clip_errors(motions, experiment.confidence.rotation_weight)


def open_network(path: Path) -> tuple[Network | None, Steps]:
    """A trained network, on the GPU if there is one, or an exported model (then no network)."""
    if (path / CARD).exists():
        return None, open_model(path)
    network = load_network(path).to("cuda" if torch.cuda.is_available() else "cpu")
    return network, TorchSteps(network)
