"""Frames in, poses out: the one class that the node, the command line and Python all use.

A frame is compared with a keyframe; its pose is the keyframe's composed with the measured motion. Once that motion is
large enough, the frame is the next keyframe (keyframe.py). Frames in which nothing can be measured become one only when
half a second has passed.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import frames, geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.classical import ClassicalFrontend
from ros2_vodistill.clock import Clock
from ros2_vodistill.copies import Copies
from ros2_vodistill.drift import Drift, Fix, unseen
from ros2_vodistill.engines import Engine, make
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.estimate import Estimate, Status
from ros2_vodistill.frontend import Frontend, Relative
from ros2_vodistill.image import grey
from ros2_vodistill.keyframe import Keyframe, left
from ros2_vodistill.mask import Mask
from ros2_vodistill.model import DEFAULT, Model
from ros2_vodistill.network import NetworkFrontend
from ros2_vodistill.refine import RefinedFrontend
from ros2_vodistill.scale import Metres, Scale

__all__ = ["CLASSICAL", "Estimate", "Scale", "Status", "VisualOdometry"]

CLASSICAL = "classical"
_STANDS = 0.01  # m/s: at less than this given speed the robot stands


class VisualOdometry:
    """Poses of one camera from its frames.

    Args:
        model: name or folder of a model, or 'classical'.
        engine: 'auto' or the name of one.
        camera: its calibration; may come later through `set_camera`, before the first frame.
        mount: how it is mounted. Without a height the scale is unknown.
        mask: which pixels of its images show the world: (H,W), bool or an image's, or the path of an image; white is
            used, black is not.
        refine: polish the network's motion with a few hundred tracked corners and the ground; by default where there is
            a network.
        threads: CPU threads of the engine.
        max_gap: seconds between frames beyond which the motion in between is taken as unknown.
    """

    def __init__(
        self,
        model: str | Path = DEFAULT,
        *,
        engine: str = "auto",
        camera: Camera | None = None,
        mount: Mount | None = None,
        mask: str | Path | NDArray[np.bool_] | NDArray[np.uint8] | None = None,
        refine: bool | None = None,
        threads: int = 1,
        max_gap: float = 1.0,
    ) -> None:
        self.passed_over: list[str] = []
        self.engine: Engine | None = None
        self.name = CLASSICAL
        if str(model) == CLASSICAL:
            if refine:
                raise VodistillError("'classical' cannot be refined", "It is what refining would use: leave it out.")
            if engine != "auto":
                raise VodistillError(f"'classical' runs on no engine, not on '{engine}'", "Leave the engine out.")
        else:
            self.engine, self.passed_over = make(Model.load(model), engine, threads)
            self.name = self.engine.model.card.name
        self.refine = self.engine is not None and refine is not False
        self.max_gap = max_gap
        self.mount = mount or Mount()
        self.mask = None if mask is None else Mask.of(mask)
        self.camera: Camera | None = None
        self._world: NDArray[np.bool_] | None = None
        self.frontend: Frontend | None = None
        self.skipped = 0
        self.reset()
        if camera is not None:
            self.set_camera(camera, self.mount)

    def set_camera(self, camera: Camera, mount: Mount | None = None) -> None:
        """Use this calibration (and mount) from the next frame on; the pose goes on from where it is."""
        self.mount = mount or self.mount
        world = self._world = None if self.mask is None else self.mask.fitting(camera)
        if self.engine is None:
            self.frontend = ClassicalFrontend(camera, self.mount, world)
        else:
            inner = NetworkFrontend(self.engine, camera, self.mount, world, alone=not self.refine)
            self.frontend = RefinedFrontend(inner, camera, self.mount, world) if self.refine else inner
        self.camera = camera
        self._metres = Metres(
            self.frontend.unit, self.mount.height, Scale.MODEL if self.engine else Scale.CAMERA_HEIGHT
        )
        self._restart("" if self._clock.last is None else "a new calibration")

    def reset(self, pose: NDArray[np.float64] | None = None, covariance: NDArray[np.float64] | None = None) -> None:
        """Start again, at the origin or at `pose` (4x4, known to `covariance`, 6x6), as if no frame had come; but what
        of the images was found not to show the world, such as a bonnet, stays so until `set_camera`."""
        self._pose = np.eye(4) if pose is None else np.array(pose, float)
        self._drift = Drift() if covariance is None else Drift(np.array(covariance, float))
        self._keyframe = Keyframe(self._pose, self._drift)
        self._clock = Clock()
        self._fix: Fix | None = None
        self._last_sample: NDArray[np.uint8] | None = None
        self._compared = 0.0  # when the last frame was that was compared
        if self.frontend is not None:
            self._metres.reset()
        self._restart("")

    def push(
        self,
        image: NDArray[np.generic],
        stamp: float,
        speed: float | None = None,
        carrier: NDArray[np.float64] | None = None,
    ) -> Estimate | None:
        """Take one frame and say where the camera is; None for the first frame and for one that is not newer.

        Args:
            image: (H,W) grey, (H,W,3) BGR or (H,W,4) BGRA; uint8, or uint16 if grey.
            stamp: seconds.
            speed: in m/s, from elsewhere; sets the length of the translation if given.
            carrier: the camera's pose (4x4) in what has that speed; None: it is the camera's own.
        """
        if self.frontend is None or self.camera is None:
            raise VodistillError("there is no calibration", "Give a camera, or call set_camera before the first frame.")
        picture = self._checked(grey(image))
        if not np.isfinite(stamp):
            raise VodistillError(f"a frame's stamp is {stamp}", "Stamps are seconds and must be finite.")
        if self._clock.refuse(stamp):
            self.skipped += 1
            return None
        last, back = self._clock.last, self._clock.take(stamp)
        if self._fix is None or last is None:
            self._fix = Fix(stamp, self._drift)
        elif back:
            self._fix = replace(self._fix, stamp=self._fix.stamp - back)
            self._restart(f"stamps that went back by {back:.1f} s")
        elif stamp - last > self.max_gap:
            self._restart(f"no frame for {stamp - last:.1f} s")
        sample = frames.sample(picture, self._world)
        frozen = self._last_sample is not None and np.array_equal(sample, self._last_sample)
        self._last_sample = sample
        long_ago = stamp - self._keyframe.stamp > self.max_gap
        if fault := frames.fault(sample):
            if long_ago:
                self._restart(fault)
            return self._withheld(stamp, last, fault)
        if frozen and not self._why and (speed is None or abs(speed) > _STANDS):  # else it is the first one anyway
            return self._withheld(stamp, last, "the image is frozen: it equals the last one")
        relative = self.frontend.compare(picture, stamp - self._compared)
        self._compared = stamp
        if relative is not None and relative.lost and long_ago:
            self._restart(relative.reasons[0])
            relative = self.frontend.compare(picture)
        if relative is None:
            return self._first(stamp)
        return self._follow(relative, stamp, last, speed, carrier)

    @property
    def pose(self) -> NDArray[np.float64]:
        """4x4 of the last frame."""
        return self._pose

    @property
    def pose_covariance(self) -> NDArray[np.float64]:
        """6x6 of the last frame's pose."""
        return self._drift.covariance

    def view(self) -> NDArray[np.uint8] | None:
        """A copy of what the network saw of the last frame, (H,W); None for 'classical'."""
        return None if self.engine is None else self.engine.inputs["image"].copy()

    def _checked(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        assert self.camera is not None
        height, width = picture.shape
        if (width, height) != (self.camera.width, self.camera.height):
            raise VodistillError(
                f"a frame is {width}x{height}, the calibration is for {self.camera.width}x{self.camera.height}",
                "Give the calibration of these images, or call set_camera with it (Camera.scaled for resized ones).",
            )
        return picture

    def _restart(self, why: str) -> None:
        """Forget the keyframe and keep the pose; the motion until the next frame is unknown."""
        self._why = why
        self._copies = Copies()
        self._drift = Drift(self._drift.covariance)
        if self._fix is not None:
            self._fix = replace(self._fix, drift=Drift(self._fix.drift.covariance))
        if self.frontend is not None:
            self.frontend.reset()

    def _lose_sight(self, stamp: float) -> None:
        """Keep the pose, with the uncertainty of a motion that was not seen since the last fix."""
        assert self._fix is not None
        self._drift = self._fix.unseen_until(stamp)

    def _withheld(self, stamp: float, last: float | None, fault: str) -> Estimate | None:
        """Nothing can be measured in this frame: the pose holds and its uncertainty grows."""
        if last is None:
            self._why = fault
            return None
        self._lose_sight(stamp)
        return self._standing(stamp, fault)

    def _first(self, stamp: float) -> Estimate | None:
        """A frame without a measurement, with which the next ones are compared."""
        assert self.frontend is not None and self._fix is not None
        self._lose_sight(stamp)
        self._fix = replace(self._fix, stamp=stamp, drift=self._drift)
        self._advance(stamp)
        if not self._why:
            return None
        why, self._why = self._why, ""
        return self._standing(stamp, f"restarted after {why}")

    def _standing(self, stamp: float, reason: str) -> Estimate:
        """An estimate with the last pose; the velocity is unknown, so zero with a large covariance."""
        assert self._fix is not None
        return self._estimate(stamp, np.zeros(6), unseen(self._fix.speed), Status.DEGRADED, (reason,))

    def _follow(
        self,
        relative: Relative,
        stamp: float,
        last: float | None,
        speed: float | None,
        carrier: NDArray[np.float64] | None,
    ) -> Estimate:
        assert self.frontend is not None
        before, elapsed = self._keyframe, stamp - self._keyframe.stamp
        distance = float(np.linalg.norm(relative.motion[:3, 3]))
        copied = self._copies.maybe(relative.still, speed is not None and abs(speed) <= _STANDS)
        if relative.still:
            relative = replace(relative, motion=np.eye(4))
        metric = self._metres.measured(relative, None if speed is None else abs(speed) * elapsed, carrier)
        motion, six = metric.motion, geometry.to_motion(metric.motion)
        step = geometry.motion_covariance_to_tangent(six, metric.covariance)
        twist, spread = geometry.log(motion) / elapsed, step / elapsed**2
        if copied:
            twist, spread = self._copies.held()
            step = step + np.outer(twist, twist) * elapsed**2
        elif not relative.lost:
            self._copies.went(twist, spread)
        self._pose = before.pose @ motion
        self._drift = before.drift.grown(step) if relative.still else before.drift.moved(motion, step, elapsed)
        far = not relative.lost and left(six, distance, elapsed, self.frontend)
        if relative.still:
            if not copied:
                self._keyframe = replace(before, stamp=stamp)  # what moves next has not moved for longer
        elif far or elapsed >= self.frontend.max_interval:
            self._advance(stamp)
        self._fix = Fix(stamp, self._drift, float(np.linalg.norm(twist[:3])))
        return self._estimate(
            stamp,
            twist,
            spread,
            Status.DEGRADED if metric.reasons else Status.TRACKING,
            metric.reasons,
            relative.still and not copied,
            step if last == before.stamp and not relative.lost else None,
        )

    def _advance(self, stamp: float) -> None:
        """The newest frame becomes the keyframe."""
        assert self.frontend is not None
        self.frontend.advance()
        self._keyframe = Keyframe(self._pose, self._drift, stamp)

    def _estimate(
        self,
        stamp: float,
        twist: NDArray[np.float64],
        twist_covariance: NDArray[np.float64],
        status: Status,
        reasons: tuple[str, ...],
        still: bool = False,
        step: NDArray[np.float64] | None = None,
    ) -> Estimate:
        pose, covariance = self._pose, self._drift.covariance
        return Estimate(
            stamp, pose, covariance, twist, twist_covariance, self._metres.scale, status, reasons, still, step
        )
