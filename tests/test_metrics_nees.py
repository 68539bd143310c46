"""Whether published covariances are honest, as NEES tells it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill import geometry, metrics
from ros2_vodistill.trajectory import Trajectory
from tests.drives import FORWARD, follow, published

some = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32 - 1)


def test_nees_of_an_honest_estimate_is_one() -> None:
    assert metrics.nees_step(*published(0, 4000)) == pytest.approx(1, abs=0.05)
    whole = [metrics.nees(*published(seed, 20)) for seed in range(300)]
    assert np.mean([value for value in whole if value is not None]) == pytest.approx(1, abs=0.1)


def test_nees_counts_from_the_first_common_frame() -> None:
    rows = np.arange(30, 50)
    pairs = [[t.select(rows) for t in published(seed, 50)] for seed in range(300)]
    values = [metrics.nees(estimate, truth) for estimate, truth in pairs]
    assert np.mean([value for value in values if value is not None]) == pytest.approx(1, abs=0.1)


@given(seeds, st.floats(0.01, 100.0))
@some
def test_nees_is_inverse_to_the_believed_covariance(seed: int, believed: float) -> None:
    for nees in (metrics.nees, metrics.nees_step):
        honest, other = nees(*published(seed, 20)), nees(*published(seed, 20, believed))
        assert honest is not None
        assert other == pytest.approx(honest / believed, rel=1e-6)


def test_nees_of_one_known_step() -> None:
    sigma = np.array([0.1, 0.2, 0.5, 0.01, 0.02, 0.04])
    error = sigma * [1, -2, 0, 1, 0, 3]
    truth = follow((FORWARD @ geometry.exp(error))[None])
    estimate = follow(FORWARD[None], np.stack([np.zeros((6, 6)), np.diag(sigma**2)]))
    assert metrics.nees(estimate, truth) == pytest.approx((1 + 4 + 1 + 9) / 6)


def test_nees_leaves_out_what_adds_no_covariance() -> None:
    estimate, truth = published(5, 30)
    assert estimate.covariances is not None
    reset = estimate.covariances.copy()
    reset[15:] = 0
    first = np.arange(15)
    assert metrics.nees(replace(estimate, covariances=reset), truth) == pytest.approx(
        metrics.nees(estimate.select(first), truth.select(first))
    )
    assert metrics.nees(replace(estimate, covariances=0 * reset), truth) is None


def test_nees_of_steps_leaves_out_those_that_are_not_known() -> None:
    estimate, truth = published(5, 30)
    assert estimate.steps is not None
    some = estimate.steps.copy()
    some[15:] = np.nan
    first = np.arange(15)
    assert metrics.nees_step(replace(estimate, steps=some), truth) == pytest.approx(
        metrics.nees_step(estimate.select(first), truth.select(first))
    )
    assert metrics.nees_step(replace(estimate, steps=0 * some), truth) is None
    assert metrics.nees_step(replace(estimate, steps=None), truth) is None
    apart = np.arange(0, 30, 2)
    assert metrics.nees_step(estimate.select(apart), truth.select(apart)) is None


def test_nees_of_steps_leaves_out_those_that_add_no_covariance() -> None:
    estimate, truth = published(5, 30)
    assert estimate.steps is not None
    held = np.insert(np.arange(30), [10, 20], [9, 19])  # two frames at rest repeat the pose
    steps = estimate.steps[held]
    steps[[10, 21]] = 0
    stamps = 0.1 * np.arange(32.0)
    resting = Trajectory(stamps, estimate.poses[held], steps=steps), Trajectory(stamps, truth.poses[held])
    assert metrics.nees_step(*resting) == pytest.approx(metrics.nees_step(estimate, truth))


def test_nees_leaves_out_covariances_without_an_inverse() -> None:
    flat = np.eye(6)
    flat[0, 1] = flat[1, 0] = 1
    estimate = follow(np.stack([FORWARD, FORWARD]), np.stack([np.zeros((6, 6)), flat, np.eye(6)]))
    truth = follow(np.stack([FORWARD, FORWARD @ geometry.exp([2, 0, 0, 0, 0, 0])]))
    assert metrics.nees(estimate, truth) == pytest.approx(4 / 6)
