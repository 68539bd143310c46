"""The length of a step from the ground: direct alignment of the road ahead, from coarse to fine.

The ground is the plane `n . X = 1` of the level frame, lengths in camera heights, n across (slope_x, 1, slope_z). The
homography `R + t n'` takes it from this view to the last. Gauss-Newton on the pixels of the road refines
the motion, the plane and a curvature of the road along z, all at once and against their priors: the rotation and
direction come from elsewhere (epipolar geometry), the length of t comes from here.

Pixels are gathered in blocks. A block's shift is known to its pixels' noise, to `_SHIFT` pixels and to `_ROUGH` camera
heights that the ground there may lie off the plane; blocks that fit neither (cars, kerbs, reflections) lose weight.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.blocks import HALF_WIDTH, GroundView, Level, Shifts, flow, inverse
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.mask import Fill, Seen
from ros2_vodistill.plane import Alignment, GroundFit, Prior, PriorEquations, own_length
from ros2_vodistill.view import View, Warp

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Views = list[GroundView]
"""One a level, from fine to coarse."""
Schedule = tuple[tuple[int, int], ...]
"""(level, most iterations) from coarse to fine."""

_NEAREST, _FARTHEST = 0.8, 12.0  # camera heights
_SPARE = 2.5  # the view reaches this many times farther than the road that is looked at: the last frame's road
_REACH = 0.8, 0.5  # of the nearest road: the longest step that is searched for, if a longer one is not expected; and of
# the farthest road, beyond which there is too little of it in both views
_LIKELY = 3.0  # standard deviations that a step is longer than expected at most
_SHIFT = 0.05  # pixels
_ROUGH = 0.02  # camera heights
_OUTLIER = 3.0  # standard deviations
_AGREES = 0.3  # weight of a block that agrees with a fit
_SWAY = 0.015  # radians: standard deviation of the slope ahead beyond which other slopes are searched, too
_PATIENCE = 3  # searches in a row that find nothing; from then on every tenth frame


class Ground:
    """Looks at the road ahead of a camera.

    Args:
        camera: its calibration.
        mount: its pitch and roll make the level frame; they may be off by a few degrees.
        pixels: the most that the finest level looks at.
        world: (H,W) pixels of the camera's images that show the world; None for all.

    Attributes:
        levels: from fine to coarse, each half the size; empty where the camera sees no ground ahead.
        pace: length, in camera heights, that moves the nearest ground by 1.5 pixels of the coarsest level.
    """

    def __init__(self, camera: Camera, mount: Mount, pixels: int = 110_000, world: Seen | None = None) -> None:
        self.levels: list[Level] = []
        self.pace = np.inf
        self.reset()
        rays = _towards_the_road(camera, mount, world)
        if len(rays) < 97:
            return
        self._near = max(_NEAREST, float((rays[:, 2] / rays[:, 1]).min()))
        self._far = far = min(_FARTHEST, 2 + 3 * self._near)
        tangent = float(np.clip(np.abs(rays[:, 0] / rays[:, 2]).max(), 0.1, HALF_WIDTH / self._near))
        focal = np.sqrt(camera.fx * camera.fy)
        focal *= min(1.0, np.sqrt(pixels / (focal**2 * 2 * tangent * (1 / self._near - 1 / far))))
        horizon = 1 / (_SPARE * far)
        width = 8 * int(2 * min(1.5 * tangent, 2.5) * focal / 8)
        height = 8 * int((1 / self._near - horizon) * focal / 8)
        try:
            view = View(width, height, focal, focal, (width - 1) / 2, -horizon * focal)
            self._warp = Warp(camera, view, mount.level_from_camera)
        except VodistillError:  # no pixel of it is left, or seen
            return
        inside = self._warp.map_x >= 0
        if world is not None:
            inside &= self._warp(np.where(world, 255, 0).astype(np.uint8)) == 255
            if not inside.any():
                return
        self._fill = Fill(inside)
        seen = inside.astype(np.float32)
        for k, block in ((1, 16), (2, 8), (4, 8)):
            centre = (view.cx + 0.5) / k - 0.5, (view.cy + 0.5) / k - 0.5
            small = View(width // k, height // k, focal / k, focal / k, *centre)
            mask = cv2.resize(seen, (small.width, small.height), interpolation=cv2.INTER_AREA) > 0.99
            level = Level(small, mask, self._near, far, block)
            if level.used.sum() < 8:
                break
            self.levels.append(level)
            self.pace = 1.5 * self._near**2 / small.fy

    def reset(self) -> None:
        """Forget how many searches failed."""
        self._misses = 0

    def views(self, image: Image) -> Views:
        """Of a frame's ground."""
        views: Views = []
        for level in self.levels:
            size = level.view.width, level.view.height
            seen = views[-1].image if views else self._fill(self._warp(image))
            small = cv2.resize(seen, size, interpolation=cv2.INTER_AREA) if views else seen
            views.append(GroundView(np.asarray(small, np.uint8), level))
        return views

    def measure(self, last: Views, this: Views, prior: Prior, schedule: Schedule) -> GroundFit | None:
        """Align two frames' views, from the prior or, where that is too vague or fails, from a search.

        None where no alignment is to be believed.
        """
        if not self.levels:
            return None
        schedule = tuple((min(level, len(self.levels) - 1), count) for level, count in schedule)
        result, creeping = None, prior.length < self.pace
        if prior.length_variance < 2 * self.pace**2:
            result = self._checked(last, this, prior, schedule, creeping)
        self._misses = 0 if result else self._misses + 1
        if result is None and (self._misses <= _PATIENCE or self._misses % 10 == 0):
            patient = ((len(self.levels) - 1, 6), *((level, count + 3) for level, count in schedule))
            result = self._checked(last, this, self.search(last, this, prior), patient, creeping)
            self._misses = 0 if result else self._misses
        return result

    def _checked(self, last: Views, this: Views, prior: Prior, schedule: Schedule, creeping: bool) -> GroundFit | None:
        """A fit that is believed; None if it is not clear (unless the camera hardly moves), or corners would lie below
        the ground (unless it is sure). One that overrules the epipolar motion is repeated with less weight on that."""
        result = self.fit(last, this, prior, schedule)
        if result.overrules:
            doubted = replace(prior.epipolar, covariance=result.strain * prior.epipolar.covariance)
            result = self.fit(last, this, replace(prior, epipolar=doubted), schedule)
        above = result.sure or float(np.linalg.norm(result.translation)) < prior.longest
        return result if result.believed and above and (result.clear or creeping) else None

    def search(self, last: Views, this: Views, prior: Prior) -> Prior:
        """The prior with the length, and the slope, that correlate best at the coarsest level."""
        level, picture = self.levels[-1], this[-1].picture
        sway = float(np.sqrt(prior.road_covariance[1, 1]))
        best, found = -1.0, prior
        for offset in (0.0, -sway, sway) if sway > _SWAY else (0.0,):
            road = prior.road + [0.0, offset, 0.0]
            for length in np.arange(0.0, min(self._reach(prior), prior.longest), self.pace):
                motion = Alignment(prior.epipolar.rotation, length * prior.epipolar.direction, road).plane_motion
                score = level.correlation(picture, level.pulled(last[-1], motion), level.visible(motion))
                if score > best:
                    best, found = score, replace(prior, length=float(length), road=road)
        return replace(found, length_variance=4 * self.pace**2)

    def _reach(self, prior: Prior) -> float:
        """The longest step that is searched for, camera heights."""
        doubt = np.sqrt(prior.length_variance)
        expected = prior.length + _LIKELY * doubt if np.isfinite(doubt) else 0.0
        return max(_REACH[0] * self._near, min(expected, _REACH[1] * self._far))

    def fit(self, last: Views, this: Views, prior: Prior, schedule: Schedule) -> GroundFit:
        """Align two frames' views, from the prior on."""
        known = PriorEquations(prior)
        at = Alignment(prior.epipolar.rotation, prior.length * prior.epipolar.direction, prior.road)
        for stage, (index, iterations) in enumerate(schedule):
            level = self.levels[index]
            picture = this[index].picture
            for iteration in range(iterations):
                motion = at.plane_motion
                pulled, visible = level.pulled(last[index], motion), level.visible(motion)
                shifts = level.shifts(picture, pulled, visible)
                if iteration < 2:  # it hardly changes any more
                    jacobian = flow(level.rays, at.rotation, at.translation, at.road) * level.view.fy
                hessian, gradient, weights = _by_blocks(shifts, jacobian, at, visible, stage > 0 or iteration > 1)
                own_hessian, own_gradient, strain = known.about(at)
                covariance: Array = np.linalg.inv(hessian + own_hessian).astype(np.float64)
                step = -covariance @ (gradient + own_gradient)
                at = at.moved(step)
                if np.abs(step[:3]).max() < 2e-4 * max(1.0, float(np.linalg.norm(at.translation))) and iteration:
                    break
        score = level.correlation(picture, pulled, visible)
        static = level.correlation(picture, last[index].picture, visible)
        support = float((weights[visible] > _AGREES).mean()) if visible.any() else 0.0
        length = own_length(at.translation, covariance[:3, :3], prior)
        return GroundFit(at.rotation, at.translation, at.road, covariance, score, static, support, strain, length)


