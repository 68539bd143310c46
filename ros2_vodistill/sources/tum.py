"""TUM RGB-D: rgb.txt lists stamps and images; groundtruth.txt holds the colour camera's optical poses."""

from __future__ import annotations

from pathlib import Path

from ros2_vodistill.sources.base import Options
from ros2_vodistill.sources.folder import CALIBRATIONS, ImageFiles
from ros2_vodistill.sources.listing import read_listing
from ros2_vodistill.trajectory import load

IMAGES, TRUTH = "rgb.txt", "groundtruth.txt"


def is_tum(path: Path) -> bool:
    """Whether this is a sequence's folder."""
    return (path / IMAGES).is_file()


def open_tum(path: Path, options: Options) -> ImageFiles:
    """The data set has no calibration in its folders; a file beside rgb.txt is found."""
    options.refuse(path, "a TUM sequence", "topic", "truth_topic", "rate")
    stamps, files = read_listing(path / IMAGES, path)
    truth = options.true_path(stamps) or (load(path / TRUTH) if (path / TRUTH).exists() else None)
    source = ImageFiles(path, stamps, files, truth)
    source.find_camera(options, [path / name for name in CALIBRATIONS])
    return source
