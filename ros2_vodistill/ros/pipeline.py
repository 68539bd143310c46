"""What lives from configure to cleanup: the engine, its feed, and what the node hears and says with it."""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Odometry
from rclpy.qos import QoSProfile, qos_profile_sensor_data
from std_srvs.srv import Trigger

from ros2_vodistill.calibration import load_camera
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError, line_of
from ros2_vodistill.geometry import Array
from ros2_vodistill.live import Feed, Frame, Health, Level, Slot, Speed, Stamps, Worker
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.ros.calibration import CameraInfos
from ros2_vodistill.ros.entities import Entities
from ros2_vodistill.ros.images import Images
from ros2_vodistill.ros.messages import nanoseconds
from ros2_vodistill.ros.outputs import Outputs
from ros2_vodistill.ros.place import Place
from ros2_vodistill.sources.transforms import plain, pose_of_pose

_SPEEDS: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "twist": (TwistStamped, lambda message: message.twist),
    "odom": (Odometry, lambda message: message.twist.twist),
}
"""Sources of speeds: the type of their messages, and the Twist in one."""


class Pipeline:
    """Made on configure; a VodistillError says why it cannot be.

    Args:
        made: where publishers, services, and the subscriptions go that are open while inactive, too.
        settings: the parameters' values; those that may change at any time change in it.

    Attributes:
        engine: in words.
    """

    def __init__(self, made: Entities, settings: dict[str, Any]) -> None:
        self._node, self._settings = made.node, settings
        self._logger = made.node.get_logger()
        odometry = self._make_odometry()
        self._images = Images(made.node, settings, self._on_frame)
        path, rectified = settings["camera_info_file"], self._images.rectified
        camera = load_camera(path, rectified=rectified, name=self._images.topic) if path else None
        self._outputs = Outputs(made, settings)
        clock, source = made.node.get_clock(), settings["speed_source"]
        speeds = made.node.resolve_topic_name(f"speed/{source}") if source in _SPEEDS else ""
        self._feed = Feed(
            odometry,
            self._outputs.publish,
            slot=Slot(settings["queue_size"]),
            stamps=Stamps(gap=settings["max_gap"]),
            speed=Speed(topic=speeds),
            wall=lambda: clock.now().nanoseconds,
        )
        self.apply()
        self._worker: Worker | None = None
        self._place = Place(made, settings, self._use_place)
        self._infos = None if camera else CameraInfos(made, rectified, self._use_camera)
        if camera:
            self._use_camera(camera)
        if speeds:
            kind, twist = _SPEEDS[source]
            made.subscription(kind, f"speed/{source}", lambda m: self._on_speed(m, twist(m)), qos_profile_sensor_data)
        made.subscription(PoseWithCovarianceStamped, "~/set_pose", self._on_set_pose, QoSProfile(depth=1))
        made.service(Trigger, "~/reset", self._on_reset)

    def apply(self) -> None:
        """Parameters have changed."""
        self._feed.speed.timeout = self._settings["speed_timeout"]
        self._feed.vitals.stall = self._settings["stall_timeout"]
        self._feed.restart_at_start = self._settings["reset_on_time_jump"]
        self._feed.withhold_degraded = self._settings["withhold_degraded"]

    def start(self) -> None:
        """Listen to images and work on them."""
        self._feed.pause()
        self._images.listen()
        self._worker = Worker(self._feed, self._failed)
        self._worker.start()
        self._logger.info(f"active: {self.engine}, images from {self._images.topic}")

    def stop(self) -> None:
        """Be silent; the pose is kept."""
        self._images.silence()
        if self._worker is not None and not self._worker.stop():
            self._logger.error("the worker does not end: the engine hangs")
        self._worker = None

    def clock_jumped(self, seconds: float) -> None:
        """ROS time has jumped by so much."""
        self._feed.clock_jumped(seconds)

    def health(self) -> Health:
        """While active."""
        if self._infos:
            self._infos.look()
        publishers = self._images.publishers()
        health = self._feed.health(len(publishers), self._images.topic)
        if why := self._images.incompatible(publishers):
            self._logger.warning(why, throttle_duration_sec=10.0)
            return replace(health, level=Level.ERROR, message=why)
        problem = (self._infos and self._infos.problem) or self._place.problem
        if health.message.startswith("waiting") and problem:
            return replace(health, message=f"{health.message}: {problem}")
        return health

    def values(self) -> dict[str, str]:
        """For the diagnostics, active or not."""
        return {
            "engine": self.engine,
            **({"engines passed over": self._passed_over} if self._passed_over else {}),
            "decoder": self._images.decoder.told,
            "subscribers of odom / tf / path": self._outputs.subscribers,
        }

    def _make_odometry(self) -> VisualOdometry:
        settings = self._settings
        odometry = VisualOdometry(
            settings["model"],
            engine=settings["engine"],
            mask=settings["mask"] or None,
            refine=None if settings["refine"] else False,
            threads=settings["threads"],
            max_gap=settings["max_gap"],
        )
        for passed in odometry.passed_over:
            self._logger.warning(f"engine passed over: {passed}")
        self._passed_over = "; ".join(odometry.passed_over)
        made = odometry.engine
        self.engine = f"{odometry.name} on {made.name}, {made.device}" if made else f"{odometry.name} on CPU"
        return odometry

    # What comes in

    def _on_frame(self, frame: Frame, frame_id: str) -> None:
        self._place.seen(frame_id)
        self._feed.offer(frame)

    def _use_camera(self, camera: Camera) -> None:
        self._feed.set_camera(camera).add_done_callback(self._report)

    def _use_place(self, mount: Mount, pose: Array) -> None:
        self._feed.set_place(mount, pose).add_done_callback(self._report)

    def _on_speed(self, message: Any, twist: Any) -> None:
        stamp = nanoseconds(message.header.stamp) or self._node.get_clock().now().nanoseconds
        linear = twist.linear
        self._feed.speed.add(stamp, math.hypot(linear.x, linear.y, linear.z))

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._worker is None:
                raise VodistillError("the node is not active", "Activate it first.")
            self._feed.reset().result(timeout=5.0)
            self._feed.command(self._outputs.forget_path)
            response.success, response.message = True, "at the origin"
        except (VodistillError, concurrent.futures.TimeoutError) as error:  # before Python 3.11 not the built-in one
            response.success, response.message = False, str(error) or "the worker is busy"
        return response

    def _on_set_pose(self, message: PoseWithCovarianceStamped) -> None:
        if self._worker is None:
            self._logger.error("set_pose is ignored: the node is not active", throttle_duration_sec=5.0)
            return
        frame, odom = plain(message.header.frame_id), plain(self._settings["odom_frame"])
        if frame != odom:
            self._logger.error(f"set_pose in '{frame}' is ignored: it must be in {odom}")
            return
        pose = pose_of_pose(message.pose.pose)
        covariance = np.array(message.pose.covariance).reshape(6, 6)
        if not (np.isfinite(pose).all() and np.isfinite(covariance).all()):
            self._logger.error("set_pose is ignored: it holds no pose")
            return
        at = ", ".join(f"{x:.2f}" for x in pose[:3, 3])
        self._feed.command(self._outputs.forget_path)
        self._feed.reset(pose, covariance).add_done_callback(lambda done: self._report(done, f"set_pose: at {at}"))

    # What the worker tells

    def _report(self, done: Any, success: str = "") -> None:
        """Of a command that it has carried out."""
        if error := done.exception():
            self._logger.error(line_of(error))
        elif success:
            self._logger.info(success)

    def _failed(self, error: Exception) -> None:
        """Something that nothing expected."""
        if self._node.context.ok():
            self._logger.error(line_of(error), throttle_duration_sec=5.0)
