"""Between this package's arrays and ROS messages."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry

from ros2_vodistill import geometry
from ros2_vodistill.geometry import Array
from ros2_vodistill.live import Output


def nanoseconds(stamp: Any) -> int:
    """Of a builtin_interfaces/Time."""
    return int(stamp.sec * 10**9 + stamp.nanosec)


def time(stamp: int) -> Time:
    """Of nanoseconds."""
    return Time(sec=stamp // 10**9, nanosec=stamp % 10**9)


def odometry(output: Output, odom: str, base: str) -> Odometry:
    """Pose and its covariance about `odom`'s axes; twist and its covariance in `base`'s."""
    message = Odometry()
    message.header.stamp, message.header.frame_id, message.child_frame_id = time(output.stamp), odom, base
    message.pose.pose = pose(output.pose)
    message.pose.covariance = output.pose_covariance.ravel()
    linear, angular = output.twist[:3].tolist(), output.twist[3:].tolist()
    message.twist.twist.linear = Vector3(x=linear[0], y=linear[1], z=linear[2])
    message.twist.twist.angular = Vector3(x=angular[0], y=angular[1], z=angular[2])
    message.twist.covariance = output.twist_covariance.ravel()
    return message


def transform(odometry: Odometry) -> TransformStamped:
    """The same pose, for TF."""
    pose = odometry.pose.pose
    at = pose.position
    return TransformStamped(
        header=odometry.header,
        child_frame_id=odometry.child_frame_id,
        transform=Transform(translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=pose.orientation),
    )


def pose(matrix: Array) -> Pose:
    """Of a 4x4."""
    x, y, z = matrix[:3, 3].tolist()
    i, j, k, w = geometry.to_quaternion(matrix[:3, :3]).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=i, y=j, z=k, w=w))
