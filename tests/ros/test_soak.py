"""Half an hour of work leaves the node's memory as it is."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="ROS 2 is not sourced: no rclpy; the node's tests need a real ROS 2")

from tests.ros.camera import frames
from tests.ros.process import Ros
from tests.ros.talk import ready


@pytest.mark.soak
def test_memory_stays_flat(ros: Ros) -> None:
    """For VODISTILL_SOAK_S seconds; 1800 is what a release is given."""
    driver, listener = ready(ros, queue_size=1)
    pid, seconds = ros.processes[0].pid, float(os.environ.get("VODISTILL_SOAK_S", "20"))
    image, began, memory, i = frames()[0], time.monotonic(), [], 0
    while time.monotonic() - began < seconds:
        driver.image(1000.0 + 0.03 * i, np.roll(image, i, axis=1))
        i += 1
        ros.executor.spin_once(timeout_sec=0.03)
        if i % 20 == 0:
            memory.append(_resident(pid))
            listener.odometry.clear()
            listener.transforms.clear()
            listener.paths.clear()
    assert len(memory) > 4
    told = [round(m / 1e6, 1) for m in memory[:: max(1, len(memory) // 30)]]
    print(f"MB over {seconds:.0f} s: {told}")
    settled = memory[len(memory) // 4 :]
    assert max(settled) - settled[0] < 5e6, told


def _resident(pid: int) -> float:
    """Bytes of a process."""
    return float(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
