"""Rotation and direction from rays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import epipolar, geometry
from ros2_vodistill.lengths import Length
from ros2_vodistill.rays import basis, cost, nearness, residuals

Array = NDArray[np.float64]
NOISE = 3e-4


def scene(motion: Array, count: int = 300, noise: float = 0.0, seed: int = 0) -> tuple[Array, Array, Array]:
    """Unit rays to points 4 to 40 away, from the first view and from the second; and the distances from the second."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([-1, -0.6, 1], [1, 0.6, 1], (count, 3)) * rng.uniform(4, 40, (count, 1))
    second = (points - motion[:3, 3]) @ motion[:3, :3]
    distances = np.linalg.norm(second, axis=1)
    rays = [v + rng.normal(0, noise, v.shape) * np.linalg.norm(v, axis=1, keepdims=True) for v in (points, second)]
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in rays)
    return first, second, distances


def unit(vector: Array) -> Array:
    return np.asarray(vector) / np.linalg.norm(vector)


MOTION = geometry.from_motion([0.3, -0.05, 1.0, 0.01, -0.04, 0.02])
DIRECTION = unit(MOTION[:3, 3])


@settings(deadline=None, max_examples=30)
@given(st.lists(st.floats(-1, 1), min_size=3, max_size=3).filter(lambda v: np.linalg.norm(v) > 0.1))
def test_basis_is_a_right_handed_frame_that_mirrors_with_its_direction(vector: list[float]) -> None:
    direction = unit(vector)
    frame = np.vstack([basis(direction), direction])
    np.testing.assert_allclose(frame @ frame.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(basis(-direction), [[-1], [1]] * basis(direction), atol=1e-12)


def test_residuals_vanish_on_the_true_motion_and_measure_angles_across() -> None:
    first, second, _ = scene(MOTION)
    values, _ = residuals(MOTION[:3, :3], DIRECTION, first, second)
    np.testing.assert_allclose(values, 0, atol=1e-12)
    planes = np.cross(DIRECTION, second @ MOTION[:3, :3].T)
    lifted = first + 1e-4 * planes / np.linalg.norm(planes, axis=1, keepdims=True)
    values, _ = residuals(MOTION[:3, :3], DIRECTION, lifted, second)
    # an error of one ray across the epipolar plane is shared by both rays: 1e-4 / sqrt(2) where they see it alike
    assert np.abs(values) == pytest.approx(1e-4 / np.sqrt(2), rel=0.2)


def test_jacobian_agrees_with_differences() -> None:
    first, second, _ = scene(MOTION, 40, noise=0.02)
    rotation, direction = geometry.so3_exp([0.02, 0.1, -0.05]), unit([0.2, 0.3, 0.9])
    values, jacobian = residuals(rotation, direction, first, second)
    for k, step in enumerate(1e-6 * np.eye(5)):
        turned = unit(direction + step[3:] @ basis(direction))
        moved, _ = residuals(geometry.so3_exp(step[:3]) @ rotation, turned, first, second)
        np.testing.assert_allclose((moved - values) / 1e-6, jacobian[:, k], atol=1e-5)


@pytest.mark.parametrize("outliers", [0.0, 0.3])
def test_polish_recovers_the_motion_from_a_rough_start(outliers: float) -> None:
    first, second, _ = scene(MOTION, noise=1e-4)
    wrong = int(outliers * len(first))
    second[:wrong] = scene(geometry.from_motion([2.0, 0, 0, 0, 0.1, 0]), seed=5)[1][:wrong]
    start = geometry.so3_exp([0.004, 0.01, 0.004]) @ MOTION[:3, :3], unit(DIRECTION + [0.1, 0.1, 0])
    fit = epipolar.polish(*start, first, second, 1e-4)
    assert geometry.angle(fit.rotation.T @ MOTION[:3, :3]) < 6e-4
    assert np.arccos(fit.direction @ DIRECTION) < 3e-3
    assert fit.inliers[wrong:].mean() > 0.95
    if wrong:
        assert fit.inliers[:wrong].mean() < 0.2


def test_covariance_is_conservative_but_not_idle() -> None:
    errors, last = [], None
    for seed in range(40):
        first, second, _ = scene(MOTION, 120, noise=NOISE, seed=seed)
        last = epipolar.polish(MOTION[:3, :3], DIRECTION, first, second, NOISE)
        turn = geometry.so3_log(last.rotation @ MOTION[:3, :3].T)
        errors.append(np.concatenate([turn, basis(DIRECTION) @ last.direction]))
    assert last is not None
    claimed = np.sqrt(np.diag(last.covariance))
    ratio = np.std(errors, axis=0) / claimed
    assert (ratio < 0.8).all()
    assert (ratio > 0.1).all()


def test_five_point_finds_a_motion_with_the_points_in_front() -> None:
    first, second, _ = scene(MOTION, noise=1e-4)
    second[:60] = scene(np.eye(4), seed=2)[1][:60]
    starts = epipolar.five_point(first, second, 5e-4)
    best = min((epipolar.polish(*start, first, second, 1e-4) for start in starts), key=lambda fit: fit.sigma)
    assert np.arccos(best.direction @ DIRECTION) < 5e-3


def test_five_point_without_enough_rays_ahead_finds_nothing() -> None:
    behind = np.tile([0.0, 0.0, -1.0], (30, 1))
    assert epipolar.five_point(behind, behind, 1e-3) == []


def test_a_fit_turned_round_says_the_same_about_the_opposite_direction() -> None:
    first, second, _ = scene(MOTION)
    fit = epipolar.polish(MOTION[:3, :3], -DIRECTION, first, second, 1e-4)
    length = Length(2.0, 0.01)
    np.testing.assert_allclose(epipolar.turned_round(fit).direction, DIRECTION, atol=1e-6)
    forth, back = (epipolar.spread(f, length) for f in (fit, epipolar.turned_round(epipolar.turned_round(fit))))
    np.testing.assert_allclose(forth, back)
    # the sign of a translation changes the sign of how it varies with the turn, and nothing else
    signs, opposite = np.diag([-1.0] * 3 + [1.0] * 3), epipolar.spread(epipolar.turned_round(fit), length)
    np.testing.assert_allclose(opposite, signs @ forth @ signs, atol=1e-15)


def test_solve_starts_elsewhere_where_the_best_start_ends_badly() -> None:
    rng = np.random.default_rng(221)  # one of few: its better start leads to a motion with small residuals, but wrong
    translation = unit(rng.normal(size=3)) * rng.choice([0.05, 0.3, 1.0])
    first, second, _ = scene(geometry.from_motion([*translation, *rng.normal(0, 0.01, 3)]), 60, 2e-4, 221)
    starts = [geometry.from_motion([*unit(rng.normal(size=3)), *rng.normal(0, 0.01, 3)]) for _ in range(2)]
    fit = epipolar.solve(first, second, starts, 2e-4, search=False)
    assert np.arccos(fit.direction @ unit(translation)) < 0.1


def test_inertia_decides_which_way_to_go_where_half_of_the_points_go_the_other_way() -> None:
    straight = geometry.make(np.eye(3), [0.0, 0.0, 1.0])
    first, second, _ = scene(straight, 40, noise=1e-4)
    rays = np.concatenate([first[20:], second[:20]]), np.concatenate([second[20:], first[:20]])
    for way in ([0.0, 0.0, 1.0], [0.0, 0.0, -1.0]):
        fit = epipolar.solve(*rays, [straight], 1e-4, False, epipolar.Inertia(np.eye(3), np.array(way), 0.1, 0.1))
        assert fit.direction @ way > 0.99


@pytest.mark.parametrize("seed", [3, 4, 11, 20])
def test_a_lorry_ahead_is_no_part_of_the_world(seed: int) -> None:
    """In a curve it keeps its place in the image. A motion that fits all a little is not the one."""
    rng, motion = np.random.default_rng(seed), geometry.from_motion([0.03, -0.01, 0.6, 0.0, 0.045, 0.0])
    count, lorry = 150, 40

    def ahead(wide: float, lowest: float, many: int) -> Array:
        return np.stack([rng.uniform(-wide, wide, many), rng.uniform(lowest, 0.1, many), np.ones(many)], axis=1)

    points = ahead(0.85, -0.2, count) * rng.uniform(6, 40, (count, 1))
    places = (points - motion[:3, 3]) @ motion[:3, :3]
    points[:lorry] = places[:lorry] = ahead(0.1, -0.2, lorry)
    rays = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (points, places)]
    first, second = (v + rng.normal(0, NOISE, v.shape) for v in rays)
    first, second = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (first, second))
    fit = epipolar.solve(first, second, [np.eye(4)], NOISE, False)
    assert np.degrees(geometry.angle(fit.rotation.T @ motion[:3, :3])) < 0.3
    assert fit.direction @ unit(motion[:3, 3]) > 0.98


