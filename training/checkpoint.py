"""Checkpoints: a folder with tensors.safetensors and state.json, complete or absent. Nothing in it is code."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing

KEPT = 2
"""Checkpoints that are kept of a training, the newest."""


def save(folder: Path, step: int, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
    """Write folder/step-NNN and remove all but the two newest. A kill at any moment leaves a complete one behind."""
    final = folder / f"step-{step:09d}"
    temporary = folder / f".step-{step:09d}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_tensors(temporary / "tensors.safetensors", tensors)
    write_text(temporary / "state.json", json.dumps({**state, "step": step}, indent=1))
    if final.exists():  # of the same tensors, so that its files may be replaced one after the other
        for file in temporary.iterdir():
            file.replace(final / file.name)
    else:
        temporary.replace(final)
    _sync(folder)
    for old in sorted(folder.glob("step-*"))[:-KEPT]:
        remove(old)
    for leftover in folder.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return final


def remove(folder: Path) -> None:
    """Remove a folder. A kill at any moment leaves nothing of it, or all, under its name."""
    gone = folder.with_name(f".{folder.name}.gone")
    shutil.rmtree(gone, ignore_errors=True)
    folder.replace(gone)
    shutil.rmtree(gone)


def latest(folder: Path) -> Path | None:
    """The newest complete checkpoint of a folder."""
    return max(folder.glob("step-*"), default=None)


def load(checkpoint: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors (on the CPU) and state of a checkpoint."""
    return load_tensors(checkpoint / "tensors.safetensors")[0], read_json(checkpoint / "state.json")


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> None:
    """One safetensors file, written beside its place and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        save_file(plain, temporary, dict(metadata or {}))
        _sync(temporary)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and metadata of a safetensors file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {k: file.get_tensor(k) for k in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise VodistillError(f"{path}: cannot be read: {error}", "remove it, or train again") from error


def write_text(path: Path, text: str) -> None:
    """Text, written beside its place and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)


def read_json(path: Path) -> Any:
    """The content of a JSON file."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise VodistillError(f"{path}: cannot be read: {error}", "remove it, or train again") from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's moments by the parameter's place in it: `optimiser/3/exp_avg`."""
    state = optimiser.state_dict()["state"]
    return {
        f"optimiser/{i}/{name}": torch.as_tensor(value) for i, entry in state.items() for name, value in entry.items()
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `optimiser_tensors`; the rates stay as they are configured."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimiser/"):
            _, index, name = key.split("/")
            state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})


def prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under `prefix/`."""
    return {f"{prefix}/{k}": v for k, v in tensors.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `prefixed`."""
    return {k.removeprefix(f"{prefix}/"): v for k, v in tensors.items() if k.startswith(f"{prefix}/")}


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
