"""Lengths and the scale that they share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ros2_vodistill.lengths import Gauge, Length, fused

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


STEP = 0.6
SAID = Length(STEP, 1e-5)


def settled(frames: int = 10) -> Gauge:
    """After some frames whose ground said what is carried."""
    gauge = Gauge().measured(None, SAID).gauge
    for _ in range(frames):
        gauge = gauge.drifted().measured(SAID, SAID).gauge
    return gauge


def test_the_ground_sets_a_scale_that_is_not_known() -> None:
    first = Gauge().measured(None, SAID)
    assert first.length.value == STEP
    assert 0.02 < np.sqrt(first.gauge.variance) < 0.05
    vague = Gauge(variance=1.0).measured(Length(3 * STEP, 1e-4), SAID)
    assert vague.length.value == pytest.approx(STEP, rel=1e-3)
    assert np.exp(vague.growth) == pytest.approx(1 / 3, rel=1e-3)


@pytest.mark.parametrize("variance", [1.5, 10.0, np.inf])
def test_the_ground_sets_a_scale_that_is_only_a_vague_claim(variance: float) -> None:
    told = Gauge(variance=variance).measured(Length(STEP / 9, (0.4 * STEP) ** 2), SAID)
    assert told.length.value == pytest.approx(STEP, rel=1e-3)
    assert told.growth == 0.0
    assert np.sqrt(told.gauge.variance) < 0.05
    again = told.gauge.drifted().told(SAID, Length(STEP / 3, (0.1 * STEP) ** 2))
    assert again.length.value == pytest.approx(STEP, rel=0.02)


def test_a_ground_that_hardly_moves_sets_no_scale_against_a_claim() -> None:
    gauge, creep = Gauge(variance=10.0), Length(0.01, 1e-6)
    told = gauge.measured(Length(0.002, 0.02**2), creep)
    assert told.length.value == pytest.approx(creep.value, rel=0.01)
    assert told.gauge == gauge


def test_lengths_that_contradict_each_other_are_less_certain_than_either() -> None:
    sure, other = Length(0.48, 0.07**2), Length(1.68, 0.15**2)
    both = fused([sure, other])
    assert both is not None and both.variance > sure.variance
    alike = fused([sure, Length(0.5, 0.07**2)])
    assert alike is not None and alike.variance == pytest.approx(sure.variance / 2)


def test_a_ground_that_is_wrong_once_moves_nothing() -> None:
    wild = settled().drifted().measured(SAID, Length(3 * STEP, 1e-5))
    assert wild.length.value == pytest.approx(STEP, rel=0.02)
    assert np.exp(wild.growth) == pytest.approx(1, abs=0.02)


def test_a_first_ground_that_was_wrong_is_outvoted_by_the_next_ones() -> None:
    gauge, carried = Gauge().measured(None, Length(4 * STEP, 1e-4)).gauge, Length(4 * STEP, 1e-5)
    lengths = []
    for _ in range(4):
        scaled = gauge.drifted().measured(carried, SAID)
        gauge, carried = scaled.gauge, Length(carried.value * np.exp(scaled.growth), 1e-5)
        lengths.append(scaled.length.value)
    assert lengths[0] == pytest.approx(4 * STEP, rel=0.02)
    assert lengths[3] == pytest.approx(STEP, rel=0.1)


def test_a_ground_that_keeps_saying_another_length_is_believed() -> None:
    gauge, carried = settled(), Length(STEP, 1e-5)
    for _ in range(9):
        scaled = gauge.drifted().measured(carried, Length(1.8 * STEP, 1e-5))
        gauge, carried = scaled.gauge, Length(carried.value * np.exp(scaled.growth), 1e-5)
    assert scaled.length.value == pytest.approx(1.8 * STEP, rel=0.03)
    assert gauge.heave < 0.1


@pytest.mark.parametrize("ground", [Length(1e-4, 1e-6), Length(3e-3, 1.5e-6), Length(0.02, 6e-6), Length(60.0, 1.0)])
def test_a_ground_that_is_out_of_the_question_moves_no_scale_however_vague(ground: Length) -> None:
    carried = Length(STEP, 1e-4)
    wild = Gauge(variance=0.6).measured(carried, ground)
    assert wild.length.value == pytest.approx(STEP)
    assert wild.length.relative > 0.5
    assert wild.growth == 0.0 and wild.gauge.variance == 0.6


def test_out_of_the_question_or_not_a_ground_that_keeps_saying_it_is_believed() -> None:
    gauge = Gauge(variance=0.01)
    for _ in range(10):
        scaled = gauge.drifted().measured(Length(STEP, 1e-5), Length(0.5 * STEP, 1e-5))
        gauge = scaled.gauge
        if scaled.growth:
            break
    assert scaled.length.value == pytest.approx(0.5 * STEP, rel=0.02)


def test_heave_is_what_scatters_and_averages_out() -> None:
    rng, gauge = np.random.default_rng(0), settled()
    for _ in range(40):
        scaled = gauge.drifted().measured(SAID, Length(STEP * np.exp(rng.normal(0, 0.1)), 1e-5))
        gauge = scaled.gauge
        assert scaled.length.value == pytest.approx(STEP * np.exp(scaled.growth), rel=0.01)
    assert 0.05 < gauge.heave < 0.2
    assert 0.01 < np.sqrt(gauge.variance) < 0.06


def test_a_claim_is_a_scale_but_repeating_it_proves_nothing() -> None:
    claim = Length(STEP, 1e-4)
    told = Gauge().told(None, claim)
    for _ in range(50):
        told = told.gauge.drifted().told(told.length, claim)
    assert told.length.value == pytest.approx(STEP)
    assert np.sqrt(told.gauge.variance) >= 0.5


@pytest.mark.parametrize("variance", [0.01, 0.04, 0.2])
def test_claims_do_not_carry_off_a_scale_that_is_known_better(variance: float) -> None:
    told = Gauge(variance=variance).told(SAID, Length(3 * STEP, 1e-4))
    assert told.growth == 0.0
    assert told.gauge.variance == variance
    assert told.length == SAID


def test_without_ground_the_scale_gets_doubtful() -> None:
    gauge = settled()
    later = gauge
    for _ in range(25):
        later = later.drifted()
    assert later.variance > gauge.variance + 0.0024
    assert later.doubted(SAID).variance > gauge.doubted(SAID).variance


def test_a_scale_that_went_astray_is_set_by_the_next_ground() -> None:
    short, ground = Length(STEP / 5, (0.02 * STEP / 5) ** 2), Length(STEP, (0.02 * STEP) ** 2)
    assert settled().drifted().measured(short, ground).length.value == pytest.approx(STEP / 5, rel=0.1)
    found = settled().drifted(lost=1.0).measured(short, ground)
    assert found.length.value == pytest.approx(STEP, rel=0.02)
    assert found.growth == pytest.approx(np.log(5), rel=0.02)
    assert np.sqrt(found.gauge.variance) < 0.1


def test_a_vague_claim_counts_where_the_scale_is_vaguer() -> None:
    short, claim = Length(STEP / 5, (0.02 * STEP / 5) ** 2), Length(STEP, (0.6 * STEP) ** 2)
    assert settled().told(short, claim).length.value == pytest.approx(STEP / 5)
    assert settled().drifted(lost=1.0).told(short, claim).length.value > STEP / 2.5


@pytest.mark.parametrize("variance", [0.01, 1.0, np.inf])
def test_a_claim_about_no_step_tells_no_scale(variance: float) -> None:
    """A camera that turns on the spot, also in its very first frames."""
    gauge, none = Gauge(variance=variance), Length(0.0, 1e-6)
    assert gauge.told(none, Length(0.1, 1e-4)).gauge == gauge
    assert gauge.told(Length(0.1, 1e-6), Length(0.0, 1e-4)).gauge == gauge


def test_steps_too_short_to_tell_leave_the_scale_alone() -> None:
    gauge = settled()
    scaled = gauge.measured(Length(0.0, 1e-4), Length(0.02, 1e-4))
    assert scaled.gauge == gauge
    assert 0 < scaled.length.value < 0.02


def test_however_slow_the_scale_follows_a_ground_that_is_sure() -> None:
    gauge, carried = Gauge(variance=1.0), Length(0.03, 1e-6)
    assert gauge.measured(carried, Length(0.02, 1e-7)).length.value == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("deviations", [2.5, -2.5])
def test_lengths_that_differ_as_doubt_allows_are_no_contradiction(deviations: float) -> None:
    one, other = Length(10.0, 0.5), Length(10.0 + deviations, 0.5)  # their difference has a variance of 1
    both = fused([one, other])
    assert both is not None
    assert both.value == pytest.approx(10.0 + deviations / 2)
    assert both.variance == pytest.approx(0.25)


@pytest.mark.parametrize("value", [0.01, 1.0, 30.0])
def test_the_doubt_of_a_scale_is_a_share_of_each_length(value: float) -> None:
    length = Length(value, 0.02 * value**2)
    assert Gauge(variance=0.03).doubted(length).relative == pytest.approx(0.05)


def test_a_ground_of_long_ago_counts_less_than_one_of_now() -> None:
    gauge = settled()
    for _ in range(200):
        gauge = gauge.drifted()
    assert gauge.measured(SAID, Length(1.1 * STEP, 1e-5)).growth > 0.5 * np.log(1.1)


def test_the_first_ground_counts_as_the_second_does() -> None:
    first = Gauge().measured(None, SAID)
    second = first.gauge.measured(SAID, Length(1.01 * STEP, 1e-5))
    assert second.growth == pytest.approx(np.log(1.01) / 2, rel=0.05)


def test_many_grounds_tell_the_scale_better_than_one() -> None:
    assert settled(9).variance < settled(0).variance / 4


def test_a_claim_counts_beside_the_scale_by_their_doubts() -> None:
    """A bit more than half of it, and all the less the less is known of what was carried."""
    gauge, claim = Gauge(variance=0.3), Length(2 * STEP, 0.01 * (2 * STEP) ** 2)
    sure, vague = (gauge.told(Length(STEP, doubt * STEP**2), claim) for doubt in (1e-6, 0.09))
    assert 0 < vague.growth < 0.9 * sure.growth < 0.5 * np.log(2)
    for told in (sure, vague):
        assert told.gauge.variance <= gauge.variance
    assert sure.length.relative == pytest.approx(1e-6)
    assert vague.length.relative == pytest.approx(0.09)
    assert settled().told(SAID, claim).gauge.variance <= settled().variance


def test_a_claim_about_what_is_carried_vaguely_counts_where_the_scale_is_as_vague() -> None:
    carried, claim = Length(STEP, 0.3 * STEP**2), Length(2 * STEP, (0.1 * STEP) ** 2)
    assert Gauge(variance=0.5).told(carried, claim).growth > 0
    assert settled().told(carried, claim).growth == 0


def test_a_claim_does_not_make_grounds_before_it_say_something_else() -> None:
    """It rescales what is carried; the next ground says what those before it did, and all of them outvote the claim."""
    told = replace(settled(), variance=0.3).told(SAID, Length(2 * STEP, 1e-4))
    assert told.growth > 0.1
    back = told.gauge.measured(told.length, SAID)
    assert back.growth == pytest.approx(-told.growth, rel=0.03)
    assert back.length.value == pytest.approx(STEP, rel=0.01)


def test_what_is_vague_sets_no_scale() -> None:
    ground = Length(STEP, 0.2 * STEP**2)
    assert Gauge().measured(None, ground).gauge == Gauge()
    told = settled().measured(Length(3 * STEP, 0.3 * (3 * STEP) ** 2), SAID)
    assert told.gauge == settled()
    assert told.growth == 0
    assert told.length.value == pytest.approx(STEP, rel=0.05)


def test_the_vaguer_the_scale_the_more_a_ground_counts_beside_what_is_carried_vaguely() -> None:
    carried, ground = Length(STEP, 0.2 * STEP**2), Length(1.5 * STEP, (0.3 * STEP) ** 2)
    values = [Gauge(variance=variance).measured(carried, ground).length.value for variance in (1e-3, 0.1, 0.9)]
    assert STEP < values[0] < values[1] - 0.01 < values[2] - 0.02 < 1.5 * STEP


def test_a_vague_ground_that_may_mean_what_is_carried_has_its_say() -> None:
    ground = Length(3 * STEP, (1.1 * STEP) ** 2)  # off by a little less than two deviations
    length = settled().drifted(lost=0.005).measured(Length(STEP, 1e-5), ground).length
    assert length.value > STEP * 1.005
    assert length.value < STEP * 1.1


@pytest.mark.parametrize("doubts", [(0.05, 1e-5), (1e-5, 0.05)])
def test_a_ground_is_in_the_question_as_far_as_it_and_what_is_carried_are_vague(doubts: tuple[float, float]) -> None:
    carried, ground = (Length(value, doubt * value**2) for value, doubt in zip((STEP, 1.8 * STEP), doubts, strict=True))
    assert settled().measured(carried, ground).growth > 0
    assert settled().measured(Length(STEP, 1e-5), Length(1.8 * STEP, 1e-5)).growth == 0


def test_a_ground_that_was_wrong_once_has_no_say_later_either() -> None:
    gauge = settled().drifted().measured(SAID, Length(2 * STEP, 1e-5)).gauge
    after = gauge.drifted().measured(SAID, SAID)
    assert after.growth == pytest.approx(0, abs=2e-3)


def test_however_well_it_is_carried_a_length_is_known_no_better_than_its_scale() -> None:
    length = settled().measured(Length(STEP, 1e-9), SAID).length
    assert length.relative > 0.5 * settled(11).variance


def test_what_the_ground_says_itself_that_it_is_off_is_no_heave() -> None:
    rng, gauge, heaves = np.random.default_rng(1), settled(), []
    for _ in range(60):
        value = STEP * np.exp(rng.normal(0, 0.1))
        gauge = gauge.drifted().measured(SAID, Length(value, (0.1 * value) ** 2)).gauge
        heaves.append(gauge.heave)
    assert np.median(heaves[20:]) < 0.06
