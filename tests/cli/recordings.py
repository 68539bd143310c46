"""A short recording, and small files, for the command line's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera

CAMERA = Camera(160, 120, "pinhole", 120.0, 120.0, 79.5, 59.5)
COUNT = 10
STAMPS = [100.0 + 0.1 * i for i in range(COUNT)]
POSES = geometry.accumulate(np.repeat(geometry.from_motion([0, 0, 0.3, 0, 0.01, 0])[None], COUNT - 1, axis=0))

Outcome = tuple[int, str, str]
Vodistill = Callable[..., Outcome]
"""Types a command; gives exit code, output, errors."""


def frames(count: int = COUNT) -> list[np.ndarray]:
    """A texture that grows, as seen by a camera that goes forward."""
    texture = cv2.GaussianBlur(np.random.default_rng(3).integers(0, 255, (480, 640), dtype=np.uint8), (0, 0), 2)
    texture = cv2.normalize(texture, None, 20, 235, cv2.NORM_MINMAX)
    centre = np.array([319.5, 239.5])
    views = []
    for i in range(count):
        zoom = 1.03**i
        to_view = np.hstack([zoom * np.eye(2), (np.array([79.5, 59.5]) - zoom * centre)[:, None]])
        views.append(cv2.warpAffine(texture, to_view, (160, 120), flags=cv2.INTER_LINEAR))
    return views


def text(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def tum(path: Path, start: float, step: float = 0.1, last: str = "0 0 0 1") -> Path:
    rows = [f"{start + step * i} 0 0 {0.3 * i} 0 0 0 1" for i in range(9)]
    return text(path, "\n".join([*rows, f"{start + step * 9} 0 0 2.7 {last}"]) + "\n")
