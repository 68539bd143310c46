"""A process that is killed in the middle of its work."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from training import checkpoint


def kill_at(process: subprocess.Popen[bytes], checkpoints: Path, step: int) -> Path:
    """kill -9 once there is a checkpoint of that step, or after half a minute; the newest checkpoint that is left."""
    try:
        for _ in range(1200):
            newest = checkpoint.latest(checkpoints)
            if newest is not None and newest.name >= f"step-{step:09d}":
                break
            time.sleep(0.025)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    left = checkpoint.latest(checkpoints)
    assert left is not None
    return left
