"""Poses over time, and the faults that no trajectory may have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError

Array = NDArray[np.float64]

FARTHEST = 1e12  # metres; the squares of what is further have no place among numbers, nor has it among paths
ROTATION_TOLERANCE = 1e-2  # of R^T R and of a quaternion's length; files round to four digits


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
        fault = first_fault(self.stamps, self.poses)
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


def first_fault(stamps: Array, poses: Array | None = None) -> tuple[int, str] | None:
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
