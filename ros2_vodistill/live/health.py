"""Health as a diagnostics viewer shows it: a level, its reason, and figures."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

_AGES, _EVENTS = 300, 1000  # that are kept
_WINDOW = 5.0  # seconds over which a rate is taken


class Level(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    OK = 0
    WARN = 1
    ERROR = 2
    STALE = 3


@dataclass(frozen=True)
class Health:
    """A level, the reason for it, and figures by name."""

    level: Level
    message: str
    values: dict[str, str] = field(default_factory=dict)


class Ages:
    """Milliseconds of the last few frames, for percentiles."""

    def __init__(self) -> None:
        self._values: deque[float] = deque(maxlen=_AGES)

    def add(self, milliseconds: float) -> None:
        """Another one; the oldest goes."""
        self._values.append(milliseconds)

    def __str__(self) -> str:
        values = list(self._values)
        if not values:
            return "-"
        p50, p99 = np.percentile(values, [50, 99])
        return f"{p50:.2f} / {p99:.2f}"


class Rate:
    """Events per second over the last few seconds, on a given clock."""

    def __init__(self) -> None:
        self._times: deque[float] = deque(maxlen=_EVENTS)

    def tick(self, now: float) -> None:
        """One more event."""
        self._times.append(now)

    def at(self, now: float) -> float:
        """Hz."""
        recent = [time for time in list(self._times) if now - time <= _WINDOW]
        return len(recent) / _WINDOW
