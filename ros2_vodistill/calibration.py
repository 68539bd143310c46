"""Cameras from the calibration files that tools and data sets leave."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError

_FORMS = (
    "Known: KITTI (P0: or P_rect_00: lines), EuRoC sensor.yaml, Kalibr camchain, ROS camera_info YAML, "
    "or one line of text: fx fy cx cy [k1 k2 p1 p2 [k3]]."
)


def load_camera(
    path: Path | str, image_size: tuple[int, int] | None = None, *, rectified: bool = False, name: str = ""
) -> Camera:
    """The camera in a file, whose form is told from its content.

    Args:
        path: a KITTI calib.txt or calib_cam_to_cam.txt (camera 0), a EuRoC sensor.yaml, a Kalibr camchain, the
            YAML of a ROS camera_info (as the calibrator writes or `ros2 topic echo` prints it), or a line
            `fx fy cx cy [k1 k2 p1 p2 [k3]]`.
        image_size: width and height of the images that it is for. Files without a size need it; where it is another
            size of the same shape, the camera is scaled to it.
        rectified: the images are rectified already: a ROS file's projection matrix holds. Others hold no two.
        name: of the camera, or of its topic, where a file holds several; the first one where it is empty.
    """
    with _naming(path):
        camera = _fit(_parse(_text(Path(path)), image_size, rectified, name), image_size)
        if rectified and any(camera.distortion):
            raise VodistillError(
                "it is of the raw images, for it has distortion, and these are rectified",
                "Give that of the rectified images, or a ROS camera_info, which holds both.",
            )
        return camera


def load_projection(path: Path | str, name: str) -> NDArray[np.float64]:
    """The 3x4 matrix of KITTI's line `name`, such as P2: from the axes of camera 0, in metres, to a camera's pixels."""
    with _naming(path):
        rows = _rows(_text(Path(path)).splitlines())
        if name not in rows:
            raise VodistillError(f"no line {name}:", "It must have one for the camera that took the images.")
        return _projection(name, rows)


@contextmanager
def _naming(path: Path | str) -> Iterator[None]:
    """What is wrong in this block is so with this file."""
    try:
        yield
    except VodistillError as error:
        raise VodistillError(f"calibration {path}: {error.problem}", error.remedy) from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise VodistillError("no such file", "Check the path.") from None
    except IsADirectoryError:
        raise VodistillError("this is a folder", "Give the calibration file in it.") from None
    except UnicodeDecodeError:
        raise VodistillError("this is no text file", _FORMS) from None
    except OSError as error:
        raise VodistillError(f"cannot be read: {error.strerror}", "Check the file and its permissions.") from error


def _parse(text: str, image_size: tuple[int, int] | None, rectified: bool, camera: str) -> Camera:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
    if not lines:
        raise VodistillError("the file is empty", _FORMS)
    rows = _rows(lines)
    for name in ("P0", "P_rect_00"):
        if name in rows:
            return _kitti(name, rows, image_size)
    if len(lines) == 1 and re.fullmatch(r"[-+\d.,eEnaif\s]+", lines[0]):
        return _plain(lines[0], image_size)
    try:
        content = next(yaml.safe_load_all("\n".join(lines)))
    except yaml.YAMLError as error:
        raise VodistillError(f"neither YAML nor KITTI's form: {' '.join(str(error).split())}", _FORMS) from error
    if isinstance(content, Mapping):
        if "cam0" in content:
            return _kalibr(_mapping(content, _in_camchain(content, camera)), "distortion_coeffs")
        if "intrinsics" in content:
            return _kalibr(content, "distortion_coefficients")
        if "camera_matrix" in content:
            return _ros(content, rectified)
        if "k" in content or "K" in content:
            return Camera.from_camera_info(content, rectified=rectified)
    raise VodistillError("no calibration of a known form", _FORMS)


def _rows(lines: Sequence[str]) -> dict[str, str]:
    """KITTI's lines by their names."""
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _kitti(name: str, rows: Mapping[str, str], image_size: tuple[int, int] | None) -> Camera:
    """The rectified images of camera 0."""
    matrix = _projection(name, rows)
    if "S_rect_00" in rows:
        width, height = _floats(rows["S_rect_00"].split(), "S_rect_00", (2,))
        image_size = (round(width), round(height))
    return Camera(*_needed(image_size), "pinhole", matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])


