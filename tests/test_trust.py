"""What a guess counts beside what is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.guess import Guess
from ros2_vodistill.rays import basis
from ros2_vodistill.trust import Trust

Array = NDArray[np.float64]

MOTION = geometry.from_motion([0.3, -0.05, 1.0, 0.01, -0.04, 0.02])
LENGTH = float(np.linalg.norm(MOTION[:3, 3]))
CLAIMED = np.diag([0.05**2] * 3 + [0.004**2] * 3)


def fit(sigma: float = 1e-4) -> Epipolar:
    return Epipolar(MOTION[:3, :3], MOTION[:3, 3] / LENGTH, sigma**2 * np.eye(5), 3e-4, np.ones(100))


def guess(turn: Array | None = None, aside: Array | None = None, covariance: Array | None = CLAIMED) -> Guess:
    """The motion, off by a turn (3,) from the left, radians, and by a step (2,) across it."""
    off = np.zeros(3) if turn is None else turn
    step = np.zeros(2) if aside is None else aside
    motion = geometry.make(geometry.so3_exp(off) @ MOTION[:3, :3], MOTION[:3, 3] + step @ basis(MOTION[:3, 3] / LENGTH))
    return Guess(motion, covariance)


def after(turns: Array, asides: Array, seen: Epipolar) -> Trust:
    trust = Trust()
    for turn, aside in zip(turns, asides, strict=True):
        trust = trust.told(guess(turn, aside), seen)
    return trust


def test_a_guess_claims_a_length_if_it_has_measured_one() -> None:
    measured = Guess(geometry.from_motion([3, 0, 4, 0, 0, 0]), np.diag([0.01, 1.0, 0.04, 1.0, 1.0, 1.0]))
    assert measured.claim is not None
    assert measured.claim.value == pytest.approx(5.0)
    assert measured.claim.variance == pytest.approx(0.6**2 * 0.01 + 0.8**2 * 0.04, rel=1e-3)
    assert replace(measured, sized=False).claim is None
    assert replace(measured, covariance=None).claim is None
    resting = replace(measured, motion=np.eye(4), covariance=np.zeros((6, 6))).claim
    assert resting is not None and resting.value == 0 and resting.variance > 0


def test_a_guess_in_other_axes_is_the_same_motion() -> None:
    aside = np.kron(np.eye(2), [[0, 0, 1], [0, 1, 0], [-1, 0, 0]])  # x to -z, z to x
    here = Guess(geometry.from_motion([1, 2, 3, 0.1, 0.2, 0.3]), np.diag([1.0, 2, 3, 4, 5, 6]), sized=False)
    there = here.turned(aside)
    np.testing.assert_allclose(geometry.to_motion(there.motion), [3, 2, -1, 0.3, 0.2, -0.1], atol=1e-12)
    assert there.covariance is not None
    np.testing.assert_allclose(there.covariance, np.diag([3.0, 2, 1, 6, 5, 4]), atol=1e-12)
    assert not there.sized
    assert replace(here, covariance=None).turned(aside).covariance is None


@pytest.mark.parametrize(("turn", "way"), [(1.0, 1.0), (6.0, 1.0), (1.0, 6.0), (20.0, 20.0)])
def test_how_far_guesses_are_off_is_learned_of_turn_and_way_apart(turn: float, way: float) -> None:
    random = np.random.default_rng(0)
    turns, asides = turn * random.normal(0, 0.004, (60, 3)), way * random.normal(0, 0.05, (60, 2))
    factors = after(turns, asides, fit()).factors
    for found, true in zip(factors, (turn**2, way**2), strict=True):
        assert true / 2.2 < found < max(2.2, 2.2 * true)


def test_a_lasting_bias_counts_as_doubt() -> None:
    bias = np.tile([0.0, 0.02, 0.0], (40, 1))
    turn, _ = after(bias, np.zeros((40, 2)), fit()).factors
    assert turn == pytest.approx(25 / 3, rel=0.6)


@pytest.mark.parametrize("off", [0.2, 1.0])
def test_frames_that_say_little_teach_little(off: float) -> None:
    before = after(*_five_times_off(30, off), fit())
    trust = before
    for turn, aside in zip(*_five_times_off(30), strict=True):
        trust = trust.told(guess(turn, aside), fit(sigma=3.0))
    np.testing.assert_allclose(trust.factors, before.factors, rtol=0.35)


def test_after_long_silence_it_is_where_it_began() -> None:
    for begin in (Trust(), after(*_five_times_off(30), fit())):
        trust = begin
        for _ in range(2000):
            trust = trust.told(guess(), fit(sigma=30.0))
        np.testing.assert_allclose(trust.factors, Trust().factors, rtol=0.05)


def test_what_was_bad_for_long_is_forgiven() -> None:
    trust = after(*_five_times_off(400), fit())
    assert min(trust.factors) > 10
    for turn, aside in zip(*_five_times_off(60, share=0.2), strict=True):
        trust = trust.told(guess(turn, aside), fit())
    assert max(trust.factors) < 2.5


def test_a_turn_on_the_spot_says_nothing_of_the_way() -> None:
    """Its direction is the guess's own."""
    before = after(*_five_times_off(60), fit())
    trust = before
    for _ in range(40):
        trust = trust.told(guess(), replace(fit(), turns_only=True))
    assert trust.factors[1] == before.factors[1]
    assert trust.factors[0] < before.factors[0]


