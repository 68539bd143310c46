"""A speed from elsewhere (wheels, GNSS), found again by the stamp of a frame."""

from __future__ import annotations

import math
import threading
from collections import deque

SECOND = 10**9
_KEPT = 200  # samples


class Speed:
    """The last few speeds.

    Args:
        timeout: seconds by which a speed's stamp may differ from the frame's.
        topic: where they should come from; '' if none are expected.

    Attributes:
        last: the one that came last, m/s.
    """

    def __init__(self, timeout: float = 0.5, topic: str = "") -> None:
        self.timeout, self.topic = timeout, topic
        self._samples: deque[tuple[int, float]] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self.last: float | None = None

    def add(self, stamp: int, speed: float) -> bool:
        """Nanoseconds and m/s, of any sign; False if it is not a number and was left out."""
        if not math.isfinite(speed):
            return False
        self.last = abs(speed)
        with self._lock:
            self._samples.append((stamp, self.last))
        return True

    def forget(self) -> None:
        """All of them, as when the clock has jumped."""
        with self._lock:
            self._samples.clear()

    def at(self, stamp: int) -> float | None:
        """m/s at this time (nanoseconds): the nearest in time; None if none is near enough."""
        with self._lock:
            nearest = min(self._samples, key=lambda sample: abs(sample[0] - stamp), default=None)
        if nearest is None or abs(nearest[0] - stamp) > self.timeout * SECOND:
            return None
        return nearest[1]
