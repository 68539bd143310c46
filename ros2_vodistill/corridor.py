"""A corridor of textured planes, rendered exactly: frames with a known motion where no recording is given."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount

MOUNT = Mount(height=1.65)
STEP = np.array([0.0, 0.0, 0.4, 0.0, 0.004, 0.0])
"""Motion of each frame in the last: 0.4 m ahead, a quarter of a degree to the right."""

_HALF_WIDTH, _CEILING, _FAR = 5.0, 6.0, 60.0  # metres
_TEXELS = 24.0  # per metre
_SIZE = 2048


def camera(width: int, height: int) -> Camera:
    """A pinhole camera of that size, with the field of view of a car's."""
    focal = 0.58 * width
    return Camera(width, height, "pinhole", focal, focal, (width - 1) / 2, (height - 1) / 2)


def poses(count: int) -> NDArray[np.float64]:
    """(N,4,4) camera-to-world; the world's origin is in the corridor's middle, on the ground."""
    start = geometry.make(np.eye(3), [0.0, -float(MOUNT.height or 0.0), 0.0])
    return geometry.accumulate(np.repeat(geometry.from_motion(STEP)[None], count - 1, axis=0), start)


def frames(of: Camera, count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """(H,W) grey images along `poses`."""
    generator = np.random.default_rng(seed)
    textures = [_noise(generator) for _ in range(3)]
    pixels = np.stack(np.meshgrid(np.arange(of.width), np.arange(of.height)), axis=-1)
    rays = of.rays(pixels)
    return [_render(rays, pose, textures, generator) for pose in poses(count)]


def _render(
    rays: NDArray[np.float64],
    pose: NDArray[np.float64],
    textures: list[NDArray[np.float32]],
    generator: np.random.Generator,
) -> NDArray[np.uint8]:
    """Ground and ceiling, left and right wall, and haze that hides what is too far to be sampled without aliasing."""
    directions, origin = rays @ pose[:3, :3].T, pose[:3, 3]
    directions = np.where(np.abs(directions) < 1e-9, 1e-9, directions)
    to_flat = np.where(directions[..., 1] > 0, -origin[1], -_CEILING - origin[1]) / directions[..., 1]
    to_wall = (np.where(directions[..., 0] > 0, _HALF_WIDTH, -_HALF_WIDTH) - origin[0]) / directions[..., 0]
    distance = np.minimum(np.minimum(to_flat, to_wall), 2 * _FAR)
    points = (origin + distance[..., None] * directions) * _TEXELS
    flat, right = to_flat < to_wall, directions[..., 0] > 0
    across = np.where(flat, points[..., 0], points[..., 1]) % (_SIZE - 1)
    along = points[..., 2] % (_SIZE - 1)
    maps = across.astype(np.float32), along.astype(np.float32)
    ground, left_wall, right_wall = (cv2.remap(texture, *maps, cv2.INTER_LINEAR) for texture in textures)
    colour = np.where(flat, ground, np.where(right, right_wall, left_wall))
    clear = np.clip(1.5 - distance / _FAR, 0, 1)
    noisy = 128 + clear * colour + generator.normal(0, 1.5, colour.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _noise(generator: np.random.Generator) -> NDArray[np.float32]:
    """A texture of mean zero with detail of all sizes."""
    total = np.zeros((_SIZE, _SIZE), np.float32)
    for cells in (32, 128, 512, 1024):
        coarse = generator.normal(0, 1, (cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC)
    return np.clip(30 * total, -110, 110)
