"""Trained networks on disk: what a run's folder holds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from ros2_vodistill.errors import VodistillError
from training import checkpoint, networks
from training.networks.base import Network

WEIGHTS = "network.safetensors"


def load_network(path: Path | str) -> Network:
    """A trained network from a run's folder or a safetensors file; it knows its description."""
    file = weights_file(Path(path))
    network = networks.build(description(file))
    load_weights(network, file)
    return network


def load_weights(network: Network, file: Path) -> None:
    """Fill a network with the weights of a safetensors file."""
    try:
        network.load_state_dict(checkpoint.load_tensors(file)[0])
    except RuntimeError as error:
        told = str(error).splitlines()[:3]
        raise VodistillError(f"{file}: its tensors do not fit the network: {told}", "train again") from error


def description(path: Path) -> dict[str, Any]:
    """Of the network in a run's folder or safetensors file."""
    file = weights_file(path)
    metadata = checkpoint.load_tensors(file)[1]
    if "network" not in metadata:
        raise VodistillError(f"{file}: does not say which network it is", "give one that the training wrote")
    return dict(json.loads(metadata["network"]))


def weights_file(path: Path) -> Path:
    """The safetensors file that a path, a run's folder or the file itself, means."""
    file = path / WEIGHTS if path.is_dir() else path
    if not file.exists():
        raise VodistillError(f"{file}: not there", "train the network first, or correct the path")
    return file


def clips_seen(path: Path) -> int:
    """Clips that a run's weights, or those of a file, were trained on: by all stages, and before these began."""
    return int(checkpoint.load_tensors(weights_file(path))[1].get("samples", 0))


def fingerprint(network: Network) -> str:
    """What a network's weights have in common with no others."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def finished(folder: Path) -> bool:
    """Whether a stage was trained to its end."""
    newest = checkpoint.latest(folder / "checkpoints")
    return newest is not None and bool(checkpoint.read_json(newest / "state.json")["finished"])


def final_folder(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}-final")
