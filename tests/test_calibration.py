"""Calibration files as their tools write them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from numpy.testing import assert_allclose

from ros2_vodistill.calibration import load_camera
from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError

KITTI = """\
P0: 7.188560000000e+02 0.000000000000e+00 6.071928000000e+02 0.000000000000e+00 0.000000000000e+00 7.1e+02 \
1.852157000000e+02 0.000000000000e+00 0.000000000000e+00 0.000000000000e+00 1.000000000000e+00 0.000000000000e+00
P1: 1 0 2 -3 0 4 5 0 0 0 1 0
Tr: 1 0 0 0 0 1 0 0 0 0 1 0
"""

KITTI_RAW = """\
calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_00: 1.392000e+03 5.120000e+02
K_00: 9.842439e+02 0.000000e+00 6.900000e+02 0.000000e+00 9.808141e+02 2.331966e+02 0.000000e+00 0.000000e+00 1.0
D_00: -3.728755e-01 2.037299e-01 2.219027e-03 1.383707e-03 -7.233722e-02
S_rect_00: 1.242000e+03 3.750000e+02
R_rect_00: 1 0 0 0 1 0 0 0 1
P_rect_00: 7.215377e+02 0 6.095593e+02 0 0 7.215377e+02 1.728540e+02 0 0 0 1 0
"""

EUROC = """\
# Default calibration
sensor_type: camera
comment: VI-Sensor cam0 (MT9M034)

T_BS:
  cols: 4
  rows: 4
  data: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0.0, 0.0, 0.0, 1.0]

rate_hz: 20
resolution: [752, 480]
camera_model: pinhole
intrinsics: [458.654, 457.296, 367.215, 248.375] #fu, fv, cu, cv
distortion_model: radial-tangential
distortion_coefficients: [-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05]
"""

KALIBR = """\
%YAML:1.0
cam0:
  T_cam_imu:
  - [0.0, 1.0, 0.0, 0.0]
  cam_overlaps: [1]
  camera_model: pinhole
  distortion_coeffs: [0.0034, 7e-4, -0.002, 0.0002]
  distortion_model: equidistant
  intrinsics: [190.97, 190.98, 254.93, 256.89]
  resolution: [512, 512]
  rostopic: /cam0/image_raw
cam1:
  camera_model: pinhole
"""

FIRST = KALIBR.partition("cam1:")[0]
SECOND = FIRST.partition("cam0:")[2].replace("190.97,", "200.0,").replace("/cam0/image_raw", "/right/image")
CHAIN = f"{FIRST}cam1:{SECOND}"

ROS = """\
image_width: 640
image_height: 480
camera_name: narrow_stereo
camera_matrix:
  rows: 3
  cols: 3
  data: [500.0, 0.0, 330.0, 0.0, 510.0, 236.0, 0.0, 0.0, 1.0]
