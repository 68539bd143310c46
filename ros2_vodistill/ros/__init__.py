"""The only package that imports rclpy: topics, transforms, parameters and services around `ros2_vodistill.live`."""

from __future__ import annotations

import importlib.util
import sys


def sourced() -> bool:
    """Whether there is a ROS 2 to import; if not, what to do is said on stderr."""
    if importlib.util.find_spec("rclpy") is not None:
        return True
    print("error: there is no ROS 2 here: no rclpy", file=sys.stderr)
    print("  Source your ROS 2: source /opt/ros/<distro>/setup.bash", file=sys.stderr)
    return False
