"""A recorded sequence, frame by frame in any order, in the canonical views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources.folder import read_image
from ros2_vodistill.view import Patch, View, Warp


@dataclass
class Recording:
    """Frames on disk with their calibration and, where it is known, their truth.

    Attributes:
        name: for reports.
        images: the frames' files, in order.
        stamps: (N,) seconds.
        camera: that took them.
        mount: of the camera; its height None where unknown.
        poses: (N, 4, 4) camera to world, optical axes, metres; None where unknown.
        gps: (M, 4) seconds and east, north, up in metres, where there is one: a rough truth.
    """

    name: str
    images: list[Path]
    stamps: NDArray[np.float64]
    camera: Camera
    mount: Mount
    poses: NDArray[np.float64] | None = None
    gps: NDArray[np.float64] | None = None
    _warps: dict[View | Patch, Warp] = field(default_factory=dict, repr=False, init=False)

    def __len__(self) -> int:
        return len(self.images)

    def first(self, frames: int) -> Recording:
        """Its first frames; all of them where `frames` is 0."""
        if not 0 < frames < len(self):
            return self
        poses = None if self.poses is None else self.poses[:frames]
        return replace(self, images=self.images[:frames], stamps=self.stamps[:frames], poses=poses)

    def level_poses(self) -> NDArray[np.float64]:
        """(N, 4, 4) of the level frame: the camera's, with its pitch and roll taken out."""
        if self.poses is None:
            raise VodistillError(f"{self.name}: has no true poses", "measure against its GPS, or take another sequence")
        turn = np.eye(4)
        turn[:3, :3] = self.mount.level_from_camera.T
        return self.poses @ turn

    def motions(self, unit: str, skip: int = 1) -> NDArray[np.float64]:
        """(N - skip, 6) of each frame in the one `skip` before, in 'metre' or in 'camera_height'."""
        poses = self.level_poses()
        out = geometry.to_motion(geometry.invert(poses[:-skip]) @ poses[skip:])
        if unit == "camera_height":
            if self.mount.height is None:
                raise VodistillError(
                    f"{self.name}: the camera's height is unknown", "give it: the network measures in it"
                )
            out[:, :3] /= self.mount.height
        return out

    def views(self, index: int, views: Mapping[str, View | Patch]) -> dict[str, NDArray[np.uint8]]:
        """The canonical views of one frame."""
        path = self.images[index]
        image = read_image(path)
        if image.shape != (self.camera.height, self.camera.width):
            size, expected = (f"{a}x{b}" for a, b in (image.shape[::-1], (self.camera.width, self.camera.height)))
            raise VodistillError(f"{path}: is {size}, the calibration {expected}", "all frames must have one size")
        out = {}
        for name, view in views.items():
            if view not in self._warps:
                self._warps[view] = Warp(self.camera, view, self.mount.level_from_camera)
            out[name] = self._warps[view](image)
        return out
