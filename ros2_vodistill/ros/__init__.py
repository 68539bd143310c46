"""The only room that imports rclpy: topics, transforms, parameters and services around `ros2_vodistill.live`."""