def _projection(name: str, rows: Mapping[str, str]) -> NDArray[np.float64]:
    """3x4, without skew, in pixels."""
    matrix = np.array(_floats(rows[name].split(), name, (12,))).reshape(3, 4)
    (fx, _, cx), (_, fy, cy), _ = matrix[:, :3].tolist()
    plain = np.allclose(matrix[:, :3], [[fx, 0, cx], [0, fy, cy], [0, 0, 1]], rtol=0, atol=1e-6)
    if not (np.isfinite(matrix).all() and plain and min(fx, fy) > 0):
        raise VodistillError(
            f"{name} is {rows[name].strip()}",
            "It must be fx 0 cx a 0 fy cy b 0 0 1 c: a projection row by row, with focal lengths above zero.",
        )
    return matrix


def _plain(line: str, image_size: tuple[int, int] | None) -> Camera:
    fx, fy, cx, cy, *distortion = _floats(line.replace(",", " ").split(), "the line", (4, 8, 9))
    return Camera(*_needed(image_size), "plumb_bob" if distortion else "pinhole", fx, fy, cx, cy, tuple(distortion))


def _in_camchain(content: Mapping[str, Any], camera: str) -> str:
    """The key of the camera that is called so, or whose topic is."""
    cameras = {key: _mapping(content, key) for key in content if re.fullmatch(r"cam\d+", str(key))}
    topics = {key: str(one.get("rostopic", "")).strip("/") for key, one in cameras.items()}
    wanted = camera.strip("/").removesuffix("/compressed")
    found = next((key for key, topic in topics.items() if wanted and wanted in (key, topic)), None)
    if found is None and wanted and len(cameras) > 1:
        told = ", ".join(f"{key} ({topic or 'no rostopic'})" for key, topic in topics.items())
        raise VodistillError(f"it has {told}, and none is '{wanted}'", "Give a file with that camera alone.")
    return found or "cam0"


def _kalibr(content: Mapping[str, Any], coefficients: str) -> Camera:
    """Kalibr's keys, which EuRoC shares but for one."""
    if content.get("camera_model") != "pinhole":
        raise VodistillError(
            f"camera_model is {content.get('camera_model')!r}",
            "Only pinhole is known, with distortion_model none, radtan or equidistant: calibrate with one of them.",
        )
    width, height = _floats(content.get("resolution"), "resolution", (2,))
    fx, fy, cx, cy = _floats(content.get("intrinsics"), "intrinsics", (4,))
    distortion = _floats(content.get(coefficients, []), coefficients)
    model = str(content.get("distortion_model", "none"))
    if model == "none" and not any(distortion):
        distortion = []
    return Camera(round(width), round(height), model, fx, fy, cx, cy, tuple(distortion))


def _ros(content: Mapping[str, Any], rectified: bool) -> Camera:
    """As camera_calibration_parsers writes it: the message's fields under longer names."""

    def data(name: str) -> list[float] | None:
        value = content.get(name)
        return None if value is None else _floats(value.get("data") if isinstance(value, Mapping) else value, name)

    return Camera.from_camera_info(
        {
            "width": content.get("image_width"),
            "height": content.get("image_height"),
            "distortion_model": content.get("distortion_model"),
            "k": data("camera_matrix"),
            "d": data("distortion_coefficients"),
            "r": data("rectification_matrix"),
            "p": data("projection_matrix"),
        },
        rectified=rectified,
    )


def _fit(camera: Camera, image_size: tuple[int, int] | None) -> Camera:
    if image_size is None or image_size == (camera.width, camera.height):
        return camera
    width, height = image_size
    if abs(width / camera.width - height / camera.height) * max(camera.width, camera.height) > 2:
        raise VodistillError(
            f"it is for images of {camera.width} x {camera.height}, but these have {width} x {height}",
            "The shapes differ, so they are not just resized: give the calibration of these images.",
        )
    return camera.scaled(width, height)


def _needed(image_size: tuple[int, int] | None) -> tuple[int, int]:
    if image_size is None:
        raise VodistillError("this form has no image size", "Give the images' width and height beside it.")
    return image_size


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    if not isinstance(content[name], Mapping):
        raise VodistillError(f"{name} is {content[name]!r}", "It must hold the keys of one camera.")
    return content[name]


def _floats(values: Any, name: str, counts: tuple[int, ...] = ()) -> list[float]:
    """Numbers; YAML 1.1 reads some, such as 1e-5, as text."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        raise VodistillError(f"{name} is {values!r}", "It must be a list of numbers.") from None
    if counts and len(numbers) not in counts:
        expected = " or ".join(map(str, counts))
        raise VodistillError(f"{name} has {len(numbers)} numbers", f"It must have {expected}.")
    return numbers
