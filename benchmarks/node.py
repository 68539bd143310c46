"""What the node costs: stamp to publish at 30 Hz, CPU, memory, drops, and what it adds to the core.

    python benchmarks/node.py --json benchmarks/node.json

One process publishes bgr8 frames stamped at the time of publishing; the node runs in another, a bare subscriber in a
third. The node itself tells how old frames are when they come, how long they wait for the one before, how long decoding
and `push` take, and publishing. What the node adds to the core is the wait, the publishing, and what frames come later
than to the bare subscriber. Frames are best effort, as cameras send them: those that the network loses reach neither;
config/cyclonedds.xml is used, unless CYCLONEDDS_URI is set. On a busy machine, `chrt -r 1` before the command keeps
others out of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from ros2_vodistill.camera import Camera
from ros2_vodistill.files import replacing
from ros2_vodistill.model import DEFAULT
from ros2_vodistill.ros.messages import nanoseconds
from ros2_vodistill.sources import messages
from ros2_vodistill.sources.ros_types import INFO

SIZES = ((640, 480), (1280, 720))
PARTS = ("stamp to arrival", "wait", "work", "publishing", "stamp to publish")
TUNED = Path(__file__).resolve().parents[1] / "config" / "cyclonedds.xml"


class Bare(Node):
    """A subscriber that does nothing with the frames but note stamp and age: what rclpy costs without this package."""

    def __init__(self) -> None:
        super().__init__("bare")
        self.heard: list[tuple[int, float]] = []
        self.create_subscription(Image, "image", self._on_image, qos_profile_sensor_data)

    def _on_image(self, message: Image) -> None:
        stamp = nanoseconds(message.header.stamp)
        self.heard.append((stamp, (time.time_ns() - stamp) / 1e6))


class Publisher(Node):
    """A camera driver, and an ear for what the node says."""

    def __init__(self, width: int, height: int) -> None:
        from rclpy.serialization import deserialize_message
        from sensor_msgs.msg import CameraInfo

        super().__init__("bench")
        camera = Camera(width, height, "pinhole", 0.8 * width, 0.8 * width, width / 2, height / 2)
        made = messages.camera_info(0, "camera", camera)
        self.info = deserialize_message(bytes(messages.STORE.serialize_cdr(made, INFO)), CameraInfo)
        noise = np.random.default_rng(0).integers(0, 256, (height, 2 * width, 3), dtype=np.uint8)
        self.frames = [
            Image(
                height=height, width=width, encoding="bgr8", step=3 * width,
                data=np.ascontiguousarray(noise[:, 2 * i : 2 * i + width]).tobytes(),
            )
            for i in range(20)
        ]  # fmt: skip
        self.values: dict[str, str] = {}
        self.told = 0
        self.images = self.create_publisher(Image, "image", qos_profile_sensor_data)
        self.infos = self.create_publisher(CameraInfo, "camera_info", 10)
        self.create_subscription(Odometry, "odom", lambda _: None, 100)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_health, 10)
        self.stamps: list[int] = []

    @property
    def sent(self) -> int:
        """Frames so far."""
        return len(self.stamps)

    def send(self) -> None:
        """A frame and its calibration."""
        message = self.frames[self.sent % len(self.frames)]
        message.header.frame_id = "camera"
        self.stamps.append(time.time_ns())
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(self.stamps[-1], 10**9)
        self.images.publish(message)
        self.infos.publish(self.info)

    def settle(self, executor: SingleThreadedExecutor, node: subprocess.Popen[bytes]) -> None:
        """Until the node has told of all that was sent."""
        told = self.told
        while self.told < told + 3:
            if (code := node.poll()) is not None:
                raise SystemExit(f"the node ended with {code} while it was measured: its messages say why")
            executor.spin_once(timeout_sec=0.1)

    def _on_health(self, message: DiagnosticArray) -> None:
        self.values = {value.key: value.value for value in message.status[0].values}
        self.told += 1


def measure(width: int, height: int, model: str, seconds: float, hz: float) -> dict[str, Any]:
    """One size, with the node and a bare subscriber beside each other."""
    parameters = [f"model:={model}", "camera_pose:=[0.0, 0.0, 0.5, -0.5, 0.5, -0.5, 0.5]", "diagnostics_period:=0.5"]
    arguments = [word for value in parameters for word in ("-p", value)]
    node = subprocess.Popen([sys.executable, "-m", "ros2_vodistill.ros.node", "--ros-args", *arguments])
    bare = subprocess.Popen([sys.executable, __file__, "--bare"], stdout=subprocess.PIPE, text=True)
    publisher = Publisher(width, height)
    executor = SingleThreadedExecutor()
    executor.add_node(publisher)
    try:
        end = time.monotonic() + 60
        while int(publisher.values.get("frames published", 0)) < 10 and time.monotonic() < end:
            publisher.send()
            executor.spin_once(timeout_sec=0.1)
        publisher.settle(executor, node)
        before, busy, began, sent = dict(publisher.values), _cpu(node.pid), time.monotonic(), publisher.sent
        due = began
        while time.monotonic() - began < seconds:
            due += 1 / hz
            publisher.send()
            while (left := due - time.monotonic()) > 0:
                executor.spin_once(timeout_sec=left)
        used, elapsed = _cpu(node.pid) - busy, time.monotonic() - began
        publisher.settle(executor, node)
        memory = int(Path(f"/proc/{node.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    finally:
        for process in (node, bare):
            process.send_signal(signal.SIGINT)
        heard = json.loads(bare.communicate(timeout=30)[0] or "[]")
        node.wait(timeout=30)
        publisher.destroy_node()
    after, count = publisher.values, publisher.sent - sent
    ages = [age for stamp, age in heard if stamp >= publisher.stamps[sent]]

    def more(name: str) -> int:
        return int(after.get(name, 0)) - int(before.get(name, 0))

    parts = {name: _pair(after[f"{name} p50 / p99 (ms)"]) for name in PARTS}
    bare_ms = _pair(" / ".join(str(x) for x in np.percentile(ages, [50, 99])))
    late = max(0.0, parts["stamp to arrival"]["p50"] - bare_ms["p50"])
    added = late + parts["wait"]["p50"] + parts["publishing"]["p50"]
    received = more("frames received")
    return {
        "size": [width, height],
        "frames": {
            "sent": count,
            "lost_before_the_node": count - received,
            "lost_before_the_bare_subscriber": count - len(ages),
            "dropped_for_newer": more("frames dropped for newer ones"),
            "published": more("frames published"),
        },
        "added_by_node_p50_ms": added,
        "bare_subscriber_ms": bare_ms,
        **{f"{name.replace(' ', '_')}_ms": figures for name, figures in parts.items()},
        "cpu_share_of_one_core": used / elapsed,
        "cpu_per_frame_ms": 1e3 * used / received,
        "memory_mb": memory,
        "engine": after["engine"],
        "decoder": after["decoder"],
    }


def listen() -> None:
    """The bare subscriber, in a process of its own."""
    rclpy.init()
    node = Bare()
    with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(node)
    print(json.dumps(node.heard))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default=DEFAULT)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--hz", type=float, default=30.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.bare:
        listen()
        return
    os.environ.setdefault("CYCLONEDDS_URI", TUNED.as_uri())
    rclpy.init()
    results = [measure(*size, options.model, options.seconds, options.hz) for size in SIZES]
    figures = {
        "command": " ".join(["python", "benchmarks/node.py", *sys.argv[1:]]),
        "machine": {
            "cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version(),
            "load_1_min": os.getloadavg()[0], "rmw": rclpy.get_rmw_implementation_identifier(),
            "real_time_priority": os.sched_getscheduler(0) in (os.SCHED_FIFO, os.SCHED_RR),
        },
        "hz": options.hz,
        "results": results,
    }  # fmt: skip
    text = json.dumps(figures, indent=2)
    print(text)
    if options.json:
        with replacing(options.json) as path:
            path.write_text(text + "\n", encoding="utf-8")


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _pair(text: str) -> dict[str, float]:
    return dict(zip(("p50", "p99"), map(float, text.split(" / ")), strict=True))


if __name__ == "__main__":
    main()
