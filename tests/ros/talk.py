"""What drives a node in a test, and what listens to it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from nav_msgs.msg import Odometry
from nav_msgs.msg import Path as PathMessage
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from tf2_msgs.msg import TFMessage

from ros2_vodistill.camera import Camera
from ros2_vodistill.live import Body
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.sources import messages, record
from ros2_vodistill.sources.transforms import Transforms, mount_of, pose_of_pose
from tests.ros.camera import CAMERA, COUNT, MOUNT, frames, stamps
from tests.ros.process import IMAGE, INFO, Ros

FRAME = "camera_optical_frame"
CALIBRATED = ("no frame yet", "waiting for the camera's place")  # how diagnostics begin once camera_info is heard


class Driver:
    """A camera driver and a robot_state_publisher, as far as the node is concerned."""

    def __init__(self, ros: Ros, *, prefix: str = "", best_effort: bool = False, latched_info: bool = False) -> None:
        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        image, info = (f"{prefix}/image", f"{prefix}/camera_info") if prefix else (IMAGE, INFO)
        node = ros.node
        self.ros = ros
        self.images = node.create_publisher(Image, image, QoSProfile(depth=100, reliability=reliability))
        self.compressed = node.create_publisher(CompressedImage, f"{image}/compressed", 100)
        self.infos = node.create_publisher(CameraInfo, info, latched if latched_info else QoSProfile(depth=10))
        self.static = node.create_publisher(TFMessage, "/tf_static", latched)

    def publish(self, publisher: Any, message: Any) -> None:
        """A message made by `ros2_vodistill.sources.messages`, as rclpy has it."""
        raw = bytes(messages.STORE.serialize_cdr(message, message.__msgtype__))
        publisher.publish(deserialize_message(raw, publisher.msg_type))

    def place(self, pose: np.ndarray | None = None, child: str = FRAME) -> None:
        pose = record._base_from_camera(MOUNT) if pose is None else pose
        self.publish(self.static, messages.transform(0, "base_link", child, pose))

    def info(self, camera: Camera = CAMERA) -> None:
        self.publish(self.infos, messages.camera_info(0, FRAME, camera))

    def image(self, stamp: float, grey: np.ndarray) -> None:
        self.publish(self.images, messages.image(messages.nanoseconds(stamp), FRAME, grey))

    def encoded(self, stamp: float, encoding: str, data: np.ndarray) -> None:
        """(H,W,bytes of a pixel) in the encoding of that name."""
        message = Image(height=data.shape[0], width=data.shape[1], encoding=encoding, data=data.tobytes())
        message.step = message.width * data.shape[2]
        message.header.frame_id = FRAME
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(messages.nanoseconds(stamp), 10**9)
        self.images.publish(message)

    def jpeg(self, stamp: float, grey: np.ndarray) -> None:
        self.publish(self.compressed, messages.compressed(messages.nanoseconds(stamp), FRAME, grey, "jpeg"))

    def calibrated(self, listener: Listener) -> None:
        """The node has heard camera_info."""
        self.ros.repeat(self.info, lambda: listener.last().startswith(CALIBRATED), "calibration")

    def connected(self, listener: Listener, start: float = 1000.0) -> None:
        """The node has calibration, place and the first frame, which is left out when it comes again."""
        self.place()
        self.calibrated(listener)
        self.greet(listener, lambda: self.image(start, frames(1)[0]))

    def greet(self, listener: Listener, send: Callable[[], None]) -> None:
        """The node hears images, and its odometry, TF and path are heard."""
        before = listener.received()
        self.ros.repeat(send, lambda: listener.received() > before, "the node to hear images")
        self.ros.until(listener.is_connected, "the node and this side to have discovered each other")


class Listener:
    """What the node says."""

    def __init__(self, ros: Ros, prefix: str = "") -> None:
        self.ros = ros
        self.name = f"{prefix}/vo: visual odometry".lstrip("/")
        self.odometry: list[Odometry] = []
        self.health = SimpleNamespace(level=b"", message="", values={})
        self.time = 0.0  # that the node takes it for, seconds
        self.transforms: list[Any] = []
        self.paths: list[PathMessage] = []
        node = ros.node
        self.subscriptions = (
            node.create_subscription(Odometry, f"{prefix}/odom", self.odometry.append, 1000),
            node.create_subscription(TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 1000),
            node.create_subscription(PathMessage, f"{prefix}/path", self.paths.append, 1000),
        )
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 1000)
        ros.listeners.append(self)

    def _on_health(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name == self.name:
                values = {value.key: value.value for value in status.values}
                self.health = SimpleNamespace(level=status.level, message=status.message, values=values)
                self.time = message.header.stamp.sec + message.header.stamp.nanosec / 1e9

    def says(self, words: str) -> None:
        self.ros.until(lambda: words in self.last(), f"diagnostics with '{words}'")

    def shows(self, name: str, value: str) -> None:
        """As a figure in the diagnostics, or as its beginning."""
        self.ros.until(lambda: self.value(name).startswith(value), f"'{name}' to be '{value}' in the diagnostics")

    def last(self) -> str:
        return str(self.health.message)

    def value(self, name: str) -> str:
        return str(self.health.values.get(name, ""))

    def received(self) -> int:
        return int(self.value("frames received") or 0)

    def is_connected(self) -> bool:
        """Each side knows the other, by what each says of itself."""
        theirs = self.value("subscribers of odom / tf / path")
        mine = [self.ros.node.count_publishers(subscription.topic_name) for subscription in self.subscriptions]
        return bool(theirs) and "0" not in theirs.split(" / ") and all(mine)

    def stamps(self) -> list[float]:
        return [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in self.odometry]

    def poses(self) -> np.ndarray:
        return np.stack([pose_of_pose(m.pose.pose) for m in self.odometry])


def ready(ros: Ros, **parameters: object) -> tuple[Driver, Listener]:
    """A node that has all it needs but images."""
    driver, listener = Driver(ros), Listener(ros)
    ros.vo(**parameters)
    driver.connected(listener)
    return driver, listener


def answered(driver: Driver, listener: Listener, stamp: float, image: np.ndarray) -> np.ndarray:
    """The pose that the node publishes for this frame."""
    driver.image(stamp, image)
    return heard(listener, stamp)


def heard(listener: Listener, stamp: float) -> np.ndarray:
    """The last pose that the node has published, once it is of this stamp."""
    listener.ros.until(lambda: [round(x, 6) for x in listener.stamps()[-1:]] == [stamp], f"odometry of {stamp}")
    return np.array(listener.poses()[-1])


def drive(driver: Driver, listener: Listener, start: float = 1000.0, count: int = COUNT) -> None:
    """All frames, each after the answer to the one before."""
    before = len(listener.odometry)
    for i, (stamp, image) in enumerate(zip(stamps(count, start), frames(count), strict=True)):
        driver.image(stamp, image)
        if i:
            listener.ros.until(lambda n=i: len(listener.odometry) >= before + n, f"odometry of frame {i}")


def core(folder: Path, images: list[np.ndarray], start: float = 1000.0) -> list[np.ndarray]:
    """What Python gives for the same frames: base_link in odom."""
    transforms = Transforms()
    transforms.add_message(messages.transform(0, "base_link", FRAME, record._base_from_camera(MOUNT)))
    pose, mount = transforms.lookup("base_link", FRAME), mount_of(transforms, FRAME)[0]
    assert pose is not None
    odometry = VisualOdometry(folder / "models" / "brightness", camera=CAMERA, mount=mount)
    estimates = [odometry.push(image, stamp) for image, stamp in zip(images, stamps(len(images), start), strict=True)]
    return [Body(pose).pose(estimate.pose) for estimate in estimates if estimate is not None]


def set_parameter(ros: Ros, name: str, value: object) -> tuple[bool, str]:
    kinds = {bool: (1, "bool_value"), int: (2, "integer_value"), float: (3, "double_value"), str: (4, "string_value")}
    kind, field = kinds[type(value)]
    request = SetParameters.Request(
        parameters=[Parameter(name=name, value=ParameterValue(type=kind, **{field: value}))]
    )
    result = ros.call(SetParameters, "/vo/set_parameters", request).results[0]
    return result.successful, result.reason


def change(ros: Ros, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return bool(ros.call(ChangeState, "/vo/change_state", request).success)


def state(ros: Ros) -> str:
    return str(ros.call(GetState, "/vo/get_state", GetState.Request()).current_state.label)
