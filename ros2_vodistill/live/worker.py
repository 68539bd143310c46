"""The one thread that touches the odometry."""

from __future__ import annotations

import threading
from collections.abc import Callable

from ros2_vodistill.live.feed import Feed


class Worker:
    """Runs a feed's work on a thread of its own, away from the one that receives.

    Args:
        feed: whose `work` is called.
        failed: called with an unexpected exception; the thread goes on.
    """

    def __init__(self, feed: Feed, failed: Callable[[Exception], None]) -> None:
        self._feed, self._failed = feed, failed
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="odometry", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> bool:
        """End after the frame in hand; False if that takes longer than `timeout` seconds."""
        self._stop.set()
        self._feed.slot.wake()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _loop(self) -> None:
        while not self._stop.is_set():
            try:
                self._feed.work(timeout=0.2)
            except Exception as error:  # whatever it is, the robot must hear of it and the next frame may do
                self._failed(error)