def test_a_ray_that_misses_by_far_misses_no_more_than_once() -> None:
    first, second, _ = scene(MOTION)
    wild = geometry.so3_exp([0.0, 0.5, 0.3]) @ MOTION[:3, :3]
    assert cost(MOTION[:3, :3], DIRECTION, first, second, NOISE) == pytest.approx(0, abs=1e-9)
    assert 0.9 < cost(wild, DIRECTION, first, second, NOISE) < 1


def test_inertia_does_not_outweigh_the_points() -> None:
    first, second, _ = scene(MOTION, noise=1e-4)
    fit = epipolar.solve(first, second, [MOTION], 1e-4, False, epipolar.Inertia(np.eye(3), -DIRECTION, 0.1, 0.1))
    assert fit.direction @ DIRECTION > 0.99


def test_inertia_is_the_less_likely_the_farther_turn_and_direction_are_off() -> None:
    rotation, ahead = MOTION[:3, :3], np.array([0.0, 0.0, 1.0])
    inertia = epipolar.Inertia(rotation, ahead, 0.01, 0.2)
    aside = unit(np.array([0.2, 0.0, 1.0]))
    turned = geometry.so3_exp([0.0, 0.02, 0.0]) @ rotation
    assert inertia.cost(rotation, ahead) == pytest.approx(0, abs=1e-9)
    assert inertia.cost(turned, ahead) == pytest.approx(8 * np.log(1 + 2**2))
    both = inertia.cost(turned, ahead) + inertia.cost(rotation, aside)
    assert inertia.cost(turned, aside) == pytest.approx(both)
    assert epipolar.Inertia(rotation, ahead, 0.01, np.inf).cost(rotation, -ahead) == pytest.approx(0, abs=1e-9)
    assert epipolar.Inertia(rotation, ahead, 0.01, 0.2, worth=0.5).cost(turned, aside) == pytest.approx(both / 2)