def _five_times_off(count: int, share: float = 1.0) -> tuple[Array, Array]:
    random = np.random.default_rng(1)
    return 5 * share * random.normal(0, 0.004, (count, 3)), 5 * share * random.normal(0, 0.05, (count, 2))


def test_one_wild_frame_does_not_shake_it() -> None:
    trust = after(*_five_times_off(40, share=0.2), fit())
    wild = trust.told(guess(np.array([0.3, 0.0, 0.0]), np.array([0.7, 0.0])), fit())
    assert max(wild.factors) < 3 * max(trust.factors)


def test_a_way_that_is_turned_round_is_as_far_off_as_can_be() -> None:
    back = guess()
    back.motion[:3, 3] *= -1
    trust = Trust()
    for _ in range(20):
        trust = trust.told(back, fit())
    assert trust.factors[1] > 300
    assert trust.factors[0] < 2


def test_the_honest_covariance_is_scaled_block_by_block() -> None:
    trust = after(*_five_times_off(30), fit())
    turn, way = trust.factors
    mixed = CLAIMED + 1e-5
    honest = trust.honest(replace(guess(), covariance=mixed)).covariance
    assert honest is not None
    np.testing.assert_allclose(honest[:3, :3], way * mixed[:3, :3])
    np.testing.assert_allclose(honest[3:, 3:], turn * mixed[3:, 3:])
    np.testing.assert_allclose(honest[:3, 3:], np.sqrt(turn * way) * mixed[:3, 3:])
    np.testing.assert_array_equal(honest, honest.T)


def test_fused_is_the_mean_by_variance() -> None:
    """Of a small gap, by hand: three times the guess's variance, for its errors last."""
    turn = np.array([0.002, -0.001, 0.001])
    seen = fit(sigma=0.01)
    trust = Trust()
    factor, _ = trust.factors
    share = 0.01**2 / (0.01**2 + 3 * factor * 0.004**2)
    fused = trust.fused(guess(turn), seen)
    np.testing.assert_allclose(geometry.so3_log(fused.rotation @ seen.rotation.T), share * turn, rtol=1e-6)
    np.testing.assert_allclose(np.diag(fused.covariance)[:3], (1 - share) * 0.01**2, rtol=1e-6)
    np.testing.assert_allclose(fused.direction, seen.direction, atol=1e-9)


