"""What a run's folder was made of: written beside its weights, and held to when the run goes on."""

from __future__ import annotations

import json
import platform
import subprocess
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import accelerate
import torch
import yaml

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.config import Experiment
from training.settings import plain
from training.stages import Run, Stage
from training.trained import final_folder, finished

CONFIG = "config.yaml"
_FREE = {
    "threads", "precision", "channels_last", "checkpoint_minutes", "evaluate_minutes", "evaluate_steps", "log_steps",
    "workers", "cache", "root", "held_out", "test",
}  # fmt: skip
"""Settings that may change from one call to the next: they decide how and where it is trained and measured, not what it
learns."""


def write(folder: Path, experiment: Experiment, run: Run, stages: tuple[Stage, ...]) -> None:
    """config.yaml and code.json: from what this folder can be made again."""
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(folder / CONFIG, yaml.safe_dump(_values(experiment, run, stages), sort_keys=False))
    versions = {"python": platform.python_version(), "torch": torch.__version__, "accelerate": accelerate.__version__}
    code = {"commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain", "--", "training"))}
    checkpoint.write_text(folder / "code.json", json.dumps({**code, "seed": experiment.seed, **versions}, indent=1))


def check(folder: Path, experiment: Experiment, run: Run, stages: tuple[Stage, ...]) -> None:
    """Refuse to go on in a folder that was trained with other settings, or to take it for what was asked for."""
    if not (folder / CONFIG).exists() or not any(folder.glob("*/checkpoints")):
        return
    before = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    now = yaml.safe_load(yaml.safe_dump(_values(experiment, run, stages)))
    for what, was, is_now in _differing(_deciding(before), _deciding(now)):
        raise VodistillError(
            f"{folder} was trained with {what} {_short(was)}, not {_short(is_now)}",
            "give the run another name (--set name=NAME), or remove that folder",
        )


def complete(folder: Path) -> bool:
    """Whether a run was trained to its end, or ended by --decay."""
    if not (folder / CONFIG).exists():
        return False
    last = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["stages"][-1]["name"]
    return finished(folder / last) or finished(final_folder(folder / last))


def _values(experiment: Experiment, run: Run, stages: tuple[Stage, ...]) -> dict[str, Any]:
    return {"experiment": plain(experiment), "run": plain(run), "stages": plain(stages)}


def _deciding(values: dict[str, Any]) -> dict[str, Any]:
    """What of these decides what is learned."""
    experiment, run = values["experiment"], values["run"]
    return {
        **{name: experiment[name] for name in ("seed", "data", "training")},
        **{name: run[name] for name in ("network", "start", "start_from_teacher")},
        "stages": {stage["name"]: stage for stage in values["stages"]},  # others may follow
    }


def _differing(before: Any, now: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Places in which two trees of plain data differ; what only one of them has is a setting of another version."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in before:
            if name in now and name not in _FREE:
                yield from _differing(before[name], now[name], f"{where}.{name}" if where else name)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for i, pair in enumerate(zip(before, now, strict=True)):
            yield from _differing(*pair, f"{where}.{i}")
    elif before != now:
        yield where, before, now


def _short(value: Any) -> str:
    return textwrap.shorten(json.dumps(value), 60, placeholder=" ...")


def _git(*arguments: str) -> str:
    try:
        root = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
