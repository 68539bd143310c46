"""A model's errors on recordings: measured through the robot's own door, kept on its card, recomputed from there."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ros2_vodistill.camera import Mount
from ros2_vodistill.engines import make
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.model import Card, Model, read_card
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.run import replay
from ros2_vodistill.sources import Source, open_source

FIGURES = (
    "rpe_t_m", "rpe_t_scaled_m", "direction_deg", "rpe_r_deg", "ate_unaligned_m", "ate_m", "kitti_t_percent",
    "kitti_r_deg_per_100m", "nees_step",
)  # fmt: skip
"""What is kept of a run's metrics."""

TOLERANCE, SMALL = 0.1, 2e-3
"""Largest difference of a recomputed figure, relative and absolute: machines add numbers up in different orders, and
over a whole path a little becomes more (engines differ by up to 3 %)."""


@dataclass(frozen=True)
class Check:
    """What became of one of a card's measurements.

    Attributes:
        recording: its name on the card.
        refined: whether the motion was refined.
        found: the recording is here.
        wrong: recomputed figures that differ, by name: (on the card, recomputed).
    """

    recording: str
    refined: bool
    found: bool
    wrong: Mapping[str, tuple[float | None, float | None]]

    def __str__(self) -> str:
        name = f"{self.recording}, refined" if self.refined else self.recording
        if not self.found:
            return f"{name}: not here"
        differ = ", ".join(f"{key} {again}, on the card {old}" for key, (old, again) in self.wrong.items())
        return f"{name}: {differ or 'recomputed'}"


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
    mount = source.mount or Mount()
    mount = mount if height is None else replace(mount, height=height)
    return source, VisualOdometry(model, camera=source.require_camera(), mount=mount, refine=refine)


def find(recording: str, data: Path | None) -> Path | None:
    """A recording below the folder of data, or below the checkout that this package is part of."""
    roots = [data, Path(__file__).resolve().parents[1]]
    return next((root / recording for root in roots if root is not None and (root / recording).exists()), None)


def keep(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write measurements, each with its 'recording', onto a model's card; older ones of the same make place."""
    path = folder / "card.json"
    read_card(path)
    card = json.loads(path.read_text(encoding="utf-8"))
    new = {_of(row) for row in rows}
    card["measured"] = [row for row in card.get("measured", []) if _of(row) not in new] + rows
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def recompute(folder: Path, card: Card, data: Path | None) -> list[Check]:
    """Measure again what a card says of recordings."""
    checks = []
    for row in card.measured:
        if "recording" not in row:
            continue
        path = find(row["recording"], data)
        wrong = {}
        if path is not None:
            again = measure(folder, path, row["camera_height_m"], refine=row["refined"])
            wrong = {key: (row.get(key), again[key]) for key in FIGURES if not _alike(row.get(key), again[key])}
        checks.append(Check(row["recording"], row["refined"], path is not None, wrong))
    return checks


def verify(folder: Path, data: Path | None) -> tuple[str, str]:
    """'yes' or what is wrong with a model's file, graph or figures; and what became of each of its measurements."""
    try:
        model = Model.load(folder)
        make(model)
        checks = recompute(folder, model.card, data)
    except VodistillError as error:
        return error.problem, ""
    told = "; ".join(map(str, checks)) or "none on the card"
    return ("figures differ" if any(check.wrong for check in checks) else "yes"), told


def _of(row: Mapping[str, Any]) -> tuple[Any, Any] | None:
    return (row["recording"], row["refined"]) if "recording" in row else None


def _alike(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=SMALL)
