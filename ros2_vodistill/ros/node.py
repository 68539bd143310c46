"""`ros2 run ros2_vodistill vo`: spins the lifecycle node `vo`."""

from __future__ import annotations

import signal
import sys

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.ros import sourced


def main(arguments: list[str] | None = None) -> int:
    """Code 2: no ROS 2 is sourced, or arguments or parameters that cannot be."""
    if not sourced():
        return 2
    import rclpy

    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # RCLError: rcl cannot read the arguments
        print(f"error: {error}", file=sys.stderr)
        return 2
    node = None
    try:
        from ros2_vodistill.ros.lifecycle import VoNode  # takes its time, in which signals are obeyed

        node = VoNode()
        rclpy.spin(node)
    except VodistillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        pass
    except Exception:
        if rclpy.ok():
            raise  # else it was told to end, whatever it was about to do
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # one is enough, and launch may send a second
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
