"""Corners and where they went."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill.tracks import Tracker


@pytest.fixture(scope="module")
def texture() -> NDArray[np.uint8]:
    rng = np.random.default_rng(3)
    noise = sum(
        cv2.resize(rng.normal(size=(400 >> k, 640 >> k)), (640, 400), interpolation=cv2.INTER_CUBIC) for k in range(7)
    )
    return np.clip(120 + 40 * noise / noise.std(), 0, 255).astype(np.uint8)


def shifted(image: NDArray[np.uint8], x: float, y: float) -> NDArray[np.uint8]:
    """What was at p is at p + (x, y)."""
    matrix = np.array([[1.0, 0, x], [0, 1, y]])
    return cv2.warpAffine(image, matrix, image.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)


def test_corners_are_spread_one_to_a_cell(texture: NDArray[np.uint8]) -> None:
    points = Tracker(count=200).corners(texture)
    assert 150 <= len(points) <= 220
    quarters, _, _ = np.histogram2d(points[:, 0], points[:, 1], bins=[4, 4], range=[[0, 640], [0, 400]])
    assert quarters.min() >= 6
    assert np.unique(points, axis=0).shape == points.shape


def test_no_corner_where_others_are(texture: NDArray[np.uint8]) -> None:
    tracker = Tracker(count=200)
    first = tracker.corners(texture)
    assert len(tracker.corners(texture, first)) == 0
    again = tracker.corners(texture, first[first[:, 0] < 320])
    assert len(again) > 60
    assert again[:, 0].min() > 300


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_a_flat_image_has_no_corners(grey: int) -> None:
    assert len(Tracker().corners(np.full((240, 320), grey, np.uint8))) == 0


@pytest.mark.parametrize("shape", [(4, 20000), (20000, 4), (3, 3), (1, 1)])
def test_a_strip_has_corners_or_none(shape: tuple[int, int]) -> None:
    corners = Tracker().corners(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8))
    assert corners.shape[1] == 2


def test_corners_lie_on_a_chessboard() -> None:
    board = np.kron(np.indices((6, 8)).sum(axis=0) % 2, np.ones((40, 40))).astype(np.uint8) * 200
    points = Tracker(count=500).corners(board)
    distance = np.abs((points + 0.5) / 40 - np.round((points + 0.5) / 40)) * 40
    assert len(points) >= 30
    assert np.median(distance) < 1.5


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.3), (5.3, 2.7), (-24.6, 12.2)])
def test_points_are_followed_to_a_tenth_of_a_pixel(texture: NDArray[np.uint8], shift: tuple[float, float]) -> None:
    tracker = Tracker()
    points = tracker.corners(texture)
    moved, found = tracker.follow(texture, shifted(texture, *shift), points)
    inside = ((points + shift > 20) & (points + shift < [620, 380])).all(axis=1)
    assert found[inside].mean() > 0.9
    assert np.median(np.abs(moved[found & inside] - points[found & inside] - shift)) < 0.05
    assert np.quantile(np.abs(moved[found & inside] - points[found & inside] - shift), 0.95) < 0.2


def test_a_guess_bridges_what_the_pyramid_cannot(texture: NDArray[np.uint8]) -> None:
    tracker = Tracker()
    points = tracker.corners(texture)
    points = points[points[:, 0] < 300]
    far = shifted(texture, 260.0, 0.0)
    _, blind = tracker.follow(texture, far, points)
    guess = points + [255.0, 2.0]
    guess[0] = np.nan
    moved, found = tracker.follow(texture, far, points, guess)
    assert found.mean() > 0.85 > blind.mean() + 0.3
    assert np.median(np.abs(moved[found] - points[found] - [260, 0])) < 0.05


def test_what_disappears_is_not_found(texture: NDArray[np.uint8]) -> None:
    tracker = Tracker()
    points = tracker.corners(texture)
    covered = texture.copy()
    covered[:, :320] = np.random.default_rng(0).integers(0, 255, (400, 320))
    _, found = tracker.follow(texture, covered, points)
    assert found[points[:, 0] < 300].mean() < 0.1
    assert found[points[:, 0] > 340].mean() > 0.9


def test_no_points_to_follow(texture: NDArray[np.uint8]) -> None:
    moved, found = Tracker().follow(texture, texture, np.empty((0, 2)))
    assert moved.shape == (0, 2)
    assert found.shape == (0,)


@pytest.mark.parametrize("gain", [0.75, 0.9, 1.15])
def test_a_change_of_exposure_loses_no_point(texture: NDArray[np.uint8], gain: float) -> None:
    """Plain surfaces: a grey level that is taken for constant outweighs what little there is to see."""
    plain = (100 + 0.15 * (texture.astype(float) - 120)).round().astype(np.uint8)
    changed = (gain * shifted(plain, 5.3, 2.7).astype(float)).round().astype(np.uint8)
    tracker = Tracker(window=9)
    points = tracker.corners(plain)
    moved, found = tracker.follow(plain, changed, points)
    inside = ((points > 20) & (points < [600, 370])).all(axis=1)
    assert found[inside].mean() > 0.8
    assert np.median(np.abs(moved[found & inside] - points[found & inside] - [5.3, 2.7])) < 0.1


def tiles(shift: float) -> NDArray[np.uint8]:
    """Tiles of 12 pixels with slight differences, in slight light that changes over the image."""
    rng = np.random.default_rng(4)
    tile = cv2.GaussianBlur(rng.uniform(-1, 1, (12, 12)), (3, 3), 0)
    wall = np.tile(tile / tile.std(), (20, 40)) + 0.05 * rng.normal(size=(240, 480))
    return shifted((110 + 12 * wall).round().astype(np.uint8), shift, 0.0)


def test_what_repeats_itself_is_followed_to_where_it_is_expected() -> None:
    """From one pixel off, in light that grows by four grey levels; the pyramid alone is drawn away."""
    tracker = Tracker(window=9)
    last, this = tiles(0.0), np.asarray(cv2.add(tiles(9.0), 4), np.uint8)
    points = tracker.corners(last)
    points = points[(points[:, 0] > 40) & (points[:, 0] < 430)]
    near, found = tracker.follow(last, this, points, points + [8.0, 1.0], far=False)
    assert found.mean() > 0.9
    assert np.abs(near[found] - points[found] - [9, 0]).max() < 1
    lost, found = tracker.follow(last, this, points, far=True)
    assert (np.abs(lost[found] - points[found] - [9, 0]).max(axis=1) > 1).mean() > 0.5


def test_what_is_far_from_where_it_is_expected_is_not_found_near(texture: NDArray[np.uint8]) -> None:
    tracker = Tracker(window=9)
    points = tracker.corners(texture)
    points = points[(points[:, 0] < 540)]
    this = shifted(texture, 60.0, 0.0)
    right = [
        np.mean(found & (np.abs(moved - points - [60, 0]).max(axis=1) < 1))
        for moved, found in (tracker.follow(texture, this, points, points, far) for far in (False, True))
    ]
    assert right[0] < 0.1
    assert right[1] > 0.8


@pytest.mark.parametrize("lifted", [0, 4, 20])
def test_light_on_plain_surfaces_draws_nothing_away(texture: NDArray[np.uint8], lifted: int) -> None:
    plain = (100 + 0.08 * (texture.astype(float) - 120)).round().astype(np.uint8)
    this = np.asarray(cv2.add(shifted(plain, 3.3, -1.6), lifted), np.uint8)
    tracker = Tracker(window=9)
    points = tracker.corners(plain)
    moved, found = tracker.follow(plain, this, points, points + [2.0, -1.0], far=False)
    inside = ((points > 20) & (points < [600, 370])).all(axis=1)
    assert found[inside].mean() > 0.7
    assert np.median(np.abs(moved[found & inside] - points[found & inside] - [3.3, -1.6])) < 0.15
