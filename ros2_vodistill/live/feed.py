"""Feeds frames to the odometry, and hands on its estimates if they are fit to be published."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.drift import unseen
from ros2_vodistill.errors import VodistillError, line_of
from ros2_vodistill.geometry import Array
from ros2_vodistill.live.body import Body
from ros2_vodistill.live.health import Health, Level
from ros2_vodistill.live.output import Output
from ros2_vodistill.live.slot import Frame, Slot
from ros2_vodistill.live.speed import Speed
from ros2_vodistill.live.stamps import SECOND, Stamps
from ros2_vodistill.live.vitals import UNKNOWN_SCALE, Vitals
from ros2_vodistill.odometry import Estimate, Scale, Status, VisualOdometry


class Feed:
    """One camera's frames through one odometry, with everything that can go wrong on a robot.

    `offer`, `command`, the setters and `health` may be called from any thread and never wait. `work` belongs to one
    thread: it alone touches the odometry.

    Args:
        odometry: without a camera yet.
        publish: called with every output that is fit for it, on the worker's thread.
        slot, stamps, speed: see there.
        restart_at_start: after a jump of the clock the pose is the first one again; otherwise it is held.
        withhold_degraded: degraded estimates, and those of unknown scale, are not published.
        stall: seconds without a frame, or on one frame, that are a stall.
        clock: seconds, never jumping.
        wall: nanoseconds, on the clock that stamps are compared with.
    """

    def __init__(
        self,
        odometry: VisualOdometry,
        publish: Callable[[Output], None],
        *,
        slot: Slot | None = None,
        stamps: Stamps | None = None,
        speed: Speed | None = None,
        restart_at_start: bool = True,
        withhold_degraded: bool = False,
        stall: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], int] = time.time_ns,
    ) -> None:
        self.odometry, self._publish, self._wall = odometry, publish, wall
        self.slot = Slot() if slot is None else slot
        self.stamps = Stamps() if stamps is None else stamps
        self.speed = Speed() if speed is None else speed
        self.restart_at_start, self.withhold_degraded = restart_at_start, withhold_degraded
        self.vitals = Vitals(clock, stall)
        self._commands: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._camera: Camera | None = None
        self._place: tuple[Mount, Array] | None = None
        self._body: Body | None = None
        self._last_body: Body | None = None  # kept while there is a `_trouble`
        self._trouble = ""  # what is wrong with the calibration or the mount, until it changes

    # From any thread

    def offer(self, frame: Frame) -> None:
        """A frame has come."""
        self.vitals.received(frame.at)
        self.slot.put(frame)

    def command(self, action: Callable[[], None]) -> Future[None]:
        """Run `action` on the worker's thread before the next frame."""
        done: Future[None] = Future()
        self._commands.append((action, done))
        self.slot.wake()
        return done

    def set_camera(self, camera: Camera) -> Future[None]:
        """The calibration, known now or changed."""
        return self.command(lambda: self._configure(camera, self._place))

    def set_place(self, mount: Mount, base_from_camera: Array) -> Future[None]:
        """Where the camera is on the robot (4x4 in base_link) and above the ground, known now or changed."""
        return self.command(lambda: self._configure(self._camera, (mount, np.asarray(base_from_camera, float))))

    def reset(self, pose: Array | None = None, covariance: Array | None = None) -> Future[None]:
        """Start again, base_link at odom's origin or at `pose`, with its 6x6 covariance about odom's axes."""
        return self.command(lambda: self._reset(pose, covariance))

    def pause(self) -> None:
        """No frames will come for a while, however long; to be called when no worker runs."""
        self.slot.clear()
        self.stamps.pause()
        self.vitals.pause()

    def clock_jumped(self, seconds: float) -> Future[None]:
        """The clock that stamps are compared with has jumped by so much.

        Speeds and ages of before are forgotten. Frames go on: their own stamps tell whether their clock jumped, too.
        """

        def forget() -> None:
            self.speed.forget()
            self.vitals.clock_jumped(seconds)

        return self.command(forget)

    # On the worker's thread

    def work(self, timeout: float = 0.0) -> bool:
        """Do what was commanded, then one frame, if ready for it; False if there was none.

        Until the camera and its place are known, frames stay in the slot, where newer ones replace them.
        """
        self._obey()
        frame = None
        if self._body is not None:
            frame = self.slot.take(timeout)
        elif timeout > 0:
            self.slot.rest(timeout)
        self._obey()
        if frame is None:
            return False
        self.vitals.begins(frame.at, (frame.arrived - frame.stamp) / SECOND)
        try:
            self._frame(frame)
        except Exception as error:  # the thread goes on, and what nobody expected must not pass for tracking
            self.vitals.refused("failed", line_of(error))
            raise
        finally:
            self.vitals.ends()
        return True

    def _obey(self) -> None:
        while self._commands:
            action, done = self._commands.popleft()
            try:
                action()
                done.set_result(None)
            except Exception as error:  # goes to whoever waits for it
                done.set_exception(error)

    def _frame(self, frame: Frame) -> None:
        if self._body is None:  # a new calibration, that came with this frame, does not fit
            self.vitals.counts["frames without calibration"] += 1
            return
        verdict = self.stamps.judge(frame.stamp, frame.arrived)
        if verdict.restart:
            self._restart(verdict.restart, verdict.hold)
        if verdict.unused:
            self.vitals.unused(verdict.unused)
            return
        try:
            speed, carrier = self.speed.at(verdict.stamp), self._body.base_from_camera
            estimate = self.odometry.push(frame.decode(), verdict.stamp / SECOND, speed, carrier)
        except VodistillError as error:
            self.vitals.refused("unusable", error.line)
            return
        self.vitals.pushed()
        if estimate is not None:
            self._emit(verdict.stamp, estimate)

    def _emit(self, stamp: int, estimate: Estimate) -> None:
        assert self._body is not None
        self.vitals.estimate = estimate
        output = Output.of(stamp, estimate, self._body)
        if not output.finite:
            self.vitals.refused("not finite", "the odometry gave numbers that are not finite: it starts again")
            self._restart("numbers that are not finite")
            return
        degraded = estimate.status is not Status.TRACKING
        self.vitals.counts["frames degraded"] += degraded
        if self.withhold_degraded and (degraded or estimate.scale is Scale.UNKNOWN):
            why = estimate.reasons if degraded else (UNKNOWN_SCALE,)
            self.vitals.refused("withheld", f"withheld, because {'; '.join(why)}")
            return
        self._publish(output)
        self.vitals.published((self._wall() - stamp) / SECOND)

    def _restart(self, why: str, hold: bool = False) -> None:
        """Time has jumped: what lies between is unknown."""
        self.vitals.restarted(why)
        finite = np.isfinite(self.odometry.pose).all() and np.isfinite(self.odometry.pose_covariance).all()
        if not finite or (self.restart_at_start and not hold):
            self._reset(None, None)
        else:
            self.odometry.reset(self.odometry.pose, self.odometry.pose_covariance + unseen())

    def _reset(self, pose: Array | None, covariance: Array | None) -> None:
        if self._body is None:
            raise VodistillError("there is no pose to set yet", "Wait until the camera and its place are known.")
        if pose is None:
            self._body = Body(self._body.base_from_camera)
            self.odometry.reset()
        else:
            covariance = np.zeros((6, 6)) if covariance is None else covariance
            self.odometry.reset(self._body.camera(pose), self._body.camera_covariance(pose, covariance))
        self.vitals.estimate = None

    def _configure(self, camera: Camera | None, place: tuple[Mount, Array] | None) -> None:
        self._camera, self._place = camera, place
        if camera is None or place is None:
            return
        mount, base_from_camera = place
        body = self._last_body = self._body or self._last_body
        self._body, self._trouble = None, ""
        try:
            self.odometry.set_camera(camera, mount)
        except Exception as error:
            self._trouble = line_of(error)
            raise
        self._body = Body(base_from_camera) if body is None else body.remounted(base_from_camera, self.odometry.pose)

    # For whoever watches

    def health(self, publishers: int, topic: str) -> Health:
        """How it is now, with so many publishers of images on this topic."""
        level, message = self._judge(publishers, topic)
        return Health(level, message, self._values())

    def _judge(self, publishers: int, topic: str) -> tuple[Level, str]:
        if self._trouble:
            return Level.ERROR, self._trouble
        needed = {"a calibration (camera_info)": self._camera, "the camera's place (tf_static)": self._place}
        missing = [name for name, known in needed.items() if known is None]
        if missing:
            return Level.WARN, f"waiting for {' and '.join(missing)}"
        return self.vitals.flow(publishers, topic) or self.vitals.running(self.stamps.stampless, self.speed.topic)

    def _values(self) -> dict[str, str]:
        mount, speed = self._place[0] if self._place else None, self.speed.last
        return {
            **self.vitals.values(),
            "camera height (m)": f"{mount.height:g}" if mount and mount.height else "unknown",
            "frames dropped for newer ones": str(self.slot.dropped),
            **({} if speed is None else {"speed given (m/s)": f"{speed:.2f}"}),
            **{f"frames stamp {name}": str(n) for name, n in self.stamps.counts.copy().items() if n},
        }
