"""What data is tested on: small recordings in KITTI's form, a small generated world, and who looks at them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.view import View
from training.config import Data

WIDTH, HEIGHT, FOCAL = 96, 64, 60.0
VIEW = View(48, 32, 30.0, 30.0, 23.5, 15.5)
OBSERVER = SimpleNamespace(views={"image": VIEW}, unit="camera_height")
CPU = torch.device("cpu")


def poses(count: int) -> NDArray[np.float64]:
    """A drive that speeds up and turns."""
    steps = np.zeros((count - 1, 6))
    steps[:, 2] = 0.5 + 0.1 * np.arange(count - 1)
    steps[:, 4] = 0.02
    return geometry.accumulate(geometry.from_motion(steps))


def write_kitti(root: Path, name: str = "00", count: int = 6, camera: int = 0, offset: float = 0.0) -> Path:
    folder = root / "sequences" / name
    (folder / f"image_{camera}").mkdir(parents=True)
    random = np.random.default_rng(int(name))
    for i in range(count):
        image = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
        image = np.repeat(image[..., None], 3, 2) if camera == 2 else image
        cv2.imwrite(str(folder / f"image_{camera}" / f"{i:06d}.png"), image)
    matrix = np.array([[FOCAL, 0, 47.5, FOCAL * offset], [0, FOCAL, 31.5, 0], [0, 0, 1, 0]])
    (folder / "calib.txt").write_text(f"P{camera}: {' '.join(map(str, matrix.ravel()))}\n")
    np.savetxt(folder / "times.txt", 0.1 * np.arange(count))
    (root / "poses").mkdir(exist_ok=True)
    np.savetxt(root / "poses" / f"{name}.txt", poses(count)[:, :3].reshape(count, 12))
    return folder


def world(**settings: object) -> Data:
    """What to be trained on in the small generated world."""
    return Data(frames=2, held_out=2, world={"samples": 1}, **settings)  # type: ignore[arg-type]
