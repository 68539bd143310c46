"""How the road slopes under the camera."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.road import Road, plane_normal


def test_normal_of_level_ground_points_down() -> None:
    np.testing.assert_allclose(plane_normal(np.zeros(3)), [0, 1, 0])
    normal = plane_normal(np.array([0.1, -0.2, 0.0]))
    assert np.linalg.norm(normal) == pytest.approx(1)
    assert normal[0] / normal[1] == pytest.approx(0.1)


def test_a_slope_is_that_of_the_mount_and_of_the_stance() -> None:
    seen, _ = Road(np.array([0.01, 0.02, 0.003, 0.004, 0.0005]), np.zeros((5, 5))).seen
    np.testing.assert_allclose(seen, [0.013, 0.024, 0.0005])


def test_a_nod_of_the_camera_is_a_slope_of_the_ground() -> None:
    nod = geometry.so3_exp([0.02, 0, 0])  # up: the ground seems to fall away ahead
    slopes, _ = Road.unknown().moved(nod, 0.0).seen
    normal = nod.T @ np.array([0, 1.0, 0])
    assert slopes[1] == pytest.approx(normal[2] / normal[1])
    assert slopes[1] < 0
    back, _ = Road.unknown().moved(nod, 0.0).moved(nod.T, 0.0).seen
    np.testing.assert_allclose(back, 0, atol=1e-12)


def test_turning_left_leaves_level_ground_level() -> None:
    slopes, _ = Road.unknown().moved(geometry.so3_exp([0, -0.5, 0]), 2.0).seen
    np.testing.assert_allclose(slopes, 0, atol=1e-12)


def test_an_update_without_news_changes_nothing() -> None:
    road = Road.unknown()
    again = road.updated(*road.seen)
    np.testing.assert_allclose(again.state, road.state)
    np.testing.assert_allclose(again.covariance, road.covariance)


def test_what_lasts_is_the_mount_and_what_passes_is_the_stance() -> None:
    road, mount = Road.unknown(), np.array([0.01, 0.03])
    rng = np.random.default_rng(0)
    for _ in range(300):
        road = road.moved(np.eye(3), 0.5)
        mean, before = road.seen
        noise = np.diag([0.004**2, 0.004**2, 0.002**2])
        gain = before @ np.linalg.inv(before + noise)
        measured = np.array([*mount, 0.0]) + rng.normal(0, np.sqrt(np.diag(noise)))
        road = road.updated(mean + gain @ (measured - mean), before - gain @ before)
    np.testing.assert_allclose(road.state[:2], mount, atol=0.004)
    np.testing.assert_allclose(road.state[2:], 0, atol=0.004)
    assert np.linalg.eigvalsh(road.covariance).min() > 0


def test_curvature_becomes_slope_on_the_way() -> None:
    road = Road.unknown()
    bent = Road(np.array([0, 0, 0, 0, 0.002]), road.covariance)
    slopes, _ = bent.moved(np.eye(3), 1.0).seen
    np.testing.assert_allclose(slopes, [0.0, 0.002, 0.002], rtol=0.06)
    straight, _ = bent.moved(np.eye(3), 1000.0).seen
    np.testing.assert_allclose(straight, 0, atol=1e-9)


def test_doubt_grows_on_the_way_and_stays_bounded() -> None:
    road = Road(np.zeros(5), np.zeros((5, 5)))
    doubts = []
    for _ in range(200):
        road = road.moved(np.eye(3), 1.0)
        doubts.append(road.seen[1][1, 1])
    assert doubts[0] < doubts[10] < doubts[100]
    assert doubts[-1] == pytest.approx(doubts[-50], rel=0.05)


def test_a_long_way_leaves_as_much_doubt_as_there_was_at_first() -> None:
    first = Road.unknown()
    again = first.moved(np.eye(3), 1000.0)
    np.testing.assert_allclose(np.diag(again.covariance), np.diag(first.covariance), rtol=0.01)


def test_its_covariance_is_that_of_roads_that_are_moved_one_by_one() -> None:
    rng, road = np.random.default_rng(0), Road.unknown()
    root = np.sqrt(np.diag(road.covariance))[:, None] * np.linalg.qr(rng.normal(size=(5, 5)))[0]
    sampled = (root @ rng.normal(size=(5, 20_000))).T
    length, still = 12.0, Road(np.zeros(5), np.zeros((5, 5)))
    moved = [Road(state, still.covariance).moved(np.eye(3), length).state for state in sampled]
    expected = np.cov(np.transpose(moved)) + still.moved(np.eye(3), length).covariance
    units = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    found = Road(np.zeros(5), root @ root.T).moved(np.eye(3), length).covariance
    np.testing.assert_allclose(found / units, expected / units, atol=0.03)


def test_the_doubt_of_a_way_is_that_of_its_parts() -> None:
    still = Road(np.zeros(5), np.zeros((5, 5)))
    whole, part = still.moved(np.eye(3), 40.0), still
    for _ in range(4):
        part = part.moved(np.eye(3), 10.0)
    for k in (2, 4):  # curvature that was gone over is a slope ahead, too
        assert part.covariance[k, k] == pytest.approx(whole.covariance[k, k], rel=0.02)
        assert whole.covariance[k, k] > 0


def test_a_turn_may_be_mistaken_on_the_spot_too() -> None:
    still = Road(np.zeros(5), np.zeros((5, 5)))
    stance = still.moved(geometry.so3_exp([0.0, 0.1, 0.0]), 0.0).covariance[2:4, 2:4]
    assert (np.diag(stance) > 0).all()
