"""A motion fitted to corners whose depths are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import anchor, epipolar, geometry
from ros2_vodistill.depths import Depths
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.rays import basis, nearness
from tests.test_depths import known
from tests.test_epipolar import DIRECTION, MOTION, NOISE, scene, unit

Array = NDArray[np.float64]

DOUBT = 0.03**2


def wall(motion: Array, count: int = 80, noise: float = NOISE, seed: int = 0) -> tuple[Array, Array, Depths]:
    """Noisy rays to points on a slanted wall a few metres ahead, and their depths as known before."""
    rng = np.random.default_rng(seed)
    across = rng.uniform(-4, 4, (count, 2))
    points = np.column_stack([across, 6 + 0.3 * across[:, 0]])
    second = (points - motion[:3, 3]) @ motion[:3, :3]
    rays = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (points, second)]
    rays = [v + rng.normal(0, noise, v.shape) for v in rays]
    told = np.exp(rng.normal(0, np.sqrt(DOUBT), count)) / np.linalg.norm(points, axis=1)
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rays)
    return first, second, known(told, DOUBT)


def fitted(first: Array, second: Array, motion: Array) -> Epipolar:
    return epipolar.polish(motion[:3, :3], epipolar.direction_of(motion), first, second, NOISE)


def apart(found: Epipolar, motion: Array) -> tuple[float, float]:
    """Errors of rotation and direction, radians."""
    along = float(found.direction @ epipolar.direction_of(motion))
    return float(geometry.angle(found.rotation.T @ motion[:3, :3])), float(np.arccos(np.clip(along, -1, 1)))


ASIDE = geometry.from_motion([0.025, 0.005, 0.01, 0.01, -0.02, 0.005])
STRIDE = geometry.from_motion([0.25, 0.05, 0.4, 0.01, -0.02, 0.005])
"""So far that errors of depths are larger than those of rays."""


def test_on_a_wall_depths_tell_a_turn_from_a_step_aside() -> None:
    errors = []
    for seed in range(20):
        first, second, depths = wall(ASIDE, seed=seed)
        fit = fitted(first, second, ASIDE)
        errors.append([*apart(fit, ASIDE), *apart(anchor.anchored(fit, None, first, second, depths, NOISE), ASIDE)])
    turn, direction, anchored_turn, anchored_direction = np.sqrt((np.array(errors) ** 2).mean(axis=0))
    assert anchored_turn < 0.65 * turn
    assert anchored_direction < 0.65 * direction


def normalised(motion: Array, pace: Array | None) -> float:
    """Mean squared error per degree of freedom, by the covariance that comes with it."""
    squares = []
    for seed in range(40):
        first, second, depths = wall(motion, seed=seed)
        found = anchor.anchored(fitted(first, second, motion), pace, first, second, depths, NOISE)
        turn = geometry.so3_log(motion[:3, :3] @ found.rotation.T)
        gap = np.concatenate([turn, basis(found.direction) @ epipolar.direction_of(motion)])
        squares.append(gap @ np.linalg.solve(found.covariance, gap) / 5)
    return float(np.mean(squares))


def test_its_covariance_is_neither_boastful_nor_shy() -> None:
    # errors of real corners are alike, and so larger than of as many unlike ones
    assert 0.1 < normalised(ASIDE, None) < 0.6


@pytest.mark.parametrize("wrong", [0.0, 0.3])
def test_without_noise_it_stays_where_it_is_whatever_some_depths_say(wrong: float) -> None:
    first, second, distances = scene(MOTION)
    here = distances[:, None] * second @ MOTION[:3, :3].T + MOTION[:3, 3]
    nearness = 1 / np.linalg.norm(here, axis=1)
    nearness[: int(wrong * len(nearness))] *= 3
    depths = known(nearness, DOUBT)
    found = anchor.anchored(fitted(first, second, MOTION), None, first, second, depths, NOISE)
    assert max(apart(found, MOTION)) < 1e-4


def test_the_way_that_depths_contradict_is_left_for_the_pace() -> None:
    first, second, depths = wall(ASIDE)
    backwards = epipolar.turned_round(fitted(first, second, ASIDE))
    assert apart(anchor.anchored(backwards, None, first, second, depths, NOISE), ASIDE)[1] > 3
    assert apart(anchor.anchored(backwards, ASIDE, first, second, depths, NOISE), ASIDE)[1] < 0.1


@pytest.mark.parametrize("wrong", ["fit", "pace"])
def test_of_two_ways_it_is_the_one_that_a_few_known_depths_bear_out(wrong: str) -> None:
    ahead, aside = STRIDE, STRIDE.copy()
    aside[:3, 3] = [0.05, -0.25, 0.0]
    first, second, told = wall(ahead)
    few = np.arange(80) < 8
    depths = Depths(np.where(few, told.nearness, np.nan), np.where(few, told.variance, np.nan))
    fit, pace = fitted(first, second, ahead), ahead
    if wrong == "fit":
        fit = replace(fit, direction=epipolar.direction_of(aside))
    else:
        pace = aside
    assert max(apart(anchor.anchored(fit, pace, first, second, depths, NOISE), ahead)) < 0.03


def test_a_long_step_past_near_things_is_found_from_a_rough_fit() -> None:
    """No noise, and all that is known is true: what is left is the method's own error."""
    long = geometry.from_motion([1.0, 0.2, 1.5, 0.02, -0.05, 0.01])
    points = np.random.default_rng(0).uniform([-4, -2, 4], [4, 2, 12], (60, 3))
    views = points, (points - long[:3, 3]) @ long[:3, :3]
    first, second = (np.apply_along_axis(unit, 1, view) for view in views)
    fit = fitted(first, second, long)
    turned, elsewhere = geometry.so3_exp([0.01, -0.02, 0.01]) @ fit.rotation, unit(fit.direction + [0.1, -0.1, 0.0])
    rough = replace(fit, rotation=turned, direction=elsewhere)
    found = anchor.anchored(rough, long, first, second, known(1 / np.linalg.norm(points, axis=1), DOUBT), NOISE)
    assert max(apart(found, long)) < 1e-4


