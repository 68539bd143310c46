"""The motion between two frames from geometry alone: tracked corners, and the ground for the length of the step.

Lengths are in camera heights. They are carried along by the depths of the corners that live on from frame to frame, so
a stretch without visible ground keeps the last scale. Doors take and give motions in the camera's axes; inside,
everything is in the level frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import anchor, epipolar, geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.epipolar import Epipolar, Inertia
from ros2_vodistill.frontend import Relative
from ros2_vodistill.ground import Ground, GroundFit, Prior, Schedule
from ros2_vodistill.lengths import Depths, Gauge, Length, Scaled, fused
from ros2_vodistill.road import Road
from ros2_vodistill.tracks import Tracker

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Rays = tuple[Array, Array]

_NOISE = 0.1  # pixels that a followed corner is off at best
_STILL, _ALMOST_STILL = 0.15, 0.6  # pixels that half of the corners move at most while the camera stands, and in noise
_BY_CHANCE = 12.6  # squared standard deviations of a motion that may be none: 95 % of six degrees of freedom
_FEWEST, _FEW = 12, 40  # corners: that are needed, and that are worth a word
_POOR = 25.0  # factor of the variance where the corners are few or disagree
_RESTLESS = 0.1  # relative: heave of the camera above the road that makes the ground no good measure of length
_LEARNING, _WILD = 0.1, 100.0  # share of a new frame in how far guesses are off, and the most that one counts
_PACE = 0.03, 0.07  # camera heights, and share of the step, that a step differs from the last
_FAR_OFF = 2.0  # factor between lengths of one step that are not of the same motion
_ONE_VIEW = 0.1  # relative: error of depths that one frame alone has told
_CREEP = 0.05  # camera heights: shorter steps say nothing about the scale
_TYPICAL_DEPTH = 6.0  # camera heights: how far things are if nothing else is known
_NO_STEP = np.diag([1e-6] * 3 + [1e-8] * 3)  # covariance of standing still
_FLOOR = 0.01, 5e-4  # share of the step, and radians: calibration, shutter and vibration, which no residual shows


@dataclass(frozen=True)
class Guess:
    """A motion that is expected.

    Attributes:
        motion: 4x4, camera heights.
        covariance: 6x6 if it is a measurement; None if it is a mere start.
        sized: its length is a measurement too, not only its direction.
    """

    motion: Array
    covariance: Array | None = None
    sized: bool = True


@dataclass(frozen=True)
class Frame:
    """A frame and what was known once it was measured.

    Attributes:
        image: that corners are followed in.
        views: of the ground.
        points: (N,2) corners, and their `depths`.
        road: the ground's slopes.
        gauge: what is known about the scale of the depths.
    """

    image: Image
    views: list[Image]
    points: Array
    depths: Depths
    road: Road
    gauge: Gauge = field(default_factory=Gauge)


class TwoView:
    """Compares frames with a reference frame.

    Args:
        camera, mount: calibration and mounting; the mount's height is not used.
        tracker: how corners are found and followed.
        widest: images wider than about this many pixels are halved, or more, before anything else.
        ransac: always look for motions far from the expected one too, not only where that one fits badly.
        schedule: of the ground's levels, (level, iterations) from coarse to fine; empty: leave the ground alone.
    """

    def __init__(
        self,
        camera: Camera,
        mount: Mount,
        *,
        tracker: Tracker,
        widest: int,
        ransac: bool,
        schedule: Schedule,
    ) -> None:
        shrink = max(1, round(camera.width / widest))
        width, height = camera.width // shrink, camera.height // shrink
        self._region = width * shrink, height * shrink
        self._camera = camera.cropped(0, 0, *self._region).scaled(width, height)
        self._pixel = 1 / float(np.sqrt(self._camera.fx * self._camera.fy))  # radians
        self._level_from_camera = mount.level_from_camera
        self._turn = np.kron(np.eye(2), self._level_from_camera)
        self._tracker, self._ransac = tracker, ransac
        self._ground = Ground(self._camera, mount)
        self._schedule = schedule
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._reference: Frame | None = None
        self._newest: Frame | None = None
        self._since = np.eye(4)  # from the reference to the last compared frame
        self._pace: Array | None = None  # from one compared frame to the next
        self._dissent = 1.0  # factor that makes the covariances of the guesses honest
        self._ground.reset()

    def advance(self) -> None:
        """Make the newest compared frame the reference, with fresh corners where old ones are lost."""
        newest = self._newest
        if newest is None:
            return
        fresh = self._tracker.corners(newest.image, newest.points)
        points, depths = np.concatenate([newest.points, fresh]), newest.depths + Depths.unknown(len(fresh))
        self._reference = replace(newest, points=points, depths=depths)
        self._since = np.eye(4)

    def compare(self, image: Image, guess: Guess | None = None) -> Relative | None:
        """The motion from the reference frame to `image`; None if there is no reference."""
        reference = self._reference
        small, size = image[: self._region[1], : self._region[0]], (self._camera.width, self._camera.height)
        if size != self._region:
            small = np.asarray(cv2.resize(small, size, interpolation=cv2.INTER_AREA), np.uint8)
        views = self._ground.views(small) if self._schedule else []
        if reference is None:
            self._newest = Frame(small, views, np.empty((0, 2)), Depths.unknown(0), Road.unknown())
            return None
        pace = self._since if self._pace is None else self._since @ self._pace
        expected = Guess(pace) if guess is None else self._levelled(guess)
        where = self._expect(reference, expected.motion)
        points, found = self._tracker.follow(reference.image, small, reference.points, where)
        first, second = self._rays(reference.points), self._rays(points)
        found &= np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
        rays, points, depths = (first[found], second[found]), points[found], reference.depths[found]
        self._newest = replace(reference, image=small, views=views, points=points, depths=depths)
        if len(points) < _FEWEST:
            return self._lost(expected, _scarce(len(points), small))
        travel = float(np.median(np.linalg.norm(points - reference.points[found], axis=1)))
        if travel < _STILL:
            return self._rest()
        reasons = [_scarce(len(points), small)] if len(points) < _FEW else []
        noise = _NOISE * self._pixel
        fit = epipolar.solve(*rays, (expected.motion, pace), noise, self._ransac, self._inertia(pace))
        if fit.inliers.mean() < 0.4:
            reasons.append(f"only {fit.inliers.mean():.0%} of the corners agree on one motion")
        seen = fit = anchor.anchored(fit, None if self._pace is None else pace, *rays, depths, noise)
        if expected.covariance is not None:
            poor = _POOR if reasons else 1.0
            fit = replace(fit, covariance=poor * fit.covariance)
            doubted = max(1.0, self._dissent) * expected.covariance
            fit, surprise = epipolar.with_measurement(fit, expected.motion, doubted)
            self._dissent += _LEARNING * (min(max(1.0, self._dissent) * surprise, _WILD) - self._dissent)
        known = self._known(reference, fit, rays, expected)
        ground = self._on_ground(reference, fit, known)
        if ground is None and (expected.covariance is None or not expected.sized):
            reasons.append("no ground can be made out: the length of the step is carried on from before")
        result = self._conclude(reference, fit, seen, known, ground, rays, reasons)
        six = geometry.to_motion(result.motion)
        if travel < _ALMOST_STILL and six @ np.linalg.solve(result.covariance, six) < _BY_CHANCE:
            return self._rest()
        return result

    def _inertia(self, pace: Array) -> Inertia | None:
        length = float(np.linalg.norm(pace[:3, 3]))
        if self._pace is None or length < _CREEP:
            return None
        return Inertia(pace[:3, 3] / length, _PACE[0] / length + _PACE[1])

    def _rays(self, points: Array) -> Array:
        return self._camera.rays(points) @ self._level_from_camera.T

    def _levelled(self, guess: Guess) -> Guess:
        turn, motion = self._turn, geometry.to_motion(guess.motion)
        covariance = None if guess.covariance is None else turn @ guess.covariance @ turn.T
        return replace(guess, motion=geometry.from_motion(turn @ motion), covariance=covariance)

    def _expect(self, reference: Frame, motion: Array) -> Array:
        """Where the reference's corners should be now: by their depth, or as if on the ground, or far away."""
        rays = self._rays(reference.points)
        slopes, _ = reference.road.seen
        known = reference.depths.nearness
        nearness = np.where(np.isfinite(known), known, np.maximum(rays @ [slopes[0], 1.0, slopes[1]], 0.01))
        seen = (rays - nearness[:, None] * motion[:3, 3]) @ motion[:3, :3]
        return self._camera.project(seen @ self._level_from_camera)

    def _known(self, reference: Frame, fit: Epipolar, rays: Rays, expected: Guess) -> Scaled | None:
        """The length of the step before the ground is asked: from earlier frames, and from a guess that claims one."""
        carried, gauge, claim = self._carried(reference, fit, rays), reference.gauge.drifted(), _claimed(expected)
        if claim is not None:
            return gauge.told(carried, claim)
        return None if carried is None else Scaled(carried, gauge)

    def _carried(self, reference: Frame, fit: Epipolar, rays: Rays) -> Length | None:
        """The length of the step, but for the scale, from what earlier frames left: known depths, the last step."""
        assert self._newest is not None
        if fit.turns_only:
            *_, parallax = epipolar.nearness(fit.rotation, fit.direction, *rays)
            return Length(0.0, (float(np.median(parallax)) * (self._newest.depths.typical or _TYPICAL_DEPTH)) ** 2)
        if not np.isfinite(reference.gauge.variance):
            return None
        carried = [anchor.measured(fit, *rays, self._newest.depths)]
        if self._pace is not None:
            value = float(np.linalg.norm((self._since @ self._pace)[:3, 3]))
            carried.append(Length(value, (_PACE[0] + _PACE[1] * value) ** 2))
        return fused(carried)

    def _on_ground(self, reference: Frame, fit: Epipolar, known: Scaled | None) -> GroundFit | None:
        """What the ground says, if it can be believed."""
        assert self._newest is not None
        if not self._newest.views:
            return None
        length = Length(0.0, np.inf) if known is None else known.gauge.doubted(known.length)
        slopes, covariance = reference.road.moved(fit.rotation, length.value).seen
        prior = Prior(fit, length.value, length.variance + _PACE[0] ** 2, slopes, covariance)
        return self._ground.measure(reference.views, self._newest.views, prior, self._schedule)

    def _conclude(
        self,
        reference: Frame,
        fit: Epipolar,
        seen: Epipolar,
        known: Scaled | None,
        ground: GroundFit | None,
        rays: Rays,
        reasons: list[str],
    ) -> Relative:
        """Fuse what the corners and the ground say, remember it in the newest frame, and report it.

        Depths are measured by the motion that was `seen` in the images: one that a guess had a part in would make the
        depths repeat the guess.
        """
        assert self._newest is not None
        near, nearness, parallax = epipolar.nearness(fit.rotation, fit.direction, *rays)
        if known is None and ground is None:
            value = _TYPICAL_DEPTH * float(np.median(np.abs(near)))
            known = Scaled(Length(value, 0.0), Gauge(variance=1.0))
            reasons.append("the scale is unknown: nothing of known size was seen yet")
        if ground is None:
            assert known is not None
            scaled, length = known, known.gauge.doubted(known.length)
        else:
            scaled = _measured(known, reference.gauge.drifted(), ground.length)
            length = scaled.length
            if scaled.gauge.heave > _RESTLESS:
                reasons.append("the ground and the corners disagree about the length of the step")
        if ground is None or not _alike(fit, length.value, ground.translation):
            rotation, translation = fit.rotation, length.value * fit.direction
            covariance = epipolar.spread(fit, length)
            road = reference.road.moved(rotation, length.value)
        else:
            value = float(np.linalg.norm(ground.translation))
            along = ground.translation / value if value > 1e-6 else fit.direction
            variance = float(along @ ground.covariance[:3, :3] @ along)
            stretch = np.eye(6)
            stretch[:3, :3] += (np.sqrt(length.variance / variance) - 1) * np.outer(along, along)
            covariance = stretch @ ground.covariance[:6, :6] @ stretch.T
            rotation, translation = ground.rotation, length.value * along
            road = reference.road.moved(rotation, length.value).updated(ground.road, ground.covariance[6:, 6:])
        depths = self._newest.depths.grown(scaled.growth)
        if not fit.turns_only:
            _, nearness, parallax = epipolar.nearness(seen.rotation, seen.direction, *rays)
            vague = seen.sigma**2 + float(np.trace(seen.covariance[:3, :3])) / 3
            doubt = vague / np.maximum(parallax, 1e-9) ** 2 + _ONE_VIEW**2
            measured = nearness / max(length.value, 1e-9), doubt
            depths = depths.moved(rays[0], translation).renewed(*measured, fit.inliers)
        self._newest = replace(self._newest, depths=depths, road=road, gauge=scaled.gauge)
        return self._report(geometry.make(rotation, translation), covariance, reasons)

    def _rest(self) -> Relative:
        """The camera stands."""
        self._follow_pace(np.eye(4))
        return Relative(np.eye(4), _NO_STEP, still=True)

    def _lost(self, expected: Guess, reason: str) -> Relative:
        """Nothing can be measured: what was expected, with a wide covariance."""
        length, angle = float(np.linalg.norm(expected.motion[:3, 3])), float(geometry.angle(expected.motion))
        wide = np.diag([(0.1 + 0.5 * length) ** 2] * 3 + [(0.02 + 0.5 * angle) ** 2] * 3)
        covariance = wide if expected.covariance is None else expected.covariance
        return self._report(expected.motion, covariance, [reason])

    def _report(self, motion: Array, covariance: Array, reasons: list[str]) -> Relative:
        """In the camera's axes; the covariance's turn from the left becomes one of the rotation vector."""
        self._follow_pace(motion)
        six = geometry.to_motion(motion)
        change = np.eye(6)
        change[3:, 3:] = geometry.so3_left_jacobian_inverse(six[3:])
        change = self._turn.T @ change
        floor = np.diag([(_FLOOR[0] * np.linalg.norm(six[:3])) ** 2 + 1e-8] * 3 + [_FLOOR[1] ** 2] * 3)
        covariance = change @ covariance @ change.T + floor
        return Relative(geometry.from_motion(self._turn.T @ six), covariance, tuple(reasons))

    def _follow_pace(self, motion: Array) -> None:
        self._pace, self._since = geometry.invert(self._since) @ motion, motion


