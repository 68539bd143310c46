"""Middles and spreads of numbers that a few strangers are among."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill import robust


@pytest.mark.parametrize("count", [1, 2, 3, 10, 181, 200])
def test_the_median_is_numpys(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    before = values.copy()
    assert robust.median(values) == pytest.approx(float(np.median(values)), abs=1e-15)
    np.testing.assert_array_equal(values, before)


def test_strangers_hardly_change_the_deviation() -> None:
    values = np.random.default_rng(0).normal(scale=0.3, size=2000)
    assert robust.deviation(values) == pytest.approx(0.3, rel=0.05)
    values[:200] = 1e6
    assert robust.deviation(values) == pytest.approx(0.3, rel=0.25)


def test_the_weighted_median_has_half_of_the_weight_below_it() -> None:
    values = np.array([5.0, 1.0, 3.0])
    assert robust.weighted_median(values, np.ones(3)) == 3
    assert robust.weighted_median(values, np.array([1.0, 5.0, 1.0])) == 1
    assert robust.weighted_median(values, np.array([9.0, 1.0, 1.0])) == 5