def test_depths_do_not_overrule_what_the_rays_say_clearly() -> None:
    first, second, _ = scene(MOTION, noise=NOISE)
    elsewhere = geometry.from_motion([-1.0, 0.0, -0.2, 0.01, -0.04, 0.02])
    near, *_ = nearness(elsewhere[:3, :3], unit(elsewhere[:3, 3]), first, second)
    depths = known(np.abs(near), 1e-4)
    fit = fitted(first, second, MOTION)
    assert apart(anchor.anchored(fit, elsewhere, first, second, depths, NOISE), MOTION)[1] < 0.05


@pytest.mark.parametrize("degrees", [0.5, 1.0])
def test_depths_that_repeat_an_earlier_mistake_are_not_followed(degrees: float) -> None:
    """They were measured by a motion that was turned a little, and would have this one turned alike."""
    turned = MOTION @ geometry.from_motion([0, 0, 0, 0, np.radians(degrees), 0])
    for seed in range(10):
        first, second, _ = scene(MOTION, 60, 3 * NOISE, seed)
        near, *_ = nearness(turned[:3, :3], epipolar.direction_of(turned), first, second)
        depths = known(np.where(near > 0, near, np.nan), 0.1 * DOUBT)
        found = anchor.anchored(fitted(first, second, MOTION), None, first, second, depths, NOISE)
        assert np.degrees(apart(found, MOTION)[0]) < 0.2  # the rays alone: up to 0.14


def test_a_pace_of_standing_still_is_a_start_like_any_other() -> None:
    first, second, depths = wall(ASIDE)
    found = anchor.anchored(fitted(first, second, ASIDE), np.eye(4), first, second, depths, NOISE)
    assert max(apart(found, ASIDE)) < 0.3
    assert np.linalg.eigvalsh(found.covariance).min() > 0
    first, second, depths = wall(np.eye(4))
    still = fitted(first, second, ASIDE)
    assert np.isfinite(anchor.anchored(still, np.eye(4), first, second, depths, NOISE).covariance).all()


def test_far_corners_hold_the_turn_where_none_is_above_the_way_or_below() -> None:
    """Beside the way a small turn looks like a step aside; that what is far keeps its place tells the two apart."""
    ahead = geometry.from_motion([0.01, 0.0, 0.3, 0.0, 0.004, 0.0])
    errors = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        near = np.column_stack([rng.choice([-4, 4], 60), rng.uniform(-0.5, 0.5, 60), rng.uniform(8, 25, 60)])
        far = np.column_stack([rng.uniform(-40, 40, 30), rng.uniform(-4, 4, 30), rng.uniform(150, 300, 30)])
        points = np.vstack([near, far])
        views = points, (points - ahead[:3, 3]) @ ahead[:3, :3]
        noisy = [np.apply_along_axis(unit, 1, view) + rng.normal(0, 3e-4, view.shape) for view in views]
        first, second = (np.apply_along_axis(unit, 1, view) for view in noisy)
        distant = np.arange(90) >= 60
        told = np.where(distant, 1 / np.linalg.norm(points, axis=1) + rng.normal(0, 0.002, 90), np.nan)
        depths = Depths(told, np.where(distant, 0.002**2, np.nan))
        fit = fitted(first, second, ahead)
        found = anchor.anchored(fit, ahead, first, second, depths, NOISE)
        errors.append([geometry.so3_log(each.rotation.T @ ahead[:3, :3])[1] for each in (fit, found)])
    alone, held = np.sqrt((np.array(errors) ** 2).mean(axis=0))
    assert held < 0.6 * alone


def test_it_is_left_alone_without_depths_and_without_parallax() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    assert anchor.anchored(fit, ASIDE, first, second, Depths.unknown(len(first)), NOISE) is fit
    vague = known(depths.nearness, 1.0)
    assert anchor.anchored(fit, ASIDE, first, second, vague, NOISE) is fit
    turning = epipolar.turning(fit.rotation, DIRECTION, first, second, NOISE)
    assert anchor.anchored(turning, ASIDE, first, second, depths, NOISE) is turning


