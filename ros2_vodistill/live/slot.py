"""The place between the thread that receives frames and the one that works on them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Frame:
    """A frame that has arrived, not yet decoded.

    Attributes:
        stamp: nanoseconds, of the camera's clock; 0 where the driver sets none.
        arrived: nanoseconds, on the clock that stamps are compared with.
        at: seconds on a clock that never jumps.
        decode: gives the (H,W) grey image, or raises a VodistillError; called on the worker's thread.
    """

    stamp: int
    arrived: int
    at: float
    decode: Callable[[], NDArray[np.uint8]]


class Slot:
    """Holds the newest frames; an older one makes room for a newer one, so delay never builds up.

    Args:
        size: 1 keeps the newest frame alone. More is for replays, where every frame counts and delay does not.

    Attributes:
        dropped: frames that made room.
    """

    def __init__(self, size: int = 1) -> None:
        self._frames: deque[Frame] = deque(maxlen=size)
        self._changed = threading.Condition()
        self._woken = False
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Never waits."""
        with self._changed:
            self.dropped += len(self._frames) == self._frames.maxlen
            self._frames.append(frame)
            self._changed.notify()

    def take(self, timeout: float = 0.0) -> Frame | None:
        """The oldest frame kept; None if there is none within `timeout` seconds or `wake` was called."""
        with self._changed:
            if not self._frames and not self._woken and timeout > 0:
                self._changed.wait(timeout)
            self._woken = False
            return self._frames.popleft() if self._frames else None

    def rest(self, timeout: float) -> None:
        """Wait for `wake` alone: frames stay where they are."""
        with self._changed:
            self._changed.wait_for(lambda: self._woken, timeout)
            self._woken = False

    def wake(self) -> None:
        """End the wait of `take` and `rest`: there is other work."""
        with self._changed:
            self._woken = True
            self._changed.notify()

    def clear(self) -> None:
        """Forget what is kept; that is no drop."""
        with self._changed:
            self._frames.clear()
