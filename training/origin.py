"""What a run's folder was made of: written beside its weights, and held to when the run goes on."""

from __future__ import annotations

import json
import platform
import subprocess
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import accelerate
import torch
import yaml

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.config import Experiment
from training.networks.base import Network
from training.settings import number, override, plain
from training.stages import Run, Stage
from training.trained import final_folder, fingerprint, finished

CONFIG = "config.yaml"
_FREE = {
    "threads", "precision", "channels_last", "checkpoint_minutes", "evaluate_minutes", "evaluate_steps", "log_steps",
    "workers", "cache", "root", "held_out", "test",
}  # fmt: skip
"""Settings that may change from one call to the next: they decide how and where it is trained and measured, not what it
learns."""


def write(
    folder: Path, experiment: Experiment, run: Run, stages: tuple[Stage, ...], teacher: Network | None = None
) -> None:
    """config.yaml and code.json: from what this folder can be made again."""
    folder.mkdir(parents=True, exist_ok=True)
    values = plain(_values(experiment, run, stages, teacher))
    checkpoint.write_text(folder / CONFIG, yaml.safe_dump(values, sort_keys=False))
    versions = {"python": platform.python_version(), "torch": torch.__version__, "accelerate": accelerate.__version__}
    code = {"commit": _git("rev-parse", "HEAD"), "changed": bool(_git("status", "--porcelain", "--", "training"))}
    checkpoint.write_text(folder / "code.json", json.dumps({**code, "seed": experiment.seed, **versions}, indent=1))


def check(
    folder: Path, experiment: Experiment, run: Run, stages: tuple[Stage, ...], teacher: Network | None = None
) -> None:
    """Refuse to go on in a folder that was trained with other settings, or to take it for what was asked for."""
    if not (folder / CONFIG).exists() or not any(folder.glob("*/checkpoints")):
        return
    before = _deciding(yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8")))
    now = _deciding(_values(experiment, run, stages, teacher))
    for name in (name for name in before if name in now):  # a stage may follow
        for what, was, is_now in _differing(before[name], now[name], name):
            raise VodistillError(
                f"{folder} was trained with {what} {_short(was)}, not {_short(is_now)}",
                "give the run another name (--set name=NAME), or remove that folder",
            )


def complete(folder: Path) -> bool:
    """Whether a run was trained to its end, or ended by --decay."""
    last = [folder / name for name in stage_names(folder)[-1:]]
    return any(finished(stage) or finished(final_folder(stage)) for stage in last)


def stage_names(folder: Path) -> list[str]:
    """Of a run's stages, in order; none where nothing was trained."""
    if not (folder / CONFIG).exists():
        return []
    return [stage["name"] for stage in yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))["stages"]]


def _values(experiment: Experiment, run: Run, stages: tuple[Stage, ...], teacher: Network | None) -> dict[str, Any]:
    learns = run.start_from_teacher or any(stage.taught or stage.adopt for stage in stages)
    word = fingerprint(teacher)[:16] if learns and teacher is not None else None
    return {"experiment": experiment, "run": run, "stages": stages, "teacher": word}


def _deciding(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of these, as they are or as plain data, decides what is learned."""
    experiment, run = values["experiment"], values["run"]
    trust = _of(experiment, "confidence")
    stages = {f"stages.{_of(stage, 'name')}": stage for stage in values["stages"]}
    return {
        **{name: _of(experiment, name) for name in ("seed", "data")},
        "confidence": trust if values.get("teacher") else {"rotation_weight": _of(trust, "rotation_weight")},
        **{name: _of(run, name) for name in ("network", "start", "start_from_teacher")},
        **{f"{name}.training": _training(experiment, run, stage) for name, stage in stages.items()},
        **{name: _without_training(stage) for name, stage in stages.items()},
        **({"teacher": values["teacher"]} if values.get("teacher") else {}),
    }


def _training(experiment: Any, run: Any, stage: Any) -> Any:
    """All settings of a stage."""
    common, given = _of(experiment, "training"), {**_of(run, "training"), **_of(stage, "training")}
    return {**common, **given} if isinstance(common, Mapping) else override(common, given, "training")


def _without_training(stage: Any) -> Any:
    return {**stage, "training": {}} if isinstance(stage, Mapping) else replace(stage, training={})


def _of(values: Any, name: str) -> Any:
    return values[name] if isinstance(values, Mapping) else getattr(values, name)


def _differing(before: Any, now: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Places in which settings differ from those of before, which are plain data. Of a dataclass, what only one of them
    has is a setting of another version; of a mapping, it was not given."""
    if isinstance(before, dict) and (is_dataclass(now) or isinstance(now, Mapping)):
        if isinstance(now, Mapping):
            names = [*{**before, **now}]
            before, now = ({**dict.fromkeys(names), **values} for values in (before, now))
        else:
            names = [f.name for f in fields(now) if f.name in before]
        for name in names:
            if name not in _FREE:
                yield from _differing(before[name], _of(now, name), f"{where}.{name}")
    elif isinstance(before, list) and isinstance(now, Sequence) and len(before) == len(now):
        for i, pair in enumerate(zip(before, now, strict=True)):
            yield from _differing(*pair, f"{where}.{i}")
    elif number(before) != number(plain(now)):
        yield where, before, plain(now)


def _short(value: Any) -> str:
    return "nothing" if value is None else textwrap.shorten(json.dumps(value), 60, placeholder=" ...")


def _git(*arguments: str) -> str:
    try:
        root = Path(__file__).parent
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
