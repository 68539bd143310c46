"""The motion between two frames from geometry alone: tracked corners, and the ground for the length of the step.

Arguments and results are in the camera's axes; inside, everything is in the level frame, with lengths in camera
heights.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import anchor, epipolar, geometry, robust, step, still
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.depths import Depths
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.frontend import Relative
from ros2_vodistill.ground import Ground, Schedule, Views
from ros2_vodistill.guess import Guess
from ros2_vodistill.matches import FEWEST, Match, Matcher
from ros2_vodistill.outlook import Outlook
from ros2_vodistill.pace import Pace
from ros2_vodistill.picture import Darkroom, Picture
from ros2_vodistill.step import Carried, Sight
from ros2_vodistill.still import TYPICAL_DEPTH
from ros2_vodistill.tracks import Tracker
from ros2_vodistill.trust import Trust

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

_NOISE = 0.1  # pixels that a followed corner is off at best
_ALMOST_STILL = 0.6  # pixels that half of the corners move at most while the camera stands, in noise
_MOVING = 3.0  # pixels that half of the corners move at least where what stands still is the vehicle itself
_BY_CHANCE = 12.6  # 95 % quantile of chi-squared with six degrees of freedom: a motion below it may be none
_FEW = 40  # corners; fewer are reported and count less
_AGREED = 0.4  # share of inliers; fewer are reported and count less
_UNSEEN = 100.0  # factor of a guess's variance where no corners can be followed: the network saw the same image
_SUDDEN = 0.1  # radians: where a guess's turn differs more from the predicted one, corners are looked for there, too
_APART = 3.0  # pixels: median distance between two predictions of the corners from which on both are tried
_INVERTED = 0.75 * np.pi  # roll of a camera that is mounted upside down
_FLOOR = 0.01, 5e-4  # share of the step and of the turn, and radians: calibration, shutter and vibration, which no
# residual shows


@dataclass(frozen=True)
class Frame:
    """A frame and what was known once it was measured.

    Attributes:
        picture: of it.
        views: of the ground.
        points, rays: (N,2) corners, and their unit rays (N,3), level axes.
        carried: what it hands on to the next frame.
    """

    picture: Picture
    views: Views
    points: Array = field(default_factory=lambda: np.empty((0, 2)))
    rays: Array = field(default_factory=lambda: np.empty((0, 3)))
    carried: Carried = field(default_factory=Carried)


class TwoView:
    """Compares frames with a reference frame.

    Args:
        camera, mount: calibration and mounting; of the mount's height it matters only whether it is known.
        tracker: how corners are found and followed.
        widest: in images wider than about this many pixels, corners are followed at half the size, or less, and settled
            in the larger ones.
        ransac: always look for motions far from the expected one too, not only where that one fits badly.
        schedule: of the ground's levels, (level, iterations) from coarse to fine; empty: leave the ground alone.
        mask: (H,W) pixels of the images that show the world; None for all.
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
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        self._picture = Darkroom(camera, widest)
        self._camera = self._picture.small
        self._noise = _NOISE / float(np.sqrt(self._camera.fx * self._camera.fy))  # radians
        self._level_from_camera = mount.level_from_camera
        self._turn: Array = np.kron(np.eye(2), self._level_from_camera).astype(np.float64)
        self._tracker, self._ransac = tracker, ransac
        self._match = Matcher(tracker, self._rays, self._noise)
        self._outlook = Outlook(self._picture, mask, abs(mount.roll) > _INVERTED)
        self._mount, self._ground = mount, Ground(self._picture.whole, mount, world=self._outlook.ground)
        self._schedule = schedule
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._reference: Frame | None = None
        self._newest: Frame | None = None
        self._pace = Pace()
        self._trust = Trust()
        self._ground.reset()
        self._outlook.reset()

    def advance(self) -> None:
        """Make the newest compared frame the reference, with fresh corners where old ones are lost."""
        newest = self._newest
        if newest is None:
            return
        picture, world = newest.picture, self._outlook.corners
        fresh = self._tracker.corners(picture.small, newest.points, picture.grain, world)
        depths = newest.carried.depths + Depths.unknown(len(fresh))
        points, rays = np.concatenate([newest.points, fresh]), np.concatenate([newest.rays, self._rays(fresh)])
        self._reference = replace(newest, points=points, rays=rays, carried=replace(newest.carried, depths=depths))
        self._pace = self._pace.advanced()

    def compare(self, image: Image, guess: Guess | None = None, seconds: float = 0.0) -> Relative | None:
        """The motion from the reference frame to `image`, so long after the last one; None if there is no reference."""
        picture = self._picture(image)
        small = picture.small
        if self._outlook.look(small):
            self._look_anew()
        reference, views = self._reference, self._views(picture)
        if reference is None:
            self._newest = Frame(picture, views)
            return None
        self._pace = pace = self._pace.after(seconds)
        ahead = pace.since if pace.ahead is None else pace.ahead
        expected = Guess(ahead) if guess is None else guess.turned(self._turn)
        starts = (ahead,) if guess is None else (expected.motion, ahead)
        likely = pace.reckoned(self._trust.honest(expected)).motion
        places = self._places(reference, likely) if guess is None else self._places(reference, likely, ahead)
        sudden = guess is not None and geometry.angle(ahead[:3, :3].T @ expected.motion[:3, :3]) > _SUDDEN
        told = self._places(reference, expected.motion) if sudden else []
        noise, inertia = self._noise, pace.inertia

        def solve(first: Array, second: Array) -> Epipolar:
            return epipolar.solve(first, second, starts, noise, self._ransac, inertia)

        last = reference.picture

        def settle(points: Array, found: Array) -> Array:
            return picture.settled(last, points, found)

        corners = reference.points, reference.rays
        match = self._match(last.small, small, *corners, places, solve, inertia, settle, told)
        points, rays, travel, fit = match.points, match.rays, match.travel, match.fit
        carried = replace(reference.carried, depths=reference.carried.depths[match.found])
        self._newest = Frame(picture, views, points, rays[1], carried)
        if len(points) < FEWEST:
            return self._lost(expected, _scarce(len(points), small))
        if fit is None:
            return self._rest(match, carried.depths)
        if travel > _MOVING and self._outlook.moved(last.small, small):
            reference, views = self._look_anew() or reference, self._views(picture)
            self._newest = replace(self._newest, views=views)
        reasons = [_scarce(len(points), small)] if len(points) < _FEW else []
        if match.agreeing < FEWEST:
            return self._lost(expected, f"only {match.agreeing} of {len(points)} corners agree on one motion")
        agreed = match.agreeing / len(points)
        if agreed < _AGREED:
            reasons.append(f"only {agreed:.0%} of the corners agree on one motion")
        seen = fit = anchor.anchored(fit, pace.ahead, *rays, carried.depths, noise)
        if expected.covariance is not None:
            poor = (max(1.0, _FEW / len(points)) * max(1.0, _AGREED / agreed)) ** 2
            fit = replace(fit, covariance=poor * fit.covariance)
            self._trust = self._trust.told(expected, fit)
            fit = self._trust.fused(expected, fit)
        sight, claim = Sight(rays, seen, fit, bool(views) and self._mount.height is not None), expected.claim
        known = step.foretold(carried, sight, pace.length, claim)
        ground = None
        if views:
            ground = self._ground.measure(reference.views, views, step.prior(carried, sight, known), self._schedule)
        if ground is None and claim is None:
            reasons.append("no ground can be made out: the length of the step is carried on from before")
        taken = step.concluded(carried, sight, known, ground)
        self._newest = replace(self._newest, carried=taken.carried)
        vague = epipolar.shared(seen, *rays, noise) * taken.covariance
        result = self._report(taken.motion, vague, (*reasons, *taken.reasons))
        if travel < _ALMOST_STILL and _by_chance(result):
            self._pace = pace  # it was no step
            return self._rest(match, carried.depths)
        return result

    def _views(self, picture: Picture) -> Views:
        """Of the ground."""
        return self._ground.views(picture.whole) if self._schedule else []

    def _look_anew(self) -> Frame | None:
        """The reference frame, with the ground looked at where it is to be now."""
        self._ground = Ground(self._picture.whole, self._mount, world=self._outlook.ground)
        if self._reference is not None:
            self._reference = replace(self._reference, views=self._views(self._reference.picture))
        return self._reference

    def _rays(self, points: Array) -> Array:
        """Of pixels (N,2) of the small image, in the level frame; NaN where no corners may be."""
        rays = self._camera.rays(points) @ self._level_from_camera.T
        world = self._outlook.corners
        if world is not None:
            x, y = np.clip(points.round(), 0, np.subtract(world.shape[::-1], 1)).astype(int).T
            rays[~world[y, x]] = np.nan
        return rays

    def _places(self, reference: Frame, *motions: Array) -> list[Array]:
        """Where the reference's corners should be now by each motion: by their depth, or as if on the ground, or
        far away. Those that hardly differ from the first are left out."""
        rays, (slopes, _) = reference.rays, reference.carried.road.seen
        nearness = reference.carried.depths.or_else(np.maximum(rays @ [slopes[0], 1.0, slopes[1]], 0.01))[:, None]
        seen = np.stack([(rays - nearness * motion[:3, 3]) @ motion[:3, :3] for motion in motions])
        first, *others = self._camera.project(seen @ self._level_from_camera)
        return [first, *(other for other in others if _apart(first, other))]

    def _rest(self, match: Match, depths: Depths) -> Relative:
        """The camera stands."""
        self._pace = self._pace.resting()
        unseen = max(match.travel / _NOISE, 1.0) * self._noise
        covariance = self._turn.T @ still.hidden(match.rays[1], depths.or_else(1 / TYPICAL_DEPTH), unseen) @ self._turn
        return Relative(np.eye(4), covariance, still=True)

    def _lost(self, expected: Guess, reason: str) -> Relative:
        """Nothing can be measured: the prediction."""
        reckoned = self._pace.reckoned(self._trust.honest(expected), _UNSEEN)
        assert reckoned.covariance is not None
        apart = geometry.to_motion(geometry.invert(reckoned.motion) @ expected.motion)
        doubt = np.outer(apart, apart)  # one of the two is wrong
        return self._report(reckoned.motion, reckoned.covariance + doubt, (reason,), lost=True)

    def _report(self, motion: Array, covariance: Array, reasons: tuple[str, ...], lost: bool = False) -> Relative:
        """In the camera's axes; the covariance's turn from the left becomes one of the rotation vector."""
        self._pace = self._pace.followed(motion, measured=not lost)
        six = geometry.to_motion(motion)
        change = np.eye(6)
        change[3:, 3:] = geometry.so3_left_jacobian_inverse(six[3:])
        change = self._turn.T @ change
        length, angle = float(np.linalg.norm(six[:3])), float(np.linalg.norm(six[3:]))
        share, least = _FLOOR
        aside = share * angle * TYPICAL_DEPTH / 2  # a turn that is not quite right looks like a step aside
        floor = np.diag([(share * length) ** 2 + aside**2 + 1e-8] * 3 + [(share * angle) ** 2 + least**2] * 3)
        covariance = change @ covariance @ change.T + floor
        return Relative(geometry.turned(motion, self._level_from_camera.T), covariance, reasons, lost=lost)


def _by_chance(result: Relative) -> bool:
    """Whether a motion may be none."""
    six = geometry.to_motion(result.motion)
    return bool(six @ np.linalg.solve(result.covariance, six) < _BY_CHANCE)


def _apart(first: Array, second: Array) -> bool:
    """Whether places (N,2) differ so much that both are to be tried; NaN is out of sight."""
    seen, seen_too = (np.isfinite(places).all(axis=1) for places in (first, second))
    gaps = np.where(seen & seen_too, np.linalg.norm(first - second, axis=1), np.inf)[seen | seen_too]
    return len(gaps) > 0 and robust.median(gaps) > _APART


def _scarce(count: int, image: Image) -> str:
    """That few corners were followed, and what the image looks like."""
    level, blank = float(image.mean()), float((image > 250).mean())
    look = "it is dark" if level < 30 else "it is overexposed" if blank > 0.4 else "little texture, or blur"
    return f"only {count} corners could be followed: {look}"
