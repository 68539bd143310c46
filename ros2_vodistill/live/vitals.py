"""What has happened to a feed of late, and what that says of its health."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np

from ros2_vodistill.live.health import Ages, Level, Rate
from ros2_vodistill.odometry import Estimate, Scale, Status

_ODD_AGE = 60.0  # seconds beyond which a frame's age says that two clocks are at work
_RECENT = 5.0  # seconds for which a fault is told
UNKNOWN_SCALE = "the scale is unknown: give camera_height or a speed"


class Vitals:
    """Told by the feed of every event; judges from any thread.

    Args:
        clock: seconds, never jumping.

    Attributes:
        stall: seconds without a frame, or on one frame, that are a stall.
        counts: events by name.
        estimate: the last one.
    """

    def __init__(self, clock: Callable[[], float], stall: float) -> None:
        self._clock, self.stall = clock, stall
        self.counts: Counter[str] = Counter()
        self.estimate: Estimate | None = None
        self._fault, self._fault_at = "", -np.inf  # of the last frame that gave nothing
        self._restarted, self._restarted_at = "", -np.inf
        self._unused, self._unused_since = "", np.inf  # frames that were left out, one after the other
        self._began, self._last_frame, self._busy = clock(), -np.inf, np.inf
        self._jump = ""
        self._age: float | None = None
        self._pushed = clock()
        self._arrivals, self._waits, self._work, self._publishing, self._ages = (Ages() for _ in range(5))
        self._in, self._out = Rate(), Rate()

    # Events

    def received(self, at: float) -> None:
        """A frame has come."""
        self._last_frame = at
        self.counts["frames received"] += 1
        self._in.tick(at)

    def begins(self, at: float, age: float) -> None:
        """Work on a frame begins that came at this time of the clock, so many seconds after its stamp."""
        self._busy = self._clock()
        self._waits.add(1e3 * (self._busy - at))
        if abs(age) < _ODD_AGE:
            self._arrivals.add(1e3 * age)

    def ends(self) -> None:
        """Whatever it gave."""
        self._busy = np.inf

    def unused(self, why: str) -> None:
        """A frame was left out."""
        self._unused, self._unused_since = why, min(self._unused_since, self._clock())

    def pause(self) -> None:
        """What was left out so far means nothing any more, and nobody waits for frames meanwhile."""
        self._unused_since, self._began = np.inf, self._clock()

    def pushed(self) -> None:
        """The odometry has taken the frame in hand."""
        self._pushed, self._unused_since = self._clock(), np.inf
        self._work.add(1e3 * (self._pushed - self._busy))

    def published(self, age: float) -> None:
        """The frame in hand has given an output, so many seconds after its stamp."""
        self.counts["frames published"] += 1
        now = self._clock()
        self._out.tick(now)
        self._publishing.add(1e3 * (now - self._pushed))
        self._age = age
        if abs(age) < _ODD_AGE:
            self._ages.add(1e3 * age)

    def refused(self, kind: str, why: str) -> None:
        """A frame gave no output."""
        self.counts[f"frames {kind}"] += 1
        self._fault, self._fault_at = why, self._clock()

    def restarted(self, why: str) -> None:
        """The odometry starts again."""
        self.counts["restarts"] += 1
        self._restarted, self._restarted_at = why, self._clock()

    def clock_jumped(self, seconds: float) -> None:
        """Ages from before mean nothing any more."""
        self.counts["clock jumps"] += 1
        self._jump = f"{seconds:+.2f}"
        self._age, self._ages, self._arrivals = None, Ages(), Ages()

    # What they say

    def flow(self, publishers: int, topic: str) -> tuple[Level, str] | None:
        """What is wrong with the coming and going of frames; None if nothing."""
        now = self._clock()
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
            who = f"though it has {_publishers(publishers)}" if publishers else "nobody publishes it"
            return Level.ERROR, f"stalled: no frame on {topic} for {silent:.1f} s, {who}"
        return None

    def running(self, stampless: bool, speeds: str) -> tuple[Level, str]:
        """How the odometry is while frames flow, and speeds should on this topic, if there is one."""
        now, estimate = self._clock(), self.estimate
        if now - self._unused_since > self.stall:
            since = now - self._unused_since
            return Level.ERROR, f"frames come, but for {since:.1f} s each was left out: {self._unused}"
        if now - self._fault_at < _RECENT:
            return Level.ERROR if self._out.at(now) == 0 else Level.WARN, self._fault
        notes = []
        if now - self._restarted_at < _RECENT:
            notes.append(f"restarted: {self._restarted}")
        if estimate is None:
            return Level.WARN, "; ".join([*notes, "initialising"])
        if estimate.status is not Status.TRACKING:
            notes.append(f"degraded: {'; '.join(estimate.reasons)}")
        if speeds and estimate.scale is not Scale.SPEED:
            notes.append(f"no speed has come on {speeds} that is of the last frame's time")
        if estimate.scale is Scale.UNKNOWN:
            notes.append(UNKNOWN_SCALE)
        if stampless:
            notes.append("frames have no stamp: the time of arrival is used")
        elif self._age is not None and abs(self._age) >= _ODD_AGE:
            notes.append(f"frames are {self._age:.0f} s old: the camera uses another clock (use_sim_time?)")
        return (Level.WARN, "; ".join(notes)) if notes else (Level.OK, "standing" if estimate.still else "tracking")

    def values(self) -> dict[str, str]:
        """Figures by name."""
        now, estimate = self._clock(), self.estimate
        return {
            "status": estimate.status.value if estimate else Status.INITIALISING.value,
            "scale from": estimate.scale.value if estimate else "-",
            "frames in (Hz)": f"{self._in.at(now):.1f}",
            "odometry out (Hz)": f"{self._out.at(now):.1f}",
            "stamp to arrival p50 / p99 (ms)": str(self._arrivals),
            "wait p50 / p99 (ms)": str(self._waits),
            "work p50 / p99 (ms)": str(self._work),
            "publishing p50 / p99 (ms)": str(self._publishing),
            "stamp to publish p50 / p99 (ms)": str(self._ages),
            **{name: str(count) for name, count in self.counts.copy().items()},
            **({"last restart": self._restarted} if self._restarted else {}),
            **({"last clock jump (s)": self._jump} if self._jump else {}),
            **({"last fault": self._fault} if self._fault else {}),
        }


def _publishers(count: int) -> str:
    return f"{count} publisher{'' if count == 1 else 's'}"