def test_nearness_is_the_inverse_distance_in_baselines() -> None:
    first, second, distances = scene(MOTION)
    nearer, near, parallax = nearness(MOTION[:3, :3], DIRECTION, first, second)
    baseline = np.linalg.norm(MOTION[:3, 3])
    np.testing.assert_allclose(near, baseline / distances, rtol=1e-6)
    points = distances[:, None] * second @ MOTION[:3, :3].T + MOTION[:3, 3]
    np.testing.assert_allclose(nearer, baseline / np.linalg.norm(points, axis=1), rtol=1e-6)
    angle = np.arccos(np.clip((first * (second @ MOTION[:3, :3].T)).sum(axis=1), -1, 1))
    np.testing.assert_allclose(parallax, np.sin(angle), atol=1e-9)


def test_turn_ignores_outliers_and_says_what_is_left() -> None:
    rotation = geometry.so3_exp([0.02, -0.2, 0.05])
    first, second, _ = scene(geometry.make(rotation, np.zeros(3)))
    second[:90] = scene(np.eye(4), seed=9)[1][:90]
    found, left = epipolar.turn(first, second, NOISE)
    assert geometry.angle(found.T @ rotation) < 1e-3
    assert np.median(left) < NOISE
    assert left[:90].min() > 10 * NOISE


def test_a_motion_that_puts_points_behind_the_views_is_a_worse_one() -> None:
    first, second, _ = scene(MOTION, noise=1e-4)
    there, back = (cost(MOTION[:3, :3], sign * DIRECTION, first, second, 1e-4) for sign in (1, -1))
    assert back > 10 * there
    far = geometry.make(MOTION[:3, :3], 1e-6 * DIRECTION)  # without parallax nobody can tell
    first, second, _ = scene(far, noise=1e-4)
    there, back = (cost(MOTION[:3, :3], sign * DIRECTION, first, second, 1e-4) for sign in (1, -1))
    assert back == pytest.approx(there, rel=0.2)


