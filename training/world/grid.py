"""The rays of a view, in tiles, and which solids can touch which tile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill.camera import Camera
from ros2_vodistill.view import Patch, View

TILE = (8, 16)
"""Rows and columns of pixels in a tile."""

NONE = -1

_CLASSES = (0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)


@dataclass(frozen=True)
class Grid:
    """S rays through each pixel of an image, cut into R x C tiles of P pixels.

    Attributes:
        size: rows and columns of the image.
        tiles: (R * C, S, 3, P) rays, z = 1.
        angle: (R * C, 1, P) angle between neighbouring pixels, radians.
        seen: (H, W) bool; pixels that the lens gives no ray are not.
        rows, columns: (R, 2), (C, 2) least and greatest y and x of the rays in a row or column of tiles.
    """

    size: tuple[int, int]
    tiles: Tensor
    angle: Tensor
    seen: Tensor
    rows: Tensor
    columns: Tensor

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """S, R, C, P."""
        _, s, _, p = self.tiles.shape
        return s, len(self.rows), len(self.columns), p

    def image(self, values: Tensor) -> Tensor:
        """(F * R * C, P) in tiles to (F, H, W)."""
        _, r, c, _ = self.shape
        (th, tw), (h, w) = TILE, self.size
        values = values.view(-1, r, c, th, tw).transpose(2, 3)
        return values.reshape(-1, r * th, c * tw)[..., :h, :w]


def grid(camera: View | Patch | Camera, samples: int, device: torch.device) -> Grid:
    """The grid of a view, or of a camera with a lens, in its own optical frame."""
    return _grid(camera, samples, str(device))


@lru_cache(maxsize=16)
def _grid(camera: View | Patch | Camera, samples: int, device: str) -> Grid:
    (th, tw), (h, w) = TILE, (camera.height, camera.width)
    r, c = -(-h // th), -(-w // tw)
    x, y = np.meshgrid(np.arange(c * tw).clip(max=w - 1), np.arange(r * th).clip(max=h - 1))
    pixels = np.stack([x, y], -1).astype(float)
    shot = camera.rays if isinstance(camera, Camera) else camera.rays_at
    rays = np.stack([_forward(shot(pixels + offset)) for offset in offsets(samples)])
    middle = _forward(shot(pixels))
    seen = np.isfinite(np.concatenate([rays, middle[None]])).all((0, -1))
    rays = np.where(seen[..., None], rays, [0.0, 0.0, 1.0])
    unit = middle / np.linalg.norm(middle, axis=-1, keepdims=True)
    angle = np.linalg.norm(np.diff(unit, axis=1, append=unit[:, -1:]), axis=-1)
    angle = np.where((angle > 0) & np.isfinite(angle), angle, np.nanmedian(angle[angle > 0]))

    def tiles(image: NDArray[np.float64]) -> Tensor:
        """(..., H, W) to (..., R, C, P)."""
        cut = image.reshape(*image.shape[:-2], r, th, c, tw)
        return torch.from_numpy(np.moveaxis(cut, -3, -2).reshape(*image.shape[:-2], r, c, th * tw)).float().to(device)

    tiled = tiles(np.moveaxis(rays, -1, 1)).movedim(1, 3)
    rows = torch.stack([tiled[..., 1, :].amin((0, 2, 3)), tiled[..., 1, :].amax((0, 2, 3))], -1)
    columns = torch.stack([tiled[..., 0, :].amin((0, 1, 3)), tiled[..., 0, :].amax((0, 1, 3))], -1)
    seen_at = torch.from_numpy(seen[:h, :w]).to(device)
    tiled = tiled.movedim(0, 2).flatten(0, 1).contiguous()
    return Grid((h, w), tiled, tiles(angle).flatten(0, 1)[:, None], seen_at, rows, columns)


def _forward(rays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scaled to z = 1; NaN for those that do not look ahead."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(rays[..., 2:] > 0.02, rays / rays[..., 2:], np.nan)


def offsets(samples: int) -> NDArray[np.float64]:
    """(S, 2) places of the rays in a pixel; no two in one row or column of a finer grid."""
    order = {1: [0], 2: [0, 1], 4: [1, 3, 0, 2], 8: [3, 6, 1, 4, 7, 2, 5, 0]}[samples]
    return (np.stack([np.array(order), np.arange(samples)], -1) + 0.5) / samples - 0.5


def candidates(grid: Grid, points: Tensor, there: Tensor) -> tuple[Tensor, Tensor]:
    """Which solids may touch which tile.

    Args:
        points: (F, N, K, 3) points whose convex hull holds the solid, in the frame of the rays.
        there: (F, N) bool.

    Returns indices (F, R, C, N), nearest first and `NONE` at the end, and their number (F, R, C).
    """
    x, y, z = points.unbind(-1)
    there = there & (z.amax(-1) > 0.05)
    order = torch.where(there, z.amin(-1), torch.full_like(z[..., 0], 1e9)).argsort(-1)

    def overlap(across: Tensor, edges: Tensor) -> Tensor:
        low = (across[..., None] - z[..., None] * edges[:, 0]).amax(2) > 0
        return low & ((across[..., None] - z[..., None] * edges[:, 1]).amin(2) < 0)  # F N edges

    rows, columns = overlap(y, grid.rows) & there[..., None], overlap(x, grid.columns)
    rows = rows.gather(1, order[..., None].expand_as(rows)).transpose(1, 2)
    columns = columns.gather(1, order[..., None].expand_as(columns)).transpose(1, 2)
    touch = rows[:, :, None] & columns[:, None]  # F R C N
    n = touch.shape[-1]
    rank = touch.cumsum(-1, dtype=torch.int16)
    slot = torch.where(touch, rank - 1, n).long()
    found = torch.full((*touch.shape[:-1], n + 1), NONE, device=order.device, dtype=torch.int64)
    found.scatter_(-1, slot, order[:, None, None].expand_as(slot))
    return found[..., :n], rank[..., -1].long()


def groups(found: Tensor, count: Tensor, limit: int, budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Tiles with about equally many candidates: (indices (G,) of the flattened (F, R, C), candidates (G, K)).

    Args:
        limit: of candidates; the nearest are kept.
        budget: of tiles times candidates in a group.
    """
    found, count = found.flatten(0, 2), count.flatten().clamp_max(limit)
    counts, order = count.sort()
    edges = [e for e in _CLASSES if e < limit] + [limit]
    starts = torch.searchsorted(counts, torch.tensor(edges, device=counts.device), right=True).tolist()
    for begin, end, k in zip(starts[:-1], starts[1:], edges[1:], strict=True):
        step = max(1, budget // k)
        for at in range(begin, end, step):
            group = order[at : min(at + step, end)]
            yield group, found[group, :k]
