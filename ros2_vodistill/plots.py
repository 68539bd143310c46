"""The report's figures, as SVG text. matplotlib is imported here alone, and draws without a display."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry, metrics
from ros2_vodistill.run import Run
from ros2_vodistill.trajectory import Trajectory, align, associate

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ESTIMATE, _TRUTH, _ALIGNED = "#2563eb", "#6b7280", "#d97706"
_AXES = ("x right", "y down", "z forward")


def from_above(run: Run) -> str:
    """The path seen from above: x to the right, z up; the truth and the aligned estimate where there is a truth."""
    figure, (axes,) = _figure(5.6)
    if run.truth is not None:
        estimate, truth = associate(run.estimate, run.truth)
        here = estimate.poses[0] @ geometry.invert(truth.poses[0])  # the truth may live in a world with other axes
        _path(axes, truth.transformed(here), _TRUTH, "truth", 3.0)
        _path(axes, align(estimate, truth, "sim3").transformed(here), _ALIGNED, "estimate, Sim(3) aligned", 1.0, "--")
        if run.metric:
            _path(axes, estimate, _ESTIMATE, "estimate, as it is", 1.5)
    else:
        _path(axes, run.estimate, _ESTIMATE, "estimate", 1.5)
    unit = run.unit if run.truth is None else "m"
    axes.set(xlabel=f"x, right ({unit})", ylabel=f"z, forward ({unit})")
    axes.set_aspect("equal", adjustable="datalim")
    axes.legend(frameon=False)
    return _svg(figure)


def over_time(run: Run) -> str:
    """Each coordinate over time, with the published two-sigma band; and the truth, if the scale is known."""
    figure, rows = _figure(6.0, rows=3)
    start = run.estimate.stamps[0]
    truth = None
    if run.truth is not None and run.metric:
        estimate, truth = associate(run.estimate, run.truth)
        truth = truth.transformed(estimate.poses[0] @ geometry.invert(truth.poses[0]))
    for axis, (axes, label) in enumerate(zip(rows, _AXES, strict=True)):
        times, values = run.estimate.stamps - start, run.estimate.positions[:, axis]
        if run.estimate.covariances is not None:
            turned = run.estimate.poses[:, :3, :3] @ run.estimate.covariances[:, :3, :3]
            in_world = turned @ np.swapaxes(run.estimate.poses[:, :3, :3], 1, 2)
            band = 2 * np.sqrt(np.maximum(in_world[:, axis, axis], 0))
            axes.fill_between(times, values - band, values + band, color=_ESTIMATE, alpha=0.15, linewidth=0)
        if truth is not None:
            known = _gapped(truth, np.stack([truth.stamps - start, truth.positions[:, axis]], axis=1))
            axes.plot(*known.T, color=_TRUTH, linewidth=2.5, label="truth")
        axes.plot(times, values, color=_ESTIMATE, linewidth=1.2, label="estimate, ±2σ")
        axes.set_ylabel(f"{label} ({run.unit})")
    rows[0].legend(frameon=False, ncol=2)  # matplotlib below 3.6 knows no ncols
    rows[-1].set_xlabel("time (s)")
    return _svg(figure)


def errors(run: Run) -> str:
    """Error of each step, in translation and rotation, along the path; of the Sim(3) aligned estimate, if its scale is
    unknown. '' without a truth."""
    if (pair := run.compared()) is None:
        return ""
    truth = pair[1]
    lengths, angles = metrics.relative_errors(*pair)
    figure, (top, bottom) = _figure(4.2, rows=2)
    along = truth.distances[1:]
    top.plot(along, lengths, color=_ESTIMATE, linewidth=1.0)
    bottom.plot(along, np.degrees(angles), color=_ESTIMATE, linewidth=1.0)
    top.set_ylabel("translation (m)")
    bottom.set(ylabel="rotation (deg)", xlabel="distance travelled (m)")
    return _svg(figure)


def speed(run: Run) -> str:
    """Speed forward and of the turn over time, with the frames that were not trusted fully."""
    figure, (top, bottom) = _figure(4.2, rows=2)
    times = np.array([step.stamp for step in run.steps]) - run.estimate.stamps[0]
    twists = np.array([step.twist for step in run.steps])
    top.plot(times, twists[:, 2], color=_ESTIMATE, linewidth=1.0)
    bottom.plot(times, np.degrees(twists[:, 4]), color=_ESTIMATE, linewidth=1.0)
    doubted = [time for time, step in zip(times, run.steps, strict=True) if step.reasons]
    for axes in (top, bottom):
        axes.plot(doubted, np.zeros(len(doubted)), "|", color=_ALIGNED, label="degraded")
    if doubted:
        top.legend(frameon=False)
    top.set_ylabel(f"forward ({run.unit}/s)")
    bottom.set(ylabel="turn to the right (deg/s)", xlabel="time (s)")
    return _svg(figure)


def latency(run: Run) -> str:
    """Histogram of the time that each frame took."""
    figure, (axes,) = _figure(2.8)
    axes.hist(run.latency, bins=60, range=(0.0, float(np.percentile(run.latency, 99.5)) * 1.1), color=_ESTIMATE)
    for share, style in ((50, "-"), (99, "--")):
        value = float(np.percentile(run.latency, share))
        axes.axvline(value, color=_ALIGNED, linestyle=style, label=f"p{share}: {value:.2f} ms")
    axes.set(xlabel="milliseconds per frame", ylabel="frames")
    axes.legend(frameon=False)
    return _svg(figure)


def _path(axes: Axes, trajectory: Trajectory, colour: str, label: str, width: float, style: str = "-") -> None:
    places = _gapped(trajectory, trajectory.positions)
    axes.plot(places[:, 0], places[:, 2], style, color=colour, linewidth=width, label=label)
    axes.plot(*places[0, [0, 2]], "o", color=colour, markersize=4)


def _gapped(trajectory: Trajectory, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows of a trajectory (N, K), and rows of NaN where poses were left out: no line is drawn across a hole."""
    return np.insert(rows, np.flatnonzero(~trajectory.follows()) + 1, np.nan, axis=0)


def _figure(height: float, rows: int = 1) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, height), layout="constrained")
    axes = list(figure.subplots(rows, sharex=True, squeeze=False)[:, 0])
    for each in axes:
        each.grid(alpha=0.25)
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    return re.sub(r"^.*?(?=<svg)", "", buffer.getvalue(), flags=re.DOTALL)
