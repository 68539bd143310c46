"""Views and warps against scenes whose every direction has a known brightness."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import OUTSIDE, CanonicalView, Patch, View, Warp

LEVEL = np.eye(3)
CAMERAS = {
    "pinhole": Camera(640, 480, "pinhole", 400, 410, 325, 236),
    "plumb_bob": Camera(752, 480, "plumb_bob", 458, 457, 367, 248, (-0.283, 0.074, 2e-4, 2e-5, 0)),
    "rational": Camera(
        640, 480, "rational_polynomial", 302, 302, 319, 240, (0.47, -2.6, 4e-4, -2e-4, 1.5, 0.35, -2.4, 1.4)
    ),
    "fisheye": Camera(640, 512, "equidistant", 190, 190, 325, 256, (0.0034, 0.0007, -0.002, 0.0002)),
}
VIEW = View(160, 64, 120, 118, 79.0, 30.0)
PATCH = Patch(80, 60, 2.0, 5.0, 2.0)


def sky(rays: np.ndarray) -> np.ndarray:
    """A smooth brightness for every direction in the level frame."""
    x, y, z = np.moveaxis(rays / np.linalg.norm(rays, axis=-1, keepdims=True), -1, 0)
    return 128 + 50 * np.sin(9 * x + 2 * y) + 50 * np.cos(11 * y - 3 * z + 0.5)


def ground(rays: np.ndarray) -> np.ndarray:
    """A smooth brightness for every place of the ground, one camera height below; grey above the horizon."""
    with np.errstate(divide="ignore", invalid="ignore"):
        place = rays / rays[..., 1:2]
        values = 128 + 50 * np.sin(2.1 * place[..., 0]) + 50 * np.cos(1.7 * place[..., 2])
    return np.where(rays[..., 1] > 0.05 * np.abs(rays[..., 2]), values, 128)


@functools.cache
def rays_of(camera: Camera) -> np.ndarray:
    return camera.rays(np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1))


def photograph(
    camera: Camera, scene: Callable[[np.ndarray], np.ndarray], level_from_camera: np.ndarray = LEVEL
) -> np.ndarray:
    """What the camera sees of a scene in the level frame."""
    values = scene(rays_of(camera) @ level_from_camera.T)
    return np.where(np.isfinite(values), values, 0).round().astype(np.uint8)


def test_rays_of_a_view() -> None:
    rays = View(5, 3, 2.0, 4.0, 2.0, 1.0).rays()
    assert rays.shape == (3, 5, 3)
    assert_allclose(rays[1, 2], [0, 0, 1])
    assert_allclose(rays[0, 4], [1.0, -0.25, 1.0])


def test_cells_of_a_patch_lie_evenly_on_the_ground() -> None:
    rays = Patch(4, 6, near=2.0, far=5.0, half_width=1.0).rays()
    assert rays.shape == (6, 4, 3)
    assert_allclose(rays[..., 1], 1.0)
    assert_allclose(rays[:, 0, 2], [4.75, 4.25, 3.75, 3.25, 2.75, 2.25])
    assert_allclose(rays[0, :, 0], [-0.75, -0.25, 0.25, 0.75])


@pytest.mark.parametrize("view", [VIEW, PATCH])
def test_a_view_survives_its_dictionary(view: View | Patch) -> None:
    assert CanonicalView.from_dict(view.to_dict()) == view
    assert view.to_dict()["kind"] == {View: "level", Patch: "ground"}[type(view)]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"kind": "cubemap", "width": 3}, "unknown kind of view 'cubemap'"),
        ({"width": 3}, "unknown kind of view None"),
        ({"kind": "level", "width": 3, "height": 4}, "'level' with width, height"),
        (VIEW.to_dict() | {"zoom": 2}, "cy, zoom"),
        (VIEW.to_dict() | {"fx": 0.0}, "fx is 0.0"),
        (VIEW.to_dict() | {"cx": math.nan}, "cx is nan"),
        (VIEW.to_dict() | {"width": 0}, "width is 0"),
        (VIEW.to_dict() | {"width": "wide"}, "width is 'wide'"),
        (VIEW.to_dict() | {"width": 64.5}, "width is 64.5"),
        (PATCH.to_dict() | {"near": 5.0}, "from 5.0 to 5.0"),
        (PATCH.to_dict() | {"near": -1.0}, "near is -1.0"),
        (PATCH.to_dict() | {"half_width": math.inf}, "half_width is inf"),
    ],
)
def test_bad_views_are_refused(spec: dict[str, object], problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        CanonicalView.from_dict(spec)
    assert problem in caught.value.problem
    assert caught.value.remedy


def test_the_same_camera_as_view_gives_the_image_back() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64), dtype=np.uint8)
    camera = Camera(64, 48, "pinhole", 60.5, 61.25, 30.1, 25.7)
    warp = Warp(camera, View(64, 48, 60.5, 61.25, 30.1, 25.7), LEVEL)
    assert_array_equal(warp(image), image)
    assert warp.coverage == 1.0
    assert (warp.halvings, warp.box, warp.samples) == (0, (1, 1), (1, 1))


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize("mount", [Mount(1.0), Mount(1.0, 0.2, -0.1), Mount(1.0, -0.1, math.pi / 2)])
def test_a_scene_lands_where_it_belongs(name: str, mount: Mount) -> None:
    camera = CAMERAS[name]
    warp = Warp(camera, VIEW, mount.level_from_camera)
    actual = warp(photograph(camera, sky, mount.level_from_camera))
    seen = warp.map_x != OUTSIDE
    assert seen.mean() > 0.5
    assert np.abs(actual - sky(VIEW.rays()))[seen].max() < 4
    assert np.abs(actual - sky(VIEW.rays()))[seen].mean() < 1
    assert not actual[~seen].any()


@pytest.mark.parametrize("name", CAMERAS)
def test_the_ground_lands_where_it_belongs(name: str) -> None:
    camera, mount = CAMERAS[name], Mount(1.0, 0.25, 0.05)
    warp = Warp(camera, PATCH, mount.level_from_camera)
    actual = warp(photograph(camera, ground, mount.level_from_camera))
    seen = warp.map_x != OUTSIDE
    assert seen.mean() > 0.7
    assert np.abs(actual - ground(PATCH.rays()))[seen].max() < 5
    assert np.abs(actual - ground(PATCH.rays()))[seen].mean() < 1


def test_driving_on_moves_the_ground_by_whole_cells() -> None:
    camera, mount = CAMERAS["pinhole"], Mount(1.0, 0.25)
    warp = Warp(camera, PATCH, mount.level_from_camera)
    before = warp(photograph(camera, ground, mount.level_from_camera))
    cells = 8
    step = cells * (PATCH.far - PATCH.near) / PATCH.height

    def moved(rays: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return ground(rays + np.array([0, 0, step]) * rays[..., 1:2])

    after = warp(photograph(camera, moved, mount.level_from_camera))
    seen = warp.map_x != OUTSIDE
    both = seen[cells:] & seen[:-cells]
    assert both.mean() > 0.7
    assert np.abs(after[cells:].astype(int) - before[:-cells])[both].max() <= 4


@settings(deadline=None, max_examples=15)
@given(st.floats(-0.4, 0.4), st.floats(-3.1, 3.1), st.sampled_from(sorted(CAMERAS)))
def test_a_turned_camera_on_a_turned_mount_sees_the_same(pitch: float, roll: float, name: str) -> None:
    camera = CAMERAS[name]
    turned = Mount(1.0, pitch, roll).level_from_camera
    level, tilted = Warp(camera, VIEW, LEVEL), Warp(camera, VIEW, turned)
    both = (level.map_x != OUTSIDE) & (tilted.map_x != OUTSIDE)
    difference = level(photograph(camera, sky)).astype(int) - tilted(photograph(camera, sky, turned))
    assert np.abs(difference)[both].max(initial=0) <= 5


@settings(deadline=None, max_examples=15)
@given(st.floats(-0.3, 0.3), st.floats(-0.1, 0.1), st.sampled_from(sorted(CAMERAS)))
def test_a_dot_lands_on_the_predicted_pixel(right: float, down: float, name: str) -> None:
    camera, mount = CAMERAS[name], Mount(1.0, 0.05, 0.1)
    direction = np.array([right, down, 1.0])

    def dot(rays: np.ndarray) -> np.ndarray:
        return 250 * np.exp(
            -((np.linalg.norm(np.cross(rays, direction / np.linalg.norm(direction)), axis=-1) / 0.02) ** 2)
        )

    seen = Warp(camera, VIEW, mount.level_from_camera)(photograph(camera, dot, mount.level_from_camera)).astype(float)
    rows, columns = np.mgrid[: VIEW.height, : VIEW.width]
    expected = [VIEW.cx + VIEW.fx * right, VIEW.cy + VIEW.fy * down]
    assert_allclose([(seen * columns).sum() / seen.sum(), (seen * rows).sum() / seen.sum()], expected, atol=0.1)


def test_maps_are_the_cameras_pixels_and_coverage_their_share() -> None:
    camera = Camera(100, 80, "pinhole", 100, 100, 49.5, 39.5)
    view = View(200, 40, 100, 100, 99.5, 19.5)  # twice as wide as the image, half as high
    warp = Warp(camera, view, LEVEL)
    assert warp.coverage == 0.5
    assert_allclose(warp.map_x[:, 50:150], np.broadcast_to(np.arange(100), (40, 100)), atol=1e-4)
    assert_allclose(warp.map_y[:, 50:150].T, np.broadcast_to(np.arange(20, 60), (100, 40)), atol=1e-4)
    assert (warp.map_x[:, :50] == OUTSIDE).all()
    assert (warp.map_y[:, 150:] == OUTSIDE).all()
    assert warp.map_x.dtype == warp.map_y.dtype == np.float32
    actual = warp(np.full((80, 100), 200, np.uint8))
    assert (actual[:, 50:150] == 200).all(), "no dark edges"
    assert not actual[:, :50].any()
    assert not actual[:, 150:].any()


@pytest.mark.parametrize("view", [VIEW, PATCH, View(64, 24, 20, 20, 31.5, 11.5), View(640, 480, 900, 900, 300, 200)])
@pytest.mark.parametrize("name", CAMERAS)
def test_an_even_image_stays_even(name: str, view: View | Patch) -> None:
    camera = CAMERAS[name]
    warp = Warp(camera, view, Mount(1.0, 0.1).level_from_camera)
    actual = warp(np.full((camera.height, camera.width), 173, np.uint8))
    assert_array_equal(actual, np.where(warp.map_x != OUTSIDE, 173, 0))


@pytest.mark.parametrize("shrink", [1.2, 1.7, 2.4, 3.9, 5.0, 7.3, 13.0])
def test_the_low_pass_moves_nothing(shrink: float) -> None:
    """Half a pixel of the image, lost in halving or sampling, would show in the middle of a blot."""
    camera = Camera(1000, 400, "pinhole", 500, 500, 499.5, 199.5)
    warp = Warp(camera, View(48, 24, 500 / shrink, 500 / shrink, 23.5, 11.5), LEVEL)
    rows, columns = np.mgrid[:400, :1000]
    for x, y in ((480.3, 201.1), (502.2, 195.7), (510.0, 198.0)):
        blot = 250 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (8 * shrink**2))
        seen = warp(blot.round().astype(np.uint8)).astype(float)
        assert (seen * warp.map_x).sum() / seen.sum() == pytest.approx(x, abs=0.15)
        assert (seen * warp.map_y).sum() / seen.sum() == pytest.approx(y, abs=0.15)


@pytest.mark.parametrize("shrink", [2.0, 2.4, 3.9, 5.0, 7.3, 13.0])
def test_what_the_view_cannot_show_becomes_its_mean(shrink: float) -> None:
    camera = Camera(1000, 400, "pinhole", 500, 500, 499.5, 199.5)
    warp = Warp(camera, View(48, 24, 500 / shrink, 500 / shrink, 23.5, 11.5), LEVEL)
    rows, columns = np.mgrid[:400, :1000]
    for stripes in (columns, rows, rows + columns):
        image = np.where(stripes % 2, 220, 20).astype(np.uint8)
        kept = np.std(warp(image)) / 100
        naive = np.std(cv2.remap(image, warp.map_x, warp.map_y, cv2.INTER_LINEAR)) / 100
        assert kept < 0.2
        assert kept <= naive + 0.02


def test_the_ground_is_low_passed_by_how_much_it_shrinks() -> None:
    """Stripes along the road, a quarter of a cell wide: gone, near and far."""
    camera = Camera(1280, 720, "pinhole", 700, 700, 639.5, 200)
    patch = Patch(64, 64, 2.0, 4.0, 2.0)
    warp = Warp(camera, patch, LEVEL)
    assert warp.samples[0] > 1 or warp.box[0] > 1

    def stripes(rays: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((rays[..., 0] / rays[..., 1] * 64).astype(int) % 2, 220.0, 20.0)

    seen = warp.map_x != OUTSIDE
    actual = warp(photograph(camera, stripes))
    naive = cv2.remap(photograph(camera, stripes), warp.map_x, warp.map_y, cv2.INTER_LINEAR)
    assert np.std(actual[seen]) < 0.35 * np.std(naive[seen])


def test_far_ground_keeps_its_details() -> None:
    """Where the view magnifies, nothing is blurred: the box follows the least shrink."""
    camera = Camera(640, 480, "pinhole", 400, 400, 319.5, 100)
    warp = Warp(camera, Patch(32, 128, 3.0, 8.0, 1.0), LEVEL)
    assert warp.box[1] == 1
    assert warp.halvings == 0


def test_frames_are_independent_and_their_buffer_is_the_callers() -> None:
    camera = CAMERAS["plumb_bob"]
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 256, (480, 752), dtype=np.uint8) for _ in range(2))
    warp = Warp(camera, VIEW, LEVEL)
    expected = warp(first)
    kept = expected.copy()
    out = np.full((1, 1, VIEW.height, VIEW.width), 99, np.uint8)
    assert warp(second, out[0, 0]).base is out
    assert_array_equal(expected, kept)
    assert_array_equal(out[0, 0], Warp(camera, VIEW, LEVEL)(second))
    warp(first, out[0, 0])
    assert_array_equal(out[0, 0], expected)


def test_frames_may_be_read_only_and_strided() -> None:
    camera = CAMERAS["pinhole"]
    image = np.random.default_rng(0).integers(0, 256, (480, 650), dtype=np.uint8)
    warp = Warp(camera, VIEW, LEVEL)
    expected = warp(image[:, :640].copy())
    assert_array_equal(warp(image[:, :640]), expected)
    assert_array_equal(warp(np.frombuffer(image[:, :640].tobytes(), np.uint8).reshape(480, 640)), expected)


@pytest.mark.parametrize(
    "out",
    [
        np.empty((VIEW.height, VIEW.width + 1), np.uint8),
        np.empty((VIEW.height, VIEW.width), np.float32),
        np.empty((VIEW.height, 2 * VIEW.width), np.uint8)[:, ::2],
    ],
)
def test_a_buffer_that_does_not_fit_is_refused(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match="64 rows and 160 columns"):
        Warp(CAMERAS["pinhole"], VIEW, LEVEL)(np.zeros((480, 640), np.uint8), out)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((480, 641), np.uint8), "uint8 image of 641 x 480 pixels"),
        (np.zeros((640, 480), np.uint8), "uint8 image of 480 x 640 pixels"),
        (np.zeros((480, 640, 3), np.uint8), "640 x 480 x 3"),
        (np.zeros((480, 640), np.float32), "float32 image"),
    ],
)
def test_frames_that_do_not_fit_the_camera_are_refused(image: np.ndarray, problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        Warp(CAMERAS["pinhole"], VIEW, LEVEL)(image)
    assert problem in caught.value.problem
    assert "640 x 480" in caught.value.problem
    assert "scaled" in caught.value.remedy


def test_a_camera_that_sees_nothing_of_the_view_is_refused() -> None:
    with pytest.raises(VodistillError, match="sees nothing of the view") as caught:
        Warp(CAMERAS["pinhole"], PATCH, Mount(1.0, -1.0).level_from_camera)
    assert "'classical'" in caught.value.remedy


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5)])
def test_the_smallest_images_and_views(size: tuple[int, int]) -> None:
    width, height = size
    camera = Camera(width, height, "pinhole", 10, 10, (width - 1) / 2, (height - 1) / 2)
    for focal in (0.5, 5.0, 50.0):
        warp = Warp(camera, View(1, 1, focal, focal, 0, 0), LEVEL)
        assert_array_equal(warp(np.full((height, width), 50, np.uint8)), [[50]])
