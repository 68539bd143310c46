"""Malaga urban: its rectified extracts, with GPS as a rough truth. They measure; there are no poses to train on."""

from __future__ import annotations

import configparser
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from training.data.recording import Recording

COLUMNS = (0, 8, 9, 10)
"""Of a GPS file: seconds, and Local_X (east), Local_Y (north), Local_Z (up) in metres."""


def is_extract(folder: Path) -> bool:
    """Whether a folder looks like an extract of this data set."""
    return any(folder.glob("*_rectified_*_Images"))


def read_extract(folder: Path, mount: Mount | None = None) -> Recording:
    """The left camera of an extract: malaga-urban-dataset-extract-07, with its images, calibration and GPS."""
    places = sorted(folder.glob("*_rectified_*_Images"))
    if not places:
        raise VodistillError(f"{folder}: holds no *_rectified_*_Images", "give the folder of an extract")
    images = sorted(places[0].glob("*_left.jpg"), key=_stamp)
    if not images:
        raise VodistillError(f"{places[0]}: holds no *_left.jpg", "unpack the extract again")
    size = places[0].name.split("_rectified_")[1].removesuffix("_Images")
    return Recording(
        name=folder.name,
        images=images,
        stamps=np.array([_stamp(path) for path in images]),
        camera=_camera(folder / f"camera_params_rectified_a=0_{size}.txt", images[0]),
        mount=mount or Mount(height=None),
        gps=_gps(folder),
    )


def _stamp(path: Path) -> float:
    try:
        return float(path.name.split("_")[2])
    except (IndexError, ValueError):
        raise VodistillError(f"{path}: no time in its name", "it must be named img_CAMERA1_SECONDS_left.jpg") from None


def _camera(path: Path, image: Path) -> Camera:
    first = cv2.imread(str(image), cv2.IMREAD_UNCHANGED)
    if first is None:
        raise VodistillError(f"{image}: not an image", "restore the file")
    parser = configparser.ConfigParser(strict=False)
    try:
        if not parser.read(path):
            raise VodistillError(f"{path}: not there", "unpack the extract again")
        left = next(parser[name] for name in parser.sections() if "LEFT" in name.upper())
        fx, fy, cx, cy = (float(left[key]) for key in ("fx", "fy", "cx", "cy"))
    except (configparser.Error, StopIteration, KeyError, ValueError) as error:
        raise VodistillError(f"{path}: no fx, fy, cx, cy of a left camera: {error}", "restore the file") from error
    return Camera(first.shape[1], first.shape[0], "pinhole", fx, fy, cx, cy)


def _gps(folder: Path) -> NDArray[np.float64] | None:
    path = next(iter(folder.glob("*_all-sensors_GPS.txt")), None)
    if path is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file
            fixes = np.loadtxt(path, comments="%", usecols=COLUMNS, ndmin=2)
    except (OSError, ValueError) as error:
        raise VodistillError(f"{path}: {error}", "every line must hold at least 11 numbers") from error
    if len(fixes) < 2:
        raise VodistillError(
            f"{path}: {len(fixes)} fixes", "unpack the extract again, or remove the file to do without"
        )
    return fixes