def test_solve_starts_from_the_motion_that_fits_best() -> None:
    first, second, _ = scene(MOTION, noise=1e-4)
    wild = geometry.from_motion([-1.0, 0.5, -0.3, 0.3, 0.4, -0.2])
    near = geometry.from_motion([0.2, 0.0, 1.0, 0.0, -0.03, 0.01])
    fits = [epipolar.solve(first, second, starts, 1e-4, search=False) for starts in ((wild, near), (near, wild))]
    for fit in fits:
        assert np.arccos(fit.direction @ DIRECTION) < 3e-3
        assert geometry.angle(fit.rotation.T @ MOTION[:3, :3]) < 6e-4


def test_a_translation_is_seen_though_most_points_are_too_far_away_to_show_it() -> None:
    first, second, _ = scene(MOTION, 300, noise=1e-4)
    far = [rays[:200] for rays in scene(geometry.make(MOTION[:3, :3], 1e-4 * DIRECTION), 200, 1e-4, seed=1)[:2]]
    rays = [np.concatenate([one[:90], other]) for one, other in zip((first, second), far, strict=True)]
    fit = epipolar.solve(*rays, [np.eye(4)], 1e-4, search=True)
    assert not fit.turns_only
    assert np.arccos(fit.direction @ DIRECTION) < 0.02
    assert epipolar.solve(*far, [np.eye(4)], 1e-4, search=True).turns_only


def test_spread_agrees_with_samples() -> None:
    first, second, _ = scene(MOTION, noise=1e-3)
    fit, length = epipolar.polish(MOTION[:3, :3], DIRECTION, first, second, 1e-3), Length(1.5, 0.0004)
    rng = np.random.default_rng(0)
    tangents = rng.multivariate_normal(np.zeros(5), fit.covariance, 40_000)
    lengths = rng.normal(length.value, np.sqrt(length.variance), 40_000)
    directions = fit.direction + tangents[:, 3:] @ basis(fit.direction)
    samples = np.concatenate([directions * lengths[:, None], tangents[:, :3]], axis=1)
    expected = np.cov(samples.T)
    scale = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    np.testing.assert_allclose(epipolar.spread(fit, length) / scale, expected / scale, atol=0.05)


def test_those_agree_that_miss_by_less_and_are_no_outliers() -> None:
    misses = np.concatenate([np.linspace(-1e-3, 1e-3, 101), [0.02, -0.03, 0.5]])
    sigma, weights = epipolar.weighed(misses, NOISE)
    fit = epipolar.Epipolar(np.eye(3), DIRECTION, np.eye(5), sigma, weights)
    assert np.abs(misses[fit.inliers]).max() == pytest.approx(1e-3)
    for most in (1.9e-4, 7.1e-4, 1.0):
        expected = (np.abs(misses) < most) & fit.inliers
        assert fit.agreeing(most) == expected.sum()


def test_a_motion_is_kept_where_both_its_turn_and_its_way_are() -> None:
    inertia = epipolar.Inertia(MOTION[:3, :3], DIRECTION, 0.01, 0.2)
    assert inertia.kept(MOTION)
    assert not inertia.kept(geometry.make(geometry.so3_exp([0.0, 0.1, 0.0]) @ MOTION[:3, :3], DIRECTION))
    assert not inertia.kept(geometry.make(MOTION[:3, :3], -DIRECTION))


def test_the_covariance_is_some_times_that_of_unlike_errors_however_large_these_are() -> None:
    """Those of real corners are alike. What was expected of the noise does not matter where there is more of it."""
    for noise in (1e-3, 4e-3):
        errors, claims = [], []
        for seed in range(60):
            first, second, _ = scene(MOTION, 100, noise=noise, seed=seed)
            fit = epipolar.polish(MOTION[:3, :3], DIRECTION, first, second, 1e-3)
            turn = geometry.so3_log(fit.rotation @ MOTION[:3, :3].T)
            errors.append(np.concatenate([turn, basis(DIRECTION) @ fit.direction]))
            claims.append(np.diag(fit.covariance))
        ratio = np.median(claims, axis=0) / np.mean(np.square(errors), axis=0)
        assert (ratio > 2).all()
        assert (ratio < 15).all()


