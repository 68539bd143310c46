"""Poses over time: TUM and KITTI files, association in time, alignment in space."""

from ros2_vodistill.trajectory.association import MAX_GAP, STAMP_TOLERANCE, Alignment, align, alignment, associate
from ros2_vodistill.trajectory.files import load, read_kitti, read_times, read_tum, write_kitti, write_tum
from ros2_vodistill.trajectory.poses import Trajectory

__all__ = [
    "MAX_GAP", "STAMP_TOLERANCE", "Alignment", "Trajectory", "align", "alignment", "associate", "load", "read_kitti",
    "read_times", "read_tum", "write_kitti", "write_tum",
]  # fmt: skip
