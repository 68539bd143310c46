"""How good a trajectory is.

Except for `evaluate`, every function takes an estimate and a truth that are associated: equally long, row by row at the
same time. What cannot be computed is None, never NaN.

A step is from one frame to the next: where frames between are left out, as in a hole in the truth, there is none. evo
goes by rows and takes the way across a hole for one step; without holes the two agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.trajectory import MAX_GAP, Alignment, Trajectory, align, alignment, associate

Array = NDArray[np.float64]

KITTI_LENGTHS = (100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0)  # metres
KITTI_STEP = 10  # frames between the starts of segments
NEEDS_SCALE = ("rpe_t_m", "ate_se3_m", "ate_unaligned_m", "scale", "kitti_t_percent", "nees", "nees_step")
STEP_THRESHOLD = 0.1  # of the RMS true step: shorter steps have no direction worth comparing
VARIANCE_THRESHOLD = 1e-12  # of the accumulated variance: smaller increments of it are rounding errors


def relative_errors(estimate: Trajectory, truth: Trajectory, delta: int = 1) -> tuple[Array, Array]:
    """Errors of the motions over `delta` frames, from every row: lengths in metres (N - delta,), angles in radians
    (N - delta,). Here alone NaN stands for a way on which frames were left out, so that rows stay rows."""
    measured = geometry.invert(estimate.poses[:-delta]) @ estimate.poses[delta:]
    true = geometry.invert(truth.poses[:-delta]) @ truth.poses[delta:]
    errors = geometry.invert(true) @ measured
    known = estimate.follows(delta)
    lengths, angles = np.linalg.norm(errors[:, :3, 3], axis=1), geometry.angle(errors)
    return np.where(known, lengths, np.nan), np.where(known, angles, np.nan)


def rpe(estimate: Trajectory, truth: Trajectory, delta: int = 1) -> tuple[float | None, float | None]:
    """RMS relative pose error over `delta` frames: metres and degrees."""
    lengths, angles = (errors[estimate.follows(delta)] for errors in relative_errors(estimate, truth, delta))
    return _rms(lengths), _rms(np.degrees(angles))


def absolute_errors(estimate: Trajectory, truth: Trajectory, mode: Alignment) -> Array:
    """Distances (N,) between the positions after an alignment, metres."""
    return np.linalg.norm(align(estimate, truth, mode).positions - truth.positions, axis=1)


def ate(estimate: Trajectory, truth: Trajectory, mode: Alignment = "sim3") -> float | None:
    """RMS absolute trajectory error after an alignment, metres; None for a single pose."""
    return _rms(absolute_errors(estimate, truth, mode)) if len(estimate) > 1 else None


def scale(estimate: Trajectory, truth: Trajectory) -> float | None:
    """What the estimate's lengths must be multiplied by to fit the truth best (Sim(3)); None if either stands still."""
    if not (estimate.path_length > 0 and truth.path_length > 0):
        return None
    return alignment(estimate, truth, "sim3")[0]


@dataclass(frozen=True, eq=False)
class Segments:
    """KITTI's segments: each of the M rows is one stretch of the true path.

    Attributes:
        first: (M,) the frame that it begins with.
        length: (M,) its nominal length, metres.
        translation: (M,) error as a share of the length.
        rotation: (M,) error in radians per metre.
    """

    first: NDArray[np.int64]
    length: Array
    translation: Array
    rotation: Array

    @property
    def t_percent(self) -> float | None:
        """Mean translation error."""
        return float(100 * self.translation.mean()) if len(self.first) else None

    @property
    def r_deg_per_100m(self) -> float | None:
        """Mean rotation error."""
        return float(np.degrees(100 * self.rotation.mean())) if len(self.first) else None


def kitti_segments(
    estimate: Trajectory, truth: Trajectory, lengths: Sequence[float] = KITTI_LENGTHS, step: int = KITTI_STEP
) -> Segments:
    """Errors over the segments of KITTI's odometry benchmark, from every `step`-th frame as far as the path goes."""
    starts = np.arange(0, len(truth), step)
    start, length = np.repeat(starts, len(lengths)), np.tile(np.asarray(lengths, np.float64), len(starts))
    end = np.searchsorted(truth.distances, truth.distances[start] + length, side="right")
    inside = end < len(truth)
    start, length, end = start[inside], length[inside], end[inside]
    measured = geometry.invert(estimate.poses[start]) @ estimate.poses[end]
    errors = geometry.invert(measured) @ geometry.invert(truth.poses[start]) @ truth.poses[end]
    return Segments(start, length, np.linalg.norm(errors[:, :3, 3], axis=1) / length, geometry.angle(errors) / length)


def direction_error(estimate: Trajectory, truth: Trajectory) -> float | None:
    """RMS angle in degrees between the measured and the true direction of a step, where the camera moves.

    A step without length has no direction and counts as 90 degrees.
    """
    measured, true = _steps(estimate, truth)
    length = np.linalg.norm(true, axis=1)
    moving = length > STEP_THRESHOLD * (_rms(length) or 0.0)
    measured, true = measured[moving], true[moving]
    across = np.linalg.norm(np.cross(measured, true), axis=1)
    along = (measured * true).sum(axis=1)
    angles = np.where(np.linalg.norm(measured, axis=1) > 0, np.arctan2(across, along), np.pi / 2)
    return _rms(np.degrees(angles))