def test_a_step_is_as_long_as_the_depths_say() -> None:
    first, second, depths = wall(ASIDE, noise=0.0)
    length = anchor.measured(fitted(first, second, ASIDE), first, second, depths)
    assert length is not None
    assert length.value == pytest.approx(np.linalg.norm(ASIDE[:3, 3]), rel=0.02)
    assert anchor.measured(fitted(first, second, ASIDE), first, second, Depths.unknown(len(first))) is None


@pytest.mark.parametrize("stretch", [-0.015, 0.015])
def test_in_a_sharp_turn_near_corners_tell_the_step_whatever_the_calibration_makes_of_far_ones(stretch: float) -> None:
    motion = geometry.from_motion([0.0, 0.0, 1.8, 0.0, 0.14, 0.0])
    rng = np.random.default_rng(0)
    depth = np.where(np.arange(200) < 50, rng.uniform(5, 10, 200), rng.uniform(30, 60, 200))
    points = np.column_stack([rng.uniform(0.1, 0.7, 200), rng.choice([-0.2, 0.2], 200), np.ones(200)]) * depth[:, None]
    seen = []
    for place in (points, (points - motion[:3, 3]) @ motion[:3, :3]):
        rays = place / place[:, 2:] * [1 + stretch, 1 + stretch, 1]
        seen.append(rays / np.linalg.norm(rays, axis=1, keepdims=True))
    depths = known(1 / np.linalg.norm(points, axis=1), DOUBT)
    found = anchor.measured(fitted(*seen, motion), *seen, depths)
    assert found is not None
    assert found.value == pytest.approx(1.8, rel=0.012)
    assert (found.value - 1.8) ** 2 < 4 * found.variance


def test_errors_of_depths_are_part_of_its_covariance() -> None:
    assert normalised(STRIDE, STRIDE) < 0.6


@pytest.mark.parametrize("times", [0.1, 10.0])
def test_units_do_not_matter(times: float) -> None:
    """Also where corners have a say that are known to be far, and nothing else."""
    rng, ahead = np.random.default_rng(0), geometry.from_motion([0.05, 0.0, 0.3, 0.0, 0.004, 0.0])
    points = rng.uniform([-4, -2, 8], [4, 2, 25], (90, 3)) * np.where(np.arange(90) < 60, 1, 15)[:, None]
    views = points, (points - ahead[:3, 3]) @ ahead[:3, :3]
    noisy = [np.apply_along_axis(unit, 1, view) + rng.normal(0, NOISE, view.shape) for view in views]
    first, second = (np.apply_along_axis(unit, 1, view) for view in noisy)
    near = 1 / np.linalg.norm(points, axis=1)
    error = np.where(np.arange(90) < 60, np.nan, 0.003)
    far = Depths(near + error * rng.normal(size=90), error**2)
    fit, longer = fitted(first, second, ahead), ahead.copy()
    longer[:3, 3] *= times
    other = Depths(far.nearness / times, far.variance / times**2)
    here, there = (anchor.anchored(fit, *each, NOISE) for each in (
        (ahead, first, second, far), (longer, first, second, other)
    ))  # fmt: skip
    assert geometry.angle(here.rotation.T @ fit.rotation) > 1e-5
    np.testing.assert_allclose(there.rotation, here.rotation, atol=1e-5)
    np.testing.assert_allclose(there.direction, here.direction, atol=1e-3)
    np.testing.assert_allclose(there.covariance, here.covariance, rtol=0.05, atol=1e-9)


def test_those_have_a_say_that_are_known_well_or_known_to_be_far() -> None:
    """What may be behind infinity is there."""
    first, second, _ = scene(MOTION, 12)
    near, far, vague, unknown = (0.5, 0.05), (-0.001, 0.002), (0.02, 0.05), (np.nan, np.nan)
    told, error = np.array([near, far, vague, unknown] * 3).T
    many = Depths(np.append(told, [0.5] * 3), np.append(error, [0.05] * 3) ** 2)
    rays = (np.vstack([view, view[:3]]) for view in (first, second))
    corners = anchor.Corners.of(*rays, many, 0.01)
    assert corners is not None
    np.testing.assert_array_equal(corners.known[:4], [True, True, False, False])
    np.testing.assert_allclose(corners.nearness[:2], [0.5, 0.0])
    assert anchor.Corners.of(first, second, Depths(told, error**2)[np.arange(12)], 1e-4) is None


def test_rays_that_go_their_own_way_have_no_say() -> None:
    turns = []
    for seed in range(10):
        first, second, depths = wall(ASIDE, 120, seed=seed)
        second[:30] = np.apply_along_axis(unit, 1, second[:30] + [0.0, 0.01, 0.0])
        found = anchor.anchored(fitted(first, second, ASIDE), None, first, second, depths, NOISE)
        turns.append(apart(found, ASIDE)[0])
    assert max(turns) < 2e-3  # the rays alone: up to 6e-3
