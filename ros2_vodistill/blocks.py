"""A level view of the ground in blocks of pixels, and the displacement of each block (Lucas-Kanade)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry, robust
from ros2_vodistill.road import plane_normal
from ros2_vodistill.view import View

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Picture = NDArray[np.float32]
Mask = NDArray[np.bool_]
Pixel = TypeVar("Pixel", bound=np.generic)

HALF_WIDTH = 2.0  # of the road that is looked at, camera heights
_HIGH_PASS, _LOCAL = 15, 31  # pixels: boxes of the high-pass and of the local contrast
_NOISE = 2.5  # grey levels added to the local contrast
_CORRELATED = 8.0  # pixels that share one noise
_BEST = 0.01  # of normalised grey: residual variance that is never undercut


@dataclass(frozen=True)
class GroundView:
    """A frame's view of the ground, at a level."""

    image: Image
    level: Level

    @cached_property
    def picture(self) -> Picture:
        """The part that the blocks tile, normalised. Few frames need that of the coarsest level."""
        return self.level.pictured(self.image)


@dataclass(frozen=True)
class Shifts:
    """Displacements of the blocks between two pictures.

    Attributes:
        offset: (2,B) pixels; `covariance` (2,2,B) by the noise of the pixels.
        energy: (B,) squared difference of a block in terms of the median one.
    """

    offset: Array
    covariance: Array
    energy: Array


