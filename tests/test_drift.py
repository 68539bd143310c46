"""How uncertain a pose is after many steps whose errors are alike."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import drift, geometry
from ros2_vodistill.drift import Drift

Array = NDArray[np.float64]

MOTION = geometry.from_motion([0.02, -0.01, 0.4, 0.005, 0.03, -0.01])
SECONDS = 0.1


def steps(seed: int = 0) -> Array:
    """A covariance (6, 6) whose translation and rotation have to do with each other."""
    root = np.diag([0.02, 0.01, 0.03, 2e-3, 3e-3, 2e-3]) @ (
        np.eye(6) + 0.3 * np.random.default_rng(seed).normal(size=(6, 6))
    )
    return root @ root.T


def after(count: int, step: Array, seconds: float = SECONDS) -> Array:
    """The covariance (6, 6) of so many steps."""
    found = Drift()
    for _ in range(count):
        found = found.moved(MOTION, step, seconds)
    return found.covariance


def test_one_step_is_as_uncertain_as_it_says() -> None:
    np.testing.assert_allclose(after(1, steps()), steps(), rtol=1e-9)


def test_it_is_the_scatter_of_many_walks_whose_errors_last() -> None:
    step, walks, count = steps(), 4000, 12
    root = np.linalg.cholesky(step[::-1, ::-1])[::-1, ::-1]
    np.testing.assert_allclose(root @ root.T, step, atol=1e-15)
    random, share, memory = np.random.default_rng(3), drift.LASTING, np.exp(-SECONDS / drift.MEMORY)
    lasting, poses, ideal = random.normal(size=(walks, 6)), np.tile(np.eye(4), (walks, 1, 1)), np.eye(4)
    for _ in range(count):
        lasting = memory * lasting + np.sqrt(1 - memory**2) * random.normal(size=(walks, 6))
        drawn = np.sqrt(share) * lasting + np.sqrt(1 - share) * random.normal(size=(walks, 6))
        poses, ideal = poses @ MOTION @ geometry.exp(drawn @ root.T), ideal @ MOTION
    scatter = np.cov(geometry.log(geometry.invert(ideal) @ poses).T)
    unit = np.sqrt(np.outer(np.diag(scatter), np.diag(scatter)))
    np.testing.assert_allclose(after(count, step) / unit, scatter / unit, atol=0.08)


def test_what_lasts_adds_up_faster_than_what_is_drawn_anew() -> None:
    quick, slow = (after(30, steps(), seconds) for seconds in (0.01, 100.0))
    apart = np.zeros((6, 6))
    for _ in range(30):
        carry = geometry.adjoint(geometry.invert(MOTION))
        apart = carry @ apart @ carry.T + steps()
    np.testing.assert_allclose(slow, apart, rtol=1e-9)  # nothing lasts from one step to the next
    assert (np.diag(quick) > 4 * np.diag(slow)).all()
    assert np.linalg.eigvalsh(quick).min() > 0


@pytest.mark.parametrize("metres", [1e-3, 1e3])
def test_units_do_not_matter(metres: float) -> None:
    scaling = np.diag([metres] * 3 + [1.0] * 3)
    motion = MOTION.copy()
    motion[:3, 3] *= metres
    found = Drift()
    for _ in range(5):
        found = found.moved(motion, scaling @ steps() @ scaling, SECONDS)
    np.testing.assert_allclose(found.covariance, scaling @ after(5, steps()) @ scaling, rtol=1e-6)


def test_what_is_certain_stays_so_and_ties_may_be_complete() -> None:
    """A speed of zero, and a step whose length is all that errs."""
    resting = np.diag([0.0] * 3 + [1e-6] * 3)
    found = Drift().moved(np.eye(4), resting, SECONDS)
    np.testing.assert_array_equal(found.covariance, resting)
    along = np.array([0.1, 0.0, 0.4, 0.0, 0.0, 0.0])
    found = Drift().moved(MOTION, 1e-4 * np.outer(along, along), SECONDS).moved(MOTION, steps(), SECONDS)
    assert np.isfinite(found.covariance).all()


def test_what_it_grows_by_is_no_step() -> None:
    before = Drift().moved(MOTION, steps(), SECONDS)
    grown = before.grown(np.eye(6))
    np.testing.assert_array_equal(grown.covariance, before.covariance + np.eye(6))
    np.testing.assert_array_equal(grown.shared, before.shared)
