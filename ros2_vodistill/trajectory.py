"""Poses over time: TUM and KITTI files, association in time, alignment in space."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.table import Table, read_table

Array = NDArray[np.float64]
Alignment = Literal["none", "origin", "se3", "sim3"]

TUM_COLUMNS, KITTI_COLUMNS, INDEXED_KITTI_COLUMNS = 8, 12, 13
MAX_GAP = 0.25  # seconds
STAMP_TOLERANCE = 1e-4  # seconds; files round their stamps to this
NANOSECONDS = 1e14  # seconds that no clock shows
FARTHEST = 1e12  # metres; the squares of what is further have no place among numbers, nor has it among paths
ROTATION_TOLERANCE = 1e-2  # of R^T R and of a quaternion's length; files round to four digits

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Poses over time.

    Attributes:
        stamps: (N,) seconds, strictly increasing; frame numbers if `indexed`.
        poses: (N, 4, 4) camera-to-world.
        covariances: (N, 6, 6) of the poses' right perturbations, translation first; None where unknown.
        steps: (N, 6, 6) the same of the motions from the pose before to each; NaN where that is not known by itself, as
            for the first. Errors of steps may be alike, so that these do not add up to `covariances`.
        indexed: the stamps are frame numbers, because the file had no times.
        numbers: (N,) increasing, of the poses in the trajectory that this is a part of; None where it is whole.
    """

    stamps: Array
    poses: Array
    covariances: Array | None = None
    steps: Array | None = None
    indexed: bool = False
    numbers: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name in ("stamps", "poses", "covariances", "steps"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        count = len(self.stamps) if self.stamps.ndim == 1 else 0
        square = (count, 6, 6)
        wanted = {"stamps": (count,), "poses": (count, 4, 4), "covariances": square, "steps": square}
        for name, shape in wanted.items():
            values = getattr(self, name)
            if values is not None and (count == 0 or values.shape != shape):
                raise VodistillError(
                    f"a trajectory's {name} have shape {values.shape}",
                    "give N >= 1 stamps, N x 4 x 4 poses and N x 6 x 6 covariances or none",
                )
        fault = _first_fault(self.stamps, self.poses)
        if fault:
            raise VodistillError(f"pose {fault[0]} of a trajectory: {fault[1]}", "remove or repair that pose")
        if self.covariances is not None and not np.isfinite(self.covariances).all():
            row = np.flatnonzero(~np.isfinite(self.covariances).all(axis=(1, 2)))[0]
            raise VodistillError(f"the covariance of pose {row} of a trajectory is not finite", "leave covariances out")

    def __len__(self) -> int:
        return len(self.stamps)

    @property
    def positions(self) -> Array:
        """(N, 3), metres."""
        return self.poses[:, :3, 3]

    @cached_property
    def distances(self) -> Array:
        """(N,) metres travelled until each pose."""
        return np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(self.positions, axis=0), axis=1))])

    @property
    def path_length(self) -> float:
        """Metres travelled."""
        return float(self.distances[-1])

    def select(self, rows: ArrayLike) -> Trajectory:
        """Only these rows: a mask or increasing numbers."""
        rows = np.asarray(rows)
        numbers = (np.arange(len(self)) if self.numbers is None else self.numbers)[rows]
        covariances = None if self.covariances is None else self.covariances[rows]
        steps = None if self.steps is None else self.steps[rows]
        if steps is not None:
            steps[np.diff(numbers, prepend=-1) != 1] = np.nan  # the pose before is another one
        stamps, poses = self.stamps[rows], self.poses[rows]
        return replace(self, stamps=stamps, poses=poses, covariances=covariances, steps=steps, numbers=numbers)

    def follows(self, delta: int = 1) -> NDArray[np.bool_]:
        """(N - delta,) whether no pose was left out on the way from each to the one `delta` rows on."""
        if self.numbers is None:
            return np.ones(max(0, len(self) - delta), bool)
        return self.numbers[delta:] - self.numbers[:-delta] == delta

    def transformed(self, transform: ArrayLike, scale: float = 1.0) -> Trajectory:
        """Scaled about the world's origin, then moved by the 4x4 `transform` into another world."""
        poses = self.poses.copy()
        poses[:, :3, 3] *= scale
        covariances = None if self.covariances is None else geometry.rescaled(self.covariances, scale)
        steps = None if self.steps is None else geometry.rescaled(self.steps, scale)
        return replace(self, poses=np.asarray(transform) @ poses, covariances=covariances, steps=steps)


def load(path: str | Path, times: str | Path | ArrayLike | None = None) -> Trajectory:
    """A trajectory file, told apart by its columns: 8 are TUM's, 12 KITTI's, 13 KITTI's after a frame number.

    Args:
        path: the file.
        times: for KITTI, the stamp of every frame or the file that has them; without it the stamps are frame numbers.
    """
    table = read_table(path, (TUM_COLUMNS, KITTI_COLUMNS, INDEXED_KITTI_COLUMNS))
    return _from_tum(table) if table.numbers.shape[1] == TUM_COLUMNS else _from_kitti(table, times)


def read_tum(path: str | Path) -> Trajectory:
    """Lines of stamp, position, quaternion (x, y, z, w); a line that repeats the stamp above it is left out."""
    return _from_tum(read_table(path, (TUM_COLUMNS,)))


def read_kitti(path: str | Path, times: str | Path | ArrayLike | None = None) -> Trajectory:
    """Lines of 3x4 poses, row by row, optionally after a frame number; see `load` for `times`."""
    return _from_kitti(read_table(path, (KITTI_COLUMNS, INDEXED_KITTI_COLUMNS)), times)