def rpe_scaled(estimate: Trajectory, truth: Trajectory) -> float | None:
    """RMS translation error of the steps in metres, each first stretched to its true length: for an unknown scale."""
    measured, true = _steps(estimate, truth)
    measured_length, true_length = (np.linalg.norm(steps, axis=1, keepdims=True) for steps in (measured, true))
    stretch = true_length / np.where(measured_length > 0, measured_length, 1.0)
    return _rms(np.linalg.norm(stretch * measured - true, axis=1))


def _steps(estimate: Trajectory, truth: Trajectory) -> tuple[Array, Array]:
    """Measured and true translations (M, 3) from each frame to the next."""
    known = estimate.follows()
    measured, true = (geometry.relative(t.poses)[known, :3, 3] for t in (estimate, truth))
    return measured, true


def nees(estimate: Trajectory, truth: Trajectory) -> float | None:
    """Normalised squared error per degree of freedom of the way from the first frame to each: 1 where the estimate's
    covariances are right. Above 1 they promise too much, below too little.

    The covariance of a way is what the last pose's adds to the first one's; ways to which it adds nothing, as at rest
    or after a reset, are left out. Errors that last make it too low where the estimate began before the truth.
    """
    if estimate.covariances is None:
        return None
    measured, true = (geometry.invert(t.poses[0]) @ t.poses[1:] for t in (estimate, truth))
    carry = geometry.adjoint(geometry.invert(measured))
    added = estimate.covariances[1:] - carry @ estimate.covariances[0] @ np.swapaxes(carry, 1, 2)
    grown = (_variances(added) > VARIANCE_THRESHOLD * _variances(estimate.covariances[1:])).all(axis=1)
    return _normalised(measured[grown], true[grown], added[grown])


def nees_step(estimate: Trajectory, truth: Trajectory) -> float | None:
    """The same of the steps from frame to frame, where their covariances are known by themselves."""
    if estimate.steps is None:
        return None
    measured, true = (geometry.relative(t.poses) for t in (estimate, truth))
    steps = estimate.steps[1:]
    known = (_variances(steps) > 0).all(axis=1)
    return _normalised(measured[known], true[known], steps[known])


def _normalised(measured: Array, true: Array, covariances: Array) -> float | None:
    """Mean square, per degree of freedom, of the errors of motions (N, 4, 4) with covariances (N, 6, 6) of their right
    perturbations; covariances without an inverse are left out."""
    errors = geometry.log(geometry.invert(measured) @ true)
    deviations = np.sqrt(_variances(covariances))
    correlations = covariances / (deviations[:, :, None] * deviations[:, None, :])
    definite = np.linalg.eigvalsh(correlations)[:, 0] > VARIANCE_THRESHOLD
    whitened = (errors / deviations)[definite]
    squared = (whitened * np.linalg.solve(correlations[definite], whitened[..., None])[..., 0]).sum(axis=1)
    return float(squared.mean() / 6) if len(squared) else None


def _variances(covariances: Array) -> Array:
    """(N, 6)."""
    return np.diagonal(covariances, axis1=1, axis2=2)


def evaluate(
    estimate: Trajectory,
    truth: Trajectory,
    *,
    max_gap: float = MAX_GAP,
    lengths: Sequence[float] = KITTI_LENGTHS,
    scale_known: bool = True,
) -> dict[str, Any]:
    """All errors of an estimate, ready for JSON; the two are associated first.

    `frames` poses were compared. `ate_m` is aligned in Sim(3), `ate_se3_m` in SE(3), `ate_unaligned_m` only puts the
    first pose on the true one. `scale` is what the estimate is to be multiplied by. `path_length_m` is the truth's.
    `nees` is of the way from the first frame, `nees_step` from frame to frame. Where the estimate's scale is not known,
    what depends on it is None.
    """
    estimate, truth = associate(estimate, truth, max_gap)
    rpe_t, rpe_r = rpe(estimate, truth)
    segments = kitti_segments(estimate, truth, lengths)
    errors = {
        "frames": len(estimate),
        "path_length_m": truth.path_length,
        "rpe_t_m": rpe_t,
        "rpe_r_deg": rpe_r,
        "rpe_t_scaled_m": rpe_scaled(estimate, truth),
        "direction_deg": direction_error(estimate, truth),
        "ate_m": ate(estimate, truth, "sim3"),
        "ate_se3_m": ate(estimate, truth, "se3"),
        "ate_unaligned_m": ate(estimate, truth, "origin"),
        "scale": scale(estimate, truth),
        "kitti_t_percent": segments.t_percent,
        "kitti_r_deg_per_100m": segments.r_deg_per_100m,
        "nees": nees(estimate, truth),
        "nees_step": nees_step(estimate, truth),
    }
    return errors if scale_known else errors | dict.fromkeys(NEEDS_SCALE)


def part(errors: dict[str, Any], estimate: Trajectory) -> str:
    """That the truth covers only a part of the estimate, in words; empty where it covers all."""
    compared, all_of_them = errors["frames"], len(estimate)
    return "" if compared == all_of_them else f"truth: it covers {compared} of {all_of_them} poses; errors are of these"


def _rms(values: Array) -> float | None:
    return float(np.sqrt(np.mean(values**2))) if len(values) else None
