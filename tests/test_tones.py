"""Images brought to the exposure of others."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import tones

Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Image:
    rng = np.random.default_rng(5)
    shapes = sum(
        cv2.resize(rng.normal(size=(400 >> k, 640 >> k)), (640, 400), interpolation=cv2.INTER_CUBIC) for k in range(7)
    )
    return np.clip(110 + 25 * shapes / shapes.std(), 20, 190).astype(np.uint8)


def table(grey: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Callable[[Image], Image]:
    """An image whose grey levels are changed by a function of 0..1."""
    levels = (255 * grey(np.arange(256) / 255)).clip(0, 255).round().astype(np.uint8)
    return lambda image: np.asarray(cv2.LUT(image, levels), np.uint8)


CHANGES = {
    "brighter": table(lambda x: 1.25 * x),
    "darker": table(lambda x: 0.6 * x),
    "lifted": table(lambda x: x + 0.1),
    "gamma": table(lambda x: x**0.7),
    "flat": table(lambda x: 0.4 + 0.3 * x),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_exposure_is_undone(scene: Image, name: str) -> None:
    changed = CHANGES[name](scene)
    off = np.abs(tones.like(changed, scene).astype(float) - scene)
    assert off.mean() < 1.5
    assert off.max() < (20 if name == "gamma" else 8)  # also in the deepest shadow and the brightest light
    assert off.mean() < 0.2 * np.abs(changed.astype(float) - scene).mean()


@pytest.mark.parametrize("name", CHANGES)
def test_it_is_undone_where_the_camera_has_moved_too(scene: Image, name: str) -> None:
    last, this = scene[:, :560], scene[:, 80:]
    assert np.abs(tones.like(CHANGES[name](this), last).astype(float) - this).mean() < 4


def test_what_hardly_differs_is_left_alone(scene: Image) -> None:
    assert tones.like(scene, scene) is scene
    little = np.asarray(cv2.add(scene, 2), np.uint8)
    assert tones.like(little, scene) is little


@pytest.mark.parametrize("by", [-60, 0, 60])
def test_darker_stays_darker(scene: Image, by: int) -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    other = np.clip(scene.astype(int) + by, 0, 255).astype(np.uint8)
    assert (np.diff(tones.like(ramp, other).astype(int), axis=1) >= 0).all()


def test_a_lamp_stays_white_and_a_hole_black(scene: Image) -> None:
    pale = CHANGES["flat"](scene)
    pale[:5], pale[-5:] = 255, 0
    found = tones.like(pale, scene)
    assert (found[:5] == 255).all() and (found[-5:] == 0).all()


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_images_without_any_content_pass(scene: Image, grey: int) -> None:
    flat = np.full_like(scene, grey)
    for image in (tones.like(flat, scene), tones.like(scene, flat)):
        assert image.shape == scene.shape
        assert image.dtype == np.uint8


@pytest.mark.parametrize("by", [-15, 3, 20])
def test_an_image_that_is_levelled_has_no_brightness(scene: Image, by: int) -> None:
    lifted = np.asarray(scene.astype(int) + by, np.uint8)
    np.testing.assert_allclose(tones.levelled(lifted).astype(int), tones.levelled(scene), atol=1)
    assert tones.levelled(scene).mean() == pytest.approx(128, abs=0.5)


def test_what_stands_out_stays_in_a_levelled_image() -> None:
    image = np.full((100, 140), 60, np.uint8)
    image[50, 70] = 90
    assert (tones.levelled(image) == 128).mean() > 0.9
    assert tones.levelled(image)[50, 70] == 128 + 30
