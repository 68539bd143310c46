"""Malaga urban: its rectified extracts, with GPS as a rough truth. They measure; there are no poses to train on."""

from __future__ import annotations

import configparser
import math
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.folder import image_files, read_image
from training.data.recording import Recording

COLUMNS = (0, 8, 9, 10)
"""Of a GPS file: seconds, and Local_X (east), Local_Y (north), Local_Z (up) in metres."""
IMAGES, GPS = "[!.]*_rectified_*_Images", "[!.]*_all-sensors_GPS.txt"
"""What they are called; a Macintosh leaves files beside others whose names begin with a dot."""


def is_extract(folder: Path) -> bool:
    """Whether a folder looks like an extract of this data set."""
    return any(folder.glob(IMAGES))


def read_extract(folder: Path, mount: Mount | None = None) -> Recording:
    """The left camera of an extract: malaga-urban-dataset-extract-07, with its images, calibration and GPS."""
    places = sorted(folder.glob(IMAGES))
    if not places:
        raise VodistillError(f"{folder}: holds no *_rectified_*_Images", "give the folder of an extract")
    images = sorted((file for file in image_files(places[0]) if file.name.endswith("_left.jpg")), key=_stamp)
    if not images:
        raise VodistillError(f"{places[0]}: holds no *_left.jpg", "unpack the extract again")
    stamps = np.array([_stamp(path) for path in images])
    if (np.diff(stamps) == 0).any():
        first = int(np.argmin(np.diff(stamps)))
        raise VodistillError(f"{images[first]}: has the time of {images[first + 1].name}", "remove one of them")
    size = places[0].name.split("_rectified_")[1].removesuffix("_Images")
    return Recording(
        name=folder.name,
        images=images,
        stamps=stamps,
        camera=_camera(folder / f"camera_params_rectified_a=0_{size}.txt", images[0]),
        mount=mount or Mount(),
        gps=_gps(folder),
    )


def _stamp(path: Path) -> float:
    try:
        stamp = float(path.name.split("_")[2])
    except (IndexError, ValueError):
        stamp = math.nan
    if not math.isfinite(stamp):
        raise VodistillError(f"{path}: no time in its name", "it must be named img_CAMERA1_SECONDS_left.jpg")
    return stamp


def _camera(path: Path, image: Path) -> Camera:
    height, width = read_image(image).shape
    parser = configparser.ConfigParser(strict=False)
    try:
        if not parser.read(path):
            raise VodistillError(f"{path}: not there", "unpack the extract again")
        left = next(parser[name] for name in parser.sections() if "LEFT" in name.upper())
        fx, fy, cx, cy = (float(left[key]) for key in ("fx", "fy", "cx", "cy"))
    except (configparser.Error, StopIteration, KeyError, ValueError) as error:
        raise VodistillError(f"{path}: no fx, fy, cx, cy of a left camera: {error}", "restore the file") from error
    try:
        return Camera(width, height, "pinhole", fx, fy, cx, cy)
    except VodistillError as error:
        raise VodistillError(f"{path}: {error.problem}", "restore the file") from error


def _gps(folder: Path) -> NDArray[np.float64] | None:
    path = next(iter(folder.glob(GPS)), None)
    if path is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an empty file
            fixes = np.loadtxt(path, comments="%", usecols=COLUMNS, ndmin=2)
    except (OSError, ValueError) as error:
        raise VodistillError(f"{path}: {error}", "every line must hold at least 11 numbers") from error
    if (bad := ~np.isfinite(fixes).all(axis=1)).any():
        values = " ".join(map(repr, fixes[bad.argmax()].tolist()))
        raise VodistillError(f"{path}: a fix of {values} (seconds, east, north, up)", "remove that line")
    if (times := len(np.unique(fixes[:, 0]))) < 2:
        raise VodistillError(
            f"{path}: fixes at {times} time", "unpack the extract again, or remove the file to do without"
        )
    return fixes
