"""Noise in images, and what is done about it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import grain
from ros2_vodistill.tracks import Tracker

Image = NDArray[np.uint8]


def texture(contrast: float = 1.0, seed: int = 0) -> Image:
    """Blots of all sizes, and plain sky above."""
    random = np.random.default_rng(seed)
    blots = sum(2.0**k * cv2.GaussianBlur(random.normal(size=(240, 320)), (0, 0), 2.0**k) for k in range(1, 5))
    picture = 128 + contrast * 60 * blots / blots.std()
    picture[:60] = 200
    return np.clip(picture, 0, 255).round().astype(np.uint8)


def noisy(image: Image, deviation: float, seed: int = 1) -> Image:
    grains = np.random.default_rng(seed).normal(0, deviation, image.shape)
    return np.clip(image + grains, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("deviation", [3.0, 8.0, 15.0])
def test_noise_is_told_from_texture(deviation: float) -> None:
    found, contrast = grain.noise(noisy(texture(), deviation))
    assert found == pytest.approx(deviation, rel=0.25)
    assert 40 < contrast < 80


def test_it_is_that_of_the_middle() -> None:
    image = texture()
    middle = slice(60, 180), slice(80, 240)
    image[middle] = noisy(texture(), 8.0)[middle]
    assert grain.noise(image)[0] == pytest.approx(8.0, rel=0.25)


@pytest.mark.parametrize("cut", [0, 255])
def test_what_is_black_or_white_says_nothing(cut: int) -> None:
    image = noisy(texture(), 8.0)
    image[:, 160:] = cut
    found, contrast = grain.noise(image)
    assert found == pytest.approx(8.0, rel=0.25)
    assert 40 < contrast < 80


def test_in_larger_images_noise_is_smoothed_more() -> None:
    """By a blur that is twice as wide in one that has four times as many pixels along each edge."""
    grains = noisy(np.full((400, 400), 128, np.uint8), 30.0)
    once, more = (grain.blurred(grains, times).astype(float).std() for times in (1, 4))
    assert once == pytest.approx(2 * more, rel=0.1)


def test_a_clean_image_has_none() -> None:
    assert grain.noise(texture())[0] < 2.0


@pytest.mark.parametrize("image", [texture(), noisy(texture(), 1.0), np.full((80, 80), 255, np.uint8)])
def test_what_is_clean_is_left_as_it_is(image: Image) -> None:
    same, noise = grain.smoothed(image)
    assert same is image
    assert noise == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (16, 16)])
def test_the_smallest_images_are_left_as_they_are(size: tuple[int, int]) -> None:
    image = noisy(np.full(size, 100, np.uint8), 20)
    same, noise = grain.smoothed(image)
    assert same is image
    assert noise == 0


def test_noise_counts_by_the_contrast() -> None:
    clear, dark = noisy(texture(), 2.0), noisy(texture(contrast=0.15), 2.0)
    assert grain.smoothed(clear)[0] is clear
    smooth, deviation = grain.smoothed(dark)
    assert smooth is not dark
    assert deviation == pytest.approx(2.0, rel=0.25)


def test_more_corners_are_followed_well_in_smoothed_noise() -> None:
    """An image that moves by a known shift, in about as much noise as an eighth of the light leaves."""
    shift = np.array([3.3, -1.6])
    picture = texture(contrast=0.15)
    move = np.column_stack([np.eye(2), shift])
    moved = np.asarray(cv2.warpAffine(picture, move, (320, 240), borderMode=cv2.BORDER_REFLECT), np.uint8)
    grainy = noisy(picture, 4.0, 1), noisy(moved, 4.0, 2)
    tracker, good = Tracker(count=200, window=9), []
    for first, second in (grainy, (grain.smoothed(grainy[0])[0], grain.smoothed(grainy[1])[0])):
        points = tracker.corners(first)
        places, found = tracker.follow(first, second, points)
        good.append(int((found & (np.linalg.norm(places - points - shift, axis=1) < 0.5)).sum()))
    assert good[1] > 1.3 * good[0]


@pytest.mark.parametrize("size", [(240, 320), (480, 640)])
@pytest.mark.parametrize("deviation", [6.0, 12.0])
def test_specks_are_no_corners(size: tuple[int, int], deviation: float) -> None:
    """A plain wall has hardly any, and a picture on it keeps those that stand out."""
    wall = np.full(size, 128, np.uint8)
    wall[60:180, 100:220] = np.kron(np.indices((6, 6)).sum(axis=0) % 2, np.ones((20, 20))) * 120 + 60
    image, found = grain.smoothed(noisy(wall, deviation))
    assert found == pytest.approx(deviation, rel=0.25)
    tracker = Tracker(count=400)
    kept, all_of_them = tracker.corners(image, noise=found), tracker.corners(image)
    there, anywhere = (((corners > [95, 55]) & (corners < [225, 185])).all(axis=1) for corners in (kept, all_of_them))
    assert (~anywhere).sum() > 150
    assert (~there).sum() < 0.2 * (~anywhere).sum()
    assert there.sum() >= 25
