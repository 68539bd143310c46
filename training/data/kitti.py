"""KITTI odometry: the data set's folder (sequences/00/image_0, poses/00.txt), or one sequence's alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory import read_kitti, read_times
from training.data.recording import Recording

HEIGHT = 1.65
"""Of the cameras above the road, metres."""


def read_sequence(root: Path, name: str, colour: bool = False, height: float = HEIGHT) -> Recording:
    """Sequence `name` of the data set in `root`."""
    folder = root / "sequences" / name
    if not folder.is_dir():
        raise VodistillError(f"{folder}: not there", "root must hold KITTI odometry's `sequences` and `poses`")
    return read_folder(folder, root / "poses" / f"{name}.txt", "image_2" if colour else "image_0", Mount(height=height))


def read_folder(
    folder: Path, poses: Path | None = None, images: str = "image_0", mount: Mount | None = None
) -> Recording:
    """A folder with images, calib.txt, times.txt and, if `poses` is not given, poses.txt (or no truth)."""
    files = sorted(p for p in (folder / images).glob("*") if p.suffix.lower() in (".png", ".jpg", ".jpeg"))
    if not files:
        raise VodistillError(f"{folder / images}: holds no images", "it must hold 000000.png, 000001.png, ...")
    first = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
    if first is None:
        raise VodistillError(f"{files[0]}: not an image", "restore the file")
    matrix = _projection(folder / "calib.txt", f"P{images[-1]}")
    height, width = first.shape[:2]
    camera = Camera(width, height, "pinhole", matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    stamps = read_times(folder / "times.txt")
    _same_length(folder / "times.txt", len(stamps), files)
    truth = poses or (folder / "poses.txt" if (folder / "poses.txt").exists() else None)
    return Recording(
        name=folder.name,
        images=files,
        stamps=stamps,
        camera=camera,
        mount=mount or Mount(height=None),
        poses=None if truth is None else _poses(truth, matrix, files),
    )


def _poses(path: Path, projection: NDArray[np.float64], files: list[Path]) -> NDArray[np.float64]:
    """KITTI's poses are the first grey camera's; the others sit beside it, at the place that their projection says."""
    poses = read_kitti(path).poses
    _same_length(path, len(poses), files)
    offset = np.eye(4)
    offset[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return poses @ offset


def _projection(path: Path, name: str) -> NDArray[np.float64]:
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise VodistillError(f"{path}: {error.strerror}", "restore the file") from error
    for line in lines:
        key, _, values = line.partition(":")
        if key.strip() == name:
            try:
                matrix = np.array([float(v) for v in values.split()]).reshape(3, 4)
            except ValueError as error:
                raise VodistillError(f"{path}: {name} is {values.strip()!r}", "it must be 12 numbers") from error
            if not matrix[0, 0] * matrix[1, 1] * matrix[2, 2] > 0:
                raise VodistillError(f"{path}: {name} has no focal length", "it must be a 3x4 projection, row by row")
            return matrix
    raise VodistillError(f"{path}: no line {name}:", "the calibration must name the camera that took the images")


def _same_length(path: Path, count: int, files: list[Path]) -> None:
    if count != len(files):
        raise VodistillError(f"{path}: {count} lines for the {len(files)} images in {files[0].parent}", "restore them")
