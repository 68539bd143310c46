"""A recording through the odometry: the trajectory, its errors, what it cost, and the files that tell."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import metrics, trajectory
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.odometry import Estimate, Scale, VisualOdometry
from ros2_vodistill.trajectory import Trajectory

_SAMPLES = 6  # frames that are kept for the report
_UNKNOWN = np.full((6, 6), np.nan)  # covariance


@dataclass
class Run:
    """What came of a recording.

    Attributes:
        estimate: the trajectory, with the covariances of its poses and steps.
        steps: the estimate after each frame but the first.
        latency: milliseconds in `push`, for each of `steps`.
        samples: a few (stamp, frame, canonical view or None) for people to look at.
        counts: frames by status.
        reasons: frames by reason why they were not trusted fully.
        options: what produced it.
        notes: what could not be read.
        truth: the true trajectory, if known.
        metrics: figures by name; see `metrics.json` in the documentation.
    """

    estimate: Trajectory
    steps: list[Estimate]
    latency: NDArray[np.float64]
    samples: list[tuple[float, NDArray[np.uint8], NDArray[np.uint8] | None]]
    counts: Counter[str]
    reasons: Counter[str]
    options: dict[str, Any]
    notes: list[str]
    truth: Trajectory | None = None
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def metric(self) -> bool:
        """Whether the scale is known."""
        return self.steps[-1].scale is not Scale.UNKNOWN

    def compared(self) -> tuple[Trajectory, Trajectory] | None:
        """The estimate and the truth as the same poses, in metres: one of unknown scale is aligned in Sim(3)."""
        if self.truth is None:
            return None
        estimate, truth = trajectory.associate(self.estimate, self.truth)
        return estimate if self.metric else trajectory.align(estimate, truth, "sim3"), truth

    @property
    def unit(self) -> str:
        """Of its lengths, as axes have it."""
        return "m" if self.metric else "camera heights"


def replay(
    frames: Iterable[tuple[float, NDArray[np.uint8]]],
    odometry: VisualOdometry,
    *,
    truth: Trajectory | None = None,
    fitting: bool = True,
    notes: list[str] | None = None,
    options: dict[str, Any] | None = None,
    length: int | None = None,
    each: Callable[[], object] = lambda: None,
) -> Run:
    """Push all frames and measure.

    Args:
        frames: (stamp, grey image) pairs.
        odometry: fresh, with its camera set.
        truth: camera-to-world poses of the optical frame, to measure against.
        fitting: whether a truth that does not fit is an error; otherwise it is left out, with a note.
        notes: the list to which the source adds what it could not read while it is iterated.
        options: to be written beside the figures.
        length: number of frames, if known: spreads the samples.
        each: called after every frame, for a progress bar.
    """
    start: tuple[float, NDArray[np.float64]] | None = None
    steps: list[Estimate] = []
    latency: list[float] = []
    samples: list[tuple[float, NDArray[np.uint8], NDArray[np.uint8] | None]] = []
    seen = 0
    every = max(1, (length or 300) // _SAMPLES)
    for stamp, image in frames:
        began = time.perf_counter()
        try:
            estimate = odometry.push(image, stamp)
        except VodistillError as error:
            raise VodistillError(f"at {stamp:.6f} s: {error.problem}", error.remedy) from error
        spent = 1e3 * (time.perf_counter() - began)
        if start is None:
            start = stamp, odometry.pose
        if estimate is not None:
            steps.append(estimate)
            latency.append(spent)
        if seen % every == 0 and len(samples) < _SAMPLES:
            samples.append((stamp, image.copy(), odometry.view()))
        seen += 1
        each()
    if start is None or not steps:
        remarks = "".join(f"; {line}" for line in notes or [])
        raise VodistillError(
            f"the recording has {seen} frame{'' if seen == 1 else 's'} that could be read{remarks}",
            "Odometry needs two, the second later than the first.",
        )
    steps = [step for step in steps if step.stamp > start[0]]
    estimate_all = Trajectory(
        np.array([start[0], *(step.stamp for step in steps)]),
        np.stack([start[1], *(step.pose for step in steps)]),
        np.stack([np.zeros((6, 6)), *(step.pose_covariance for step in steps)]),
        np.stack([_UNKNOWN, *(_UNKNOWN if (own := step.step_covariance) is None else own for step in steps)]),
    )
    run = Run(
        estimate_all,
        steps,
        np.array(latency),
        samples,
        Counter(step.status.value for step in steps),
        Counter(reason for step in steps for reason in step.reasons),
        {**_described(odometry), **(options or {})},
        list(notes or []),
        truth,
    )
    errors = _errors(run, fitting)
    run.metrics = _measure(run, odometry, errors)
    return run


def write(run: Run, folder: Path) -> None:
    """trajectory.tum, trajectory.kitti and metrics.json; each whole or absent."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VodistillError(
            f"{folder} cannot be made: {error.strerror}", "Choose another folder with --out."
        ) from error
    remark = "" if run.metric else f"lengths are in {run.unit}: the scale is unknown"
    trajectory.write_tum(folder / "trajectory.tum", run.estimate, remark)
    trajectory.write_kitti(folder / "trajectory.kitti", run.estimate)
    with replacing(folder / "metrics.json") as path:
        path.write_text(json.dumps(run.metrics, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _described(odometry: VisualOdometry) -> dict[str, Any]:
    mount = odometry.mount
    return {
        "model": odometry.name,
        "engine": odometry.engine.name if odometry.engine else None,
        "device": odometry.engine.device if odometry.engine else "CPU",
        "refine": odometry.refine,
        "camera_height_m": mount.height,
        "camera_pitch_deg": float(np.degrees(mount.pitch)),
        "camera_roll_deg": float(np.degrees(mount.roll)),
        "mask": None if odometry.mask is None else odometry.mask.name,
    }


def _measure(run: Run, odometry: VisualOdometry, errors: dict[str, Any] | None) -> dict[str, Any]:
    p50, p99 = np.percentile(run.latency, [50, 99])
    if not run.metric:
        run.notes.append(f"the scale is unknown: lengths are in {run.unit}. Give the camera's height above the ground.")
    cost = {
        "latency_ms": {"p50": float(p50), "p99": float(p99)},
        "frames_per_s": float(1e3 / run.latency.mean()),
        "status": dict(run.counts),
        "reasons": dict(run.reasons),
        "skipped": odometry.skipped,
        "notes": run.notes,
        "options": run.options,
    }
    if errors is None:
        errors = {"frames": len(run.estimate), "path_length_m": run.estimate.path_length if run.metric else None}
    return {**errors, "scale_from": run.steps[-1].scale.value, **cost}


def _errors(run: Run, fitting: bool) -> dict[str, Any] | None:
    """Against the truth, if there is one that fits."""
    if run.truth is None:
        return None
    try:
        errors = metrics.evaluate(run.estimate, run.truth, scale_known=run.metric)
    except VodistillError as error:
        if fitting:
            raise
        run.truth = None
        run.notes.append(f"truth: not used: {error.problem}")
        return None
    if part := metrics.part(errors, run.estimate):
        run.notes.append(part)
    return errors
