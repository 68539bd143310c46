"""ROS 2 messages made from this package's things, to be written to a bag."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike
from rosbags.typesys import Stores, get_typestore

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.geometry import Array
from ros2_vodistill.sources.base import Image
from ros2_vodistill.sources.ros_types import COMPRESSED, IMAGE, INFO, ODOMETRY, TRANSFORMS

STORE = get_typestore(Stores.ROS2_HUMBLE)
_TYPES = STORE.types


def nanoseconds(stamp: float) -> int:
    """Of a stamp in seconds; exact, so that dividing by 10**9 gives the same float back."""
    return round(Fraction(stamp) * 10**9)


def header(time: int, frame: str) -> Any:
    """A std_msgs/Header; the time is in nanoseconds."""
    stamp = _TYPES["builtin_interfaces/msg/Time"](sec=time // 10**9, nanosec=time % 10**9)
    return _TYPES["std_msgs/msg/Header"](stamp=stamp, frame_id=frame)


def image(time: int, frame: str, grey: Image) -> Any:
    """A sensor_msgs/Image."""
    height, width = grey.shape
    data = np.ascontiguousarray(grey).ravel()
    return _TYPES[IMAGE](header(time, frame), height, width, "mono8", 0, width, data)


def compressed(time: int, frame: str, grey: Image, form: str) -> Any:
    """A sensor_msgs/CompressedImage, jpeg or png."""
    data = cv2.imencode(f".{form}", grey)[1]
    return _TYPES[COMPRESSED](header(time, frame), f"mono8; {form} compressed mono8", data.ravel())


def camera_info(time: int, frame: str, camera: Camera) -> Any:
    """A sensor_msgs/CameraInfo."""
    model, distortion = camera.model, camera.distortion
    if model == "pinhole":
        model, distortion = "plumb_bob", (0.0,) * 5
    rotation = np.eye(3) if camera.rotation is None else np.array(camera.rotation)
    region = _TYPES["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    return _TYPES[INFO](
        header=header(time, frame),
        height=camera.height,
        width=camera.width,
        distortion_model=model,
        d=np.array(distortion, np.float64),
        k=camera.matrix.ravel(),
        r=rotation.ravel(),
        p=np.hstack([camera.matrix, np.zeros((3, 1))]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=region,
    )


def odometry(time: int, frame: str, child: str, pose: Array, twist: ArrayLike) -> Any:
    """A nav_msgs/Odometry with zero covariances: `pose` of `child` in `frame`; `twist` in the child's axes."""
    stated = _TYPES["geometry_msgs/msg/Pose"](_vector("Point", pose[:3, 3]), _quaternion(pose))
    linear, angular = np.asarray(twist, float).reshape(2, 3)
    moving = _TYPES["geometry_msgs/msg/Twist"](_vector("Vector3", linear), _vector("Vector3", angular))
    return _TYPES[ODOMETRY](
        header(time, frame),
        child,
        _TYPES["geometry_msgs/msg/PoseWithCovariance"](stated, np.zeros(36)),
        _TYPES["geometry_msgs/msg/TwistWithCovariance"](moving, np.zeros(36)),
    )


def transform(time: int, frame: str, child: str, pose: Array) -> Any:
    """A tf2_msgs/TFMessage with one transform: `pose` of `child` in `frame`."""
    stated = _TYPES["geometry_msgs/msg/Transform"](_vector("Vector3", pose[:3, 3]), _quaternion(pose))
    stamped = _TYPES["geometry_msgs/msg/TransformStamped"](header(time, frame), child, stated)
    return _TYPES[TRANSFORMS]([stamped])


def _vector(kind: str, values: ArrayLike) -> Any:
    x, y, z = (float(value) for value in np.asarray(values))
    return _TYPES[f"geometry_msgs/msg/{kind}"](x, y, z)


def _quaternion(pose: Array) -> Any:
    x, y, z, w = (float(value) for value in geometry.to_quaternion(pose[:3, :3]))
    return _TYPES["geometry_msgs/msg/Quaternion"](x, y, z, w)
