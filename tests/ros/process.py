"""A real ROS 2 for a test: a domain of its own on loopback, processes that are ended, a node to talk from."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.ros.talk import Listener

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE = 90.0  # seconds that a loaded machine is given before a test calls it a failure
IMAGE, INFO = "/camera/image_raw", "/camera/camera_info"


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

    def crashed(self) -> bool:
        """A traceback is told, other than numpy 2's in its warning of a cv_bridge for numpy 1, which breaks no line."""
        return "Traceback" in self.told().replace("Traceback (most recent call last):  File", "")

    def call(self, kind: Any, name: str, request: Any) -> Any:
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, f"the service {name}")
        future = client.call_async(request)
        self.until(future.done, f"an answer of {name}")
        return future.result()

    def interrupt(self, process: subprocess.Popen[bytes]) -> int:
        process.send_signal(signal.SIGINT)
        self.until(lambda: process.poll() is not None, "the end of what was interrupted")
        return process.wait()

    def close(self) -> None:
        import rclpy

        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self.processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=20)
            if alive(process.pid):  # it, or what it started
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)


def alive(session: int) -> list[str]:
    """Command lines of the processes that are left of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found
