"""From what networks read the motion: with the road painted over, and with all but the road.

    python -m benchmarks.masked kitti00@1.65 kitti01@1.65 --data DATA --json benchmarks/masked.json

What is painted over has one grey level, its own mean, in every frame. The road is what level ground would be seen at,
up to five metres aside and fifty ahead, from the camera's height above it. A network that reads lengths from the ground
loses them without the road, and they alone are left when it sees nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import add_file, add_sequences, command, keep
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.measured import prepared
from ros2_vodistill.run import replay

NETWORKS = ("swift-s", "swift-road", "swift-road-xs")
ERRORS = ("rpe_t_m", "rpe_t_scaled_m", "direction_deg", "rpe_r_deg")
Image = NDArray[np.uint8]

_ASIDE, _AHEAD = 5.0, 50.0  # metres


def main() -> None:
    """Parse, measure, print."""
    parser = command(__doc__)
    add_sequences(parser)
    parser.add_argument("--model", action="append", help=f"repeat for several; default: {', '.join(NETWORKS)}")
    add_file(parser)
    arguments = parser.parse_args()
    rows = [
        {"sequence": name, "model": model, "seen": seen, **errors(model, arguments.data / name, height, seen)}
        for name, height in arguments.sequences
        for model in arguments.model or NETWORKS
        for seen in ("all", "without the road", "the road alone")
    ]
    print("| sequence | model | seen | RPE t (m) | RPE t, scaled (m) | direction (°) | RPE r (°) |\n|" + "---|" * 7)
    for row in rows:
        figures = " | ".join("–" if row[key] is None else f"{row[key]:.3g}" for key in ERRORS)
        print(f"| {row['sequence']} | {row['model']} | {row['seen']} | {figures} |")
    keep(arguments.json, "masked", rows=rows)


def errors(model: str, recording: Path, height: float | None, seen: str) -> dict[str, Any]:
    """Of a network alone that sees so much of a recording's frames."""
    source, odometry = prepared(model, recording, height, refine=False)
    on = road(source.require_camera(), odometry.mount)
    hidden = {"all": np.zeros_like(on), "without the road": on, "the road alone": ~on}[seen]
    run = replay(painted(source, hidden), odometry, truth=source.truth)
    return {key: run.metrics[key] for key in ERRORS}


def road(camera: Camera, mount: Mount) -> NDArray[np.bool_]:
    """(H, W) where level ground would be seen, near the camera's way."""
    if mount.height is None:
        raise VodistillError("the road is not known without the camera's height", "write NAME@HEIGHT")
    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), -1).reshape(-1, 2).astype(float)
    x, y, z = mount.level_from_camera @ camera.rays(pixels).T
    with np.errstate(divide="ignore", invalid="ignore"):
        aside, ahead = (mount.height * part / y for part in (x, z))
        on = (y > 0) & (np.abs(aside) < _ASIDE) & (ahead > 0) & (ahead < _AHEAD)
    return on.reshape(camera.height, camera.width)


def painted(frames: Iterable[tuple[float, Image]], hidden: NDArray[np.bool_]) -> Iterator[tuple[float, Image]]:
    """Frames of which a part has one grey level."""
    for stamp, image in frames:
        grey = int(image[hidden].mean()) if hidden.any() else 0
        yield stamp, np.where(hidden, np.uint8(grey), image)


if __name__ == "__main__":
    try:
        main()
    except VodistillError as error:
        sys.exit(f"error: {error}")
