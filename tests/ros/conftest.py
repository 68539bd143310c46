"""A real ROS 2 for a test: a domain of its own on loopback, processes that are ended, a node to talk from."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.sources.record import write_bag
from tests.models import brightness_model

REPOSITORY = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, COUNT, PERIOD = 96, 64, 24, 0.1
CAMERA = Camera(WIDTH, HEIGHT, "pinhole", 60.0, 60.0, 47.5, 31.5)
MOUNT = Mount(0.4, pitch=0.1)
PATIENCE = 90.0  # seconds that a loaded machine is given before a test calls it a failure
CALIBRATED = ("no frame yet", "waiting for the camera's place")  # how diagnostics begin once camera_info is heard
IMAGE, INFO = "/camera/image_raw", "/camera/camera_info"
_DOMAINS = iter(range(20 + os.getpid() % 60, 101))


def frames(count: int = COUNT) -> list[np.ndarray]:
    """Noise that grows brighter, which the test's model takes for driving ahead."""
    noise = np.random.default_rng(0).integers(0, 60, (count, HEIGHT, WIDTH))
    return [(noise[i] + 40 + 4 * i).astype(np.uint8) for i in range(count)]


def stamps(count: int = COUNT, start: float = 1000.0) -> list[float]:
    return [start + i * PERIOD for i in range(count)]


class Ros:
    """Processes and a node of the test's own in one domain."""

    def __init__(self, domain: int, folder: Path) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor

        self.folder = folder
        self.env = dict(
            os.environ,
            ROS_DOMAIN_ID=str(domain),
            ROS_AUTOMATIC_DISCOVERY_RANGE="LOCALHOST",
            VODISTILL_MODELS=str(folder / "models"),
            PYTHONPATH=f"{REPOSITORY}:{os.environ.get('PYTHONPATH', '')}",
            OMP_NUM_THREADS="1",
        )
        self.processes: list[subprocess.Popen[bytes]] = []
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain)
        self.node = rclpy.create_node("tester", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.logs: list[Path] = []
        self.listeners: list[Listener] = []

    def start(self, *command: str, name: str = "process") -> subprocess.Popen[bytes]:
        """In a session of its own, its output in a file."""
        log = self.folder / f"{name}.{len(self.processes)}.log"
        self.logs.append(log)
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["env", "--default-signal=INT", *command],
                env=self.env,
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                cwd=self.folder,
            )
        self.processes.append(process)
        return process

    def vo(self, *, namespace: str = "", **parameters: Any) -> subprocess.Popen[bytes]:
        """The node, with the test's model, on the test's topics."""
        given = {
            "model": "brightness",
            "reliability": "reliable",
            "depth": 100,
            "queue_size": 100,
            "diagnostics_period": 0.1,
            **parameters,
        }
        values = [
            f"{name}:={str(value).lower() if isinstance(value, bool) else value}" for name, value in given.items()
        ]
        arguments = [word for value in values for word in ("-p", value)]
        remaps = [] if namespace else ["-r", f"image:={IMAGE}", "-r", f"camera_info:={INFO}"]
        place = ["-r", f"__ns:={namespace}"] if namespace else []
        return self.start(
            sys.executable, "-m", "ros2_vodistill.ros.node", "--ros-args", *arguments, *remaps, *place, name="vo"
        )

    def until(self, done: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
        """Spin until `done`."""
        end = time.monotonic() + patience
        while not done():
            if time.monotonic() > end:
                pytest.fail(f"waited in vain for {what}\n{self.told()}")
            self.executor.spin_once(timeout_sec=0.05)

    def repeat(self, action: Callable[[], None], done: Callable[[], Any], what: str) -> None:
        """Discovery goes both ways and says nothing when it is done: repeat until there is an effect."""
        due = 0.0

        def again() -> bool:
            nonlocal due
            if not done() and time.monotonic() >= due:
                action()
                due = time.monotonic() + 0.3
            return bool(done())

        self.until(again, what)

    def told(self) -> str:
        """What the processes wrote, and the last that their nodes said of themselves."""
        logs = [f"--- {log.name}\n{log.read_text(errors='replace')}" for log in self.logs]
        return "\n".join([*logs, *(f"--- {listener.name}\n{listener.health}" for listener in self.listeners)])

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f"the service {name}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {name}")
        return future.result()

    def interrupt(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGINT)
        return process.wait(timeout=PATIENCE)

    def close(self) -> None:
        import rclpy

        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def ros(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ros]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    brightness_model(tmp_path / "models" / "brightness")
    made = Ros(next(_DOMAINS), tmp_path)
    yield made
    made.close()


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    poses = np.broadcast_to(np.eye(4), (COUNT, 4, 4)).copy()
    poses[:, 2, 3] = 0.016 * np.arange(COUNT)
    folder = tmp_path / "bag"
    write_bag(folder, frames(), CAMERA, stamps(), poses, mount=MOUNT, topic=IMAGE)
    return folder


