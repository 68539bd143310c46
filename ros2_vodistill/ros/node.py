"""The lifecycle node `vo`: images in; odometry, TF, path and diagnostics out. Thin: the rules are in `live`."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import replace
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped, PoseWithCovarianceStamped, TwistStamped
from nav_msgs.msg import Odometry, Path
from rclpy.clock import JumpThreshold
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger
from tf2_msgs.msg import TFMessage
from tf2_ros import TransformBroadcaster

from ros2_vodistill import geometry
from ros2_vodistill.calibration import load_camera
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.live import Feed, Frame, Health, Level, Output, Slot, Speed, Stamps, Worker
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.ros import declared, diagnostics, messages
from ros2_vodistill.sources.transforms import Transforms, mount_of, plain, pose_of_pose

_LATCHED = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
_SENSOR = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class VoNode(LifecycleNode):
    """See docs/robot.md for its topics, docs/parameters.md for its parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__("vo", **options)
        self._values = declared.declare(self)
        self.add_on_set_parameters_callback(self._set_parameters)
        self._feed: Feed | None = None
        self._worker: Worker | None = None
        self._problem = "unconfigured"
        self._made: list[tuple[Any, Any]] = []
        self._images: Any = None
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        self._timer = self.create_timer(self._values["diagnostics_period"], self._tell)
        self._autostart = self.create_timer(0.0, self._start) if self._values["autostart"] else None
        jumps = JumpThreshold(min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True)
        self._jump = self.get_clock().create_jump_callback(jumps, post_callback=self._jumped)

    # Lifecycle

    def _start(self) -> None:
        assert self._autostart is not None
        self.destroy_timer(self._autostart)
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Make the engine; a failure says what and why and may be tried again."""
        try:
            self._configure()
        except VodistillError as error:
            self._problem = f"not configured: {error.problem} {error.remedy}".strip()
            again = f"ros2 lifecycle set {self.get_fully_qualified_name()} configure"
            self.get_logger().error(f"{self._problem} To try again: {again}")
            self._release()
            return TransitionCallbackReturn.FAILURE
        self._problem = "inactive"
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen to images and work on them."""
        assert self._feed is not None
        self._feed.slot.clear()
        self._feed.stamps.forget()
        self._worker = Worker(self._feed, self._failed)
        self._worker.start()
        self._listen()
        self._problem = ""
        self.get_logger().info(f"active: {self._engine}, images from {self._topic}")
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Be silent; the pose is kept."""
        self._halt()
        self._problem = "inactive"
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the engine back."""
        self._release()
        self._problem = "unconfigured"
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """End."""
        self._release()
        self._problem = "shut down"
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Back to unconfigured, from where it can be tried again."""
        self._release()
        self._problem = "unconfigured after an error"
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> None:
        """Before the node is destroyed."""
        self._release()

    def _configure(self) -> None:
        values = self._values
        odometry = VisualOdometry(
            values["model"],
            engine=values["engine"],
            refine=None if values["refine"] else False,
            threads=values["threads"],
            max_gap=values["max_gap"],
        )
        for passed in odometry.passed_over:
            self.get_logger().warning(f"engine passed over: {passed}")
        made = odometry.engine
        self._engine = f"{odometry.name} on {made.name}, {made.device}" if made else f"{odometry.name} on CPU"
        self._passed_over = "; ".join(odometry.passed_over)
        self._feed = Feed(
            odometry,
            self._publish,
            slot=Slot(values["queue_size"]),
            stamps=Stamps(gap=values["max_gap"]),
            speed=Speed(values["speed_timeout"]),
            restart_at_start=values["reset_on_time_jump"],
            withhold_degraded=values["withhold_degraded"],
            stall=values["stall_timeout"],
            wall=lambda: self.get_clock().now().nanoseconds,
        )
        self._camera: Camera | None = None
        self._latched_info = False
        self._place: tuple[Mount, tuple[float, ...]] | None = None
        self._place_problem, self._info_problem, self._frame = "", "", values["camera_frame"]
        self._transforms = Transforms()
        self._path: deque[PoseStamped] = deque(maxlen=values["path_length"])
        self._path_due = 0.0
        self._bridge, self._decoder = messages.cv_bridge_or_none()
        self._topic = self.resolve_topic_name("image")
        if values["image_transport"] == "compressed":
            self._topic += "/compressed"
        rectified = self.resolve_topic_name("image").rpartition("/")[2].startswith("image_rect")
        self._rectified = values["rectified"] or rectified
        if values["camera_info_file"]:
            self._use_camera(load_camera(values["camera_info_file"], rectified=self._rectified))
        self._offer()
        self._find_place()

    def _offer(self) -> None:
        """Publishers, services and the subscriptions that are open while inactive, too."""
        self._odometry = self._keep(self.create_publisher(Odometry, "odom", 10), self.destroy_publisher)
        self._path_out = self._keep(self.create_publisher(Path, "path", 1), self.destroy_publisher)
        self._broadcaster = TransformBroadcaster(self)
        self._keep(self._broadcaster.pub_tf, self.destroy_publisher)
        self._keep(self.create_service(Trigger, "~/reset", self._on_reset), self.destroy_service)
        self._subscribe(PoseWithCovarianceStamped, "~/set_pose", self._on_set_pose, QoSProfile(depth=1))
        self._subscribe(TFMessage, "/tf_static", self._on_transforms, _LATCHED)
        if not self._values["camera_info_file"]:
            self._subscribe(CameraInfo, "camera_info", self._on_info, _SENSOR)
        if self._values["speed_source"] == "twist":
            self._subscribe(TwistStamped, "speed/twist", lambda m: self._on_speed(m, m.twist), _SENSOR)
        elif self._values["speed_source"] == "odom":
            self._subscribe(Odometry, "speed/odom", lambda m: self._on_speed(m, m.twist.twist), _SENSOR)

    def _listen(self) -> None:
        values = self._values
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=values["depth"],
            reliability=ReliabilityPolicy[values["reliability"].upper()],
        )
        self._images = self.create_subscription(
            CompressedImage if values["image_transport"] == "compressed" else Image,
            self._topic,
            self._on_image,
            profile,
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _hear_latched_info(self) -> None:
        """A calibration that was published once, before this node came, is heard by those alone who ask for it."""
        if self._feed is None or self._camera is not None or self._latched_info:
            return
        publishers = self.get_publishers_info_by_topic(self.resolve_topic_name("camera_info"))
        if any(info.qos_profile.durability is DurabilityPolicy.TRANSIENT_LOCAL for info in publishers):
            self._latched_info = True
            self._subscribe(CameraInfo, "camera_info", self._on_info, _LATCHED)

    def _subscribe(self, kind: Any, topic: str, callback: Any, profile: QoSProfile) -> None:
        self._keep(self.create_subscription(kind, topic, callback, profile), self.destroy_subscription)

    def _keep(self, thing: Any, destroy: Any) -> Any:
        self._made.append((thing, destroy))
        return thing

    def _halt(self) -> None:
        if self._images is not None:
            self.destroy_subscription(self._images)
            self._images = None
        if self._worker is not None and not self._worker.stop():
            self.get_logger().error("the worker does not end: the engine hangs")
        self._worker = None

    def _release(self) -> None:
        self._halt()
        while self._made:
            thing, destroy = self._made.pop()
            destroy(thing)
        self._feed = None

    # What comes in

    def _on_image(self, message: Any) -> None:
        if self._feed is None:
            return
        if not self._values["camera_frame"] and plain(message.header.frame_id) != self._frame:
            self._frame = plain(message.header.frame_id)
            self._find_place()
        self._feed.offer(
            Frame(
                messages.nanoseconds(message.header.stamp),
                self.get_clock().now().nanoseconds,
                time.monotonic(),
                messages.decoder(message, self._bridge),
            )
        )

    def _on_info(self, message: CameraInfo) -> None:
        try:
            camera = Camera.from_camera_info(message, rectified=self._rectified)
        except VodistillError as error:
            self._warn_once("_info_problem", f"camera_info is not usable: {error.problem}. {error.remedy}")
            return
        self._info_problem = ""
        self._use_camera(camera)

    def _use_camera(self, camera: Camera) -> None:
        assert self._feed is not None
        if camera == self._camera:
            return
        if self._camera is not None:
            self.get_logger().warning("the calibration has changed: the odometry goes on with the new one")
        self._camera = camera
        self._feed.set_camera(camera).add_done_callback(self._report)

    def _on_transforms(self, message: TFMessage) -> None:
        self._transforms.add_message(message)
        self._find_place()

    def _find_place(self) -> None:
        """Where the camera is on the robot, from the parameters, else from /tf_static; waits if neither tells."""
        assert self._feed is not None
        try:
            mount, pose = self._mount_and_pose()
        except VodistillError as error:
            self._warn_once("_place_problem", f"{error.problem}. {error.remedy}")
            return
        self._place_problem = ""
        place = mount, tuple(pose.ravel().tolist())
        if place == self._place:
            return
        self._place = place
        height = f"{mount.height:g} m" if mount.height else "unknown"
        self.get_logger().info(
            f"camera: height {height}, pitch {math.degrees(mount.pitch):.2f}, roll {math.degrees(mount.roll):.2f} deg"
        )
        self._feed.set_place(mount, pose).add_done_callback(self._report)

    def _mount_and_pose(self) -> tuple[Mount, Array]:
        values, base = self._values, plain(self._values["base_frame"])
        given = values["camera_pose"]
        if any(given):
            pose = geometry.make(geometry.from_quaternion(given[3:]), given[:3])
            mount = _mount(pose)
        else:
            found = self._transforms.lookup(base, self._frame) if self._frame else None
            if found is None:
                raise VodistillError(
                    f"waiting for the transform from {base} to {self._frame or 'the camera (no image yet)'}",
                    "Publish it on /tf_static, or set the parameter camera_pose",
                )
            pose = found
            mount = mount_of(self._transforms, self._frame)[0] or _mount(pose)
        angles = {"pitch": values["camera_pitch"], "roll": values["camera_roll"]}
        mount = replace(mount, **{name: math.radians(a) for name, a in angles.items() if not math.isnan(a)})
        if not math.isnan(values["camera_height"]):
            mount = replace(mount, height=values["camera_height"])
        return mount, pose

    def _on_speed(self, message: Any, twist: Any) -> None:
        assert self._feed is not None
        stamp = messages.nanoseconds(message.header.stamp) or self.get_clock().now().nanoseconds
        linear = twist.linear
        self._feed.speed.add(stamp, math.hypot(linear.x, linear.y, linear.z))

    def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        try:
            if self._feed is None or self._worker is None:
                raise VodistillError("the node is not active", "Activate it first.")
            self._feed.reset().result(timeout=5.0)
            self._path.clear()
            response.success, response.message = True, "at the origin"
        except (VodistillError, TimeoutError) as error:
            response.success, response.message = False, str(error) or "the worker is busy"
        return response

    def _on_set_pose(self, message: PoseWithCovarianceStamped) -> None:
        assert self._feed is not None
        frame = plain(message.header.frame_id)
        if frame != plain(self._values["odom_frame"]):
            self.get_logger().error(f"set_pose in '{frame}' is ignored: it must be in {self._values['odom_frame']}")
            return
        pose = pose_of_pose(message.pose.pose)
        covariance = np.array(message.pose.covariance).reshape(6, 6)
        if not (np.isfinite(pose).all() and np.isfinite(covariance).all()):
            self.get_logger().error("set_pose is ignored: it holds no pose")
            return
        at = ", ".join(f"{x:.2f}" for x in pose[:3, 3])
        self._feed.reset(pose, covariance).add_done_callback(lambda done: self._report(done, f"set_pose: at {at}"))

    def _set_parameters(self, changes: list[Any]) -> Any:
        result, values = declared.check(changes, self._values, configured=self._feed is not None)
        if result.successful:
            self._values = values
            if self._feed is not None:
                self._feed.speed.timeout = values["speed_timeout"]
                self._feed.stall = values["stall_timeout"]
                self._feed.restart_at_start = values["reset_on_time_jump"]
                self._feed.withhold_degraded = values["withhold_degraded"]
                if self._path.maxlen != values["path_length"]:
                    self._path = deque(self._path, maxlen=values["path_length"])
        return result

    def _jumped(self, jump: Any) -> None:
        self.get_logger().warning(f"the ROS clock jumped by {jump.delta.nanoseconds / 1e9:.2f} s")

    # What goes out

    def _publish(self, output: Output) -> None:
        """On the worker's thread."""
        odom, base = self._values["odom_frame"], self._values["base_frame"]
        self._odometry.publish(messages.odometry(output, odom, base))
        if self._values["publish_tf"]:
            self._broadcaster.sendTransform(messages.transform(output, odom, base))
        now = time.monotonic()
        if self._values["path_rate"] > 0 and now >= self._path_due:
            self._path_due = now + 1.0 / self._values["path_rate"]
            self._path.append(messages.pose_stamped(output, odom))
            if self._path_out.get_subscription_count():
                path = Path(poses=list(self._path))
                path.header = self._path[-1].header
                self._path_out.publish(path)

    def _tell(self) -> None:
        self._hear_latched_info()
        health = self._health()
        more = {"state": self._problem or "active"}
        if self._feed is not None:
            more |= {"engine": self._engine, "decoder": self._decoder}
            more |= {"engines passed over": self._passed_over} if self._passed_over else {}
            heard = (self._odometry, self._broadcaster.pub_tf, self._path_out)
            more["subscribers of odom / tf / path"] = " / ".join(str(p.get_subscription_count()) for p in heard)
        name = f"{self.get_fully_qualified_name().lstrip('/')}: visual odometry"
        entry = diagnostics.status(health, name, self._values["model"], more)
        self._diagnostics.publish(diagnostics.array(self.get_clock().now().to_msg(), entry))

    def _health(self) -> Health:
        if self._feed is None or self._images is None:
            return Health(Level.ERROR if self._problem.startswith("not") else Level.WARN, self._problem)
        publishers = self.get_publishers_info_by_topic(self._topic)
        health = self._feed.health(len(publishers), self._topic)
        silent = publishers and not self._feed.counts["received"]
        if silent and (why := diagnostics.incompatible(self._topic, self._images.qos_profile, publishers)):
            self.get_logger().warning(why, throttle_duration_sec=10.0)
            return replace(health, level=Level.ERROR, message=why)
        problem = self._info_problem or self._place_problem
        if health.message.startswith("waiting") and problem:
            return replace(health, message=f"{health.message}: {problem}")
        return health

    def _report(self, done: Any, success: str = "") -> None:
        """Of a command that the worker has carried out."""
        if error := done.exception():
            self.get_logger().error(str(error))
        elif success:
            self.get_logger().info(success)

    def _failed(self, error: Exception) -> None:
        """On the worker's thread: something that nothing expected."""
        if self.context.ok():
            self.get_logger().error(f"{type(error).__name__}: {error}", throttle_duration_sec=5.0)

    def _warn_once(self, name: str, problem: str) -> None:
        if getattr(self, name) != problem:
            setattr(self, name, problem)
            self.get_logger().warning(problem)


def _mount(pose: Array) -> Mount:
    """Of a camera at `pose` in base_link, which is taken to stand on the ground."""
    height = float(pose[2, 3])
    return Mount.from_down(pose[:3, :3].T @ [0.0, 0.0, -1.0], height if height > 0 else None)


def main(arguments: list[str] | None = None) -> None:
    """`ros2 run ros2_vodistill vo`."""
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


if __name__ == "__main__":
    main()
