"""A bag played through a running node, whose odometry is recorded and measured against the bag's truth."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import QoSProfile

from ros2_vodistill import metrics
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.geometry import Array
from ros2_vodistill.ros import messages
from ros2_vodistill.sources.bag import BagSource, info_beside
from ros2_vodistill.sources.base import Options
from ros2_vodistill.sources.transforms import pose_of_pose
from ros2_vodistill.trajectory import Trajectory, write_tum

_PATIENCE = 60.0  # seconds for the node to listen
_QUIET = 3.0  # seconds without odometry, after the bag's end, that mean that all is said


class Recorder(Node):
    """Keeps what `odom` says.

    Attributes:
        poses: base's pose (4x4) by stamp in seconds, in the order of arrival.
        heard: when the last one came.
        base: whose poses they are.
    """

    def __init__(self) -> None:
        super().__init__("replay")
        self.poses: dict[float, Array] = {}
        self.heard = time.monotonic()
        self.base = ""
        self.create_subscription(Odometry, "odom", self._on_odometry, QoSProfile(depth=1000))

    def trajectory(self) -> Trajectory:
        """All of it; an error if there is none."""
        if not self.poses:
            raise VodistillError("no odometry came", "Look at /diagnostics: the node says there what it waits for.")
        stamps = sorted(self.poses)
        return Trajectory(np.array(stamps), np.stack([self.poses[stamp] for stamp in stamps]))

    def _on_odometry(self, message: Odometry) -> None:
        self.poses[messages.nanoseconds(message.header.stamp) / 1e9] = pose_of_pose(message.pose.pose)
        self.base = message.child_frame_id
        self.heard = time.monotonic()


def replay(bag: Path, topic: str | None, out: Path, rate: float, stopped: Callable[[], bool]) -> dict[str, Any]:
    """Play, record, write `out`/trajectory.tum and metrics.json (with a truth in the bag), and give the metrics."""
    require_folder(out)
    source = BagSource(bag, Options(topic=topic))
    recorder = Recorder()
    try:
        _wait(recorder, lambda: stopped() or recorder.count_subscribers(source.topic) > 0, _PATIENCE)
        with tempfile.TemporaryDirectory() as folder:
            info = source.info or info_beside(source.topic)
            player = subprocess.Popen(_play(bag, source.topic, info, rate, Path(folder)), stdin=subprocess.DEVNULL)
            try:
                _wait(recorder, lambda: stopped() or player.poll() is not None)
            finally:
                _end(player)
        if player.returncode and not stopped():
            raise VodistillError(
                f"`ros2 bag play {bag}` failed with code {player.returncode}", "See what it printed above."
            )
        ended = time.monotonic()
        _wait(recorder, lambda: stopped() or time.monotonic() - max(recorder.heard, ended) > _QUIET)
        estimate = recorder.trajectory()
    finally:
        recorder.destroy_node()
    return _judged(source, estimate, recorder.base, out)


def _play(bag: Path, images: str, info: str, rate: float, folder: Path) -> list[str]:
    """The command: what the node listens to alone, for a bag may have an odom and a tf of its own; and as it listens,
    whatever profiles were recorded, or lost when the bag was converted."""
    topics = images, info, "/tf_static"
    reliable = {"reliability": "reliable", "history": "keep_all"}
    wanted = dict.fromkeys(topics, reliable) | {"/tf_static": {**reliable, "durability": "transient_local"}}
    profiles = folder / "qos.yaml"
    profiles.write_text(json.dumps(wanted))  # JSON is YAML
    return [
        "ros2", "bag", "play", str(bag), "--rate", str(rate), "--delay", "2", "--disable-keyboard-controls",
        "--qos-profile-overrides-path", str(profiles), "--topics", *topics,
    ]  # fmt: skip


def _judged(source: BagSource, estimate: Trajectory, base: str, out: Path) -> dict[str, Any]:
    """Of base's poses; the errors are those of the camera, as `vodistill run` gives them."""
    out.mkdir(parents=True, exist_ok=True)
    write_tum(out / "trajectory.tum", estimate)
    figures: dict[str, Any] = {"frames": len(estimate), "path_length_m": estimate.path_length}
    base_from_camera = source.place(base)
    if source.truth is not None and base_from_camera is not None:
        camera = Trajectory(estimate.stamps, estimate.poses @ base_from_camera)
        figures |= metrics.evaluate(camera, source.truth)
    with replacing(out / "metrics.json") as path:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return figures


def _end(player: subprocess.Popen[bytes]) -> None:
    """As Ctrl-C would, if it has not ended; by force, if it does not listen."""
    if player.poll() is None:
        player.send_signal(signal.SIGINT)
    try:
        player.wait(timeout=10)
    except subprocess.TimeoutExpired:
        player.kill()
        player.wait()


def _wait(node: Node, done: Callable[[], bool], timeout: float | None = None) -> None:
    """Spin until `done`."""
    started = time.monotonic()
    while not done():
        if timeout is not None and time.monotonic() - started > timeout:
            raise VodistillError(
                f"nobody has listened to the bag's images for {timeout:.0f} s", "Is the node active, on that topic?"
            )
        rclpy.spin_once(node, timeout_sec=0.1)
