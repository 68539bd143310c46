"""What speed depends on: this computer, and the versions of the software on it."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

import cv2

_PACKAGES = (
    "ros2_vodistill",
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
)


def machine() -> dict[str, str]:
    """What this computer is."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    total = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": f"{cores()} cores",
        "memory": f"{total[0] / 1e6:.0f} GB" if total else "",
        "board": " ".join(_lines("/proc/device-tree/model")).strip("\0"),
        "system": f"{platform.machine()} {platform.platform(terse=True)}",
    }


def versions() -> dict[str, str]:
    """Versions of the software that speed depends on."""
    found = {name: version(name) for name in _PACKAGES}
    return {
        "python": platform.python_version(),
        "opencv": cv2.__version__,
        **{name: known for name, known in found.items() if known is not None},
    }


def version(package: str) -> str | None:
    """Of an installed package; None if it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def cores() -> int | None:
    """Processors that this process may use, where the system tells."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
