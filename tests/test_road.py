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
    assert slopes[1] == pytest.approx(0.002, rel=0.06)
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
