"""The camera's calibration, from camera_info or from a file."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import CameraInfo

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.ros.entities import Entities

_LATCHED = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class CameraInfos:
    """Listens to camera_info, however it is published: repeated, once, or latched.

    Args:
        made: where the subscriptions go.
        rectified: the images are rectified: P holds.
        use: called with the calibration when it comes and when it changes.

    Attributes:
        problem: why there is no calibration, or the last message is of no use; '' if it is.
    """

    def __init__(self, made: Entities, rectified: bool, use: Callable[[Camera], None]) -> None:
        self._made, self._rectified, self._use = made, rectified, use
        self._logger = made.node.get_logger()
        self._camera: Camera | None = None
        self._last: CameraInfo | None = None
        self._latched = False
        self.problem = ""
        made.subscription(CameraInfo, "camera_info", self._on_info, qos_profile_sensor_data)

    def look(self) -> None:
        """Who publishes. What was published once, before this node came, is heard by those alone who ask for it."""
        if self._camera is not None:
            return
        node = self._made.node
        topic = node.resolve_topic_name("camera_info")
        publishers = node.get_publishers_info_by_topic(topic)
        if self._last is None:
            self.problem = f"no message yet on {topic}" if publishers else f"nobody publishes {topic}"
        if not self._latched and any(
            info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for info in publishers
        ):
            self._latched = True
            self._made.subscription(CameraInfo, "camera_info", self._on_info, _LATCHED)

    def _on_info(self, message: CameraInfo) -> None:
        if self._last is not None:
            message.header = self._last.header
            if message == self._last:
                return
        self._last = message
        try:
            camera = Camera.from_camera_info(message, rectified=self._rectified)
        except VodistillError as error:
            self.problem = f"camera_info is not usable: {error.line}"
            self._logger.warning(self.problem)
            return
        self.problem = ""
        if camera == self._camera:
            return
        if self._camera is not None:
            self._logger.warning("the calibration has changed: the odometry goes on with the new one")
        self._camera = camera
        self._use(camera)
