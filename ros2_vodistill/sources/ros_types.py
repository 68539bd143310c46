"""The ROS messages that are read and written here, spelt as in ROS 2."""

from __future__ import annotations

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"

TRANSFORMS = "tf2_msgs/msg/TFMessage"
OLD_TRANSFORMS = "tf/msg/tfMessage"
ALL_TRANSFORMS = (TRANSFORMS, OLD_TRANSFORMS)

ODOMETRY = "nav_msgs/msg/Odometry"
POSE = "geometry_msgs/msg/PoseStamped"
POSE_COVARIANCE = "geometry_msgs/msg/PoseWithCovarianceStamped"
TRANSFORM = "geometry_msgs/msg/TransformStamped"
POSES = (ODOMETRY, POSE, POSE_COVARIANCE, TRANSFORM)
