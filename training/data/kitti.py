"""KITTI odometry: the data set's folder (sequences/00/image_0, poses/00.txt), or one sequence's alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.calibration import load_projection
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.folder import image_files, read_image
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
    files = image_files(folder / images) if (folder / images).is_dir() else []
    if not files:
        raise VodistillError(f"{folder / images}: holds no images", "it must hold 000000.png, 000001.png, ...")
    height, width = read_image(files[0]).shape
    matrix = load_projection(folder / "calib.txt", f"P{images[-1]}")
    camera = Camera(width, height, "pinhole", matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])
    stamps = read_times(folder / "times.txt")
    if len(stamps) != len(files):
        raise VodistillError(
            f"{folder / 'times.txt'}: {len(stamps)} lines for the {len(files)} images in {files[0].parent}",
            "restore them",
        )
    truth = poses or (folder / "poses.txt" if (folder / "poses.txt").exists() else None)
    return Recording(
        name=folder.name,
        images=files,
        stamps=stamps,
        camera=camera,
        mount=mount or Mount(),
        poses=None if truth is None else _poses(truth, matrix, files),
    )


def _poses(path: Path, projection: NDArray[np.float64], files: list[Path]) -> NDArray[np.float64]:
    """KITTI's poses are the first grey camera's; the others sit beside it, at the place that their projection says."""
    truth = read_kitti(path)
    if not np.array_equal(truth.stamps, np.arange(len(files))):
        raise VodistillError(
            f"{path}: {len(truth)} poses, of frames {truth.stamps[0]:.0f} to {truth.stamps[-1]:.0f}, "
            f"for the {len(files)} images in {files[0].parent}",
            "it must hold the pose of every frame, in order from 0",
        )
    offset = np.eye(4)
    offset[:3, 3] = -np.linalg.solve(projection[:, :3], projection[:, 3])
    return truth.poses @ offset
