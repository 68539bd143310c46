"""What a frame's stamp says: go on, leave this frame out, or start again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

SECOND = 10**9


@dataclass(frozen=True)
class Verdict:
    """What to do with a frame.

    Attributes:
        stamp: nanoseconds, to be used for it.
        unused: why it is left out; '' if it is not.
        restart: why the odometry must start again before it; '' if it need not.
        hold: where it is, whatever is wished otherwise.
    """

    stamp: int
    unused: str = ""
    restart: str = ""
    hold: bool = False


class Stamps:
    """The clock rules. Nanoseconds throughout.

    - A stamp of zero means that the driver sets none: the time of arrival is used.
    - The same stamp twice is the same frame twice: left out.
    - A little backwards is a frame that was overtaken on its way: left out.
    - Far backwards is a recording that loops or a clock that was set: start again. If only one frame was ahead, and
      this one goes on from those before, that one's stamp was wrong: start again on the spot.
    - Far forwards is a clock that was set: start again. A lesser gap is the odometry's own affair.

    Args:
        disorder: seconds backwards that are an overtaken frame.
        jump: seconds forwards that no pause of a camera explains.
        gap: seconds between frames that are counted as a gap.

    Attributes:
        counts: frames by what was wrong with them.
        stampless: the last frame had no stamp.
    """

    def __init__(self, disorder: float = 0.2, jump: float = 3600.0, gap: float = 1.0) -> None:
        self._disorder, self._jump, self._gap = (round(x * SECOND) for x in (disorder, jump, gap))
        self._last: int | None = None
        self._before: int | None = None  # the stamp before the last
        self._paused = False
        self.counts: Counter[str] = Counter()
        self.stampless = False

    def pause(self) -> None:
        """Nobody listens for a while: the next step ahead explains itself, however long it is."""
        self._paused = True

    def judge(self, stamp: int, arrived: int) -> Verdict:
        """Apply the rules to a frame's stamp and its time of arrival."""
        self.stampless = stamp == 0
        if self.stampless:
            self.counts["without stamp"] += 1
            stamp = arrived
        last = self._last
        if last is None:
            self._last = stamp
            return Verdict(stamp)
        step = stamp - last
        if step == 0:
            self.counts["duplicate"] += 1
            return Verdict(stamp, unused="its stamp is that of the one before")
        if -self._disorder <= step < 0:
            self.counts["overtaken"] += 1
            return Verdict(stamp, unused=f"its stamp is {-step / SECOND:.2f} s before that of one that came earlier")
        before, self._before = self._before, last
        self._last, paused, self._paused = stamp, self._paused, False
        if step < 0:
            ahead = before is not None and 0 < stamp - before <= self._gap
            self.counts["ahead" if ahead else "backwards"] += 1
            back = (
                f"one stamp was {-step / SECOND:.2f} s ahead"
                if ahead
                else f"stamps went back by {-step / SECOND:.2f} s"
            )
            return Verdict(stamp, restart=back, hold=ahead)
        if step > self._jump and not paused:
            self.counts["jump"] += 1
            return Verdict(stamp, restart=f"stamps jumped ahead by {step / SECOND:.0f} s")
        self.counts["gap"] += step > self._gap
        return Verdict(stamp)
