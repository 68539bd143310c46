"""Trajectory files: TUM and KITTI, told apart by their columns."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing
from ros2_vodistill.table import Table, read_table
from ros2_vodistill.trajectory.poses import ROTATION_TOLERANCE, Trajectory, first_fault

Array = NDArray[np.float64]

TUM_COLUMNS, KITTI_COLUMNS, INDEXED_KITTI_COLUMNS = 8, 12, 13
NANOSECONDS = 1e14  # seconds that no clock shows

LOGGER = logging.getLogger(__name__)


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
    fault = first_fault(stamps)
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
    fault = first_fault(stamps, poses)
    if fault:
        raise table.error(*fault)
    return Trajectory(stamps, poses, indexed=indexed)


def _exact(row: list[float]) -> str:
    return " ".join(map(repr, row))


def _write_lines(path: Path, lines: list[str]) -> None:
    with replacing(path) as temporary:
        temporary.write_text("\n".join([*lines, ""]), encoding="utf-8")
