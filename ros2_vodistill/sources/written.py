"""Sequences written so that others can read them: KITTI folders, and the folder that any such sequence is."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import ArrayLike

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.base import Image
from ros2_vodistill.trajectory import Trajectory
from ros2_vodistill.trajectory import write_kitti as write_poses


def write_kitti(
    folder: str | Path,
    frames: Iterable[Image],
    camera: Camera | None,
    stamps: Sequence[float],
    poses: ArrayLike | None = None,
) -> None:
    """A KITTI odometry sequence: image_0, times.txt, calib.txt (if there is a camera), poses.txt (if there are poses).

    Args:
        folder: must not exist.
        frames: grey, uint8, as many as there are stamps.
        camera: a pinhole, since the format has no distortion.
        stamps: seconds.
        poses: (N, 4, 4) of the camera's optical frame in the world.
    """
    if camera is not None and (camera.model != "pinhole" or camera.rotation is not None):
        raise VodistillError(
            f"a {camera.model} camera with distortion or rectification does not fit KITTI's calib.txt",
            "Rectify the images first, or write a bag.",
        )
    with new_folder(folder) as new:
        (new / "image_0").mkdir(parents=True)
        for index, (_, image) in enumerate(zip(stamps, frames, strict=True)):
            if not cv2.imwrite(str(new / "image_0" / f"{index:06d}.png"), image):
                raise OSError(f"image {index} could not be written")
        (new / "times.txt").write_text("".join(f"{float(stamp)!r}\n" for stamp in stamps), encoding="utf-8")
        if camera is not None:
            rows = np.hstack([camera.matrix, np.zeros((3, 1))]).ravel().tolist()
            (new / "calib.txt").write_text(f"P0: {' '.join(map(repr, rows))}\n", encoding="utf-8")
        if poses is not None:
            write_poses(new / "poses.txt", Trajectory(np.asarray(stamps, float), np.asarray(poses, float)))


@contextmanager
def new_folder(folder: str | Path) -> Iterator[Path]:
    """A name, of the same last part, for a folder to make: it becomes `folder` if all goes well and vanishes if not."""
    folder = Path(folder)
    if folder.exists():
        raise VodistillError(f"{folder} exists already", "Remove it or choose another name.")
    temporary: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        yield temporary / folder.name
        (temporary / folder.name).replace(folder)
    except (OSError, sqlite3.Error) as error:
        raise VodistillError(
            f"{folder} cannot be written: {error}", "Choose a folder with space that you may write to."
        ) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
