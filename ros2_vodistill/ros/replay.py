"""Play a bag through a running node, record its odometry, and measure it against the bag's truth.

What `replay.launch.py` starts beside the node; its exit code is the launch's.
"""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.ros import sourced


def main(arguments: list[str] | None = None) -> int:
    """Code 0: measured. 1: a bag, folder or player that is no good, no odometry, or interrupted. 2: wrong arguments, or
    no ROS 2 is sourced."""
    if not sourced():
        return 2
    interrupted: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):  # before the imports, which take a second
        signal.signal(number, lambda given, _: interrupted.append(given))
    import rclpy
    from rclpy.signals import SignalHandlerOptions

    from ros2_vodistill.ros.playback import replay

    rclpy.init(args=arguments, signal_handler_options=SignalHandlerOptions.NO)
    parser = argparse.ArgumentParser(prog="replay", description=__doc__.splitlines()[0])
    parser.add_argument("bag", type=Path, help="rosbag2 folder")
    parser.add_argument("--out", type=Path, required=True, help="folder for trajectory.tum and metrics.json")
    parser.add_argument("--topic", help="of the images, where the bag has several")
    parser.add_argument("--rate", type=float, default=1.0, help="of playing, 1 is as recorded")
    options = parser.parse_args(rclpy.utilities.remove_ros_args(arguments or sys.argv)[1:])
    try:
        figures = replay(options.bag, options.topic, options.out, options.rate, lambda: bool(interrupted))
    except VodistillError as error:
        print("interrupted" if interrupted else f"error: {error}", file=sys.stderr, flush=True)
        return 1
    finally:
        rclpy.try_shutdown()
    for name, value in figures.items():
        print(f"{name:>24}: {value:.4g}" if isinstance(value, float) else f"{name:>24}: {value}", flush=True)
    print(f"{'written to':>24}: {options.out}", flush=True)
    return 1 if interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
