"""Two trajectories made comparable: associated in time, aligned in space."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory.poses import Trajectory

Array = NDArray[np.float64]
Alignment = Literal["none", "origin", "se3", "sim3"]

MAX_GAP = 0.25  # seconds
STAMP_TOLERANCE = 1e-4  # seconds; files round their stamps to this


def associate(
    estimate: Trajectory, truth: Trajectory, max_gap: float = MAX_GAP, tolerance: float = STAMP_TOLERANCE
) -> tuple[Trajectory, Trajectory]:
    """The part of `estimate` that `truth` covers, and the truth interpolated on SE(3) at the same stamps, as the same
    poses by their numbers.

    The truth is never extrapolated, and a hole in it that is longer than `max_gap` is not bridged; within `tolerance`
    of a true pose that pose is taken. Frame numbers match only themselves. Both in seconds.
    """
    spans = (
        f"the estimate spans {_span(estimate)}, the truth {_span(truth)}, whose longest gap is "
        f"{np.diff(truth.stamps).max(initial=0.0):.6g}"
    )
    if estimate.indexed != truth.indexed:
        raise VodistillError(
            f"one of two trajectories has no times: {spans}",
            "give the times of its frames: a KITTI sequence's times.txt (vodistill eval --times)",
        )
    stamps, times = estimate.stamps, truth.stamps
    left = np.maximum(np.searchsorted(times, stamps) - 1, 0)
    right = np.minimum(left + 1, len(times) - 1)
    gap = times[right] - times[left]
    fraction = (stamps - times[left]) / np.where(gap > 0, gap, 1.0)
    bridged = (times[left] <= stamps) & (stamps <= times[right]) & (gap <= max_gap) & (not truth.indexed)
    fraction = np.where(bridged, fraction, np.round(fraction))
    nearest = np.where(fraction < 0.5, left, right)
    covered = bridged | (np.abs(stamps - times[nearest]) <= tolerance)
    if not covered.any():
        raise VodistillError(
            f"the estimate has no pose at a time that the truth covers: {spans}",
            f"check that both use the same clock; gaps up to {max_gap:g} s are bridged",
        )
    poses = truth.poses[nearest]
    between = (fraction > 0) & (fraction < 1)
    poses[between] = geometry.interpolate(truth.poses[left[between]], truth.poses[right[between]], fraction[between])
    part = estimate.select(covered)
    return part, Trajectory(part.stamps, poses[covered], indexed=truth.indexed, numbers=part.numbers)


def alignment(estimate: Trajectory, truth: Trajectory, mode: Alignment) -> tuple[float, Array]:
    """The scale and the 4x4 transform that bring `estimate` onto the equally long `truth`.

    'origin' puts the first pose on the true one; 'se3' and 'sim3' bring the positions as close as they get.
    """
    if len(estimate) != len(truth):
        raise ValueError(f"{len(estimate)} poses against {len(truth)}: associate them first")
    if mode == "none":
        return 1.0, np.eye(4)
    if mode == "origin":
        return 1.0, truth.poses[0] @ geometry.invert(estimate.poses[0])
    scale, rotation, translation = geometry.umeyama(estimate.positions, truth.positions, with_scale=mode == "sim3")
    return float(scale), geometry.make(rotation, translation)


def align(estimate: Trajectory, truth: Trajectory, mode: Alignment) -> Trajectory:
    """`estimate` brought onto the equally long `truth`; see `alignment`."""
    scale, transform = alignment(estimate, truth, mode)
    return estimate.transformed(transform, scale)


def _span(trajectory: Trajectory) -> str:
    unit = "frames {:.0f} to {:.0f}" if trajectory.indexed else "{:.6f} s to {:.6f} s"
    return unit.format(trajectory.stamps[0], trajectory.stamps[-1])
