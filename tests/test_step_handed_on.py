"""What a step comes to, and what it hands on: depths, the road, the scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import anchor, epipolar, geometry, step
from ros2_vodistill.depths import Depths
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.ground import GroundFit
from ros2_vodistill.lengths import Gauge, Length, Scaled
from ros2_vodistill.rays import nearness
from ros2_vodistill.step import Carried, Sight
from ros2_vodistill.still import TYPICAL_DEPTH
from tests.test_depths import known
from tests.test_epipolar import DIRECTION, NOISE, scene, unit

Array = NDArray[np.float64]

MOTION = geometry.from_motion([0.06, -0.01, 0.2, 0.01, -0.04, 0.02])
LENGTH = float(np.linalg.norm(MOTION[:3, 3]))
SURE = Length(LENGTH, 1e-8)
UP = geometry.make(geometry.so3_exp([0.02, 0.0, 0.0]), MOTION[:3, 3])
"""The camera lifts its gaze, so that the ground seems to fall away ahead."""


def truth(motion: Array = MOTION, weights: Array | None = None) -> tuple[Sight, Array, Array]:
    """What corners without errors say, all of which count, or as told; and their distances before and after."""
    first, second, after = scene(motion)
    before = np.linalg.norm(after[:, None] * second @ motion[:3, :3].T + motion[:3, 3], axis=1)
    weights = np.ones(len(first)) if weights is None else weights
    fit = Epipolar(motion[:3, :3], unit(motion[:3, 3]), 1e-8 * np.eye(5), NOISE, weights)
    return Sight((first, second), fit, fit), before, after


def ground(translation: Array, rotation: Array = MOTION[:3, :3], road: Array | None = None) -> GroundFit:
    """One that is sure, of the road most."""
    length, slopes = float(np.linalg.norm(translation)), np.zeros(3) if road is None else road
    covariance = np.diag([1e-6, 2e-6, 3e-6] + [1e-8] * 3 + [1e-9, 2e-9, 3e-9])
    return GroundFit(
        rotation, translation, slopes, covariance, 0.9, 0.0, 0.9, 0.1, Length(length, (0.02 * length) ** 2)
    )


def test_depths_are_those_of_the_images_own_motion_from_where_the_camera_is_now() -> None:
    sight, _, after = truth()
    guessed = replace(
        sight.fit, rotation=geometry.so3_exp([0, 0.02, 0]) @ MOTION[:3, :3], direction=DIRECTION[[1, 2, 0]]
    )
    before = Carried(Depths.unknown(len(after)))
    taken = step.concluded(before, replace(sight, fit=guessed), Scaled(SURE, Gauge(variance=1e-4)), None)
    np.testing.assert_allclose(taken.carried.depths.nearness, 1 / after, rtol=1e-6)


def test_depths_of_corners_that_went_their_own_way_are_carried_and_not_measured() -> None:
    sight, before, after = truth(weights=np.zeros(300))
    carried = Carried(known(1 / before, 0.01), gauge=Gauge(variance=1e-4))
    depths = step.concluded(carried, sight, Scaled(SURE, carried.gauge), None).carried.depths
    np.testing.assert_allclose(depths.nearness, 1 / after, rtol=1e-6)
    assert (depths.doubt > 0.009).all()


def test_a_turn_on_the_spot_leaves_depths_alone() -> None:
    sight, before, _ = truth()
    turning = epipolar.turning(MOTION[:3, :3], DIRECTION, *sight.rays, NOISE)
    carried = Carried(known(1 / before, 0.01), gauge=Gauge(variance=1e-4))
    still = Sight(sight.rays, turning, turning)
    taken = step.concluded(carried, still, step.foretold(carried, still, None, None), None)
    np.testing.assert_array_equal(taken.carried.depths.nearness, carried.depths.nearness)


def test_the_variance_of_new_depths_is_that_of_noisy_rays_and_turns() -> None:
    """Of corners so far that what one step alone is off by does not matter; the camera turns far, too."""
    rng, doubt = np.random.default_rng(0), 3e-4
    motion = geometry.from_motion([0.1, 0.0, 0.2, 0.1, 0.7, 0.0])
    points = rng.uniform([-1, -0.6, 0.2], [1, 0.6, 1], (150, 3)) * rng.uniform(200, 600, (150, 1))
    first, second = points, (points - motion[:3, 3]) @ motion[:3, :3]
    first, second = (view / np.linalg.norm(view, axis=1, keepdims=True) for view in (first, second))
    covariance = np.diag([doubt**2] * 3 + [1e-12] * 2)
    fit = Epipolar(motion[:3, :3], unit(motion[:3, 3]), covariance, NOISE, np.ones(150))
    length = float(np.linalg.norm(motion[:3, 3]))
    found, claimed = [], []
    for _ in range(400):
        noisy = second + rng.normal(0, NOISE, second.shape)
        noisy /= np.linalg.norm(noisy, axis=1, keepdims=True)
        seen = replace(fit, rotation=geometry.so3_exp(rng.normal(0, doubt, 3)) @ fit.rotation)
        unknown = Carried(Depths.unknown(150), gauge=Gauge(variance=1e-4))
        sight, scaled = Sight((first, noisy), seen, seen), Scaled(Length(length, 1e-8), unknown.gauge)
        depths = step.concluded(unknown, sight, scaled, None).carried.depths
        _, new, _ = nearness(seen.rotation, seen.direction, first, noisy)
        found.append(new / length)
        claimed.append(depths.variance)
    ratio = np.nanmean(claimed, axis=0) / np.var(found, axis=0)
    aside = np.linalg.norm(np.cross(first, fit.direction), axis=1)
    for some in (aside < 0.5, aside > 0.8):
        assert some.sum() > 10
        assert 0.75 < np.median(ratio[some]) < 1.35


@pytest.mark.parametrize("claim", [None, Length(1.5 * LENGTH, (0.1 * LENGTH) ** 2)])
def test_a_ground_that_sets_the_scale_sets_that_of_all_that_is_carried(claim: Length | None) -> None:
    """Corners that are not measured anew too; whatever was claimed before."""
    counts = np.arange(300) % 2 == 0
    sight, before, after = truth(weights=counts.astype(float))
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1.0))
    foretold = step.foretold(carried, sight, None, claim)
    assert foretold is not None
    longer = ground(3 * foretold.length.value * unit(MOTION[:3, 3]))
    taken = step.concluded(carried, sight, foretold, longer)
    times = float(np.linalg.norm(taken.motion[:3, 3])) / LENGTH
    assert times > 2
    np.testing.assert_allclose(taken.carried.depths.nearness[~counts], 1 / after[~counts] / times, rtol=0.03)


def test_a_scale_that_is_a_guess_makes_the_length_one() -> None:
    sight, before, _ = truth()
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=0.09))
    foretold = step.foretold(carried, sight, None, None)
    taken, ahead = step.concluded(carried, sight, foretold, None), unit(MOTION[:3, 3])
    assert np.sqrt(ahead @ taken.covariance[:3, :3] @ ahead) == pytest.approx(0.3 * LENGTH, rel=0.05)
    told = step.prior(carried, sight, foretold)
    assert np.sqrt(told.length_variance) > 0.29 * LENGTH
    certain = step.prior(carried, sight, Scaled(Length(LENGTH, 0.0), Gauge(variance=0.0)))
    assert np.sqrt(certain.length_variance) > 0.01  # camera heights: the ground may find even that to be off


def test_where_nothing_tells_the_scale_things_are_as_far_as_they_typically_are() -> None:
    sight, _, _ = truth()
    taken = step.concluded(Carried(Depths.unknown(300)), sight, None, None)
    assert np.median(1 / taken.carried.depths.nearness) == pytest.approx(TYPICAL_DEPTH, rel=0.1)


def test_the_ground_is_told_how_it_slopes_after_the_turn() -> None:
    sight, before, _ = truth(UP)
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    told = step.prior(carried, sight, Scaled(SURE, carried.gauge))
    assert told.road[1] == pytest.approx(-np.tan(0.02), rel=0.05)
    alone = step.concluded(carried, sight, Scaled(SURE, carried.gauge), None).carried.road
    assert alone.seen[0][1] == pytest.approx(-np.tan(0.02), rel=0.05)


def test_the_road_that_the_ground_saw_is_handed_on_and_a_nod_is_no_fault_of_the_mount() -> None:
    sight, before, _ = truth(UP)
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    seen = ground(UP[:3, 3], UP[:3, :3], np.array([0.001, -0.021, 0.0005]))
    road = step.concluded(carried, sight, Scaled(SURE, carried.gauge), seen).carried.road
    np.testing.assert_allclose(road.seen[0], seen.road, atol=1e-9)
    np.testing.assert_allclose(road.seen[1], seen.covariance[6:, 6:], atol=1e-12)
    assert abs(road.state[1]) < 0.003


def test_a_step_is_as_long_as_all_say_and_known_as_well_along_the_way_of_the_ground() -> None:
    sight, before, _ = truth()
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-3, gaps=((0.0, 1e-4),) * 9))
    foretold = step.foretold(carried, sight, None, None)
    assert foretold is not None
    aside = geometry.so3_exp([0.0, 0.1, 0.0]) @ MOTION[:3, 3]
    seen = ground(1.1 * aside)
    taken, length = (
        step.concluded(carried, sight, foretold, seen),
        foretold.gauge.measured(foretold.length, seen.length),
    )
    assert length.length.value < 1.08 * LENGTH
    np.testing.assert_allclose(taken.motion[:3, 3], length.length.value * unit(aside), rtol=1e-6)
    along, across = unit(aside), np.cross(unit(aside), [0.0, 1.0, 0.0])
    block = taken.covariance[:3, :3]
    assert along @ block @ along == pytest.approx(length.length.variance, rel=1e-6)
    across -= along * (seen.covariance[:3, :3] @ along @ across) / (along @ seen.covariance[:3, :3] @ along)
    assert across @ block @ across < 2 * across @ seen.covariance[:3, :3] @ across


@pytest.mark.parametrize(("times", "followed"), [(0.3, False), (1.0, True), (3.0, False)])
def test_a_ground_that_is_of_another_motion_has_no_say_in_the_turn(times: float, followed: bool) -> None:
    sight, before, _ = truth()
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    turned = geometry.so3_exp([0.0, 1e-3, 0.0]) @ MOTION[:3, :3]
    foretold = step.foretold(carried, sight, None, None)
    taken = step.concluded(carried, sight, foretold, ground(times * MOTION[:3, 3], turned))
    assert (geometry.angle(taken.motion[:3, :3] @ MOTION[:3, :3].T) > 1e-5) == followed


def test_dirt_on_the_lens_that_seems_to_creep_back_turns_no_way_round() -> None:
    creep = geometry.from_motion([0.0, 0.0, 0.03, 0.0, 0.0, 0.0])
    sight, before, _ = truth(creep)
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    foretold = step.foretold(carried, sight, None, None)
    taken = step.concluded(carried, sight, foretold, ground(-creep[:3, 3], creep[:3, :3]))
    assert taken.motion[2, 3] > 0


def test_where_corners_only_turn_the_ground_has_the_way() -> None:
    sight, before, _ = truth()
    turning = epipolar.turning(MOTION[:3, :3], DIRECTION, *sight.rays, NOISE)
    still = Sight(sight.rays, turning, turning)
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    seen = ground(np.array([0.04, 0.0, 0.0]))
    taken = step.concluded(carried, still, step.foretold(carried, still, None, None), seen)
    assert unit(taken.motion[:3, 3]) @ [1.0, 0.0, 0.0] > 0.99


def test_where_corners_only_turn_what_parallax_hides_is_the_more_the_farther_they_are() -> None:
    sight, before, _ = truth()
    turning = epipolar.turning(MOTION[:3, :3], DIRECTION, *sight.rays, NOISE)
    still, hidden = Sight(sight.rays, turning, turning), []
    _, _, parallax = nearness(MOTION[:3, :3], DIRECTION, *sight.rays)
    for times in (1.0, 3.0):
        foretold = step.foretold(Carried(known(1 / before / times, 1e-4)), still, None, None)
        assert foretold is not None and foretold.length.value == 0
        hidden.append(np.sqrt(foretold.length.variance))
    assert hidden[0] == pytest.approx(np.median(parallax) * np.median(before), rel=1e-6)
    assert hidden[1] == pytest.approx(3 * hidden[0])


def test_the_length_is_foretold_by_depths_and_pace_together() -> None:
    sight, before, _ = truth()
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-4))
    alone = anchor.measured(sight.fit, *sight.rays, carried.depths)
    assert alone is not None
    pace = Length(alone.value + np.sqrt(alone.variance), alone.variance)
    foretold = step.foretold(carried, sight, pace, None)
    assert foretold is not None
    assert foretold.length.value == pytest.approx((alone.value + pace.value) / 2)


def test_corners_that_live_on_hold_the_scale_but_not_for_ever() -> None:
    sight, before, _ = truth()
    vague = known(np.where(np.arange(300) < 10, 1 / before, np.nan), 0.2**2)
    carried = Carried(vague, gauge=Gauge(variance=1e-4))
    foretold = step.foretold(carried, sight, None, None)
    assert foretold is not None
    gained = foretold.gauge.variance - carried.gauge.drifted().variance
    assert 0 < gained < 0.2 * foretold.length.relative


def test_a_scale_is_never_lost_beyond_all_measure() -> None:
    sight, _, _ = truth()
    carried = Carried(Depths.unknown(300), gauge=Gauge(variance=1e-4))
    foretold = step.foretold(carried, sight, Length(1e-4, 1.0), None)
    assert foretold is not None
    assert 0.5 < foretold.gauge.variance < 2


@pytest.mark.parametrize("heaves", [False, True])
def test_a_ground_that_heaves_is_told(heaves: bool) -> None:
    sight, before, _ = truth()
    gaps = tuple((sign * 0.4 * heaves, 1e-4) for sign in (1, -1, 1, -1, 1, -1))
    carried = Carried(known(1 / before, 1e-4), gauge=Gauge(variance=1e-2, gaps=gaps))
    foretold = step.foretold(carried, sight, None, None)
    reasons = step.concluded(carried, sight, foretold, ground(MOTION[:3, 3])).reasons
    assert any("disagree" in reason for reason in reasons) == heaves
