"""The length of a step from the ground: direct alignment of the road ahead, at resolution.

The ground is the plane `n . X = 1` of the level frame, lengths in camera heights, n across (slope_x, 1, slope_z). The
last view of it follows from this one by one homography, `R + t n'`. Gauss-Newton on the pixels of the road refines
the motion, the plane and a curvature of the road along z, all at once and against their priors: the rotation and
direction come from elsewhere (epipolar geometry), the length of t comes from here.

Pixels are gathered in blocks. A block's shift is known to its pixels' noise, to `_SHIFT` pixels and to `_ROUGH` camera
heights that the ground there may lie off the plane; blocks that fit neither (cars, kerbs, reflections) lose weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.epipolar import Epipolar, basis
from ros2_vodistill.road import plane_normal
from ros2_vodistill.view import View, Warp

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_HALF_WIDTH = 2.0  # of the road that is looked at, camera heights
_FARTHEST = 12.0  # camera heights
_NEAREST = 0.8
_SPARE = 2.5  # the view reaches this many times farther than the road that is looked at: the last frame's road
_HIGH_PASS, _LOCAL = 15, 31  # pixels: boxes of the high-pass and of the local contrast
_NOISE = 2.5  # grey levels added to the local contrast
_CORRELATED = 8.0  # pixels that share one noise
_SHIFT = 0.05  # pixels
_ROUGH = 0.02  # camera heights
_OUTLIER = 3.0  # standard deviations
_AGREES = 0.3  # weight of a block that agrees with the fit
_WEAKEST_FIT = 0.01  # of normalised grey: residual variance that is never undercut


@dataclass(frozen=True)
class Prior:
    """What is known before the ground is looked at; level frame, camera heights.

    Attributes:
        epipolar: rotation, direction and their information.
        length, length_variance: of the translation; signed along the direction.
        road: (3,) slope_x, slope_z and curvature in this frame, and their 3x3 `road_covariance`.
    """

    epipolar: Epipolar
    length: float
    length_variance: float
    road: Array
    road_covariance: Array


@dataclass(frozen=True)
class GroundFit:
    """The motion and the road that align two views of the ground; level frame, camera heights.

    Attributes:
        rotation, translation: of this view in the last.
        road: (3,) slope_x, slope_z and curvature.
        covariance: 9x9 of (translation, left turn, road).
        score: normalised correlation of the road's pixels, -1..1.
        support: share of the visible blocks that agree.
        strain: how far the fit bent the epipolar motion: squared standard deviations per degree of freedom.
    """

    rotation: Array
    translation: Array
    road: Array
    covariance: Array
    score: float
    support: float
    strain: float


class Level:
    """The geometry of one resolution: a level pinhole view, and the blocks of road in it."""

    def __init__(self, view: View, seen: NDArray[np.bool_], near: float, far: float, block: int) -> None:
        self.view, self.seen, self.block = view, seen, block
        self.matrix = np.array([[view.fx, 0, view.cx], [0, view.fy, view.cy], [0, 0, 1.0]])
        self.inverse = np.linalg.inv(self.matrix)
        top = int(view.fy / far + view.cy)
        half = min(view.width // 2, int(_HALF_WIDTH / near * view.fx))
        self.rows, self.columns = max(1, (view.height - top) // block), max(1, 2 * half // block)
        self.size = self.columns * block, self.rows * block
        self.left, self.top = (view.width - self.size[0]) // 2, view.height - self.size[1]
        self.shift = np.array([[1.0, 0, self.left], [0, 1, self.top], [0, 0, 1]])
        x = self.left + block * np.arange(self.columns) + (block - 1) / 2
        y = self.top + block * np.arange(self.rows) + (block - 1) / 2
        rays = view.rays_at(np.stack(np.meshgrid(x, y), axis=-1))
        blocks = self.columns, self.rows
        covered = cv2.resize(self.crop(seen).astype(np.float32), blocks, interpolation=cv2.INTER_AREA)
        self.used = (covered > 0.99) & (np.abs(rays[..., 0]) <= _HALF_WIDTH * rays[..., 1])
        self.rays = rays[self.used]

    def crop(self, view: NDArray[np.generic]) -> NDArray[np.generic]:
        """The part of a view that the blocks tile."""
        return view[self.top : self.top + self.size[1], self.left : self.left + self.size[0]]

    def pulled(self, view: Image, plane_motion: Array) -> Image:
        """The last view as this one would see it, where the blocks are; plane_motion is `R + t n'`."""
        homography = self.matrix @ plane_motion @ self.inverse @ self.shift
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        pulled = cv2.warpPerspective(view, homography, self.size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(pulled, np.uint8)

    def visible(self, plane_motion: Array) -> NDArray[np.bool_]:
        """(B,) blocks whose ground the last view saw."""
        pixels = self.rays @ (self.matrix @ plane_motion).T
        ahead = pixels[:, 2] > 1e-6
        x, y = (pixels[:, :2] / np.where(ahead, pixels[:, 2], 1.0)[:, None]).T.round().clip(-1e6, 1e6).astype(int)
        inside = ahead & (x >= 0) & (y >= 0) & (x < self.view.width) & (y < self.view.height)
        return inside & self.seen[np.where(inside, y, 0), np.where(inside, x, 0)]

    def sums(self, values: NDArray[np.floating]) -> Array:
        """(B,) totals over the pixels of each block."""
        means = cv2.resize(values, (self.columns, self.rows), interpolation=cv2.INTER_AREA)
        return means[self.used].astype(np.float64) * self.block**2


class Ground:
    """Looks at the road ahead of a camera.

    Args:
        camera: its calibration.
        mount: its pitch and roll make the level frame; they may be off by a few degrees.
        pixels: the most that the finest level looks at.

    Attributes:
        levels: from fine to coarse, each half the size; empty where the camera sees no ground ahead.
        pace: length, in camera heights, that moves the nearest ground by 1.5 pixels of the coarsest level.
    """

    def __init__(self, camera: Camera, mount: Mount, pixels: int = 110_000) -> None:
        across, down = np.linspace(0, camera.width - 1, 97), np.linspace(0, camera.height - 1, 97)
        grid = np.stack(np.meshgrid(across, down), axis=-1)
        rays = camera.rays(grid).reshape(-1, 3) @ mount.level_from_camera.T
        rays = rays[np.isfinite(rays).all(axis=1)]
        rays = rays[(rays[:, 2] > 0.1) & (rays[:, 1] > rays[:, 2] / _FARTHEST)]
        rays = rays[np.abs(rays[:, 0]) < _HALF_WIDTH * rays[:, 1]]
        self.levels: list[Level] = []
        self.pace = np.inf
        if len(rays) < 97:
            return
        near = max(_NEAREST, float((rays[:, 2] / rays[:, 1]).min()))
        far = min(_FARTHEST, 2 + 3 * near)
        tangent = float(np.clip(np.abs(rays[:, 0] / rays[:, 2]).max(), 0.1, _HALF_WIDTH / near))
        focal = np.sqrt(camera.fx * camera.fy)
        focal *= min(1.0, np.sqrt(pixels / (focal**2 * 2 * tangent * (1 / near - 1 / far))))
        horizon = 1 / (_SPARE * far)
        spread = min(1.5 * tangent, 2.5)
        width, height = 8 * int(2 * spread * focal / 8), 8 * int((1 / near - horizon) * focal / 8)
        view = View(width, height, focal, focal, (width - 1) / 2, -horizon * focal)
        self._warp = Warp(camera, view, mount.level_from_camera)
        seen = self._warp.map_x >= 0
        for halvings, block in ((0, 16), (1, 8), (2, 8)):
            k = 2**halvings
            centre = (view.cx + 0.5) / k - 0.5, (view.cy + 0.5) / k - 0.5
            small = View(width // k, height // k, focal / k, focal / k, *centre)
            mask = cv2.resize(seen.astype(np.float32), (small.width, small.height), interpolation=cv2.INTER_AREA) > 0.99
            level = Level(small, mask, near, far, block)
            if level.used.sum() < 8:
                break
            self.levels.append(level)
        if self.levels:
            self._reach = 0.8 * near
            self.pace = 1.5 * near**2 / self.levels[-1].view.fy

    def views(self, image: Image) -> list[Image]:
        """A frame's ground, one view a level."""
        views = [self._warp(image)] if self.levels else []
        for level in self.levels[1:]:
            size = level.view.width, level.view.height
            views.append(np.asarray(cv2.resize(views[-1], size, interpolation=cv2.INTER_AREA), np.uint8))
        return views

    def search(
        self, last: list[Image], this: list[Image], prior: Prior, slopes: tuple[float, ...]
    ) -> tuple[float, float]:
        """The length of the step and the offset to slope_z, of `slopes`, that correlate best at the coarsest level."""
        level, picture = self.levels[-1], normalised(self.levels[-1].crop(this[-1]))
        best = (-1.0, prior.length, 0.0)
        for offset in slopes:
            normal = plane_normal(prior.road + [0, offset, 0])
            for length in np.arange(0.0, self._reach, self.pace):
                motion = prior.epipolar.rotation + np.outer(length * prior.epipolar.direction, normal)
                score = correlation(level, picture, normalised(level.pulled(last[-1], motion)), level.visible(motion))
                best = max(best, (score, float(length), offset))
        return best[1:]

    def fit(
        self, last: list[Image], this: list[Image], prior: Prior, schedule: tuple[tuple[int, int], ...]
    ) -> GroundFit:
        """Align two frames' views.

        Args:
            schedule: (level, most iterations) from coarse to fine.
        """
        epipolar = prior.epipolar
        across = basis(epipolar.direction)
        road_information = np.linalg.inv(prior.road_covariance)
        epipolar_information = np.linalg.inv(epipolar.covariance)
        rotation, road = epipolar.rotation, prior.road.copy()
        translation = prior.length * epipolar.direction
        for stage, (index, iterations) in enumerate(schedule):
            level = self.levels[index]
            picture = normalised(level.crop(this[index]))
            slope_x, slope_y = slopes_of(picture)
            for iteration in range(iterations):
                normal = plane_normal(road)
                plane_motion = rotation + np.outer(translation, normal)
                pulled = normalised(level.pulled(last[index], plane_motion))
                visible = level.visible(plane_motion)
                pulled_x, pulled_y = slopes_of(pulled)
                along_x, along_y, error = (slope_x + pulled_x) / 2, (slope_y + pulled_y) / 2, pulled - picture
                xx, xy, yy = level.sums(along_x**2), level.sums(along_x * along_y), level.sums(along_y**2)
                tensor = np.stack([xx, xy, xy, yy], axis=-1).reshape(-1, 2, 2)
                gradient = np.stack([level.sums(along_x * error), level.sums(along_y * error)], axis=-1)
                energy = level.sums(error**2) / level.block**2
                spread = max(float(np.median(energy[visible])) if visible.any() else 1.0, _WEAKEST_FIT)
                if iteration < 2:  # it hardly changes any more
                    jacobian = flow(level.rays, rotation, translation, road) * level.view.fy
                noise = np.linalg.inv(tensor + 1e-6 * np.eye(2))
                offset = (noise @ gradient[..., None])[..., 0] + jacobian[:, :, 8] * road[2]
                rough = jacobian[:, :, :3] @ translation * _ROUGH
                covariance = noise * spread * _CORRELATED + rough[:, :, None] * rough[:, None] + _SHIFT**2 * np.eye(2)
                information = np.linalg.inv(covariance)
                weights = visible / (1 + (energy / (3 * spread)) ** 2)
                if stage or iteration > 1:
                    distance = np.einsum("ni,nij,nj->n", offset, information, offset)
                    weights = weights / (1 + distance / _OUTLIER**2) ** 2
                weighted = (information * weights[:, None, None]) @ jacobian
                hessian = np.einsum("nji,njk->ik", jacobian, weighted)
                slope = np.einsum("nij,ni->j", weighted, offset)
                # the priors: epipolar, length, road
                length = max(float(np.linalg.norm(translation)), 1e-3)
                bent = np.concatenate([geometry.so3_log(rotation @ epipolar.rotation.T), across @ translation / length])
                by = np.zeros((5, 9))
                by[:3, 3:6], by[3:, :3] = np.eye(3), across / length
                hessian += by.T @ epipolar_information @ by
                slope += by.T @ epipolar_information @ bent
                hessian[:3, :3] += np.outer(epipolar.direction, epipolar.direction) / prior.length_variance
                slope[:3] += (
                    epipolar.direction * (epipolar.direction @ translation - prior.length) / prior.length_variance
                )
                hessian[6:, 6:] += road_information
                slope[6:] += road_information @ (road - prior.road)
                step = -np.linalg.solve(hessian, slope)
                translation = translation + step[:3]
                rotation = geometry.so3_exp(step[3:6]) @ rotation
                road = road + step[6:]
                if np.abs(step[:3]).max() < 2e-4 * max(1.0, length) and iteration:
                    break
        score = correlation(level, picture, pulled, visible)
        strain = float(bent @ epipolar_information @ bent) / 5
        support = float((weights[visible] > _AGREES).mean()) if visible.any() else 0.0
        return GroundFit(rotation, translation, road, np.linalg.inv(hessian), score, support, strain)


