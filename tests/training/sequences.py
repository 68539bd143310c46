"""What data is tested on: small recordings in KITTI's and Malaga's form, a small world, and who looks at them."""

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
MALAGA_CAMERA = "camera_params_rectified_a=0_800x600.txt"


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


def write_malaga(folder: Path, count: int = 4) -> None:
    images = folder / f"{folder.name}_rectified_800x600_Images"
    images.mkdir(parents=True)
    for i in range(count):
        for side in ("left", "right"):
            cv2.imwrite(str(images / f"img_CAMERA1_12612300{i:02d}.080210_{side}.jpg"), np.full((60, 80), 40, np.uint8))
    (folder / MALAGA_CAMERA).write_text(
        "# rectified\n[CAMERA_LEFT]\nresolution=[80 60]\ncx=40.4\ncy=30.9\nfx=62.1\nfy=62.2\n[CAMERA_RIGHT]\ncx=1\n"
    )
    rows = [[1261230000.0 + i, 0.64, -0.07, 5, 2, 7, 1, 2, 10.0 * i, 25.0, 1.5, 3, 1, 1, 1] for i in range(count + 1)]
    text = "\n".join(" ".join(map(str, row)) for row in rows)
    (folder / f"{folder.name}_all-sensors_GPS.txt").write_text("% Time Lat Lon Alt fix #sats speed dir X Y Z\n" + text)


def world(**settings: object) -> Data:
    """What to be trained on in the small generated world."""
    return Data(frames=2, held_out=2, world={"samples": 1}, **settings)  # type: ignore[arg-type]
