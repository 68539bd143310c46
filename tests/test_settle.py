"""Corners, from where they were found in small images to where they are in larger ones."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import settle
from ros2_vodistill.camera import Camera
from ros2_vodistill.picture import Darkroom

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

CAMERA = Camera(1280, 480, "pinhole", 700.0, 710.0, 640.0, 240.0)


def shown(x: float = 0.0, y: float = 0.0, scale: float = 2.0) -> Image:
    """A texture with features of that many pixels: what was at p is at p + (x, y). Shifted as waves are: OpenCV's warps
    know a shift to 1/32 of a pixel only."""
    noise = np.random.default_rng(5).normal(size=(480, 1280))
    down, across = np.fft.fftfreq(480)[:, None], np.fft.fftfreq(1280)
    smooth = np.exp(-2 * (np.pi * scale) ** 2 * (across**2 + down**2))
    waves = np.fft.fft2(noise) * smooth
    still = np.fft.ifft2(waves).real
    moved = np.fft.ifft2(waves * np.exp(-2j * np.pi * (across * x + down * y))).real
    return np.clip(120 + 40 * moved / still.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def texture() -> Image:
    return shown()


def scattered(count: int = 150, border: float = 30.0) -> Array:
    return np.random.default_rng(1).uniform(border, [1280 - border, 480 - border], (count, 2))


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.4, -0.7), (6.3, 2.8)])
def test_places_that_are_half_a_pixel_off_are_found_to_a_few_hundredths(
    texture: Image, shift: tuple[float, float]
) -> None:
    points = scattered()
    off = np.random.default_rng(2).uniform(-0.6, 0.6, points.shape)
    found = settle.settled(texture, shown(*shift), points, points + shift + off)
    error = np.linalg.norm(found - points - shift, axis=1)
    assert np.median(error) < 0.02
    assert np.mean(error < 0.1) > 0.95


def test_light_and_contrast_may_change(texture: Image) -> None:
    points = scattered()
    dim = (0.6 * shown(0.3, 0.2) + 30).astype(np.uint8)
    found = settle.settled(texture, dim, points, points)
    assert np.median(np.linalg.norm(found - points - [0.3, 0.2], axis=1)) < 0.03


def test_light_may_change_here_and_not_there(texture: Image) -> None:
    points, moved = scattered(), shown(0.3, 0.2).astype(float)
    moved[:, 640:] = 0.4 * moved[:, 640:] + 120
    found = settle.settled(texture, moved.astype(np.uint8), points, points)
    error = np.linalg.norm(found - points - [0.3, 0.2], axis=1)
    assert np.mean(error < 0.1) > 0.9  # but for those on the shadow's edge


@pytest.mark.parametrize(("strong", "weak"), [(60.0, 6.0), (3.0, 3.0)], ids=["nearly an edge", "faint"])
def test_waves_that_run_aslant_are_found(strong: float, weak: float) -> None:
    def waves(x: float, y: float) -> Image:
        down, across = np.mgrid[:120, :160] - np.array([y, x])[:, None, None]
        image = 120 + strong * np.sin((across + down) / 3) + weak * np.sin((across - down) / 3)
        return np.asarray(image.round(), np.uint8)

    points = np.random.default_rng(0).uniform(20, [140, 100], (50, 2))
    found = settle.settled(waves(0, 0), waves(0.5, -0.2), points, points)
    assert np.median(np.linalg.norm(found - points - [0.5, -0.2], axis=1)) < 0.1


def test_what_cannot_be_settled_stays_where_it_was_found(texture: Image) -> None:
    points = scattered()
    other = texture[::-1, ::-1].copy()
    found = settle.settled(texture, other, points, points)
    assert (np.abs(found - points) < 2).all()
    assert (found == points).all(axis=1).mean() > 0.3  # those that went astray
    flat = np.full_like(texture, 99)
    np.testing.assert_array_equal(settle.settled(flat, flat, points, points), points)


def test_near_the_edge_nothing_is_done(texture: Image) -> None:
    points = np.array([[3.0, 200.0], [1277.0, 200.0], [600.0, 2.0], [600.0, 478.0], [600.0, 200.0]])
    found = settle.settled(texture, shown(0.3, 0.0), points, points)
    np.testing.assert_array_equal(found[:4], points[:4])
    assert found[4, 0] == pytest.approx(600.3, abs=0.05)
    assert len(settle.settled(texture, texture, points[:0], points[:0])) == 0


def test_what_moved_to_the_edge_or_came_from_there_stays_where_it_was_found(texture: Image) -> None:
    inside = np.array([[600.0, 200.0]] * 4)
    edge = np.array([[5.0, 200.0], [1275.0, 200.0], [600.0, 5.0], [600.0, 475.0]])
    np.testing.assert_array_equal(settle.settled(texture, texture, inside, edge), edge)
    np.testing.assert_array_equal(settle.settled(texture, texture, edge, inside), inside)


def test_nowhere_in_an_image_a_corner_strays(texture: Image) -> None:
    random = np.random.default_rng(3)
    small, other = texture[:40, :60].copy(), texture[5:45, 7:67].copy()
    points, places = random.uniform(0, [59, 39], (2, 400, 2))
    assert np.abs(settle.settled(small, other, points, places) - places).max() < 2


@pytest.mark.parametrize(("width", "times"), [(640, 1), (960, 1), (1280, 2), (1920, 3), (2560, 2), (3840, 2)])
def test_a_picture_is_small_for_corners_and_finer_for_settling(width: int, times: int) -> None:
    camera = Camera(width, 480, "pinhole", 700.0, 710.0, width / 2, 240.0)
    darkroom = Darkroom(camera, 650)
    picture = darkroom(np.full((480, width), 90, np.uint8))
    assert picture.small.shape == (darkroom.small.height, darkroom.small.width)
    assert picture.whole.shape == (darkroom.whole.height, darkroom.whole.width)
    assert picture.fine.shape == tuple(times * size for size in picture.small.shape)
    shrink = darkroom.whole.width // darkroom.small.width
    assert picture.whole.shape == tuple(shrink * size for size in picture.small.shape)
    # a ray is the same in all of them
    pixel = np.array([[100.0, 50.0]])
    np.testing.assert_allclose(
        darkroom.small.rays(pixel), darkroom.whole.rays((pixel + 0.5) * shrink - 0.5), atol=1e-12
    )


def test_settling_takes_and_gives_pixels_of_the_small_images() -> None:
    darkroom = Darkroom(CAMERA, 650)
    last, this = darkroom(shown(scale=3.0)), darkroom(shown(3.0, -1.0, scale=3.0))
    points = scattered() / 2
    coarse = points + [1.4, -0.6]
    found = this.settled(last, points, coarse)
    assert np.median(np.linalg.norm(found - points - [1.5, -0.5], axis=1)) < 0.02


def test_a_small_camera_has_nothing_finer(texture: Image) -> None:
    darkroom = Darkroom(CAMERA, 1300)
    picture = darkroom(texture)
    assert picture.fine is picture.small is picture.whole
    places = scattered()
    assert picture.settled(picture, places, places) is places


def test_a_picture_keeps_its_frame(texture: Image) -> None:
    frame = texture.copy()
    pictures = [Darkroom(CAMERA, widest)(frame) for widest in (650, 1300)]
    frame[:] = 0
    assert all(picture.whole.mean() > 100 for picture in pictures)


def test_noise_is_smoothed_in_all_sizes() -> None:
    texture = shown(scale=6.0)
    noisy = np.clip(texture / 8 + np.random.default_rng(0).normal(30, 6, texture.shape), 0, 255).astype(np.uint8)
    picture = Darkroom(CAMERA, 650)(noisy)
    assert picture.grain > 1
    assert picture.whole.astype(float).std() < 0.8 * noisy.astype(float).std()
    assert Darkroom(CAMERA, 650)(texture).grain == 0
