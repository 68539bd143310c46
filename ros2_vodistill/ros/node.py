"""`ros2 run ros2_vodistill vo`: spins the lifecycle node `vo`."""

from __future__ import annotations

import sys

from ros2_vodistill.ros import sourced


def main(arguments: list[str] | None = None) -> int:
    """Code 2: no ROS 2 is sourced."""
    if not sourced():
        return 2
    import rclpy
    from rclpy.executors import ExternalShutdownException

    from ros2_vodistill.ros.lifecycle import VoNode

    rclpy.init(args=arguments)
    node = VoNode()
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
