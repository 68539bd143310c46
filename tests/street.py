"""A street to drive through: textured ground between two walls, seen by any camera. Lengths in metres, y down."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera

_CELLS = 512
_SKY = 200.0
_FAR = 1e4


def motion(forward: float = 0.0, yaw: float = 0.0, pitch: float = 0.0, side: float = 0.0) -> NDArray[np.float64]:
    """4x4 of a step: metres ahead and to the right, radians to the right and up."""
    return geometry.from_motion([side, 0.0, forward, pitch, yaw, 0.0])


class Street:
    """Renders frames by ray casting.

    Args:
        height: of the camera above the ground while it is at the origin.
        grain: size of the finest cells of the texture.
        width: between the walls; None leaves them away.
        tall: are the walls.
        contrast: standard deviation of the texture, grey levels.
    """

    def __init__(
        self,
        height: float = 1.5,
        grain: float = 0.02,
        width: float | None = 9.0,
        tall: float = 4.5,
        contrast: float = 30.0,
        seed: int = 0,
    ) -> None:
        self.grain = grain
        self._textures = _textures(contrast, seed)
        self._planes = [(1, height, 101.0)]  # axis that the plane is across, where on it, and a shift of the texture
        if width is not None:
            self._planes += [(0, -width / 2, 131.0), (0, width / 2, 157.0)]
        self._bottom, self._top = height, height - tall

    def __call__(
        self, camera: Camera, pose: NDArray[np.float64], noise: float = 0.0, seed: int = 0
    ) -> NDArray[np.uint8]:
        """The frame of a camera at `pose` (4x4, to the world, whose axes are level)."""
        grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
        rays = np.nan_to_num(camera.rays(grid)) @ pose[:3, :3].T
        rays = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
        image, nearest = np.full(rays.shape[:2], _SKY), np.full(rays.shape[:2], _FAR)
        for axis, offset, shift in self._planes:
            distance = (offset - pose[axis, 3]) / rays[..., axis]
            hit = (distance > 0) & (distance < nearest)
            place = pose[:3, 3] + rays * np.where(hit, distance, 0.0)[..., None]
            if axis == 0:
                hit &= (place[..., 1] < self._bottom) & (place[..., 1] > self._top)
            across = np.delete(place, axis, axis=-1) + shift
            footprint = distance / np.abs(rays[..., axis]) / camera.fx
            image = np.where(hit, self._texture(across, footprint), image)
            nearest = np.where(hit, distance, nearest)
        image = image + np.random.default_rng(seed).normal(0, noise, image.shape)
        return np.clip(image, 0, 255).astype(np.uint8)

    def _texture(self, place: NDArray[np.float64], footprint: NDArray[np.float64]) -> NDArray[np.float64]:
        """Grey at places on a plane, at the level of detail that a pixel of this size resolves."""
        result = np.zeros(place.shape[:2])
        level = np.log2(np.maximum(footprint / self.grain, 1.0)).clip(0, len(self._textures) - 1).round()
        for index, texture in enumerate(self._textures):
            size = texture.shape[0]
            chosen = level == index
            pixels = np.mod(place[chosen] / (self.grain * 2**index), 2 * size)
            pixels = np.minimum(pixels, 2 * size - pixels).astype(np.float32)
            table = np.resize(pixels, (len(pixels) // 1024 + 1, 1024, 2))  # remap takes no long columns
            grey = cv2.remap(texture, table, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
            result[chosen] = grey.ravel()[: len(pixels)]
        return result


@cache
def _textures(contrast: float, seed: int) -> list[NDArray[np.float32]]:
    """Noise of many scales, and the same at half the resolution again and again."""
    rng = np.random.default_rng(seed)
    octaves = [rng.normal(size=(_CELLS >> k, _CELLS >> k)) for k in range(6)]
    fine = sum(cv2.resize(octave, (_CELLS, _CELLS), interpolation=cv2.INTER_CUBIC) for octave in octaves)
    textures = [(110 + contrast * fine / fine.std()).astype(np.float32)]
    while textures[-1].shape[0] > 16:
        textures.append(cv2.pyrDown(textures[-1]))
    return textures