class Driver:
    """A camera driver and a robot_state_publisher, as far as the node is concerned."""

    def __init__(self, ros: Ros, *, prefix: str = "", best_effort: bool = False, latched_info: bool = False) -> None:
        from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
        from sensor_msgs.msg import CameraInfo, CompressedImage, Image
        from tf2_msgs.msg import TFMessage

        reliability = ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        image, info = (f"{prefix}/image", f"{prefix}/camera_info") if prefix else (IMAGE, INFO)
        node = ros.node
        self.ros = ros
        self.images = node.create_publisher(Image, image, QoSProfile(depth=100, reliability=reliability))
        self.compressed = node.create_publisher(CompressedImage, f"{image}/compressed", 100)
        self.infos = node.create_publisher(CameraInfo, info, latched if latched_info else QoSProfile(depth=10))
        self.static = node.create_publisher(TFMessage, "/tf_static", latched)

    def publish(self, message: Any) -> None:
        """A message made by `ros2_vodistill.sources.messages`, as rclpy has it."""
        from rclpy.serialization import deserialize_message

        from ros2_vodistill.sources import messages

        publisher = next(
            p
            for p in (self.images, self.compressed, self.infos, self.static)
            if type(message).__name__.endswith(p.msg_type.__name__)
        )
        raw = bytes(messages.STORE.serialize_cdr(message, message.__msgtype__))
        publisher.publish(deserialize_message(raw, publisher.msg_type))

    def place(self) -> None:
        from ros2_vodistill.sources import messages, record

        self.publish(messages.transform(0, "base_link", "camera_optical_frame", record._base_from_camera(MOUNT)))

    def info(self) -> None:
        from ros2_vodistill.sources import messages

        self.publish(messages.camera_info(0, "camera_optical_frame", CAMERA))

    def image(self, stamp: float, grey: np.ndarray) -> None:
        from ros2_vodistill.sources import messages

        self.publish(messages.image(messages.nanoseconds(stamp), "camera_optical_frame", grey))

    def jpeg(self, stamp: float, grey: np.ndarray) -> None:
        from sensor_msgs.msg import CompressedImage

        from ros2_vodistill.sources import messages

        made = messages.compressed(messages.nanoseconds(stamp), "camera_optical_frame", grey, "jpeg")
        message = CompressedImage(format=made.format, data=made.data.tobytes())
        message.header.frame_id = made.header.frame_id
        message.header.stamp.sec, message.header.stamp.nanosec = made.header.stamp.sec, made.header.stamp.nanosec
        self.compressed.publish(message)

    def connected(self, listener: Listener, start: float = 1000.0) -> None:
        """The node has calibration, place and the first frame, which is left out when it comes again."""
        self.place()
        self.ros.repeat(self.info, lambda: listener.last().startswith(CALIBRATED), "calibration")
        self.greet(listener, lambda: self.image(start, frames(1)[0]))

    def greet(self, listener: Listener, send: Callable[[], None]) -> None:
        """The node hears images, and its odometry, TF and path are heard."""
        before = listener.received()
        self.ros.repeat(send, lambda: listener.received() > before, "the node to hear images")
        self.ros.until(listener.is_connected, "the node and this side to have discovered each other")


class Listener:
    """What the node says."""

    def __init__(self, ros: Ros, prefix: str = "") -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from nav_msgs.msg import Odometry
        from nav_msgs.msg import Path as PathMessage
        from tf2_msgs.msg import TFMessage

        self.ros = ros
        self.name = f"{prefix}/vo: visual odometry".lstrip("/")
        self.odometry: list[Any] = []
        self.health = SimpleNamespace(level=b"", message="", values={})
        self.transforms: list[Any] = []
        self.paths: list[Any] = []
        node = ros.node
        self.subscriptions = (
            node.create_subscription(Odometry, f"{prefix}/odom", self.odometry.append, 1000),
            node.create_subscription(TFMessage, "/tf", lambda m: self.transforms.extend(m.transforms), 1000),
            node.create_subscription(PathMessage, f"{prefix}/path", self.paths.append, 1000),
        )
        node.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 1000)
        ros.listeners.append(self)

    def _on_health(self, message: Any) -> None:
        for status in message.status:
            if status.name == self.name:
                values = {value.key: value.value for value in status.values}
                self.health = SimpleNamespace(level=status.level, message=status.message, values=values)

    def says(self, words: str) -> None:
        self.ros.until(lambda: words in self.last(), f"diagnostics with '{words}'")

    def last(self) -> str:
        return str(self.health.message)

    def value(self, name: str) -> str:
        return str(self.health.values.get(name, ""))

    def received(self) -> int:
        return int(self.value("frames received") or 0)

    def is_connected(self) -> bool:
        """Each side knows the other, by what each says of itself."""
        theirs = self.value("subscribers of odom / tf / path")
        mine = [subscription.get_publisher_count() for subscription in self.subscriptions]
        return bool(theirs) and "0" not in theirs.split(" / ") and all(mine)

    def stamps(self) -> list[float]:
        return [m.header.stamp.sec + m.header.stamp.nanosec / 1e9 for m in self.odometry]

    def poses(self) -> np.ndarray:
        from ros2_vodistill.sources.transforms import pose_of_pose

        return np.stack([pose_of_pose(m.pose.pose) for m in self.odometry])