def _by_blocks(
    shifts: Shifts, jacobian: Array, at: Alignment, visible: NDArray[np.bool_], settled: bool
) -> tuple[Array, Array, Array]:
    """Hessian (9,9) and gradient (9,) of the blocks' shifts, and the weights (B,) of the blocks.

    The road's curvature is left out where the last view is pulled: to first order it is put in here. Once the fit has
    settled, blocks count by how well their shifts agree with it too, not only by how alike they look.
    """
    offset = shifts.offset + jacobian[:, 8] * at.road[2]
    rough = at.translation @ jacobian[:, :3] * _ROUGH
    information = inverse(shifts.covariance + rough * rough[:, None] + _SHIFT**2 * np.eye(2)[..., None])
    weights = visible / (1 + (shifts.energy / 3) ** 2)
    if settled:
        distance = (offset * (information * offset).sum(axis=1)).sum(axis=0)
        weights = weights / (1 + distance / _OUTLIER**2) ** 2
    weighted = ((information * weights)[:, :, None] * jacobian).sum(axis=1)
    hessian, gradient = (weighted @ jacobian.swapaxes(1, 2)).sum(axis=0), (weighted @ offset[..., None]).sum(axis=0)
    return hessian, gradient[:, 0], weights


def _towards_the_road(camera: Camera, mount: Mount, world: Seen | None) -> Array:
    """(N,3) rays of an even grid of the image's pixels that meet the road, level frame."""
    across, down = np.linspace(0, camera.width - 1, 97), np.linspace(0, camera.height - 1, 97)
    rays = camera.rays(np.stack(np.meshgrid(across, down), axis=-1)) @ mount.level_from_camera.T
    if world is not None:
        rays[~world[np.ix_(down.astype(int), across.astype(int))]] = np.nan
    rays = rays.reshape(-1, 3)
    rays = rays[np.isfinite(rays).all(axis=1)]
    rays = rays[(rays[:, 2] > 0.1) & (rays[:, 1] > rays[:, 2] / _FARTHEST)]
    return rays[np.abs(rays[:, 0]) < HALF_WIDTH * rays[:, 1]]
