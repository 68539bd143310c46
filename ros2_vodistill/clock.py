"""The clock of the frames' stamps: which are newer than the last, and whether it was set back."""

from __future__ import annotations

_SET_BACK = 0.2  # seconds: a frame that is older than the last one by more was stamped by a clock that was set back


class Clock:
    """The stamps of frames as they come.

    Attributes:
        last: seconds, of the newest frame; None before the first.
    """

    def __init__(self) -> None:
        self.last: float | None = None
        self._behind, self._back = 0, 0.0  # consecutive frames that were too old, and the most seconds by which

    def refuse(self, stamp: float) -> bool:
        """Whether a frame is not newer than the last one."""
        if self.last is None or stamp > self.last:
            return False
        behind = self.last - stamp
        if behind > _SET_BACK:
            self._behind, self._back = self._behind + 1, max(self._back, behind)
        return True

    def take(self, stamp: float) -> float:
        """Go on to a newer one. Returns the seconds by which the clock was set back since the last one: several frames
        between the two had been refused."""
        back = self._back if self._behind > 1 else 0.0
        self.last, self._behind, self._back = stamp, 0, 0.0
        return back
