"""Errors of every contender on every sequence, as a Markdown table and JSON.

    python -m benchmarks.accuracy kitti00@1.65 kitti01@1.65 --data DATA --json benchmarks/accuracy.json

A sequence is any recording with its truth; @HEIGHT is the camera's height above the ground, in metres. Without one the
scale is unknown, and the lengths are compared step by step.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.figures import add_file, add_sequences, command, keep
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.measured import measure
from ros2_vodistill.model import shipped
from ros2_vodistill.odometry import CLASSICAL

COLUMNS = {
    "rpe_t_m": "RPE t (m)",
    "rpe_t_scaled_m": "RPE t, scaled (m)",
    "direction_deg": "direction (°)",
    "rpe_r_deg": "RPE r (°)",
    "ate_unaligned_m": "ATE (m)",
    "ate_m": "ATE Sim(3) (m)",
    "kitti_t_percent": "KITTI t (%)",
    "kitti_r_deg_per_100m": "KITTI r (°/100 m)",
    "nees_step": "NEES/step",
}


def main() -> None:
    """Parse, measure, print."""
    parser = command(__doc__)
    add_sequences(parser)
    parser.add_argument("--model", action="append", help="repeat for several; default: all that ship, and classical")
    add_file(parser)
    arguments = parser.parse_args()
    models = arguments.model or [*(folder.name for folder in shipped()), CLASSICAL]
    rows = [
        {"sequence": name, "model": model, **measure(model, arguments.data / name, height, refine=refine)}
        for name, height in arguments.sequences
        for model in models
        for refine in ((False,) if model == CLASSICAL else (False, True))
    ]
    print(table(rows))
    keep(arguments.json, "accuracy", rows=rows)


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = ["| sequence | model | " + " | ".join(COLUMNS.values()) + " |", "|---" * (2 + len(COLUMNS)) + "|"]
    for row in rows:
        name = f"{row['model']}, refined" if row["refined"] else row["model"]
        figures = ("–" if row[key] is None else f"{row[key]:.3g}" for key in COLUMNS)
        lines.append(f"| {row['sequence']} | {name} | {' | '.join(figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    try:
        main()
    except VodistillError as error:
        sys.exit(f"error: {error}")
