"""Frames as they come, into the odometry; odometry as it is fit to be published, out."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.geometry import Array
from ros2_vodistill.live.body import Body
from ros2_vodistill.live.health import Ages, Health, Level, Rate
from ros2_vodistill.live.slot import Frame, Slot
from ros2_vodistill.live.speed import Speed
from ros2_vodistill.live.stamps import SECOND, Stamps
from ros2_vodistill.odometry import Estimate, Scale, Status, VisualOdometry

_ODD_AGE = 60.0  # seconds beyond which a frame's age says that two clocks are at work
_RECENT = 5.0  # seconds for which a fault is told


@dataclass(frozen=True)
class Output:
    """What is published after a frame; base_link in odom.

    Attributes:
        stamp: nanoseconds, the frame's.
        pose: 4x4.
        pose_covariance: 6x6 about odom's axes, position then rotation.
        twist: 6 in base_link's axes.
        twist_covariance: 6x6.
        estimate: the camera's, which it was made of.
    """

    stamp: int
    pose: Array
    pose_covariance: Array
    twist: Array
    twist_covariance: Array
    estimate: Estimate


class Feed:
    """One camera's frames through one odometry, with everything that can go wrong on a robot.

    `offer`, `command`, the setters and `health` may be called from any thread and never wait. `work` belongs to one
    thread: it alone touches the odometry.

    Args:
        odometry: without a camera yet.
        publish: called with every output that is fit for it, on the worker's thread.
        slot, stamps, speed: see there.
        restart_at_start: after a jump of the clock the pose is the first one again; otherwise it is held.
        withhold_degraded: nothing is published that is not to be trusted fully.
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
        self.odometry, self._publish = odometry, publish
        self.slot = Slot() if slot is None else slot
        self.stamps = Stamps() if stamps is None else stamps
        self.speed = Speed() if speed is None else speed
        self.restart_at_start, self.withhold_degraded, self.stall = restart_at_start, withhold_degraded, stall
        self._clock, self._wall = clock, wall
        self._commands: deque[tuple[Callable[[], None], Future[None]]] = deque()
        self._lock = threading.Lock()
        self._camera: Camera | None = None
        self._place: tuple[Mount, Array] | None = None
        self._body: Body | None = None
        self._trouble = ""  # with the calibration or the mount, until it changes
        self._fault, self._fault_at = "", -np.inf  # of the last frame that gave nothing
        self._restarted, self._restarted_at = "", -np.inf
        self._began, self._last_frame, self._busy = clock(), -np.inf, np.inf
        self._estimate: Estimate | None = None
        self._age: float | None = None
        self._ages, self._work = Ages(), Ages()
        self._in, self._out = Rate(), Rate()
        self.counts: Counter[str] = Counter()

    # From any thread

    def offer(self, frame: Frame) -> None:
        """A frame has come."""
        self._last_frame = frame.at
        self.counts["received"] += 1
        self._in.tick(frame.at)
        self.slot.put(frame)

    def command(self, action: Callable[[], None]) -> Future[None]:
        """Have `action` done on the worker's thread before the next frame."""
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
        self._busy = self._clock()
        try:
            self._frame(frame)
        finally:
            self._busy = np.inf
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
            self.counts["without calibration"] += 1
            return
        verdict = self.stamps.judge(frame.stamp, frame.arrived)
        if verdict.restart:
            self._restart(verdict.restart)
        if not verdict.use:
            return
        began = self._clock()
        try:
            estimate = self.odometry.push(frame.decode(), verdict.stamp / SECOND, speed=self.speed.at(verdict.stamp))
        except VodistillError as error:
            self._refuse("unusable", str(error).replace("\n ", ""))
            return
        self._work.add(1e3 * (self._clock() - began))
        if estimate is not None:
            self._emit(verdict.stamp, estimate)

    def _emit(self, stamp: int, estimate: Estimate) -> None:
        assert self._body is not None
        self._estimate = estimate
        output = Output(
            stamp,
            self._body.pose(estimate.pose),
            self._body.pose_covariance(estimate.pose, estimate.pose_covariance),
            self._body.twist(estimate.twist),
            self._body.twist_covariance(estimate.twist_covariance),
            estimate,
        )
        numbers = (output.pose, output.pose_covariance, output.twist, output.twist_covariance)
        if not all(np.isfinite(array).all() for array in numbers):
            self._refuse("not finite", "the odometry gave numbers that are not finite: it starts again")
            self._restart("numbers that are not finite")
            return
        if estimate.status is not Status.TRACKING:
            self.counts["degraded"] += 1
            if self.withhold_degraded:
                self._refuse("withheld", f"withheld, because {'; '.join(estimate.reasons)}")
                return
        self._publish(output)
        self.counts["published"] += 1
        self._out.tick(self._clock())
        self._age = (self._wall() - stamp) / SECOND
        if abs(self._age) < _ODD_AGE:
            self._ages.add(1e3 * self._age)

    def _refuse(self, kind: str, why: str) -> None:
        self.counts[kind] += 1
        self._fault, self._fault_at = why, self._clock()

    def _restart(self, why: str) -> None:
        """Time has jumped: what lies between is unknown."""
        self._restarted, self._restarted_at = why, self._clock()
        self.counts["restarts"] += 1
        finite = np.isfinite(self.odometry.pose).all() and np.isfinite(self.odometry.pose_covariance).all()
        if self.restart_at_start or not finite:
            self._reset(None, None)
        else:
            self.odometry.reset(self.odometry.pose, self.odometry.pose_covariance + np.diag([1.0] * 3 + [0.04] * 3))

    def _reset(self, pose: Array | None, covariance: Array | None) -> None:
        if self._body is None:
            raise VodistillError("there is no pose to set yet", "Wait until the camera and its place are known.")
        if pose is None:
            self._body = Body(self._body.base_from_camera)
            self.odometry.reset()
        else:
            covariance = np.zeros((6, 6)) if covariance is None else covariance
            self.odometry.reset(self._body.camera(pose), self._body.camera_covariance(pose, covariance))
        self._estimate = None

    def _configure(self, camera: Camera | None, place: tuple[Mount, Array] | None) -> None:
        self._camera, self._place = camera, place
        if camera is None or place is None:
            return
        mount, base_from_camera = place
        body = self._body
        self._body, self._trouble = None, ""
        try:
            self.odometry.set_camera(camera, mount)
        except VodistillError as error:
            self._trouble = str(error).replace("\n ", "")
            raise
        self._body = Body(base_from_camera) if body is None else body.remounted(base_from_camera, self.odometry.pose)

    # For whoever watches

    def health(self, publishers: int | None = None, topic: str = "image") -> Health:
        """How it is now; `publishers` is how many there are of the images, if that can be known."""
        level, message = self._judge(publishers, topic)
        return Health(level, message, self._values())

    def _judge(self, publishers: int | None, topic: str) -> tuple[Level, str]:
        if self._trouble:
            return Level.ERROR, self._trouble
        needed = {"a calibration (camera_info)": self._camera, "the camera's place (tf_static)": self._place}
        missing = [name for name, known in needed.items() if known is None]
        if missing:
            return Level.WARN, f"waiting for {' and '.join(missing)}"
        now = self._clock()
        return self._judge_flow(now, publishers, topic) or self._judge_running(now)

    def _judge_flow(self, now: float, publishers: int | None, topic: str) -> tuple[Level, str] | None:
        """None if frames come and go."""
        silent = now - max(self._last_frame, self._began)
        working = now - self._busy
        if working > self.stall:
            return Level.ERROR, f"stalled: at work on one frame for {working:.1f} s"
        if self._last_frame == -np.inf:
            if publishers:
                level = Level.ERROR if silent > self.stall else Level.WARN
                return level, f"no frame yet on {topic} for {silent:.1f} s, though it has {_publishers(publishers)}"
            return Level.WARN, f"waiting for images: nobody publishes {topic}"
        if silent > self.stall:
            who = "nobody publishes it" if publishers == 0 else f"though it has {_publishers(publishers)}"
            return Level.ERROR, f"stalled: no frame on {topic} for {silent:.1f} s, {who}"
        return None

    def _judge_running(self, now: float) -> tuple[Level, str]:
        if now - self._fault_at < _RECENT:
            return Level.ERROR if self._out.at(now) == 0 else Level.WARN, self._fault
        notes = []
        if now - self._restarted_at < _RECENT:
            notes.append(f"restarted: {self._restarted}")
        estimate = self._estimate
        if estimate is None:
            return Level.WARN, "; ".join([*notes, "initialising"])
        if estimate.status is not Status.TRACKING:
            notes.append(f"degraded: {'; '.join(estimate.reasons)}")
        if estimate.scale is Scale.UNKNOWN:
            notes.append("the scale is unknown: give camera_height or a speed")
        if self.stamps.counts["without stamp"]:
            notes.append("frames have no stamp: the time of arrival is used")
        elif self._age is not None and abs(self._age) >= _ODD_AGE:
            notes.append(f"frames are {self._age:.0f} s old: the camera uses another clock (use_sim_time?)")
        return (Level.WARN, "; ".join(notes)) if notes else (Level.OK, "standing" if estimate.still else "tracking")

    def _values(self) -> dict[str, str]:
        now, estimate = self._clock(), self._estimate
        counts = {**self.counts, **{f"stamp {name}": n for name, n in self.stamps.counts.items()}}
        mount = self._place[0] if self._place else None
        return {
            "status": estimate.status.value if estimate else Status.INITIALISING.value,
            "scale from": estimate.scale.value if estimate else "-",
            "camera height (m)": f"{mount.height:g}" if mount and mount.height else "unknown",
            **({} if self.speed.last is None else {"speed given (m/s)": f"{self.speed.last:.2f}"}),
            "frames in (Hz)": f"{self._in.at(now):.1f}",
            "odometry out (Hz)": f"{self._out.at(now):.1f}",
            "stamp to publish p50 / p99 (ms)": str(self._ages),
            "work p50 / p99 (ms)": str(self._work),
            "frames dropped for newer ones": str(self.slot.dropped),
            **{f"frames {name}" if name != "restarts" else name: str(n) for name, n in counts.items() if n},
            **({"last restart": self._restarted} if self._restarted else {}),
            **({"last fault": self._fault} if self._fault else {}),
        }


def _publishers(count: int | None) -> str:
    return "a publisher" if count is None else f"{count} publisher{'' if count == 1 else 's'}"
