"""Depths of corners, carried along."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill.depths import Depths

Array = NDArray[np.float64]

SIGMA = 2e-4


def known(nearness: Array, doubt: float) -> Depths:
    """All known to the same relative variance."""
    return Depths(nearness, doubt * nearness**2)


def places(count: int = 80, seed: int = 0) -> tuple[Array, Array]:
    """Points (N,3) ahead and their distances."""
    points = np.random.default_rng(seed).uniform([-4, -2, 5], [4, 2, 30], (count, 3))
    return points, np.linalg.norm(points, axis=1)


def test_grown_depths_are_farther_and_known_as_well() -> None:
    depths = Depths(np.array([0.5, 0.1]), np.array([1e-4, 1e-5]))
    grown = depths.grown(np.log(2))
    np.testing.assert_allclose(grown.nearness, [0.25, 0.05])
    np.testing.assert_allclose(grown.doubt, depths.doubt)


def test_known_depths_measure_a_baseline() -> None:
    _, distances = places()
    rng = np.random.default_rng(1)
    baseline, parallax = 0.8, 0.8 * 0.3 / distances
    depths = known(np.exp(rng.normal(0, 0.03, 80)) / distances, 0.03**2)
    per_baseline = baseline / distances * np.exp(rng.normal(0, SIGMA / parallax))
    per_baseline[:15] *= 3  # things that moved by themselves
    length = depths.length(per_baseline, parallax, SIGMA)
    assert length is not None
    assert length.value == pytest.approx(baseline, rel=0.03)
    assert 0.002 < np.sqrt(length.variance) < 0.05


def test_unknown_depths_measure_nothing() -> None:
    _, distances = places()
    assert Depths.unknown(80).length(0.5 / distances, np.full(80, 0.01), SIGMA) is None
    depths = known(1 / distances, 1e-4)
    assert depths.length(0.5 / distances, np.full(80, SIGMA), SIGMA) is None  # no parallax
    assert depths.length(-0.5 / distances, np.full(80, 0.01), SIGMA) is None  # behind the camera


def test_what_may_be_at_infinity_measures_no_length() -> None:
    _, distances = places()
    far = Depths(np.full(80, 1e-3), np.full(80, 1e-6))
    assert far.length(0.5 / distances, np.full(80, 0.01), SIGMA) is None


def test_moved_depths_are_those_from_the_new_place() -> None:
    points, distances = places()
    step = np.array([0.3, 0.0, 1.2])
    depths = known(1 / distances, 1e-4) + Depths.unknown(1)
    rays = np.vstack([points / distances[:, None], [[0, 0, 1.0]]])
    moved = depths.moved(rays, step)
    np.testing.assert_allclose(moved.nearness[:80], 1 / np.linalg.norm(points - step, axis=1))
    assert np.isnan(moved.nearness[80])
    little = 1e-6
    nudged = Depths(depths.nearness + little, depths.variance).moved(rays, step)
    slope = (nudged.nearness - moved.nearness)[:80] / little
    np.testing.assert_allclose(moved.variance[:80], depths.variance[:80] * slope**2, rtol=1e-3)


@pytest.mark.parametrize("nearness", [0.0, -1e-3])
def test_what_is_infinitely_far_stays_there(nearness: float) -> None:
    far = Depths(np.array([nearness]), np.array([1e-6]))
    moved = far.moved(np.array([[0.6, 0.0, 0.8]]), np.array([0.3, 0.0, 1.2]))
    np.testing.assert_allclose((moved.nearness, moved.variance), (far.nearness, far.variance))


def test_renewed_blends_what_agrees_and_replaces_what_does_not() -> None:
    old = Depths(np.array([0.1, 0.1, np.nan, 0.1, 0.1, 0.1]), np.array([1e-4, 1e-6, np.nan, 1e-6, 1e-6, 1e-6]))
    new = np.array([0.11, 0.2, 0.05, 0.3, np.nan, -0.3])
    result = old.renewed(new, np.full(6, 1e-4), np.array([True, True, True, False, True, True]))
    share = 1e-4 / (1e-4 + 2e-4)  # one step alone is off by a tenth, whatever else
    assert result.nearness[0] == pytest.approx(0.1 + share * 0.01)
    assert result.variance[0] == pytest.approx((1 - share) * 1e-4)
    assert result.nearness[1] == pytest.approx(0.2)  # it contradicts
    assert result.nearness[2] == pytest.approx(0.05)  # it is the first
    assert result.nearness[3] == pytest.approx(0.1)  # it is not to be trusted
    assert result.nearness[4] == pytest.approx(0.1)  # it is none
    assert result.nearness[5] == pytest.approx(0.1)  # it is behind the camera


@pytest.mark.parametrize("truth", [0.0, 0.004])
def test_many_steps_tell_what_none_of_them_could(truth: float) -> None:
    rng = np.random.default_rng(2)
    depths, error = Depths.unknown(500), 0.02
    for _ in range(25):
        depths = depths.renewed(rng.normal(truth, error, 500), np.full(500, error**2), np.ones(500, bool))
    assert float(depths.nearness.mean()) == pytest.approx(truth, abs=5e-4)
    spread = 1.4826 * float(np.median(np.abs(depths.nearness - truth)))  # now and then one contradicts, and holds
    assert spread == pytest.approx(error / 5, rel=0.1)
    assert float(np.median(depths.variance)) == pytest.approx((error / 5) ** 2, rel=0.1)


def test_a_guess_stands_in_for_what_is_hardly_known() -> None:
    depths = Depths(np.array([0.5, 0.5, 1e-3, -1e-3, np.nan]), np.array([0.01, 1.0, 1e-5, 1e-5, np.nan]))
    np.testing.assert_allclose(depths.or_else(0.2), [0.5, 0.2, 1e-3, 0.0, 0.2])


def test_typical_is_the_median_distance_of_what_is_not_at_infinity() -> None:
    assert Depths.unknown(20).typical is None
    assert known(1 / np.arange(1.0, 12.0), 0.5).typical == pytest.approx(6.0)
    assert (known(1 / np.arange(1.0, 12.0), 0.5) + Depths(np.zeros(20), np.ones(20))).typical == pytest.approx(6.0)


def test_the_variance_of_a_baseline_is_that_of_its_scatter_and_more_whatever_the_unit() -> None:
    """More, as corners err alike. One in three is hardly known, and one in three hardly moved: neither spoils it."""
    rng, kind = np.random.default_rng(3), np.arange(90) % 3
    _, distances = places(90)
    doubt, parallax = np.where(kind == 1, 0.28, 0.02) ** 2, np.where(kind == 2, 0.004, 0.05)
    sigma, errors, claims = 9e-4, [], []
    for baseline in [0.02] * 100 + [5.0] * 100:
        true = 1 / distances
        depths = Depths(true * np.exp(rng.normal(0, np.sqrt(doubt))), doubt * true**2)
        length = depths.length(baseline * true * np.exp(rng.normal(0, sigma / parallax)), parallax, sigma)
        assert length is not None
        errors.append(length.value / baseline - 1)
        claims.append(length.relative)
    assert np.std(errors) < 1.5 * 0.026 / np.sqrt(30)  # of the third that is known and moved
    for half in (slice(0, 100), slice(100, 200)):
        assert 2 * np.var(errors[half]) < np.mean(claims[half]) < 8 * np.var(errors[half])


def test_depths_that_scatter_more_than_they_say_measure_a_baseline_worse() -> None:
    _, distances = places()
    off = np.random.default_rng(4).normal(0, 1, 80)
    as_said, more = (
        known(np.exp(times * 0.03 * off) / distances, 0.03**2).length(1 / distances, np.full(80, 0.05), SIGMA)
        for times in (1, 5)
    )
    assert as_said is not None and more is not None
    assert more.variance > 10 * as_said.variance


def test_a_parallax_that_may_be_noise_measures_nothing() -> None:
    _, distances = places()
    depths = known(1 / distances, 1e-4)
    assert depths.length(0.5 / distances, np.full(80, 3 * SIGMA), SIGMA) is None
    assert depths.length(0.5 / distances, np.full(80, 6 * SIGMA), SIGMA) is not None
    few = np.where(np.arange(80) < 3, 6 * SIGMA, SIGMA)
    assert depths.length(0.5 / distances, few, SIGMA) is None


def test_what_is_known_to_no_better_than_its_depth_is_a_guess_in_any_unit() -> None:
    for unit in (0.1, 1.0, 10.0):
        depths = Depths(np.array([0.5, 0.5]) / unit, np.array([0.2, 0.3]) / unit**2)
        np.testing.assert_allclose(depths.or_else(7.0), [0.5 / unit, 7.0])


def test_vague_depths_do_not_pull_at_a_baseline_that_sure_ones_tell() -> None:
    _, distances = places()
    vague = np.arange(80) % 2 == 0
    depths = Depths(1 / distances, np.where(vague, 0.25, 0.02) ** 2 / distances**2)
    length = depths.length(np.where(vague, 1.2, 1.0) / distances, np.full(80, 0.05), SIGMA)
    assert length is not None
    assert length.value == pytest.approx(1, abs=0.01)
