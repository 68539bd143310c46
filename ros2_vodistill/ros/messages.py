"""Between this package's arrays and ROS messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from nav_msgs.msg import Odometry
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.geometry import Array
from ros2_vodistill.image import decode_compressed, grey, to_grey
from ros2_vodistill.live import Output

_BY_CV_BRIDGE = {
    **dict.fromkeys(("mono8", "8UC1", "mono16", "16UC1", "bgr8", "8UC3", "bgra8", "8UC4"), "passthrough"),
    "rgb8": "bgr8",
    "rgba8": "bgra8",
}
"""Encodings that cv_bridge gives as what `image.grey` takes, and what to ask it for."""


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


def transform(output: Output, odom: str, base: str) -> TransformStamped:
    """`base` in `odom`."""
    stated = pose(output.pose)
    message = TransformStamped(child_frame_id=base)
    message.header.stamp, message.header.frame_id = time(output.stamp), odom
    at = stated.position
    message.transform = Transform(translation=Vector3(x=at.x, y=at.y, z=at.z), rotation=stated.orientation)
    return message


def pose_stamped(output: Output, odom: str) -> PoseStamped:
    """For a path."""
    message = PoseStamped(pose=pose(output.pose))
    message.header.stamp, message.header.frame_id = time(output.stamp), odom
    return message


def pose(matrix: Array) -> Pose:
    """Of a 4x4."""
    x, y, z = matrix[:3, 3].tolist()
    i, j, k, w = geometry.to_quaternion(matrix[:3, :3]).tolist()
    return Pose(position=Point(x=x, y=y, z=z), orientation=Quaternion(x=i, y=j, z=k, w=w))


def cv_bridge_or_none() -> tuple[Any | None, str]:
    """cv_bridge's converter where it works here, and which decoder is used, in words."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        bridge.cv2_to_imgmsg(np.zeros((2, 2), np.uint8), "mono8")
    except Exception as error:  # built for another numpy or OpenCV, it fails in many ways
        return None, f"own (cv_bridge does not work here: {type(error).__name__}: {error})"
    return bridge, "cv_bridge"


def decoder(message: Any, bridge: Any | None) -> Callable[[], NDArray[np.uint8]]:
    """What turns this Image or CompressedImage into grey, later."""
    if not hasattr(message, "encoding"):
        return lambda: decode_compressed(message.data)
    wanted = _BY_CV_BRIDGE.get(message.encoding)
    whole = len(message.data) == message.step * message.height > 0
    if bridge is None or wanted is None or not whole:
        return lambda: to_grey(
            message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
        )
    return lambda: grey(bridge.imgmsg_to_cv2(message, desired_encoding=wanted))
