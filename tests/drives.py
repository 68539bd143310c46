"""Random drives, as trajectories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.trajectory import Trajectory

Array = NDArray[np.float64]

FORWARD = geometry.from_motion([0, 0, 1, 0, 0, 0])


def wander(count: int, seed: int = 0, start: float = 0.0, step: float = 0.1, covariances: bool = False) -> Trajectory:
    """A random smooth-ish drive of `count` poses."""
    rng = np.random.default_rng(seed)
    motions = geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.05, 0.05, 0.05], (count - 1, 6)))
    roots = rng.normal(size=(count, 6, 6))
    return Trajectory(
        start + step * np.arange(float(count)),
        geometry.accumulate(motions, geometry.from_motion(rng.normal(size=6))),
        roots @ roots.swapaxes(1, 2) if covariances else None,
    )


def follow(motions: Array, covariances: Array | None = None) -> Trajectory:
    poses = geometry.accumulate(motions)
    return Trajectory(0.1 * np.arange(float(len(poses))), poses, covariances)


def straight(count: int, step: float = 1.0) -> Trajectory:
    return follow(np.tile(geometry.from_motion([0, 0, step, 0, 0, 0]), (count - 1, 1, 1)))


def drive(seed: int, count: int = 60, noise: float = 0.02) -> tuple[Trajectory, Trajectory]:
    """A random drive and a noisy estimate of it, which starts elsewhere."""
    rng = np.random.default_rng(seed)
    truth = follow(
        geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.02, 0.1, 0.02], (count - 1, 6)))
    )
    perturbation = geometry.from_motion(noise * rng.normal(size=(count - 1, 6)))
    estimate = follow(geometry.relative(truth.poses) @ perturbation)
    return estimate.transformed(geometry.from_motion(rng.normal(size=6))), truth


def published(seed: int, count: int, believed: float = 1.0) -> tuple[Trajectory, Trajectory]:
    """An estimate with noise of a known covariance, which it propagates and publishes times `believed`."""
    rng = np.random.default_rng(seed)
    motions = geometry.from_motion(rng.normal([0, 0, 1, 0, 0, 0], [0.1, 0.1, 0.3, 0.02, 0.1, 0.02], (count - 1, 6)))
    root = np.diag([0.03, 0.02, 0.05, 2e-4, 3e-4, 1e-4]) @ (np.eye(6) + 0.3 * rng.normal(size=(6, 6)))
    step = root @ root.T
    truth = follow(motions @ geometry.exp(rng.normal(size=(count - 1, 6)) @ root.T))
    covariances = np.zeros((count, 6, 6))
    for i, backward in enumerate(geometry.adjoint(geometry.invert(motions))):
        covariances[i + 1] = backward @ covariances[i] @ backward.T + step
    steps = np.concatenate([np.full((1, 6, 6), np.nan), np.tile(step, (count - 1, 1, 1))])
    return replace(follow(motions, believed * covariances), steps=believed * steps), truth
