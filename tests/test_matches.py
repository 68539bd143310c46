"""Corners that are looked for where they are expected, and elsewhere where they are not there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import epipolar, geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.epipolar import Epipolar, Inertia
from ros2_vodistill.matches import Match, Matcher
from ros2_vodistill.tracks import Tracker

Array = NDArray[np.float64]
Found = tuple[Array, NDArray[np.bool_]]
NOTHING: Found = (np.empty((0, 2)), np.zeros(0, bool))
CAMERA = Camera(600, 200, "pinhole", 350, 350, 299.5, 99.5)
NOISE = 0.1 / 350
BLANK = np.zeros((CAMERA.height, CAMERA.width), np.uint8)
STEP = geometry.from_motion([0.1, 0.0, 0.6, 0.0, 0.02, 0.0])


@dataclass(frozen=True)
class Scripted(Tracker):
    """Finds what its script says of the places where points are expected, near them or anywhere."""

    script: Callable[[Array | None, bool], Found] = lambda expected, far: NOTHING
    asked: list[bool] = field(default_factory=list)

    def follow(
        self,
        last: NDArray[np.uint8],
        this: NDArray[np.uint8],
        points: Array,
        guess: Array | None = None,
        far: bool = True,
    ) -> Found:
        self.asked.append(far)
        places, found = self.script(guess, far)
        return places.copy(), found.copy()


def told(near: Found, everywhere: Found = NOTHING) -> Scripted:
    """Finds what it is told: by reach, the places and which of them are found."""
    return Scripted(script=lambda expected, far: everywhere if far else near)


def short(truth: Array, drawn: float = 0.0, strewn: float = 2.0) -> Scripted:
    """Finds what is where it is expected, to a few pixels; and a share `drawn` of what is not, `strewn` about there."""

    def script(expected: Array | None, far: bool) -> Found:
        assert expected is not None
        there = np.linalg.norm(expected - truth, axis=1) < 5
        astray = ~there & (np.random.default_rng(0).uniform(size=len(truth)) < drawn)
        places = expected + np.random.default_rng(1).normal(0, strewn, expected.shape)
        return np.where(there[:, None], truth, places), there | astray

    return Scripted(script=script)


def scene(count: int = 200) -> tuple[Array, Array]:
    """Pixels of points before and after STEP."""
    rng = np.random.default_rng(0)
    points = rng.uniform([-0.6, -0.2, 1], [0.6, 0.2, 1], (count, 3)) * rng.uniform(5, 30, (count, 1))
    return CAMERA.project(points), CAMERA.project((points - STEP[:3, 3]) @ STEP[:3, :3])


def solve(first: Array, second: Array) -> Epipolar:
    return epipolar.solve(first, second, (np.eye(4),), NOISE, search=True)


def match(tracker: Tracker, before: Array, *expected: Array) -> Match:
    return Matcher(tracker, CAMERA.rays, NOISE)(BLANK, BLANK, before, CAMERA.rays(before), expected, solve)


def test_where_the_expectation_holds_nothing_else_is_asked() -> None:
    before, after = scene()
    tracker = told(near=(after, np.ones(200, bool)))
    found = match(tracker, before, after)
    assert tracker.asked == [False]
    assert found.agreeing > 190
    assert found.fit is not None
    assert geometry.angle(found.fit.rotation.T @ STEP[:3, :3]) < 1e-3
    np.testing.assert_array_equal(found.points, after)
    np.testing.assert_allclose(found.rays[0], CAMERA.rays(before))
    assert found.travel == pytest.approx(np.median(np.linalg.norm(after - before, axis=1)))


def test_where_it_fails_corners_are_looked_for_everywhere() -> None:
    before, after = scene()
    few = np.arange(200) < 30
    tracker = told(near=(after, few), everywhere=(after, np.ones(200, bool)))
    found = match(tracker, before, after)
    assert tracker.asked == [False, True]
    assert found.agreeing > 190


@pytest.mark.parametrize("drawn", [0.0, 0.9])
@pytest.mark.parametrize("first", [0, 1])
def test_the_better_of_two_places_is_taken(drawn: float, first: int) -> None:
    """One is wrong by twelve pixels, where next to nothing is found, or much that no motion explains."""
    before, after = scene()
    places = [after + [12.0, -3.0], after + 0.5]
    tracker = short(truth=after, drawn=drawn)
    found = match(tracker, before, places[first], places[1 - first])
    assert tracker.asked == [False, False]
    assert found.agreeing > 190
    np.testing.assert_array_equal(found.points, after)


def test_a_place_that_has_corners_leave_the_image_is_no_better_for_that() -> None:
    """Few are left in view there, and found; at the other place all of them are."""
    before, after = scene()
    few = np.arange(200) < 40
    outside = np.where(few[:, None], after, -50.0)
    found = match(short(truth=after), before, outside, after)
    assert found.agreeing > 190


def test_a_few_that_seem_to_stand_do_not_outvote_all_that_moved() -> None:
    before, after = scene()
    tracker = short(truth=after, drawn=0.2, strewn=0.0)
    alone = match(tracker, before, before)
    assert alone.stands
    assert not match(tracker, before, before, after).stands


def test_a_turn_that_no_camera_makes_needs_more_corners_than_a_likely_one() -> None:
    """Near, half of them are found; everywhere, a few more, on a texture that repeats itself some degrees aside."""
    before, after = scene()
    aside = CAMERA.project(CAMERA.rays(after) @ geometry.so3_exp([0.0, 0.12, 0.0]))
    tracker = told(near=(after, np.arange(200) < 110), everywhere=(aside, np.arange(200) < 118))
    matcher = Matcher(tracker, CAMERA.rays, NOISE)
    free = matcher(BLANK, BLANK, before, CAMERA.rays(before), [after], solve)
    assert free.fit is not None
    assert geometry.angle(free.fit.rotation.T @ STEP[:3, :3]) > 0.1
    inertia = Inertia(np.eye(3), np.array([0.0, 0.0, 1.0]), 0.02, 0.3)
    held = matcher(BLANK, BLANK, before, CAMERA.rays(before), [after], solve, inertia)
    assert held.fit is not None
    assert geometry.angle(held.fit.rotation.T @ STEP[:3, :3]) < 1e-3


def test_fewer_that_agree_well_count_more_than_many_that_hardly_do() -> None:
    """Near, a little too few of them are found; everywhere, all of them, at places that no motion explains."""
    before, after = scene()
    strewn = after + np.random.default_rng(1).normal(0, 4, after.shape)
    some = np.arange(200) < 110
    found = match(told(near=(after, some), everywhere=(strewn, np.ones(200, bool))), before, after)
    np.testing.assert_array_equal(found.found, some)


@pytest.mark.parametrize("outside", [-50.0, 5000.0])
def test_corners_that_left_the_image_are_not_missed(outside: float) -> None:
    before, after = scene()
    seen = np.arange(200) < 90
    expected = np.where(seen[:, None], after, outside)
    tracker = told(near=(after, seen))
    match(tracker, before, expected)
    assert tracker.asked == [False]


def test_what_stands_still_has_no_motion_and_needs_no_second_look() -> None:
    before, _ = scene()
    tracker = told(near=(before + 0.05, np.ones(200, bool)))
    found = match(tracker, before, before)
    assert tracker.asked == [False]
    assert found.fit is None
    assert found.agreeing == 0
    assert found.travel < 0.15


@pytest.mark.parametrize("count", [0, 11])
def test_too_few_corners_have_no_motion(count: int) -> None:
    before, after = scene()
    few = np.arange(200) < count
    found = match(told(near=(after, few), everywhere=(after, few)), before, after)
    assert found.fit is None
    assert len(found.points) == count


@pytest.mark.parametrize("side", [1, -1])
def test_places_without_a_ray_do_not_count(side: int) -> None:
    """A lens model may have no inverse at the edge of the image."""
    before, after = scene()

    def rays(pixels: Array) -> Array:
        return np.where(side * pixels[:, :1] < side * 300, CAMERA.rays(pixels), np.nan)

    found = Matcher(told(near=(after, np.ones(200, bool)), everywhere=(after, np.ones(200, bool))), rays, NOISE)(
        BLANK, BLANK, before, rays(before), [after], solve
    )
    assert 0 < len(found.points) < 200
    assert np.isfinite(found.rays[0]).all()
    assert np.isfinite(found.rays[1]).all()


def test_where_places_are_settled_it_is_those_that_tell_the_motion() -> None:
    before, after = scene()
    some = np.arange(200) % 4 > 0
    coarse = after + np.random.default_rng(3).normal(0, 1.0, after.shape)

    def settle(points: Array, places: Array) -> Array:
        np.testing.assert_array_equal(points, before[some])
        np.testing.assert_array_equal(places, coarse[some])
        return after[some]

    found = Matcher(told(near=(coarse, some)), CAMERA.rays, NOISE)(
        BLANK, BLANK, before, CAMERA.rays(before), [after], solve, settle=settle
    )
    np.testing.assert_array_equal(found.points, after[some])
    assert found.agreeing > 145


@pytest.mark.parametrize("right", [True, False])
def test_other_places_are_looked_at_where_the_expected_ones_fail_and_only_there(right: bool) -> None:
    before, after = scene()
    tracker, wrong = short(truth=after), after + [12.0, -3.0]
    found = Matcher(tracker, CAMERA.rays, NOISE)(
        BLANK,
        BLANK,
        before,
        CAMERA.rays(before),
        [after if right else wrong],
        solve,
        otherwise=[wrong if right else after],
    )
    assert tracker.asked == ([False] if right else [False, False])
    assert found.agreeing > 190


def test_everywhere_is_around_what_is_expected_first() -> None:
    before, after = scene()
    around = []

    def script(expected: Array | None, far: bool) -> Found:
        around.append((expected, far))
        return after, np.full(200, far)

    found = match(Scripted(script=script), before, before + 40.0, before - 40.0)
    assert [far for _, far in around] == [False, False, True]
    np.testing.assert_array_equal(around[2][0], before + 40.0)
    assert found.agreeing > 190


def test_an_expectation_that_nothing_is_in_view_does_not_hold() -> None:
    before, after = scene()
    tracker = told(near=(after, np.zeros(200, bool)), everywhere=(after, np.ones(200, bool)))
    assert match(tracker, before, np.full_like(after, -50.0)).agreeing > 190


def test_those_agree_that_are_off_by_a_few_times_the_noise_and_no_others() -> None:
    before, after = scene()
    rng, astray = np.random.default_rng(4), np.arange(200) < 60
    off = rng.normal(0, 0.3, after.shape) + astray[:, None] * rng.choice([-1, 1], after.shape) * [20.0, 30.0]
    found = match(told(near=(after + off, np.ones(200, bool))), before, after)
    assert 130 < found.agreeing < 160


def test_few_corners_say_neither_that_the_camera_stands_nor_anything() -> None:
    before, _ = scene()
    few, all_of_them = (
        match(told(near=(before, np.arange(200) < count), everywhere=(before, np.arange(200) < count)), before, before)
        for count in (11, 200)
    )
    assert not few.stands and few.cost(200, NOISE) == np.inf
    assert all_of_them.stands and all_of_them.cost(200, NOISE) == 0
    assert all_of_them.cost(230, NOISE) == 30