class Level:
    """One resolution: its geometry, and buffers for its pixels that are allocated once.

    Args:
        view: a level pinhole view of the ground.
        seen: (H,W) of it that the camera sees.
        near, far: the stretch of road to look at, camera heights.
        block: edge of a block, pixels.

    Attributes:
        rays: (B,3) of the blocks' centres, level frame, z = 1.
    """

    def __init__(self, view: View, seen: Mask, near: float, far: float, block: int) -> None:
        self.view, self.seen, self.block = view, seen, block
        self._matrix = np.array([[view.fx, 0, view.cx], [0, view.fy, view.cy], [0, 0, 1.0]])
        top = int(view.fy / far + view.cy)
        half = min(view.width // 2, int(HALF_WIDTH / near * view.fx))
        self._grid = max(1, 2 * half // block), max(1, (view.height - top) // block)  # columns, rows
        self.size = self._grid[0] * block, self._grid[1] * block
        self._left, self._top = (view.width - self.size[0]) // 2, view.height - self.size[1]
        corner = np.array([[1.0, 0, self._left], [0, 1, self._top], [0, 0, 1]])
        self._from_crop = np.linalg.inv(self._matrix) @ corner
        centres = [
            start + block * np.arange(n) + (block - 1) / 2
            for start, n in zip((self._left, self._top), self._grid, strict=True)
        ]
        rays = view.rays_at(np.stack(np.meshgrid(*centres), axis=-1))
        covered = cv2.resize(self.crop(seen).astype(np.float32), self._grid, interpolation=cv2.INTER_AREA)
        self.used = (covered > 0.99) & (np.abs(rays[..., 0]) <= HALF_WIDTH * rays[..., 1])
        self.rays = rays[self.used]
        shape = self.size[1], self.size[0]
        self._pulled, self._spare = np.empty(shape, np.float32), np.empty((2, *shape), np.float32)
        self._warped = np.empty(shape, np.uint8)
        self._product = np.empty(shape, np.float32)
        self._ones = np.ones((block, 1), np.float32)

    def crop(self, view: NDArray[Pixel]) -> NDArray[Pixel]:
        """The part of a view that the blocks tile."""
        return view[self._top : self._top + self.size[1], self._left : self._left + self.size[0]]

    def pictured(self, image: Image) -> Picture:
        """What is compared of a frame's view."""
        return normalised(self.crop(image), np.empty_like(self._pulled), self._spare)

    def pulled(self, last: GroundView, plane_motion: Array) -> Picture:
        """The last view warped into this one by the homography `plane_motion`; normalised, where the blocks are.

        Valid until the next call.
        """
        homography = self._matrix @ plane_motion @ self._from_crop
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        cv2.warpPerspective(
            last.image, homography, self.size, dst=self._warped, flags=flags, borderMode=cv2.BORDER_REPLICATE
        )
        return normalised(self._warped, self._pulled, self._spare)

    def visible(self, plane_motion: Array) -> Mask:
        """(B,) blocks whose ground the last view saw."""
        pixels = self.rays @ (self._matrix @ plane_motion).T
        ahead = pixels[:, 2] > 1e-6
        x, y = (pixels[:, :2] / np.where(ahead, pixels[:, 2], 1.0)[:, None]).T.round().clip(-1e6, 1e6).astype(int)
        inside = ahead & (x >= 0) & (y >= 0) & (x < self.view.width) & (y < self.view.height)
        return inside & self.seen[np.where(inside, y, 0), np.where(inside, x, 0)]

    def shifts(self, picture: Picture, pulled: Picture, visible: Mask) -> Shifts:
        """The displacement of each block from `pulled` to `picture`, to first order."""
        error, both = self._spare
        cv2.add(picture, pulled, dst=both)
        x, y = (np.asarray(cv2.Sobel(both, -1, *order, scale=1 / 16), np.float32) for order in ((1, 0), (0, 1)))
        cv2.subtract(pulled, picture, dst=error)
        pairs = (x, x), (x, y), (y, y), (x, error), (y, error), (error, error)
        xx, xy, yy, *gradient, energy = self._sums(*pairs)
        unsure = inverse(np.array([[xx + 1e-6, xy], [xy, yy + 1e-6]]))
        energy = energy / self.block**2
        usual = max(robust.median(energy[visible]), _BEST) if visible.any() else 1.0
        return Shifts((unsure * gradient).sum(axis=1), unsure * (usual * _CORRELATED), energy / usual)

    def correlation(self, picture: Picture, pulled: Picture, visible: Mask) -> float:
        """Of two pictures, -1..1, over the visible blocks; -1 where those are few."""
        if visible.sum() < 4:
            return -1.0
        products = self._sums((picture, pulled), (picture, picture), (pulled, pulled))
        both, one, other = products[:, visible].sum(axis=1).tolist()
        return both / float(np.sqrt(one * other + 1e-9))

    def _sums(self, *pairs: tuple[Picture, Picture]) -> Array:
        """(N,B) totals of the products of N pairs of pictures over the pixels of each block."""
        columns, rows = self._grid
        tall = rows, self.block, self.size[0]
        lines = np.stack([np.multiply(*pair, out=self._product).reshape(tall).sum(axis=1) for pair in pairs])
        totals = (lines.reshape(-1, self.block) @ self._ones).reshape(-1, rows, columns)
        return totals[:, self.used].astype(np.float64)


def normalised(view: Image, out: Picture, spare: NDArray[np.float32]) -> Picture:
    """High-passed, lightly smoothed, and divided by the local contrast: what light and shade leave alone.

    The result is written into `out` (H,W); `spare` (2,H,W) is a buffer.
    """
    first, second = spare
    cv2.boxFilter(view, cv2.CV_32F, (_HIGH_PASS, _HIGH_PASS), dst=first)
    cv2.subtract(view, first, dst=first, dtype=cv2.CV_32F)
    cv2.GaussianBlur(first, (5, 5), 1.0, dst=out)
    cv2.sqrBoxFilter(out, cv2.CV_32F, (_LOCAL, _LOCAL), dst=second)
    second += _NOISE**2
    return np.divide(out, np.sqrt(second, out=second), out=out)


def flow(rays: Array, rotation: Array, translation: Array, road: Array) -> Array:
    """(2,9,B): how the ground at rays (B,3), z = 1, moves in this view's plane of unit focal length.

    By the translation, a turn of the rotation from the left, the road's two slopes, and its curvature.
    """
    normal = plane_normal(road)
    back = np.linalg.inv(rotation + np.outer(translation, normal))
    length = np.sqrt(1 + road[0] ** 2 + road[1] ** 2)
    by_slope = (np.eye(3)[[0, 2]] - np.outer(normal[[0, 2]], normal)) / length
    nearness = rays @ normal
    change = np.empty((3, 9, len(rays)))
    change[:, :3] = nearness * np.eye(3)[..., None]
    change[:, 3:6] = -geometry.hat(rays @ rotation.T).transpose(1, 2, 0)
    change[:, 6:8] = translation[:, None, None] * (by_slope @ rays.T)
    change[:, 8] = translation[:, None] * (nearness * (rays[:, 2] / rays[:, 1]) ** 2 / 2)
    x, y, z = (back @ change.reshape(3, -1)).reshape(change.shape)
    return np.stack([x, y]) - rays.T[:2, None] * z


def inverse(matrices: Array) -> Array:
    """Of matrices (2,2,N)."""
    (a, b), (c, d) = matrices
    return np.array([[d, -b], [-c, a]]) / (a * d - b * c)
