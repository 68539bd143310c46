"""A model's errors on recordings: measured with `VisualOdometry`, kept on its card, recomputed from there."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ros2_vodistill.camera import Mount
from ros2_vodistill.console import text
from ros2_vodistill.engines import make
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.model import Card, Model, homes, read_card
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.run import replay
from ros2_vodistill.sources import Source, open_source

FIGURES = (
    "rpe_t_m", "rpe_t_scaled_m", "direction_deg", "rpe_r_deg", "ate_unaligned_m", "ate_m", "kitti_t_percent",
    "kitti_r_deg_per_100m", "nees_step",
)  # fmt: skip
"""What is kept of a run's metrics."""

TOLERANCE, SMALL = 0.1, 2e-3
"""Largest difference of a recomputed figure, relative to the larger and absolute: machines add numbers up in different
orders, and over a whole path a little becomes more (engines differ by up to 3 %)."""
UNTIED, UNTIED_PATH = 0.5, 0.9
"""TOLERANCE of a refined motion whose scale is unknown, for the figures of steps and for those of the whole path. Which
corners are followed hangs on the frame before, so that rounding may become other corners, and nothing ties a length to
anything but the one before: where too few corners carry it on, the path breaks, and goes on at another scale. Of
versions and engines, steps differ by up to a fifth, and a path that breaks is four times as far off in one as in
another. So steps are held to a factor of two, and paths to the order of magnitude."""
PATH = ("ate_unaligned_m", "ate_m", "kitti_t_percent", "kitti_r_deg_per_100m")

YES, INTACT, DIFFER = "yes", "intact; no figure recomputed", "figures differ"
"""What `verify` says of a model that loads: its figures were recomputed, none could be, or some are not those found."""

_NUMBER = (int, float, type(None))
_KINDS: dict[str, type | tuple[type, ...]] = {
    "recording": str,
    "refined": bool,
    "camera_height_m": _NUMBER,
    **dict.fromkeys(FIGURES, _NUMBER),
}

Differing = Mapping[str, tuple[float | None, float | None]]


@dataclass(frozen=True)
class Check:
    """What became of one of a card's measurements.

    Attributes:
        recording: its name on the card.
        refined: whether the motion was refined.
        found: the recording is here.
        wrong: recomputed figures that differ, by name: (on the card, recomputed).
        strayed: those that differ by more than `TOLERANCE`, as they may.
    """

    recording: str
    refined: bool
    found: bool
    wrong: Differing
    strayed: Differing

    def __str__(self) -> str:
        if not self.found:
            told = "not here"
        elif self.wrong:
            told = _told(self.wrong)
        else:
            told = f"recomputed (may stray: {_told(self.strayed)})" if self.strayed else "recomputed"
        return f"{_name(self.recording, self.refined)}: {told}"


def measure(model: str | Path, recording: Path, height: float | None = None, *, refine: bool = False) -> dict[str, Any]:
    """The figures of a model, by name or folder, on a recording with its truth; the camera's height in metres is needed
    for those in metres unless the recording has it."""
    source, odometry = prepared(model, recording, height, refine=refine)
    run = replay(source, odometry, truth=source.truth)
    figures = {name: run.metrics.get(name) for name in ("frames", *FIGURES)}
    return {"camera_height_m": odometry.mount.height, "refined": refine, **figures}


def prepared(
    model: str | Path, recording: Path, height: float | None, *, refine: bool
) -> tuple[Source, VisualOdometry]:
    """A recording and what it is to be replayed through; a height that is given holds, not the recording's own."""
    source = open_source(recording)
    mount = (source.mount or Mount()).overruled(height)
    return source, VisualOdometry(model, camera=source.require_camera(), mount=mount, refine=refine)


def find(recording: str, data: Path | None) -> Path | None:
    """A recording below the folder of data, or below one of those where what comes with this package lies."""
    roots = [*homes()] if data is None else [data, *homes()]
    return next((root / recording for root in roots if (root / recording).exists()), None)


def with_height(text: str) -> tuple[str, float | None]:
    """The name of a recording and the height of its camera in metres, if it is given: NAME or NAME@HEIGHT."""
    name, at, height = text.rpartition("@")
    try:
        return (name, float(height)) if at else (text, None)
    except ValueError:
        raise VodistillError(f"'{height}' of '{text}' is no height in metres", f"Write {name}@1.65.") from None


def keep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write measurements, each with its 'recording', onto a model's card; older ones of the same make place."""
    path = folder / "card.json"
    read_card(path)
    card = json.loads(path.read_text(encoding="utf-8"))
    new = {_of(row) for row in rows}
    card["measured"] = [row for row in card.get("measured", []) if _of(row) not in new] + rows
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def recomputable(card: Card, data: Path | None) -> int:
    """How many of a card's measurements are of recordings that are here; none where `recompute` is an error."""
    with suppress(VodistillError):
        return sum(find(row["recording"], data) is not None for row in _recorded(card))
    return 0


def recompute(
    folder: Path, card: Card, data: Path | None, each: Callable[[str], object] = lambda name: None
) -> list[Check]:
    """Measure again what a card says of recordings; `each` is called with the name of one before it is measured."""
    checks = []
    for row in _recorded(card):
        recording, refined = row["recording"], row["refined"]
        path = find(recording, data)
        differing: Differing = {}
        if path is not None:
            each(_name(recording, refined))
            again = measure(folder, path, row.get("camera_height_m"), refine=refined)
            pairs = {key: (row.get(key), again[key]) for key in FIGURES}
            differing = {key: pair for key, pair in pairs.items() if not _alike(*pair, TOLERANCE)}
        wrong = {key: pair for key, pair in differing.items() if not _alike(*pair, _tolerance(row, key))}
        strayed = {key: pair for key, pair in differing.items() if key not in wrong}
        checks.append(Check(recording, refined, path is not None, wrong, strayed))
    return checks


def verify(folder: Path, data: Path | None, each: Callable[[str], object] = lambda name: None) -> tuple[str, str]:
    """`YES`, `INTACT`, `DIFFER`, or what is wrong with a model's file or graph; and what became of each of its
    measurements."""
    try:
        model = Model.load(folder)
        make(model)
        checks = recompute(folder, model.card, data, each)
    except VodistillError as error:
        return error.problem, ""
    told = "; ".join(map(str, checks)) or "none on the card"
    if any(check.wrong for check in checks):
        return DIFFER, told
    return (YES if any(check.found for check in checks) else INTACT), told


def _recorded(card: Card) -> list[Mapping[str, Any]]:
    """What a card says of recordings; an error where that cannot be measured again."""
    rows = [row for row in card.measured if "recording" in row]
    for row in rows:
        if not (isinstance(row, dict) and all(isinstance(row.get(k), kind) for k, kind in _KINDS.items())):
            raise VodistillError(f"{card.name}: its card holds a measurement that is none: {row}", "Measure it again.")
    return rows


def _of(row: Mapping[str, Any]) -> tuple[Any, Any] | None:
    return (row["recording"], row["refined"]) if "recording" in row else None


def _name(recording: str, refined: bool) -> str:
    return f"{recording}, refined" if refined else recording


def _told(differing: Differing) -> str:
    return ", ".join(f"{key} {text(again)}, on the card {text(old)}" for key, (old, again) in differing.items())


def _tolerance(row: Mapping[str, Any], key: str) -> float:
    if not row["refined"] or row.get("camera_height_m") is not None:
        return TOLERANCE
    return UNTIED_PATH if key in PATH else UNTIED


def _alike(one: float | None, other: float | None, tolerance: float) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=tolerance, abs_tol=SMALL)
