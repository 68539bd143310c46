"""KITTI odometry: a sequence's folder with image_0 ... image_3, calib.txt and times.txt; its truth in poses.txt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ros2_vodistill import geometry
from ros2_vodistill.calibration import load_projection
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.sources.base import Options
from ros2_vodistill.sources.folder import TIMES, ImageFiles, file_times, image_files
from ros2_vodistill.trajectory import Trajectory, load

CAMERAS = ("image_0", "image_1", "image_2", "image_3")
CALIBRATION = "calib.txt"


def is_kitti(path: Path) -> bool:
    """Whether this is a sequence's folder."""
    return any((path / camera).is_dir() for camera in CAMERAS)


def open_kitti(path: Path, options: Options) -> ImageFiles:
    """The camera that `options.topic` names, else the first; the truth is moved from camera 0, whose poses KITTI gives.

    The truth is looked for in the folder's poses.txt and where the data set has it: ../../poses/NN.txt.
    """
    options.refuse(path, "a KITTI sequence", "truth_topic")
    present = [camera for camera in CAMERAS if (path / camera).is_dir()]
    camera = options.topic or present[0]
    if camera not in present:
        raise VodistillError(f"{path} has no camera '{camera}'", f"It has {', '.join(present)}.")
    files = image_files(path / camera)
    stamps = file_times(path / TIMES, files, options)
    calibration = path / CALIBRATION
    truth = options.true_path(stamps)
    if truth is None:
        truth = _find_truth(path, stamps if options.rate else path / TIMES)
        if truth is not None and camera != CAMERAS[0]:
            truth = replace(truth, poses=truth.poses @ camera_in_camera_0(calibration, int(camera[-1])))
    source = ImageFiles(path, stamps, files, truth)
    source.find_camera(options, [calibration])
    return source


def camera_in_camera_0(calibration: Path, number: int) -> Array:
    """The pose (4x4) of a camera in camera 0: the axes are the same, and P = K [1 | -position]."""
    positions = []
    for name in ("P0", f"P{number}"):
        try:
            matrix = load_projection(calibration, name)
        except VodistillError as error:
            raise VodistillError(
                f"{calibration} has no sound line {name}, which says where image_{number} is: {error.problem}",
                "Repair the file, or use image_0.",
            ) from error
        positions.append(-np.linalg.solve(matrix[:, :3], matrix[:, 3]))
    return geometry.make(np.eye(3), positions[1] - positions[0])


def _find_truth(path: Path, times: list[float] | Path) -> Trajectory | None:
    whole = path.resolve()
    for poses in (path / "poses.txt", whole.parent.parent / "poses" / f"{whole.name}.txt"):
        if poses.exists():
            return load(poses, times)
    return None