def test_errors_that_neighbours_share_make_a_motion_vaguer_than_it_says() -> None:
    """As those of a shutter that rolls while the camera shakes: they do not average out."""
    surprises, honest = [], []
    for seed in range(20):
        first, second, _ = scene(MOTION, noise=NOISE, seed=seed)
        phases = np.random.default_rng(seed).uniform(0, 2 * np.pi, 2)
        rows = 0.4 * 2 * np.pi * second[:, 1] / second[:, 2]
        second[:, :2] += 10 * NOISE * np.sin(rows[:, None] + phases)
        second /= np.linalg.norm(second, axis=1, keepdims=True)
        fit = epipolar.polish(MOTION[:3, :3], DIRECTION, first, second, NOISE)
        turn = geometry.so3_log(fit.rotation @ MOTION[:3, :3].T)
        gap = np.concatenate([turn, basis(DIRECTION) @ fit.direction])
        surprises.append(gap @ np.linalg.solve(fit.covariance, gap) / 5)
        honest.append(surprises[-1] / epipolar.shared(fit, first, second, NOISE))
    assert np.mean(surprises) > 10
    assert np.mean(honest) < 6


def test_errors_that_are_only_large_or_only_usual_are_not_shared() -> None:
    for noise in (NOISE, 10 * NOISE):
        first, second, _ = scene(MOTION, noise=noise)
        fit = epipolar.polish(MOTION[:3, :3], DIRECTION, first, second, NOISE)
        assert epipolar.shared(fit, first, second, NOISE) == 1.0


def test_however_many_corners_fit_exactly_a_motion_is_never_known_exactly() -> None:
    first, second, _ = scene(MOTION, 20_000)
    loose, strict = (
        np.sqrt(np.diag(epipolar.polish(MOTION[:3, :3], DIRECTION, first[:count], second[:count], noise).covariance))
        for count, noise in ((20, 1e-2), (20_000, 1e-6))
    )
    assert (strict[:3] > 5e-5).all() and (strict[3:] > 5e-4).all()
    assert (loose > 10 * strict).all()  # the noise that is expected counts although there is none


def test_five_point_tells_forth_from_back_and_left_from_right() -> None:
    for way in (
        [0.0, 0.1, 1.0],
        [0.0, 0.1, -1.0],
        [1.0, 0.0, 0.2],
        [-1.0, 0.0, 0.2],
        [0.1, 1.0, 0.1],
        [0.1, -1.0, 0.1],
    ):
        motion = geometry.from_motion([*way, 0.01, 0.02, 0.0])
        first, second, _ = scene(motion, noise=1e-5)
        for _, direction in epipolar.five_point(first, second, 1e-4):
            assert direction @ unit(motion[:3, 3]) > 0.99


def test_a_turn_is_no_reflection_though_all_corners_are_in_a_row() -> None:
    for seed in range(8):
        rng = np.random.default_rng(seed)
        row = np.stack([rng.uniform(-1, 1, 30), np.zeros(30), np.ones(30)], axis=1)
        row /= np.linalg.norm(row, axis=1, keepdims=True)
        rotation = geometry.so3_exp(rng.normal(0, 0.1, 3))
        found, _ = epipolar.turn(row @ rotation.T, row, NOISE)
        np.testing.assert_allclose(found, rotation, atol=1e-6)


def test_a_turn_alone_is_known_some_times_worse_than_unlike_errors_make_it_and_its_way_not_at_all() -> None:
    rotation, noise = geometry.so3_exp([0.02, -0.2, 0.05]), 5e-3
    errors, claims = [], []
    for seed in range(60):
        first, second, _ = scene(geometry.make(rotation, np.zeros(3)), 150, noise, seed)
        found, left = epipolar.turn(first, second, noise)
        fit = epipolar.turning(found, DIRECTION, first, second, float(np.median(left)))
        errors.append(geometry.so3_log(found @ rotation.T))
        claims.append(np.diag(fit.covariance))
    ratio = np.mean(claims, axis=0)[:3] / np.mean(np.square(errors), axis=0)
    assert (ratio > 1).all()
    assert (ratio < 15).all()
    assert np.median(ratio) > 2
    assert (np.mean(claims, axis=0)[3:] > 0.3).all()


@pytest.mark.parametrize("way", [1.0, -1.0])
def test_rays_without_parallax_cost_nothing_and_have_none(way: float) -> None:
    """Their cosines are 1 but for rounding, above as below."""
    first, _, _ = scene(MOTION)
    assert float(cost(np.eye(3), DIRECTION, first, first, NOISE)) == pytest.approx(0.0, abs=1e-8)
    _, _, parallax = nearness(np.eye(3), DIRECTION, first, way * first)
    np.testing.assert_allclose(parallax, 0.0, atol=1e-7)
