"""What the cells of two small views tell of a motion, exactly, by geometry in numpy."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill import geometry
from ros2_vodistill.view import View

IMAGE, ROAD = View(160, 64, 92.0, 90.0, 79.5, 31.5), View(64, 32, 160.0, 160.0, 31.5, -20.0)
VIEWS = {"image": IMAGE, "view_road": ROAD}
MOTION = np.array([0.06, -0.03, 0.5, 0.01, -0.04, 0.006])
GROUND = 0.08
"""Slope below the horizon where it begins."""


def tracks(
    motion: NDArray[np.float64], pixels: float = 0.3, ground: float = 0.0, rise: float = 0.0
) -> dict[str, Tensor]:
    """What the cells of each view tell (1, 6, h, w), see `peaks.TOLD`: level ground where the ray meets it near enough,
    or ground that rises so much ahead, and random depths elsewhere. `ground` is how far that ground is taken for it."""
    pose, found = geometry.from_motion(motion), {}
    for name, view in VIEWS.items():
        rays = view.rays()[::8, ::8]
        below = rays[..., 1] + rise
        depths = np.random.default_rng(0).uniform(1.5, 20.0, rays.shape[:2])
        depths = np.where(below > GROUND, 1 / np.maximum(below, GROUND), depths)
        x, y, z = np.moveaxis(rays * depths[..., None] @ pose[:3, :3].T + pose[:3, 3], 2, 0)
        rows, columns = np.indices(depths.shape) * 8
        shift = np.stack([view.fx * x / z + view.cx - columns, view.fy * y / z + view.cy - rows])
        sure = np.array([pixels, pixels, 0.0])[:, None, None] + np.zeros_like(depths)
        told = np.concatenate([shift, sure, ground * (below > GROUND)[None]])
        found[name] = torch.from_numpy(told).float()[None]
    return found


def joined(seen: dict[str, Tensor]) -> Tensor:
    """All cells (1, 6, P)."""
    return torch.cat([told.flatten(2) for told in seen.values()], 2)


def errors(motion: NDArray[np.float64], truth: NDArray[np.float64]) -> tuple[float, float]:
    """Degrees of rotation and of direction."""
    turn = geometry.angle(geometry.invert(geometry.from_motion(truth)) @ geometry.from_motion(motion))
    way, right = (x[:3] / np.linalg.norm(x[:3]) for x in (motion, truth))
    return float(np.degrees(turn)), float(np.degrees(np.arctan2(np.linalg.norm(np.cross(way, right)), way @ right)))