def normalised(view: NDArray[np.generic]) -> NDArray[np.float32]:
    """High-passed, lightly smoothed, and divided by the local contrast: what light and shade leave alone."""
    grey = view.astype(np.float32)
    grey -= cv2.boxFilter(grey, -1, (_HIGH_PASS, _HIGH_PASS))
    smooth = cv2.GaussianBlur(grey, (5, 5), 1.0)
    contrast = cv2.sqrBoxFilter(smooth, cv2.CV_32F, (_LOCAL, _LOCAL))
    return np.asarray(smooth / np.sqrt(contrast + _NOISE**2), np.float32)


def slopes_of(picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Derivatives along x and y, per pixel."""
    x, y = (cv2.Sobel(picture, -1, *order, scale=1 / 8) for order in ((1, 0), (0, 1)))
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def correlation(
    level: Level, picture: NDArray[np.float32], pulled: NDArray[np.float32], visible: NDArray[np.bool_]
) -> float:
    """Normalised, over the visible blocks; -1 where few are."""
    if visible.sum() < 4:
        return -1.0
    both, one, other = (
        level.sums(a * b)[visible].sum() for a, b in ((picture, pulled), (picture, picture), (pulled, pulled))
    )
    return float(both / np.sqrt(one * other + 1e-9))


def flow(rays: Array, rotation: Array, translation: Array, road: Array) -> Array:
    """(B,2,9): how the ground at rays (B,3), z = 1, moves in this view's plane of unit focal length.

    By the translation, a turn of the rotation from the left, the road's two slopes, and its curvature.
    """
    normal = plane_normal(road)
    back = np.linalg.inv(rotation + np.outer(translation, normal))
    length = np.sqrt(1 + road[0] ** 2 + road[1] ** 2)
    by_slope = (np.eye(3)[[0, 2]] - np.outer(normal[[0, 2]], normal)) / length
    nearness = rays @ normal
    turned = rays @ rotation.T
    change = np.empty((len(rays), 3, 9))
    change[:, :, :3] = nearness[:, None, None] * np.eye(3)
    change[:, :, 3:6] = -geometry.hat(turned)
    change[:, :, 6:8] = translation[:, None] * (rays @ by_slope.T)[:, None]
    change[:, :, 8] = translation * nearness[:, None] * ((rays[:, 2] / rays[:, 1]) ** 2 / 2)[:, None]
    change = back @ change
    return change[:, :2] - rays[:, :2, None] * change[:, 2:]