def read_times(path: str | Path) -> Array:
    """The stamps (N,) of a KITTI times.txt, one a line, strictly increasing seconds."""
    table = read_table(path, (1,))
    stamps = table.numbers[:, 0]
    fault = _first_fault(stamps)
    if fault:
        raise table.error(*fault)
    return stamps


def write_tum(path: str | Path, trajectory: Trajectory, remark: str = "") -> None:
    """Stamps to the nanosecond, all else to the last bit; the remark is a comment's."""
    quaternions = geometry.to_quaternion(trajectory.poses[:, :3, :3])
    rows = np.hstack([trajectory.positions, quaternions]).tolist()
    lines = [f"{stamp:.9f} {_exact(row)}" for stamp, row in zip(trajectory.stamps.tolist(), rows, strict=True)]
    comments = ["# timestamp tx ty tz qx qy qz qw", *([f"# {remark}"] if remark else [])]
    _write_lines(Path(path), [*comments, *lines])


def write_kitti(path: str | Path, trajectory: Trajectory) -> None:
    """3x4 poses to the last bit, without stamps."""
    _write_lines(Path(path), [_exact(row) for row in trajectory.poses[:, :3, :].reshape(-1, 12).tolist()])


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
    left = np.clip(np.searchsorted(times, stamps, side="right") - 1, 0, max(len(times) - 2, 0))
    right = np.minimum(left + 1, len(times) - 1)
    gap = times[right] - times[left]
    fraction = np.clip((stamps - times[left]) / np.where(gap > 0, gap, 1.0), 0.0, 1.0)
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


def _from_tum(table: Table) -> Trajectory:
    latest = table.numbers[:, 0].max()
    if NANOSECONDS < latest < np.inf:
        raise VodistillError(
            f"{table.path} has its stamps in nanoseconds, as EuRoC's truth has, whose quaternions begin with w",
            f"give EuRoC's folder, or convert it: evo_traj euroc {table.path.name} --save_as_tum",
        )
    repeats = np.diff(table.numbers[:, 0], prepend=np.nan) == 0
    if repeats.any():
        first = table.lines[int(repeats.argmax())]
        LOGGER.warning("%s: repeated stamps left out: %d, the first on line %d", table.path, repeats.sum(), first)
        table = table.select(~repeats)
    stamps, positions, quaternions = np.split(table.numbers, [1, 4], axis=1)
    lengths = np.linalg.norm(quaternions, axis=1)
    bad = np.flatnonzero(~(np.abs(lengths - 1) <= ROTATION_TOLERANCE))
    if len(bad):
        raise table.error(bad[0], f"a quaternion of length {lengths[bad[0]]:g} instead of 1")
    return _checked(table, stamps[:, 0], geometry.make(geometry.from_quaternion(quaternions), positions))


def _from_kitti(table: Table, times: str | Path | ArrayLike | None) -> Trajectory:
    count, columns = table.numbers.shape
    poses = np.broadcast_to(np.eye(4), (count, 4, 4)).copy()
    poses[:, :3, :] = table.numbers[:, -KITTI_COLUMNS:].reshape(-1, 3, 4)
    frames = table.numbers[:, 0] if columns == INDEXED_KITTI_COLUMNS else np.arange(count, dtype=np.float64)
    bad = np.flatnonzero(~((frames >= 0) & (frames == np.floor(frames))))
    if len(bad):
        raise table.error(bad[0], f"{frames[bad[0]]:g} is not a frame number")
    if times is None:
        return _checked(table, frames, poses, indexed=True)
    stamps = read_times(times) if isinstance(times, (str, Path)) else np.asarray(times, np.float64)
    if frames.max() >= len(stamps) or (columns == KITTI_COLUMNS and count != len(stamps)):
        raise VodistillError(
            f"{table.path} has frames 0 to {frames.max():.0f}, but there are {len(stamps)} times",
            "give the times of the same frames",
        )
    return _checked(table, stamps[frames.astype(int)], poses)


def _checked(table: Table, stamps: Array, poses: Array, indexed: bool = False) -> Trajectory:
    """The trajectory that a file holds; its faults name the file's line."""
    fault = _first_fault(stamps, poses)
    if fault:
        raise table.error(*fault)
    return Trajectory(stamps, poses, indexed=indexed)


def _first_fault(stamps: Array, poses: Array | None = None) -> tuple[int, str] | None:
    """The first row that no trajectory can have, and why."""
    with np.errstate(invalid="ignore", over="ignore"):
        faults: dict[str, NDArray[np.bool_]] = {
            "its stamp is not finite": ~np.isfinite(stamps),
            "its stamp is not later than the one before": np.append(False, stamps[1:] <= stamps[:-1]),
        }
        if poses is not None:
            rotations = poses[:, :3, :3]
            skew = np.abs(np.swapaxes(rotations, 1, 2) @ rotations - np.eye(3)).max(axis=(1, 2))
            faults |= {
                "its pose is not finite": np.logical_not(np.isfinite(poses).all(axis=(1, 2))),
                "its rotation is no rotation matrix": (skew > ROTATION_TOLERANCE) | (np.linalg.det(rotations) < 0),
                f"its place is further than {FARTHEST:g} m away": np.abs(poses[:, :3, 3]).max(axis=1) > FARTHEST,
                "its last row is not 0 0 0 1": (poses[:, 3] != [0, 0, 0, 1]).any(axis=1),
            }
    firsts = [(int(np.flatnonzero(bad)[0]), problem) for problem, bad in faults.items() if bad.any()]
    return min(firsts, key=lambda fault: fault[0], default=None)


def _span(trajectory: Trajectory) -> str:
    unit = "frames {:.0f} to {:.0f}" if trajectory.indexed else "{:.6f} s to {:.6f} s"
    return unit.format(trajectory.stamps[0], trajectory.stamps[-1])


def _exact(row: list[float]) -> str:
    return " ".join(map(repr, row))


def _write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