distortion_model: plumb_bob
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.1, 0.02, 0.001, 0.002, 0.0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1, 0, 0, 0, 1, 0, 0, 0, 1]
projection_matrix:
  rows: 3
  cols: 4
  data: [480.0, 0.0, 325.0, 0.0, 0.0, 480.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
"""

ECHO = """\
header:
  stamp: {sec: 5, nanosec: 7}
  frame_id: camera
height: 480
width: 640
distortion_model: plumb_bob
d: [-0.1, 0.02, 0.001, 0.002, 0.0]
k: [500.0, 0.0, 330.0, 0.0, 510.0, 236.0, 0.0, 0.0, 1.0]
r: [1, 0, 0, 0, 1, 0, 0, 0, 1]
p: [480.0, 0.0, 325.0, 0.0, 0.0, 480.0, 240.0, 0.0, 0.0, 0.0, 1.0, 0.0]
binning_x: 0
binning_y: 0
roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: false}
---
"""

RAW = Camera(640, 480, "plumb_bob", 500, 510, 330, 236, (-0.1, 0.02, 0.001, 0.002, 0))
EQUIDISTANT = Camera(512, 512, "equidistant", 190.97, 190.98, 254.93, 256.89, (0.0034, 7e-4, -0.002, 0.0002))
EUROC_CAMERA = Camera(
    752, 480, "plumb_bob", 458.654, 457.296, 367.215, 248.375, (-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05)
)

FILES = {
    "kitti": (KITTI, (1241, 376), Camera(1241, 376, "pinhole", 718.856, 710.0, 607.1928, 185.2157)),
    "kitti raw": (KITTI_RAW, None, Camera(1242, 375, "pinhole", 721.5377, 721.5377, 609.5593, 172.854)),
    "euroc": (EUROC, None, EUROC_CAMERA),
    "kalibr": (KALIBR, None, EQUIDISTANT),
    "kalibr without distortion": (
        KALIBR.replace("equidistant", "none").replace("[0.0034, 7e-4, -0.002, 0.0002]", "[]"),
        None,
        Camera(512, 512, "pinhole", 190.97, 190.98, 254.93, 256.89),
    ),
    "kalibr with zeros": (
        KALIBR.replace("equidistant", "none").replace("[0.0034, 7e-4, -0.002, 0.0002]", "[0, 0, 0, 0]"),
        None,
        Camera(512, 512, "pinhole", 190.97, 190.98, 254.93, 256.89),
    ),
    "ros": (ROS, None, RAW),
    "ros without a projection": (ROS.partition("projection_matrix")[0], None, RAW),
    "ros in lists": (
        ROS.partition("camera_matrix")[0]
        + "camera_matrix: [500, 0, 330, 0, 510, 236, 0, 0, 1]\ndistortion_model: plumb_bob\n"
        + "distortion_coefficients: [-0.1, 0.02, 0.001, 0.002, 0]\n",
        None,
        RAW,
    ),
    "ros topic echo": (ECHO, None, RAW),
    "ros 1": (ECHO.replace("\nd:", "\nD:").replace("\nk:", "\nK:").replace("\nr:", "\nR:"), None, RAW),
    "line": ("535.4 539.2 320.1 247.6\n", (640, 480), Camera(640, 480, "pinhole", 535.4, 539.2, 320.1, 247.6)),
    "line with distortion": (
        "# fx fy cx cy k1 k2 p1 p2 k3\n517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633",
        (640, 480),
        Camera(640, 480, "plumb_bob", 517.3, 516.5, 318.6, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_every_form_gives_the_camera_that_is_in_it(name: str, tmp_path: Path) -> None:
    text, size, camera = FILES[name]
    path = tmp_path / "calibration"
    path.write_text(text)
    assert load_camera(path, size) == camera
    assert load_camera(str(path), (camera.width, camera.height)) == camera


@pytest.mark.parametrize("text", [ROS, ECHO])
def test_rectified_images_take_the_projection_matrix(text: str, tmp_path: Path) -> None:
    path = tmp_path / "camera.yaml"
    path.write_text(text)
    assert load_camera(path, rectified=True) == Camera(640, 480, "pinhole", 480, 480, 325, 240)


def test_a_calibration_of_another_size_is_scaled(tmp_path: Path) -> None:
    path = tmp_path / "sensor.yaml"
    path.write_text(EUROC)
    camera = load_camera(path, (376, 240))
    assert (camera.width, camera.height) == (376, 240)
    assert_allclose(camera.rays([10.0, 20.0]), load_camera(path).rays([20.5, 40.5]))


def without(text: str, start: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.startswith(start))


BAD: dict[str, tuple[str, tuple[int, int] | None, str, str]] = {
    "empty": ("", None, "the file is empty", "Known: KITTI"),
    "comments only": ("# nothing\n", None, "the file is empty", "Known: KITTI"),
    "prose": ("a photograph of a camera", None, "no calibration of a known form", "Known: KITTI"),
    "list": ("[1, a]", None, "no calibration of a known form", "Known: KITTI"),
    "broken yaml": ("cam0: [1, 2\nresolution: }", None, "neither YAML nor", "Known: KITTI"),
    "kitti without size": (KITTI, None, "no image size", "width and height"),
    "kitti cut": ("P0: 1 2 3", (1241, 376), "P0 has 3 numbers", "12"),
    "kitti with words": ("P0: " + "x " * 12, (1241, 376), "P0 is ['x'", "numbers"),
    "kitti with nan": ("P0: " + "nan " * 12, (1241, 376), "P0 is nan nan", "fx 0 cx"),
    "kitti without an offset": ("P0: 7 0 6 inf 0 7 1 0 0 0 1 0", (1241, 376), "P0 is 7 0 6 inf", "fx 0 cx"),
    "kitti mirrored": ("P0: -7 0 6 0 0 -7 1 0 0 0 1 0", (1241, 376), "P0 is -7 0 6", "above zero"),
    "kitti upside down": ("P0: 7 0 6 0 0 -7 1 0 0 0 1 0", (1241, 376), "P0 is 7 0 6 0 0 -7", "above zero"),
    "kitti left to right": ("P0: -7 0 6 0 0 7 1 0 0 0 1 0", (1241, 376), "P0 is -7 0 6", "above zero"),
    "kitti skew": ("P0: 7 5 6 0 0 7 1 0 0 0 1 0", (1241, 376), "P0 is 7 5 6", "fx 0 cx"),
    "kitti twice as large": ("P0: 7 0 6 0 0 7 1 0 0 0 2 0", (1241, 376), "P0 is 7 0 6 0 0 7 1 0 0 0 2", "0 0 1"),
    "kitti of another size": (KITTI_RAW, (640, 480), "for images of 1242 x 375, but these have 640 x 480", "shapes"),
    "line of three": ("500 500 320", (640, 480), "the line has 3 numbers", "4 or 8 or 9"),
    "two lines": ("500 500 320 240\n500 500 320 240", (640, 480), "no calibration of a known form", "Known"),
    "line without size": ("500 500 320 240", None, "no image size", "width and height"),
    "line with nan": ("nan 500 320 240", (640, 480), "fx is nan", "Calibrate"),
    "zero focal": ("500 0 320 240", (640, 480), "focal length fy is 0", "Calibrate"),
    "euroc without intrinsics": (without(EUROC, "intrinsics"), None, "no calibration of a known form", "Known"),
    "euroc without resolution": (without(EUROC, "resolution"), None, "resolution is None", "numbers"),
    "euroc of two": (EUROC.replace("[752, 480]", "[752]"), None, "resolution has 1 numbers", "2"),
    "euroc short": (EUROC.replace("-0.28340811, ", ""), None, "'radial-tangential' with 3 coefficients", "4 or 5"),
    "kalibr omni": (KALIBR.replace("camera_model: pinhole", "camera_model: omni"), None, "'omni'", "pinhole"),
    "kalibr fov": (KALIBR.replace("equidistant", "fov"), None, "unknown distortion model 'fov'", "equidistant"),
    "kalibr flat": ("cam0: 5", None, "cam0 is 5", "keys"),
    "ros uncalibrated": (ROS.replace("500.0, 0.0, 330.0, 0.0, 510.0, 236.0, 0.0, 0.0, 1.0", "0, " * 8 + "0"), None,
                         "K is all zero", "Calibrate"),
    "ros without size": (without(ROS, "image_width"), None, "0x480", "size"),
    "ros short": (ROS.replace("510.0, 236.0, ", ""), None, "K has 7 numbers", "9"),
    "ros with words": (ROS.replace("[-0.1, 0.02,", "[a, 0.02,"), None, "distortion_coefficients is ['a'", "numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_with_name_value_and_remedy(name: str, tmp_path: Path) -> None:
    text, size, problem, remedy = BAD[name]
    path = tmp_path / "calibration.txt"
    path.write_text(text)
    with pytest.raises(VodistillError) as caught:
        load_camera(path, size)
    assert caught.value.problem.startswith(f"calibration {path}: ")
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy


def test_what_is_no_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\xff\xfe\x00")
    for path, problem in (("missing", "no such file"), (".", "folder"), ("image.png", "no text file")):
        with pytest.raises(VodistillError, match=problem):
            load_camera(tmp_path / path)


def test_real_kitti_calibration(shared_data: Path) -> None:
    camera = load_camera(shared_data / "kitti00" / "calib.txt", (1241, 376))
    assert camera == Camera(1241, 376, "pinhole", 718.856, 718.856, 607.1928, 185.2157)


@pytest.mark.parametrize(
    ("name", "camera"),
    [("", 0), ("cam0", 0), ("/cam0/image_raw", 0), ("cam1", 1), ("/right/image", 1), ("/right/image/compressed", 1)],
)
def test_of_a_camchain_the_camera_that_is_meant(tmp_path: Path, name: str, camera: int) -> None:
    (tmp_path / "chain.yaml").write_text(CHAIN)
    assert load_camera(tmp_path / "chain.yaml", name=name) == (EQUIDISTANT, replace(EQUIDISTANT, fx=200.0))[camera]


def test_of_a_camchain_no_camera_but_the_one_that_is_meant(tmp_path: Path) -> None:
    (tmp_path / "chain.yaml").write_text(CHAIN)
    told = r"it has cam0 \(cam0/image_raw\), cam1 \(right/image\), and none is 'left/image'"
    with pytest.raises(VodistillError, match=told):
        load_camera(tmp_path / "chain.yaml", name="/left/image")
    (tmp_path / "one.yaml").write_text(CHAIN.partition("cam1:")[0])
    assert load_camera(tmp_path / "one.yaml", name="/left/image") == EQUIDISTANT


@pytest.mark.parametrize("text", [EUROC, KALIBR], ids=["euroc", "kalibr"])
def test_raw_cameras_calibrations_are_not_those_of_rectified_images(tmp_path: Path, text: str) -> None:
    (tmp_path / "camera.yaml").write_text(text)
    with pytest.raises(VodistillError, match=r"of the raw images.*these are rectified"):
        load_camera(tmp_path / "camera.yaml", rectified=True)
