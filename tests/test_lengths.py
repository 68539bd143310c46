"""Lengths and the depths that carry them."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill.lengths import Depths, Length, fused

SIGMA = 2e-4


def test_fused_is_the_mean_by_variance() -> None:
    both = fused([Length(1.0, 0.04), Length(1.2, 0.01)])
    assert both is not None
    assert both.value == pytest.approx((1.0 / 0.04 + 1.2 / 0.01) / (1 / 0.04 + 1 / 0.01))
    assert both.variance == pytest.approx(1 / (1 / 0.04 + 1 / 0.01))


def test_fused_of_nothing_and_of_one() -> None:
    assert fused([]) is None
    assert fused([None, None]) is None
    assert fused([None, Length(2.0, 0.5)]) == Length(2.0, 0.5)


def test_a_length_that_contradicts_counts_less() -> None:
    sure = Length(1.0, 1e-4)
    far = fused([sure, Length(2.0, 4e-4)])
    assert far is not None
    assert far.value == pytest.approx(1.0, abs=0.01)


def places(count: int = 80, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Points (N,3) ahead and their distances."""
    points = np.random.default_rng(seed).uniform([-4, -2, 5], [4, 2, 30], (count, 3))
    return points, np.linalg.norm(points, axis=1)


def test_known_depths_measure_a_baseline() -> None:
    _, distances = places()
    rng = np.random.default_rng(1)
    baseline, parallax = 0.8, 0.8 * 0.3 / distances
    depths = Depths(np.exp(rng.normal(0, 0.03, 80)) / distances, np.full(80, 0.03**2))
    per_baseline = baseline / distances * np.exp(rng.normal(0, SIGMA / parallax))
    per_baseline[:15] *= 3  # things that moved by themselves
    length = depths.length(per_baseline, parallax, SIGMA)
    assert length is not None
    assert length.value == pytest.approx(baseline, rel=0.03)
    assert 0.002 < np.sqrt(length.variance) < 0.05


def test_unknown_depths_measure_nothing() -> None:
    _, distances = places()
    assert Depths.unknown(80).length(0.5 / distances, np.full(80, 0.01), SIGMA) is None
    known = Depths(1 / distances, np.full(80, 1e-4))
    assert known.length(0.5 / distances, np.full(80, SIGMA), SIGMA) is None  # no parallax
    assert known.length(-0.5 / distances, np.full(80, 0.01), SIGMA) is None  # behind the camera


def test_moved_depths_are_those_from_the_new_place() -> None:
    points, distances = places()
    step = np.array([0.3, 0.0, 1.2])
    depths = Depths(1 / distances, np.full(80, 1e-4))
    depths = depths + Depths.unknown(1)
    moved = depths.moved(np.vstack([points / distances[:, None], [[0, 0, 1.0]]]), step)
    np.testing.assert_allclose(moved.nearness[:80], 1 / np.linalg.norm(points - step, axis=1))
    assert np.isnan(moved.nearness[80])


def test_renewed_blends_what_agrees_and_replaces_what_does_not() -> None:
    old = Depths(np.array([0.1, 0.1, np.nan, 0.1, np.nan]), np.array([1e-2, 1e-4, np.nan, 1e-4, np.nan]))
    new = np.array([0.11, 0.2, 0.05, 0.3, -1.0])
    result = old.renewed(new, np.full(5, 1e-2), np.array([True, True, True, False, True]))
    assert result.nearness[0] == pytest.approx(np.sqrt(0.1 * 0.11))
    assert result.doubt[0] == pytest.approx(0.5e-2)
    assert result.nearness[1] == pytest.approx(0.2)  # it contradicts
    assert result.nearness[2] == pytest.approx(0.05)  # it is the first
    assert result.nearness[3] == pytest.approx(0.1)  # it is not to be trusted
    assert np.isnan(result.nearness[4])  # it is behind the camera


def test_typical_is_the_median_distance() -> None:
    assert Depths.unknown(20).typical is None
    assert Depths(1 / np.arange(1.0, 12.0), np.ones(11)).typical == pytest.approx(6.0)
