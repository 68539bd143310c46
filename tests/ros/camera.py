"""The camera of these tests, and what it sees."""

from __future__ import annotations

import numpy as np

from ros2_vodistill.camera import Camera, Mount

WIDTH, HEIGHT, COUNT, PERIOD = 96, 64, 24, 0.1
CAMERA = Camera(WIDTH, HEIGHT, "pinhole", 60.0, 60.0, 47.5, 31.5)
MOUNT = Mount(0.4, pitch=0.1)


def frames(count: int = COUNT) -> list[np.ndarray]:
    """Noise that grows brighter, which the test's model takes for driving ahead."""
    noise = np.random.default_rng(0).integers(0, 60, (count, HEIGHT, WIDTH))
    return [(noise[i] + 40 + 4 * i).astype(np.uint8) for i in range(count)]


def stamps(count: int = COUNT, start: float = 1000.0) -> list[float]:
    return [start + i * PERIOD for i in range(count)]