def _measured(known: Scaled | None, gauge: Gauge, ground: Length) -> Scaled:
    """After the ground has measured the step; `gauge` is that before anything was known of this step."""
    if known is None:
        return gauge.measured(None, ground)
    scaled = known.gauge.measured(known.length, ground)
    return replace(scaled, growth=known.growth + scaled.growth)


def _alike(fit: Epipolar, length: float, translation: Array) -> bool:
    """Whether the ground's translation is what the corners and all that is known of its length lead to expect."""
    along = float(translation @ fit.direction)
    return fit.turns_only or length / _FAR_OFF < along < length * _FAR_OFF


def _claimed(guess: Guess) -> Length | None:
    """The length that a guess claims to have measured."""
    if guess.covariance is None or not guess.sized:
        return None
    value = float(np.linalg.norm(guess.motion[:3, 3]))
    ahead = guess.motion[:3, 3] / max(value, 1e-9)
    return Length(value, float(ahead @ guess.covariance[:3, :3] @ ahead) + 1e-8)


def _scarce(count: int, image: Image) -> str:
    """That few corners were followed, and what the image looks like."""
    level, blank = float(image.mean()), float((image > 250).mean())
    look = "it is dark" if level < 30 else "it is overexposed" if blank > 0.4 else "little texture, or blur"
    return f"only {count} corners could be followed: {look}"
