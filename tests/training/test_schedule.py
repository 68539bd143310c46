"""The learning rate over the steps, against values by hand."""

from __future__ import annotations

import pytest

from ros2_vodistill.errors import VodistillError
from training.schedule import check, rate
from training.stages import Training


def test_cosine_rises_and_falls_to_zero() -> None:
    settings = Training(steps=110, rate=2.0, warmup=10)
    assert rate(settings, 0) == pytest.approx(0.2)
    assert rate(settings, 9) == pytest.approx(2.0)
    assert rate(settings, 60) == pytest.approx(1.0)
    assert rate(settings, 110) == pytest.approx(0.0, abs=1e-12)


def test_one_cycle_peaks_at_three_tenths() -> None:
    settings = Training(steps=100, rate=1.0, schedule="one_cycle")
    rates = [rate(settings, i) for i in range(101)]
    assert rates.index(max(rates)) == 30
    assert (rates[0], rates[30], rates[65]) == pytest.approx((0.04, 1.0, 0.5))
    assert rates[100] == pytest.approx(0.0, abs=1e-12)


def test_stable_stays_until_it_is_ended() -> None:
    settings = Training(rate=1.0, schedule="stable", warmup=4)
    assert [rate(settings, i) for i in (0, 3, 10**6)] == pytest.approx([0.25, 1.0, 1.0])
    assert [rate(settings, i, (10, 4)) for i in (9, 10, 12, 13, 14)] == pytest.approx([1.0, 0.75, 0.25, 0.0, 0.0])


def test_constant_is_constant() -> None:
    settings = Training(steps=5, rate=0.5, schedule="constant")
    assert {rate(settings, i) for i in range(9)} == {0.5}


def test_endings_that_do_not_fit_are_refused() -> None:
    check(Training(schedule="stable"), decaying=True)
    with pytest.raises(VodistillError, match="steps"):
        check(Training(schedule="cosine"))
    with pytest.raises(VodistillError, match="decay"):
        check(Training(schedule="cosine", steps=3), decaying=True)
