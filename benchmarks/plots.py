"""Where the odometry is good and where it fails, as pictures: paths from above, and errors of single steps.

    python -m benchmarks.plots kitti00@1.65 kitti01@1.65 newtsukuba parking --data DATA --out docs/images

A sequence is any recording with its truth; @HEIGHT is the camera's height above the ground, in metres.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.figures import add_sequences, command
from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.measured import prepared
from ros2_vodistill.model import DEFAULT
from ros2_vodistill.odometry import CLASSICAL
from ros2_vodistill.run import replay
from ros2_vodistill.sources import Source
from ros2_vodistill.trajectory import Trajectory, align, associate

Array = NDArray[np.float64]

CONTENDERS = {  # label: model, refined, colour
    f"{DEFAULT} alone": (DEFAULT, False, "#d08a2e"),
    f"{DEFAULT}, refined": (DEFAULT, True, "#2457a8"),
    CLASSICAL: (CLASSICAL, False, "#5a9a5a"),
}


@dataclass(frozen=True)
class Steps:
    """Single steps of one contender on one sequence, (N,) each.

    Attributes:
        label: of the contender.
        estimate, truth: associated trajectories.
        metric: the lengths can be compared.
        brightness: mean of the later frame's pixels, 0..255.
        texture: mean step between neighbouring pixels in its lower half, grey levels.
    """

    label: str
    estimate: Trajectory
    truth: Trajectory
    metric: bool
    brightness: Array
    texture: Array

    @property
    def motions(self) -> tuple[Array, Array]:
        """(N,4,4) measured and true."""
        return geometry.relative(self.estimate.poses), geometry.relative(self.truth.poses)

    @property
    def lengths(self) -> tuple[Array, Array]:
        """Measured and true, metres."""
        measured, true = (np.linalg.norm(motions[:, :3, 3], axis=1) for motions in self.motions)
        return measured, true

    @property
    def turns(self) -> Array:
        """True turn of each step, degrees."""
        return np.degrees(geometry.angle(self.motions[1]))

    @property
    def rotation_errors(self) -> Array:
        """Degrees."""
        measured, true = self.motions
        return np.degrees(geometry.angle(geometry.invert(true) @ measured))


def main() -> None:
    """Parse, replay, draw."""
    parser = command(__doc__)
    add_sequences(parser)
    parser.add_argument("--out", type=Path, default=Path("docs/images"), help="folder for the pictures")
    arguments = parser.parse_args()
    runs = {}
    for name, height in arguments.sequences:
        runs[name] = list(_steps(arguments.data / name, height))
    arguments.out.mkdir(parents=True, exist_ok=True)
    for file, figure in (("paths.svg", _paths(runs)), ("steps.png", _errors(runs))):
        with replacing(arguments.out / file) as path:
            figure.savefig(path, format=file[-3:], dpi=90, metadata={"Date": None} if file.endswith("svg") else None)


def _steps(recording: Path, height: float | None) -> Iterator[Steps]:
    for label, (model, refine, _) in CONTENDERS.items():
        source, odometry = prepared(model, recording, height, refine=refine)
        looks: dict[float, tuple[float, float]] = {}
        run = replay(_looked_at(source, looks), odometry, truth=source.truth)
        if run.truth is None:
            raise VodistillError(f"{recording}: no truth", "give recordings with their true poses")
        estimate, truth = associate(run.estimate, run.truth)
        light, texture = np.array([looks[stamp] for stamp in estimate.stamps[1:].tolist()]).T
        yield Steps(label, estimate, truth, odometry.mount.height is not None, light, texture)


def _looked_at(source: Source, looks: dict[float, tuple[float, float]]) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """A source's frames; notes how bright and how textured each is."""
    for stamp, image in source:
        lower = image[len(image) // 2 :].astype(float)
        looks[stamp] = float(image.mean()), float(np.abs(np.diff(lower, axis=1)).mean())
        yield stamp, image


def _paths(runs: dict[str, list[Steps]]) -> Figure:
    """From above; where the lengths cannot be compared, after the best similarity."""
    figure = Figure(figsize=(4 * len(runs), 4), layout="constrained")
    for axes, (name, contenders) in zip(figure.subplots(1, len(runs), squeeze=False)[0], runs.items(), strict=True):
        _line(axes, contenders[0].truth, "#222222", "truth", 2.5)
        for steps in contenders:
            path = steps.estimate if steps.metric else align(steps.estimate, steps.truth, "sim3")
            start = steps.truth.poses[0] @ geometry.invert(path.poses[0]) if steps.metric else np.eye(4)
            _line(axes, path.transformed(start), CONTENDERS[steps.label][2], steps.label, 1.2)
        axes.set(title=name if contenders[0].metric else f"{name}, aligned", xlabel="x (m)", ylabel="z (m)")
        axes.set_aspect("equal", adjustable="datalim")
        axes.grid(alpha=0.25)
    figure.axes[0].legend(frameon=False, fontsize=8)
    return figure


def _line(axes: Axes, path: Trajectory, colour: str, label: str, width: float) -> None:
    axes.plot(path.positions[:, 0], path.positions[:, 2], color=colour, linewidth=width, label=label)


def _errors(runs: dict[str, list[Steps]]) -> Figure:
    """Of single steps against speed, turn, brightness and texture."""
    figure = Figure(figsize=(15, 6.5), layout="constrained")
    along: dict[str, Callable[[Steps], Array]] = {
        "true step (m)": lambda steps: steps.lengths[1],
        "true turn (°)": lambda steps: steps.turns,
        "mean brightness": lambda steps: steps.brightness,
        "texture (grey levels a pixel)": lambda steps: steps.texture,
    }
    above, below = figure.subplots(2, len(along), sharey="row")
    for (label, value), upper, lower in zip(along.items(), above, below, strict=True):
        for steps in (steps for contenders in runs.values() for steps in contenders):
            style = {"s": 6, "alpha": 0.6, "linewidths": 0, "color": CONTENDERS[steps.label][2]}
            lower.scatter(value(steps), np.maximum(steps.rotation_errors, 1e-3), **style)
            if steps.metric:
                moving = steps.lengths[1] > 0.05
                ratio = steps.lengths[0][moving] / steps.lengths[1][moving]
                upper.scatter(value(steps)[moving], np.maximum(ratio, 1e-2), **style)
        upper.axhline(1, color="#222222", linewidth=0.8)
        upper.set(yscale="log", ylim=(0.2, 3))
        lower.set(xlabel=label, yscale="log")
    above[0].set_ylabel("measured length / true length")
    below[0].set_ylabel("rotation error (°)")
    for label, (*_, colour) in CONTENDERS.items():
        above[0].scatter([], [], color=colour, s=12, label=label)
    above[0].legend(frameon=False, fontsize=8)
    for axes in figure.axes:
        axes.grid(alpha=0.25)
    return figure


if __name__ == "__main__":
    try:
        main()
    except VodistillError as error:
        sys.exit(f"error: {error}")
