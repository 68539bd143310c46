"""Raw frames in a file, with their camera: what is timed looks at these."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import corridor
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import grey
from ros2_vodistill.sources import open_source


@dataclass(frozen=True)
class Scene:
    """Frames to look at.

    Attributes:
        name: for people.
        camera, mount: of the frames.
        path: of a file with the raw BGR images, one after the other.
    """

    name: str
    camera: Camera
    mount: Mount
    path: Path


def recorded(source: Path, count: int, folder: Path) -> Scene:
    """The first frames of a recording."""
    recording = open_source(source)
    path, camera = folder / "recorded", recording.require_camera()
    found = _write(path, (image for _, image in islice(recording, count)), camera)
    if found < 2:
        raise VodistillError(f"{source} has {found} frames that could be read", "Timing needs two.")
    return Scene(recording.name, camera, recording.mount or Mount(), path)


def generated(width: int, height: int, count: int, folder: Path) -> Scene:
    """Frames of a corridor, of that size."""
    camera = corridor.camera(width, height)
    path = folder / f"{width}x{height}"
    _write(path, corridor.frames(camera, count), camera)
    return Scene("generated corridor", camera, corridor.MOUNT, path)


def _write(path: Path, images: Iterable[NDArray[np.uint8]], camera: Camera) -> int:
    count, size = 0, (camera.width, camera.height)
    with path.open("wb") as file:
        for image in images:
            if image.shape[::-1] != size:
                raise VodistillError(
                    f"frame {count} is {image.shape[1]}x{image.shape[0]}, the calibration is for {size[0]}x{size[1]}",
                    "Record it with the calibration of these images.",
                )
            file.write(cv2.cvtColor(grey(image), cv2.COLOR_GRAY2BGR).tobytes())
            count += 1
    return count
