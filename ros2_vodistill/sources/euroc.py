"""EuRoC MAV and its relatives (TUM-VI): mav0/cam0 with data.csv and sensor.yaml, the truth of the body beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.sources.base import Options
from ros2_vodistill.sources.folder import ImageFiles
from ros2_vodistill.sources.listing import read_listing
from ros2_vodistill.table import read_table
from ros2_vodistill.trajectory import Trajectory

TRUTH = "state_groundtruth_estimate0"
TABLE, SENSOR = "data.csv", "sensor.yaml"


def is_euroc(path: Path) -> bool:
    """Whether this is a sequence's folder or the mav0 in it."""
    return bool(_cameras(_root(path)))


def open_euroc(path: Path, options: Options) -> ImageFiles:
    """The camera that `options.topic` names (cam1), else the first; the truth is moved from the body to the camera."""
    options.refuse(path, "a EuRoC sequence", "truth_topic", "rate")
    root = _root(path)
    present = _cameras(root)
    camera = options.topic or present[0]
    if camera not in present:
        raise VodistillError(f"{path} has no camera '{camera}'", f"It has {', '.join(present)}.")
    folder = root / camera
    stamps, files = read_listing(folder / TABLE, folder / "data", per_second=10**9)
    truth = options.true_path(stamps) or _read_truth(root / TRUTH, folder)
    source = ImageFiles(path, stamps, files, truth)
    source.find_camera(options, [folder / SENSOR], camera)
    return source


def _root(path: Path) -> Path:
    return path / "mav0" if (path / "mav0").is_dir() else path


def _cameras(root: Path) -> list[str]:
    return sorted(table.parent.name for table in root.glob(f"cam*/{TABLE}"))


def _read_truth(folder: Path, camera: Path) -> Trajectory | None:
    """The camera's poses from those of the sensor that the truth is of; both say where they are on the body (T_BS)."""
    if not (folder / TABLE).exists():
        return None
    numbers = read_table(folder / TABLE, (17, 8)).numbers
    offset = geometry.invert(_on_body(folder / SENSOR)) @ _on_body(camera / SENSOR)
    poses = geometry.make(geometry.from_quaternion(numbers[:, [5, 6, 7, 4]]), numbers[:, 1:4])
    try:
        return Trajectory(numbers[:, 0] / 1e9, poses @ offset)
    except VodistillError as error:
        raise VodistillError(f"{folder / TABLE}: {error.problem}", error.remedy) from error


def _on_body(sensor: Path) -> Array:
    """The pose (4x4) of a sensor on the body, T_BS; the body itself where the file does not say."""
    try:
        text = sensor.read_text(encoding="utf-8")
        content = yaml.safe_load("\n".join(line for line in text.splitlines() if not line.startswith("%")))
        pose = np.array(content["T_BS"]["data"], float).reshape(4, 4)
    except FileNotFoundError:
        return np.eye(4)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise VodistillError(
            f"{sensor} has no sound T_BS, 16 numbers: {type(error).__name__}: {error}", "Copy the file again."
        ) from error
    return pose
