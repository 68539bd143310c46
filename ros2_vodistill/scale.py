"""Translations in metres: by the camera's height, or by a given speed."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.frontend import Relative

Array = NDArray[np.float64]

_NOTHING = 1e-9  # units or metres: no motion at all
_UNSURE = 0.01, 1e-3  # standard deviation of a given distance: share of it, and metres
_MEMORY = 0.95  # share of the sums that is kept each step


class Scale(str, Enum):
    """Where the length of the translation comes from."""

    CAMERA_HEIGHT = "camera height"
    SPEED = "speed"
    MODEL = "model"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Gone:
    """The recent distance, by given speeds (metres) and as the camera measured it (units): sums that decay."""

    metres: float = 0.0
    units: float = 0.0

    @property
    def ratio(self) -> float | None:
        """Metres per unit; None where the camera did not move."""
        return self.metres / self.units if self.units > _NOTHING else None

    def further(self, metres: float, units: float) -> Gone:
        """After another step."""
        return Gone(_MEMORY * self.metres + metres, _MEMORY * self.units + units)


def stretch(motion: Array, distance: float, carrier: Array | None = None, likely: float = math.inf) -> float:
    """How many times as long a camera's translation is if what carries it has gone this far: 0 or more.

    A camera ahead of the middle of a robot moves where that only turns. Where two lengths would do, forth and back, it
    is the likelier one; where none does, the one that comes nearest.

    Args:
        motion: 4x4 of the camera.
        distance: metres, 0 or more.
        carrier: the camera's pose (4x4) in what carries it; None: the distance is the camera's own.
        likely: about how many times.
    """
    carried = np.eye(4) if carrier is None else carrier
    turn, arm = carried[:3, :3], carried[:3, 3]
    onward = turn @ motion[:3, 3]
    aside = arm - turn @ motion[:3, :3] @ turn.T @ arm
    square = float(onward @ onward)
    if square < _NOTHING**2:
        return 0.0
    nearest = -float(onward @ aside) / square
    either = nearest**2 - (float(aside @ aside) - distance**2) / square
    root = math.sqrt(max(either, 0.0))
    lengths = [length for length in (nearest + root, nearest - root) if length >= 0.0]
    return min(lengths, key=lambda length: abs(length - likely), default=0.0)


class Metres:
    """Brings motions to metres.

    Args:
        unit: of their translations; see `Frontend`.
        height: of the camera, metres, if it is known.
        own: where the metres come from if that is the unit.
    """

    def __init__(self, unit: str, height: float | None, own: Scale) -> None:
        self._counts = unit == "camera_height"
        self._usual = 1.0 if unit == "metre" else height if self._counts else None
        source = own if unit == "metre" else Scale.CAMERA_HEIGHT
        self._source = Scale.UNKNOWN if self._usual is None else source
        self.reset()

    def reset(self) -> None:
        """Forget the scale that speeds have given."""
        self._gone = Gone()
        self.scale = self._source

    def measured(self, relative: Relative, distance: float | None, carrier: Array | None) -> Relative:
        """In metres, as far as they are known: by the distance, if that is given, that its carrier went (see
        `stretch`); else as usual, or, where such distances alone have told, by those."""
        told = self._gone.ratio if self._counts else None
        self.scale = self._source if distance is None else Scale.SPEED
        if distance is not None and not relative.still:
            likely = self._usual or told or math.inf
            factor = stretch(relative.motion, distance if distance > _NOTHING else 0.0, carrier, likely)
            units = float(np.linalg.norm(relative.motion[:3, 3]))
            self._gone = self._gone.further(factor * units, units)
            metric = relative.scaled(factor)
            share, least = _UNSURE
            doubt = np.diag([(share * distance) ** 2 + least**2] * 3 + [0.0] * 3)
            return replace(metric, covariance=metric.covariance + doubt)
        if distance is None and self._usual is None and told is not None:
            self.scale = Scale.SPEED
            relative = replace(relative, reasons=(*relative.reasons, "no speed has come: the scale is that of before"))
        return relative.scaled(self._usual or told or 1.0)
