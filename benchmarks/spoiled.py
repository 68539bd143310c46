"""Errors where frames are spoiled, the same way each time: by light, noise, dirt, a lorry, or half of them are lost.

    python -m benchmarks.spoiled kitti00@1.65 newtsukuba --data DATA --json benchmarks/spoiled.json

A sequence is any recording with its truth; @HEIGHT is the camera's height above the ground, in metres. Directions and
rotations are those of single steps; the last column is the rotation over ten frames, which is what is left of an error
in a frame that the next ones make good.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import add_file, add_sequences, command, keep
from ros2_vodistill import metrics
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.measured import prepared
from ros2_vodistill.model import DEFAULT
from ros2_vodistill.odometry import CLASSICAL
from ros2_vodistill.run import replay
from ros2_vodistill.trajectory import associate

Image = NDArray[np.uint8]
Frames = Iterable[tuple[float, Image]]

SINGLE = ("direction_deg", "rpe_r_deg", "rpe_t_m")  # of a run's metrics
TEN = 10


def steady(image: Image, number: int, random: np.random.Generator) -> Image:
    """As it was recorded."""
    return image


def flickering(image: Image, number: int, random: np.random.Generator) -> Image:
    """An exposure that changes by up to a quarter, up or down, from frame to frame."""
    return _grey(image * np.exp(random.uniform(-0.25, 0.25)))


def blind(image: Image, number: int, random: np.random.Generator) -> Image:
    """Two frames of every forty show nothing but a blur."""
    return _grey(cv2.GaussianBlur(image, (0, 0), 25) + random.normal(0, 2, image.shape)) if number % 40 > 37 else image


def dim(image: Image, number: int, random: np.random.Generator) -> Image:
    """An eighth of the light, and noise."""
    return _grey(image * 0.125 + 8 + random.normal(0, 3, image.shape))


def noisy(image: Image, number: int, random: np.random.Generator) -> Image:
    """Noise of twelve grey levels."""
    return _grey(image + random.normal(0, 12, image.shape))


def dirty(image: Image, number: int, random: np.random.Generator) -> Image:
    """Twenty-five blots on the lens."""
    fixed = np.random.default_rng(1)
    cover = np.zeros(image.shape, np.float32)
    for x, y, radius, strength in fixed.uniform([0, 0, 4, 0.3], [*image.shape[::-1], 18, 0.9], (25, 4)):
        cv2.circle(cover, (round(x), round(y)), round(radius), float(strength), -1)
    cover = cv2.GaussianBlur(cover, (0, 0), 3)
    return _grey(image * (1 - cover) + 60 * cover)


def behind(image: Image, number: int, random: np.random.Generator) -> Image:
    """A lorry ahead, a fifteenth of the picture, keeps its distance to a few percent and stands in the images."""
    height, width = image.shape
    wide, high = 0.12 * width, 0.57 * height
    doors = cv2.resize(np.random.default_rng(1).uniform(30, 220, (16, 8)), (160, 320), interpolation=cv2.INTER_NEAREST)
    near = 1 + 0.03 * np.sin(number / 10)
    grown = np.diag([near * wide / 160, near * high / 320])
    place = np.column_stack([grown, [0.5 * (width - near * wide), 0.46 * height - 0.5 * near * high]])
    there, lorry = (cv2.warpAffine(picture, place, (width, height)) for picture in (np.ones_like(doors), doors))
    return _grey(image * (1 - there) + lorry + random.normal(0, 1.5, image.shape) * there)


def rare(image: Image, number: int, random: np.random.Generator) -> Image | None:
    """Every second frame is lost."""
    return None if number % 2 else image


CHANGES: dict[str, Callable[[Image, int, np.random.Generator], Image | None]] = {
    "as recorded": steady,
    "flickering light": flickering,
    "two blind frames in forty": blind,
    "dim": dim,
    "noisy": noisy,
    "dirty lens": dirty,
    "behind a lorry": behind,
    "half the rate": rare,
}


def main() -> None:
    """Parse, measure, print."""
    parser = command(__doc__)
    add_sequences(parser)
    parser.add_argument("--model", action="append", help=f"repeat for several; default: {DEFAULT} and {CLASSICAL}")
    parser.add_argument("--no-refine", action="store_true", help="the networks alone")
    add_file(parser)
    arguments = parser.parse_args()
    rows = [
        {
            "sequence": name,
            "frames": change,
            "model": model,
            **errors(model, arguments.data / name, height, change, not arguments.no_refine),
        }
        for name, height in arguments.sequences
        for change in CHANGES
        for model in arguments.model or [DEFAULT, CLASSICAL]
    ]
    print(table(rows))
    keep(arguments.json, "spoiled", rows=rows)


def errors(model: str, recording: Path, height: float | None, change: str, refine: bool) -> dict[str, float | None]:
    """What becomes of a recording whose frames are changed, with a network's motion refined or as it is."""
    source, odometry = prepared(model, recording, height, refine=refine and model != CLASSICAL)
    if source.truth is None:
        raise VodistillError(f"{recording} has no true poses", "name one that has")
    run = replay(spoiled(source, change), odometry, truth=source.truth)
    _, ten = metrics.rpe(*associate(run.estimate, source.truth), TEN)
    return {**{key: run.metrics[key] for key in SINGLE}, "ten_r_deg": ten}


def spoiled(frames: Frames, change: str) -> Iterator[tuple[float, Image]]:
    """The frames, changed; without those of which nothing is left."""
    random = np.random.default_rng(0)
    for number, (stamp, image) in enumerate(frames):
        changed = CHANGES[change](image, number, random)
        if changed is not None:
            yield stamp, changed


def table(rows: list[dict[str, Any]]) -> str:
    """Markdown."""
    lines = [
        "| sequence | frames | model | direction (°) | RPE r (°) | RPE t (m) | RPE r over ten frames (°) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        figures = (row[key] for key in (*SINGLE, "ten_r_deg"))
        shown = " | ".join("–" if figure is None else f"{figure:.3g}" for figure in figures)
        lines.append(f"| {row['sequence']} | {row['frames']} | {row['model']} | {shown} |")
    return "\n".join(lines)


def _grey(image: NDArray[np.floating[Any]]) -> Image:
    return np.clip(image, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    try:
        main()
    except VodistillError as error:
        sys.exit(f"error: {error}")
