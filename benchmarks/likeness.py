"""How much rendered frames look like real ones, in numbers.

    python -m benchmarks.likeness DATA/kitti00=street DATA/kitti01=motorway --json benchmarks/likeness.json

Each recording (a folder in KITTI's form) is compared, in the canonical view, with generated worlds of one kind seen
from a car. For each of three bands of rows: mean and deviation of the grey levels, share of white and of black pixels,
mean steps across and down, the deviation within blocks of 6 x 8 pixels (10th, 50th and 90th percentile), and the power
of octaves of horizontal frequency (base-10 logarithm, from coarse to fine).
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import add_file, command, keep
from ros2_vodistill.sources import open_source
from ros2_vodistill.view import Warp
from training.networks.config import DEFAULT_VIEW
from training.world import WorldConfig, render
from training.world.build import KINDS
from training.world.config import Motion, Places, Rig

BANDS = {"top": (0, 30), "middle": (30, 54), "road": (54, 96)}
OCTAVES = (1, 4, 8, 16, 32, 64, 110, 152)
MARGIN = 8
"""Columns left out at both sides, which some cameras do not see."""


def real(folder: Path, count: int) -> NDArray[np.uint8]:
    """(N, H, W) evenly spread frames of a recording in the canonical view."""
    source = open_source(folder)
    if source.camera is None:
        raise SystemExit(f"{folder}: no calibration")
    warp = Warp(source.camera, DEFAULT_VIEW, np.eye(3))
    frames = [image for _, image in source]
    return np.stack([warp(frame) for frame in frames[:: max(1, len(frames) // count)]])


def rendered(kind: str, count: int, seed: int) -> NDArray[np.uint8]:
    """(N, H, W) first frames of clips from a car in worlds of one kind."""
    places = replace(Places(), **{name: float(name == kind) for name in KINDS})  # type: ignore[arg-type]
    motion = replace(Motion(), platforms={"car": replace(Motion().platforms["car"], inside=True)})
    config = WorldConfig(view=DEFAULT_VIEW, places=places, motion=motion, rig=replace(Rig(), narrow=0.0))
    return render(config, range(seed, seed + count), frames=1).images[:, 0].numpy()


def describe(images: NDArray[np.uint8]) -> dict[str, dict[str, Any]]:
    """The numbers, by band."""
    out = {}
    for name, (top, bottom) in BANDS.items():
        band = images[:, top:bottom, MARGIN:-MARGIN].astype(np.float64)
        rows, columns = band.shape[1] // 6, band.shape[2] // 8
        blocks = band[:, : rows * 6, : columns * 8].reshape(len(band), rows, 6, columns, 8).std((2, 4))
        window = np.hanning(band.shape[2])
        power = (np.abs(np.fft.rfft((band - band.mean(2, keepdims=True)) * window, axis=2)) ** 2).mean((0, 1))
        out[name] = {
            "mean": band.mean(),
            "deviation": band.std((1, 2)).mean(),
            "white_percent": 100 * (band >= 250).mean(),
            "black_percent": 100 * (band < 35).mean(),
            "step_across": np.abs(np.diff(band, axis=2)).mean(),
            "step_down": np.abs(np.diff(band, axis=1)).mean(),
            "blocks": np.percentile(blocks, [10, 50, 90]).tolist(),
            "octaves": [np.log10(power[a:b].mean()) for a, b in itertools.pairwise(OCTAVES)],
        }
    return out


def main() -> None:
    """Parse, measure, print."""
    parser = command(__doc__)
    parser.add_argument("pairs", nargs="+", help=f"FOLDER=KIND, of {', '.join(KINDS)}")
    parser.add_argument("--count", type=int, default=40, help="frames of each")
    parser.add_argument("--seed", type=int, default=1000)
    add_file(parser)
    arguments = parser.parse_args()
    rows = []
    print("| what | band | mean | dev. | white % | black % | across | down | blocks | octaves |\n|" + "---|" * 10)
    for pair in arguments.pairs:
        folder, _, kind = pair.partition("=")
        for what, images in (
            (Path(folder).name, real(Path(folder), arguments.count)),
            (f"rendered {kind}", rendered(kind, arguments.count, arguments.seed)),
        ):
            for band, values in describe(images).items():
                rows.append({"what": what, "band": band, **values})
                *numbers, blocks, octaves = values.values()
                cells = [f"{v:.1f}" for v in numbers] + [
                    " ".join(f"{v:.1f}" for v in many) for many in (blocks, octaves)
                ]
                print(f"| {what} | {band} | {' | '.join(cells)} |")
    keep(arguments.json, "likeness", rows=rows)


if __name__ == "__main__":
    main()
