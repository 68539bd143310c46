"""Cameras against OpenCV and themselves."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError

CAMERAS = {
    "pinhole": Camera(640, 480, "pinhole", 500, 510, 330, 236),
    "euroc": Camera(752, 480, "radtan", 458.654, 457.296, 367.215, 248.375, (-0.28340811, 0.07395907, 1.9e-4, 1.8e-5)),
    "barrel": Camera(640, 480, "plumb_bob", 380, 380, 320, 240, (-0.35, 0.13, 0.001, -0.0005, 0.0)),
    "rational": Camera(
        1280, 720, "rational_polynomial", 605, 604, 638, 365, (0.47, -2.6, 0.0004, -0.0002, 1.5, 0.35, -2.43, 1.43)
    ),
    "thin prism": Camera(
        640, 480, "rational_polynomial", 500, 500, 320, 240,
        (-0.2, 0.05, 1e-3, -1e-3, 0.01, 0.1, 0.02, 0.001, 1e-3, 2e-3, -1e-3, 5e-4),
    ),
    "tilted": Camera(
        640, 480, "rational_polynomial", 500, 500, 320, 240,
        (-0.2, 0.05, 1e-3, -1e-3, 0.01, 0.1, 0.02, 0.001, 1e-3, 2e-3, -1e-3, 5e-4, 0.02, -0.03),
    ),
    "fisheye": Camera(512, 512, "equidistant", 190.97, 190.97, 254.93, 256.89, (0.0034, 0.0007, -0.002, 0.0002)),
    "turned": Camera(
        640, 480, "plumb_bob", 500, 510, 330, 236, (-0.1, 0.05, 0, 0, 0),
        tuple(map(tuple, cv2.Rodrigues(np.array([0.02, -0.05, 0.01]))[0].tolist())),
    ),
}  # fmt: skip


def grid(camera: Camera, step: int = 16) -> np.ndarray:
    """Pixels over the whole image, its corners among them."""
    columns = np.append(np.arange(0, camera.width, step), camera.width - 1)
    rows = np.append(np.arange(0, camera.height, step), camera.height - 1)
    return np.stack(np.meshgrid(columns, rows), axis=-1).astype(float)


@pytest.mark.parametrize("name", CAMERAS)
def test_every_pixel_has_a_ray_that_comes_back_to_it(name: str) -> None:
    camera = CAMERAS[name]
    pixels = grid(camera)
    rays = camera.rays(pixels)
    assert_allclose(np.linalg.norm(rays, axis=-1), 1.0, rtol=1e-12)
    assert_allclose(camera.project(3.7 * rays), pixels, atol=1e-6)


@pytest.mark.parametrize("name", ["pinhole", "euroc", "barrel", "rational", "thin prism", "tilted"])
def test_brown_conrady_is_opencvs(name: str) -> None:
    camera = CAMERAS[name]
    points = np.random.default_rng(0).uniform([-0.5, -0.4, 1], [0.5, 0.4, 1.5], (200, 3))
    distortion = np.array(camera.distortion)
    expected, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), camera.matrix, distortion)
    assert_allclose(camera.project(points), expected[:, 0], atol=1e-9)


def test_fisheye_is_opencvs() -> None:
    camera = CAMERAS["fisheye"]
    points = np.random.default_rng(0).uniform([-3, -3, 0.5], [3, 3, 2], (200, 3))
    k = np.array(camera.distortion)
    expected, _ = cv2.fisheye.projectPoints(points[:, None], np.zeros(3), np.zeros(3), camera.matrix, k)
    assert_allclose(camera.project(points), expected[:, 0], atol=1e-9)
    pixels = grid(camera).reshape(-1, 1, 2)[::7]
    pixels = pixels[np.linalg.norm(pixels[:, 0] - 255, axis=1) < 200]
    plane = cv2.fisheye.undistortPoints(pixels, camera.matrix, k)[:, 0]
    rays = camera.rays(pixels[:, 0])
    assert_allclose(rays[:, :2] / rays[:, 2:], plane, atol=1e-6)


def test_rays_of_brown_conrady_are_opencvs() -> None:
    camera = CAMERAS["euroc"]
    pixels = grid(camera).reshape(-1, 1, 2)
    many = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 500, 1e-12)
    plane = cv2.undistortPointsIter(pixels, camera.matrix, np.array(camera.distortion), None, None, many)[:, 0]
    rays = camera.rays(pixels[:, 0])
    assert_allclose(rays[:, :2] / rays[:, 2:], plane, atol=1e-8)


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["plumb_bob", "rational_polynomial", "equidistant"]),
    st.lists(st.floats(-0.3, 0.3), min_size=8, max_size=8),
    st.floats(180, 900),
    st.floats(0.9, 1.1),
)
def test_rays_and_project_agree_for_any_lens(model: str, k: list[float], focal: float, aspect: float) -> None:
    k[2], k[3] = k[2] / 100, k[3] / 100
    count = {"plumb_bob": 5, "rational_polynomial": 8, "equidistant": 4}[model]
    camera = Camera(640, 480, model, focal, focal * aspect, 310.5, 250.25, tuple(k[:count]))
    pixels = grid(camera, 40)
    rays = camera.rays(pixels)
    found = np.isfinite(rays).all(axis=-1)
    assert_allclose(camera.project(rays[found]), pixels[found], atol=1e-5)
    near = np.linalg.norm((pixels - [310.5, 250.25]) / focal, axis=-1) < 0.25
    assert found[near].all(), "where a lens hardly bends, there is always a ray"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=2), st.floats(0.3, 30))
def test_a_direction_has_one_pixel_however_long_its_vector(side: list[float], length: float) -> None:
    camera = CAMERAS["fisheye"]
    point = np.array([*side, 0.4])
    assert_allclose(camera.project(point * length), camera.project(point), atol=1e-9)


def test_nothing_is_seen_behind_the_camera() -> None:
    assert np.isnan(CAMERAS["pinhole"].project([[0.1, 0.1, -1.0], [0.1, 0.1, 0.0]])).all()
    assert np.isnan(CAMERAS["barrel"].project([0.1, 0.1, -1.0])).all()
    assert np.isnan(CAMERAS["fisheye"].project([0.0, 0.0, -1.0])).all()


def test_a_fisheye_sees_sideways_and_further() -> None:
    camera = CAMERAS["fisheye"]
    for degrees in (89, 90, 95):
        angle = math.radians(degrees)
        k1, k2, k3, k4 = camera.distortion
        radius = angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)
        pixel = camera.project([math.sin(angle), 0.0, math.cos(angle)])
        assert_allclose(pixel, [camera.cx + camera.fx * radius, camera.cy], atol=1e-9)
        assert_allclose(camera.rays(pixel), [math.sin(angle), 0.0, math.cos(angle)], atol=1e-9)


def test_a_polynomial_that_turns_back_folds_nothing_into_the_image() -> None:
    k1 = -0.3  # r (1 + k1 r^2) is largest at r = 1 / sqrt(0.9)
    camera = Camera(640, 480, "plumb_bob", 300, 300, 319.5, 239.5, (k1, 0, 0, 0, 0))
    turn = 1 / math.sqrt(0.9)
    inside, outside = camera.project([[turn - 2e-3, 0, 1], [turn + 2e-3, 0, 1]])
    assert_allclose(inside[0], 319.5 + 300 * (turn - 2e-3) * (1 + k1 * (turn - 2e-3) ** 2))
    assert np.isnan(outside).all()
    most = turn * (1 + k1 * turn**2)
    rays = camera.rays([[319.5 + 300 * (most - 1e-3), 239.5], [319.5 + 300 * (most + 1e-3), 239.5]])
    assert np.isfinite(rays[0]).all()
    assert np.isnan(rays[1]).all()


def test_rays_are_given_in_the_rectified_axes() -> None:
    camera = CAMERAS["turned"]
    plain = Camera(640, 480, "plumb_bob", 500, 510, 330, 236, camera.distortion)
    assert_allclose(camera.rays([100.0, 50.0]), np.array(camera.rotation) @ plain.rays([100.0, 50.0]))


def test_cameras_can_be_compared_and_hashed() -> None:
    camera = CAMERAS["turned"]
    assert camera == Camera(640, 480, "plumb_bob", 500.0, 510.0, 330.0, 236.0, (-0.1, 0.05, 0, 0, 0), camera.rotation)
    assert len({camera, CAMERAS["pinhole"], CAMERAS["pinhole"].scaled(320, 240)}) == 3


@pytest.mark.parametrize("name", CAMERAS)
def test_scaling_keeps_the_rays_of_places_in_the_image(name: str) -> None:
    camera = CAMERAS[name]
    small = camera.scaled(camera.width // 2, camera.height // 4)
    pixels = grid(camera, 100)
    assert_allclose(small.rays((pixels + 0.5) * [0.5, 0.25] - 0.5), camera.rays(pixels), atol=1e-9)
    assert camera.scaled(camera.width, camera.height) is camera


def test_cropping_keeps_the_rays() -> None:
    camera = CAMERAS["barrel"]
    assert_allclose(camera.cropped(100, 60, 200, 200).rays([5.0, 7.0]), camera.rays([105.0, 67.0]))


INFO: dict[str, Any] = {
    "width": 640,
    "height": 480,
    "distortion_model": "plumb_bob",
    "d": [-0.1, 0.02, 0.001, 0.002, 0.0],
    "k": [500.0, 0.0, 330.0, 0.0, 510.0, 236.0, 0.0, 0.0, 1.0],
    "r": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
    "p": [480.0, 0.0, 325.0, -48.0, 0.0, 480.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0],
    "binning_x": 0,
    "binning_y": 0,
    "roi": {"x_offset": 0, "y_offset": 0, "width": 0, "height": 0, "do_rectify": False},
}


def test_camera_info_as_mapping_or_message_of_either_ros() -> None:
    camera = Camera(640, 480, "plumb_bob", 500, 510, 330, 236, (-0.1, 0.02, 0.001, 0.002, 0))
    upper = {name.upper() if len(name) == 1 else name: value for name, value in INFO.items()}
    arrays = {name: np.array(value) if name in "dkrp" else value for name, value in INFO.items()}
    message = SimpleNamespace(**(arrays | {"roi": SimpleNamespace(**INFO["roi"])}))
    for info in (INFO, upper, message):
        assert Camera.from_camera_info(info) == camera


def test_rectified_images_take_p_and_no_distortion() -> None:
    assert Camera.from_camera_info(INFO, rectified=True) == Camera(640, 480, "pinhole", 480, 480, 325, 240)


def test_camera_info_of_a_stereo_pair_turns_the_rays() -> None:
    turned = cv2.Rodrigues(np.array([0.0, 0.1, 0.0]))[0]
    camera = Camera.from_camera_info(INFO | {"r": turned.ravel()})
    plain = Camera.from_camera_info(INFO)
    assert_allclose(camera.rays([50.0, 60.0]), turned @ plain.rays([50.0, 60.0]), atol=1e-12)
    assert Camera.from_camera_info(INFO | {"r": [0.0] * 9}) == plain


@pytest.mark.parametrize("model", ["", "plumb_bob", "none", "rational_polynomial"])
@pytest.mark.parametrize("distortion", [[], [0.0] * 5])
def test_no_distortion_is_a_pinhole(model: str, distortion: list[float]) -> None:
    assert Camera.from_camera_info(INFO | {"distortion_model": model, "d": distortion}).model == "pinhole"


def test_a_fisheye_without_coefficients_is_no_pinhole() -> None:
    info = INFO | {"distortion_model": "fisheye", "d": [0.0] * 4}
    assert Camera.from_camera_info(info).model == "equidistant"


def test_region_of_interest_and_binning() -> None:
    roi = {"x_offset": 100, "y_offset": 40, "width": 401, "height": 300}
    camera = Camera.from_camera_info(INFO | {"roi": roi, "binning_x": 2, "binning_y": 3})
    assert (camera.width, camera.height) == (200, 100)
    full = Camera.from_camera_info(INFO)
    # The binned pixel (10, 20) is made of columns 120, 121 and rows 100, 101, 102 of the sensor.
    assert_allclose(camera.rays([10.0, 20.0]), full.rays([120.5, 101.0]), atol=1e-12)


BAD_INFO: list[tuple[dict[str, Any], str]] = [
    ({"k": [0.0] * 9}, "K is all zero: the driver publishes no calibration"),
    ({"k": [math.nan, *INFO["k"][1:]]}, "fx is nan"),
    ({"k": [-500.0, *INFO["k"][1:]]}, "focal length fx is -500"),
    ({"k": [*INFO["k"][:4], 0.0, *INFO["k"][5:]]}, "focal length fy is 0"),
    ({"k": [500.0, 0.0, math.inf, *INFO["k"][3:]]}, "cx is inf"),
    ({"k": [1.0, 2.0]}, "K has 2 numbers"),
    ({"k": "a"}, "k is 'a'"),
    ({"width": 0}, "0x480"),
    ({"height": None}, "640x0"),
    ({"width": "wide"}, "width is 'wide'"),
    ({"binning_x": -1}, "binning_x is -1"),
    ({"d": [0.1, 0.2, 0.3]}, "'plumb_bob' with 3 coefficients"),
    ({"d": [0.1, math.nan, 0.0, 0.0, 0.0]}, "distortion is"),
    ({"distortion_model": "magic"}, "unknown distortion model 'magic'"),
    ({"distortion_model": "equidistant", "d": []}, "'equidistant' with 0 coefficients"),
    ({"r": [1.0, 0, 0, 0, 1, 0, 0, 0, -1]}, "R is no rotation"),
    ({"r": [2.0, 0, 0, 0, 0.5, 0, 0, 0, 1]}, "R is no rotation"),
    ({"r": [1e200, 0, 0, 0, 1, 0, 0, 0, 1]}, "R is no rotation"),
    ({"r": [1.0]}, "R has 1 numbers"),
]


@pytest.mark.parametrize(("change", "problem"), BAD_INFO)
def test_bad_camera_info_is_refused_with_the_value_and_a_remedy(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        Camera.from_camera_info(INFO | change)
    assert problem in caught.value.problem
    assert caught.value.remedy


def test_rectified_images_without_p_are_refused() -> None:
    with pytest.raises(VodistillError, match="P is all zero"):
        Camera.from_camera_info(INFO | {"p": [0.0] * 12}, rectified=True)


def test_a_wrong_count_names_the_model_that_would_fit() -> None:
    with pytest.raises(VodistillError, match="8 coefficients fit rational_polynomial"):
        Camera(640, 480, "plumb_bob", 500, 500, 320, 240, (0.1,) * 8)
    with pytest.raises(VodistillError, match=r"It takes 4 or 5\.$"):
        Camera(640, 480, "plumb_bob", 500, 500, 320, 240, (0.1,) * 7)


def test_mount_follows_the_conventions() -> None:
    down = Mount(1.0, pitch=0.3).level_from_camera @ [0, 0, 1]
    assert_allclose(down, [0, math.sin(0.3), math.cos(0.3)])  # y is gravity: the axis of a pitched camera sinks
    right = Mount(1.0, roll=0.2).level_from_camera @ [1, 0, 0]
    assert_allclose(right, [math.cos(0.2), math.sin(0.2), 0])
    assert_allclose(Mount(None).level_from_camera, np.eye(3))


@settings(deadline=None, max_examples=50)
@given(st.floats(-1.3, 1.3), st.floats(-math.pi, math.pi))
def test_a_mount_is_found_again_from_gravity(pitch: float, roll: float) -> None:
    level = Mount(1.0, pitch, roll).level_from_camera
    assert_allclose(level @ level.T, np.eye(3), atol=1e-12)
    assert abs((level @ [0, 0, 1])[0]) < 1e-12, "levelling does not turn the camera about gravity"
    found = Mount.from_down(9.81 * level.T @ [0, 1, 0], 1.0)
    assert_allclose(found.level_from_camera, level, atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((0.0,), "height above the ground is 0"),
        ((-1.0,), "height above the ground is -1"),
        ((math.nan,), "height above the ground is nan"),
        ((math.inf,), "height above the ground is inf"),
        ((1.0, math.inf), "pitch is inf"),
        ((1.0, 0.0, math.nan), "roll is nan"),
        ((1.0, 15.0), "pitch is 15 rad (859 degrees)"),
        ((1.0, -math.radians(80.0)), "pitch is -1.39626 rad"),
    ],
)
def test_impossible_mounts_are_refused(arguments: tuple[float, ...], problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        Mount(*arguments)
    assert problem in caught.value.problem
    assert caught.value.remedy
