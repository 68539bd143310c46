"""Drift on generated drives, whose truth is exact.

    python -m benchmarks.drives --json benchmarks/drives.json

Cars with a camera like KITTI's (1240x376 at 10 Hz, calibrated, a short exposure, its mount off by a third of a degree),
in streets, on country roads and on motorways. Seeds are none that a network was trained on. Errors are KITTI's, over
all stretches of 100 m and more, with the scale from the camera's height and nothing aligned.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from benchmarks.figures import add_file, command, keep
from benchmarks.worlds import CONTENDERS, mean_step, replayed, world_of
from ros2_vodistill.view import View
from training.world import Clip, render

DRIVES = (("street", 1), ("street", 3), ("street", 5), ("country", 1), ("country", 3), ("motorway", 1), ("motorway", 2))
"""Places and seeds."""
VIEW = View(1240, 376, 718.0, 718.0, 607.0, 185.0)
FRAMES = 300
FIRST = 50_000  # seed
SHOWN = ("kitti_t_percent", "kitti_r_deg_per_100m", "rpe_r_deg")


def main() -> None:
    """Parse, render, measure, print."""
    parser = command(__doc__)
    parser.add_argument("--frames", type=int, default=FRAMES, help="of each drive")
    add_file(parser)
    arguments = parser.parse_args()
    rows = []
    for place, seed in track(DRIVES, "drives", console=Console(stderr=True)):
        clip = drive(place, FIRST + seed, arguments.frames)
        step = mean_step(clip)
        for model in CONTENDERS:
            found = replayed(model, clip, VIEW)
            about = {"place": place, "seed": seed, "model": model, "step_m": step, "length_m": found["path_length_m"]}
            rows.append({**about, **{key: found[key] for key in SHOWN}})
    print(table(rows))
    keep(arguments.json, "drives", rows=rows)


@torch.no_grad()
def drive(place: str, seed: int, frames: int) -> Clip:
    """A car that goes on."""
    world = world_of(place, "car", VIEW, frames)
    rig = replace(world.rig, pitch_error_deg=0.3, roll_error_deg=0.3, focal_error=0.0, centre_error=0.0, narrow=0.0)
    clear = replace(world.photometry, shutter=(0.0, 0.05), rolling=0.0, dust=0.0, rain=0.0)
    ahead = replace(world.motion, reverse=0.0, spot=0.0)
    return render(replace(world, rig=rig, photometry=clear, motion=ahead), [seed], "cpu")


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown; the last rows are means."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    lines = [
        f"| drive | {' | '.join(f'{model}: t (%), r (°/100 m)' for model in models)} |",
        "|---" * (len(models) + 1) + "|",
    ]
    drives = list(dict.fromkeys((row["place"], row["seed"]) for row in rows))
    for place, seed in drives:
        own = [row for row in rows if (row["place"], row["seed"]) == (place, seed)]
        name = f"{place} {seed}: {own[0]['length_m']:.0f} m, {own[0]['step_m']:.1f} m a frame"
        lines.append(f"| {name} | {' | '.join(_figures([row]) for row in own)} |")
    groups = ([row for row in rows if row["model"] == model] for model in models)
    lines.append(f"| mean | {' | '.join(_figures(group) for group in groups)} |")
    return "\n".join(lines)


def _figures(rows: list[dict[str, Any]]) -> str:
    known = [[row[key] for row in rows if row[key] is not None] for key in SHOWN[:2]]
    return ", ".join(f"{np.mean(values):.2f}" if values else "–" for values in known)


if __name__ == "__main__":
    main()