def test_a_vague_guess_changes_nothing_and_a_sure_one_wins() -> None:
    off = guess(np.array([0.0, 0.01, 0.0]), np.array([0.01, 0.0]))
    vague = Trust().fused(replace(off, covariance=1e3 * np.eye(6)), fit())
    assert geometry.angle(vague.rotation.T @ MOTION[:3, :3]) < 1e-6
    sure = Trust().fused(replace(off, covariance=1e-12 * np.eye(6)), fit(sigma=0.03))
    np.testing.assert_allclose(sure.rotation, off.motion[:3, :3], atol=1e-5)
    np.testing.assert_allclose(sure.direction, geometry.direction(off.motion[:3, 3], MOTION[:3, 3]), atol=1e-6)
    aside = guess(aside=np.array([2.0, -1.0]), covariance=1e-12 * np.eye(6))
    far = Trust().fused(aside, fit(sigma=30.0))
    np.testing.assert_allclose(far.direction, geometry.direction(aside.motion[:3, 3], MOTION[:3, 3]), atol=1e-6)


def test_a_guess_that_contradicts_is_hardly_heard() -> None:
    wild = guess(np.array([0.0, 0.3, 0.0]), covariance=1e-6 * np.eye(6))
    fused = Trust().fused(wild, fit(sigma=0.002))
    assert geometry.angle(fused.rotation.T @ MOTION[:3, :3]) < 1e-3


@pytest.mark.parametrize("silent", [Guess(MOTION), Guess(np.eye(4), CLAIMED)])
def test_no_covariance_or_no_direction_says_nothing(silent: Guess) -> None:
    seen, trust = fit(), Trust()
    assert trust.told(silent, seen) is trust
    assert trust.fused(silent, seen) is seen


def test_a_mere_start_is_as_honest_as_it_is() -> None:
    start = Guess(MOTION)
    assert Trust().honest(start) is start


def test_fused_is_the_joint_solution_however_the_errors_are_tied() -> None:
    """By hand, of a small gap: information adds up. A way is the vaguer the shorter it is."""
    rng, times = np.random.default_rng(2), 0.2
    own, claimed = (scale @ np.cov(rng.normal(size=(size, 3 * size))) @ scale for size, scale in (
        (5, np.diag([0.01] * 3 + [0.1] * 2)), (6, np.diag([0.05] * 3 + [0.004] * 3))
    ))  # fmt: skip
    seen, off = replace(fit(), covariance=own), np.array([1e-4, -2e-4, 1e-4, 3e-4, 1e-4])
    said = guess(off[:3], LENGTH * off[3:], claimed)
    said.motion[:3, 3] *= times
    turn, way = Trust().factors
    across, spread = basis(seen.direction), np.zeros((5, 5))
    spread[:3, :3] = 3 * turn * claimed[3:, 3:]
    spread[3:, 3:] = 3 * way * across @ claimed[:3, :3] @ across.T / (times * LENGTH) ** 2
    joint = np.linalg.inv(np.linalg.inv(own) + np.linalg.inv(spread))
    step = joint @ np.linalg.solve(spread, off)
    fused = Trust().fused(said, seen)
    np.testing.assert_allclose(fused.covariance, joint, rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(geometry.so3_log(fused.rotation @ seen.rotation.T), step[:3], rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(across @ fused.direction, step[3:], rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(("deviations", "whole"), [(2.0, True), (5.0, False)])
def test_a_gap_that_doubt_explains_is_no_contradiction(deviations: float, whole: bool) -> None:
    """In all five numbers at once, as chance would have it in none."""
    turn, way = Trust().factors
    off = deviations * np.repeat([np.sqrt(turn) * 0.004, np.sqrt(way) * 0.05 / LENGTH], [3, 2])
    small, large = (Trust().fused(guess(k * off[:3], k * LENGTH * off[3:]), fit(sigma=1e-3)) for k in (1e-3, 1.0))
    turned = [geometry.angle(each.rotation @ MOTION[:3, :3].T) for each in (small, large)]
    if whole:
        assert turned[1] == pytest.approx(1e3 * turned[0], rel=0.05)
    else:
        assert turned[1] < 500 * turned[0]


def test_a_way_that_is_exactly_turned_round_is_no_small_gap() -> None:
    ahead = np.array([0.0, 0.0, 1.0])
    seen, trust = replace(fit(), rotation=np.eye(3), direction=ahead), Trust()
    for _ in range(20):
        trust = trust.told(Guess(geometry.make(np.eye(3), -ahead), CLAIMED), seen)
    assert trust.factors[1] > 300
