"""Errors on generated sequences: what drives, walks, flies and is carried, in every kind of place.

    python -m benchmarks.worlds --seeds 3 --json benchmarks/worlds.json

Seeds are none that a network was trained on, and images have four to eight times the pixels of the training's. The
camera's height is known; its mount is off by a degree or two, as in the training. Errors in length are shares of the
mean step. Of several seeds, the median is shown and, in brackets, the worst.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from benchmarks.figures import add_file, command, keep
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.model import DEFAULT
from ros2_vodistill.odometry import CLASSICAL, VisualOdometry
from ros2_vodistill.run import replay
from ros2_vodistill.trajectory import Trajectory
from ros2_vodistill.view import View
from training.world import Clip, WorldConfig, render

PLACES = {
    "street": ("car", "robot", "hand"),
    "motorway": ("car",),
    "country": ("car",),
    "park": ("car",),
    "tunnel": ("car",),
    "field": ("robot", "legged", "drone"),
    "corridor": ("robot", "drone"),
    "room": ("robot", "legged", "hand"),
}
FPS = {"car": 10.0, "robot": 15.0, "legged": 15.0, "hand": 20.0, "drone": 20.0}
SIZES = {"car": (640, 240)}
SIZE, FOCAL = (480, 320), 0.578  # of the others; the focal length is a share of the width
FRAMES = 60
SAMPLES = 8  # moments of the exposure: fewer double edges in quick motions, where a camera blurs them
FIRST = 10_000  # seed
ALONE = ", not refined"
CONTENDERS = (DEFAULT, CLASSICAL, DEFAULT + ALONE, "swift-road" + ALONE)
SHOWN = ("length", "direction_deg", "rpe_r_deg", "nees_step")


def main() -> None:
    """Parse, render, measure, print."""
    parser = command(__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="sequences of each kind")
    add_file(parser)
    arguments = parser.parse_args()
    kinds = [(place, carrier) for place, carriers in PLACES.items() for carrier in carriers]
    work = [(number, kind, seed) for seed in range(arguments.seeds) for number, kind in enumerate(kinds)]
    rows = []
    for number, (place, carrier), seed in track(work, "sequences", console=Console(stderr=True)):
        clip, view = sequence(place, carrier, FIRST + 100 * number + seed)
        for model in CONTENDERS:
            rows.append({"place": place, "carrier": carrier, "seed": seed, "model": model, **errors(model, clip, view)})
    print(table(rows))
    keep(arguments.json, "worlds", rows=rows)


@torch.no_grad()
def sequence(place: str, carrier: str, seed: int) -> tuple[Clip, View]:
    """One that moves, in that place."""
    width, height = SIZES.get(carrier, SIZE)
    view = View(width, height, FOCAL * width, FOCAL * width, (width - 1) / 2, (height - 1) / 2)
    return render(replace(world_of(place, carrier, view, FRAMES), samples=SAMPLES), [seed], "cpu"), view


def world_of(place: str, carrier: str, view: View, frames: int) -> WorldConfig:
    """One place, and what moves there."""
    world = WorldConfig()
    shares = {f.name: float(f.name == place) for f in fields(world.places) if f.name in PLACES}
    carried = {carrier: replace(world.motion.platforms[carrier], inside=True)}
    return replace(
        world,
        frames=frames,
        samples=2,
        view=view,
        places=replace(world.places, **shares),
        motion=replace(world.motion, platforms=carried, fps=(FPS[carrier],), still=0.0),
    )


def errors(model: str, clip: Clip, view: View) -> dict[str, float | None]:
    """Of a model on a clip."""
    found, step = replayed(model, clip, view), mean_step(clip)
    return {"step_m": step, "length": found["rpe_t_m"] / max(step, 1e-6), **{k: found[k] for k in SHOWN[1:]}}


def mean_step(clip: Clip) -> float:
    """Metres."""
    return float(np.linalg.norm(np.diff(clip.poses[0, :, :3, 3].numpy(), axis=0), axis=1).mean())


def replayed(model: str, clip: Clip, view: View) -> dict[str, Any]:
    """The metrics of a model on a clip."""
    camera = Camera(view.width, view.height, "pinhole", view.fx, view.fy, view.cx, view.cy)
    stamps, poses = 1.0 + clip.stamps[0].numpy(), clip.poses[0].numpy()
    name, mount = model.removesuffix(ALONE), Mount(height=float(clip.height[0]))
    odometry = VisualOdometry(model=name, camera=camera, mount=mount, refine=model == DEFAULT)
    frames = zip(stamps.tolist(), clip.images[0].numpy(), strict=True)
    return replay(frames, odometry, truth=Trajectory(stamps, poses)).metrics


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| place | carrier | model | length (%) | direction (°) | RPE r (°) | NEES/step |",
        "|---|---|---|---|---|---|---|",
    ]
    for place, carrier, model in dict.fromkeys((row["place"], row["carrier"], row["model"]) for row in rows):
        group = [r for r in rows if (r["place"], r["carrier"], r["model"]) == (place, carrier, model)]
        cells = [place, carrier, model]
        for key, factor in zip(SHOWN, (100, 1, 1, 1), strict=True):
            values = [factor * row[key] for row in group if row[key] is not None]
            cells.append(f"{np.median(values):.3g} ({max(values):.3g})" if values else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
