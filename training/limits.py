"""What values a setting may have, said in its type: `Annotated[float, Limits(0, 1)]`."""

from __future__ import annotations

import math
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from training.settings import SettingError


@dataclass(frozen=True)
class Limits:
    """Of a number, or of each of a pair of bounds, of which the first is not the higher one; all of them finite.

    Attributes:
        least, most: may be reached.
        above: `least` may not be reached.
        none: both bounds may be 0, too.
    """

    least: float = -math.inf
    most: float = math.inf
    above: bool = False
    none: bool = False

    def hold(self, value: float) -> bool:
        above = value > self.least if self.above else value >= self.least
        return above and value <= self.most and math.isfinite(value)

    def __str__(self) -> str:
        least = f"more than {self.least:g}" if self.above else f"at least {self.least:g}"
        parts = [least] * (self.least > -math.inf) + [f"at most {self.most:g}"] * (self.most < math.inf)
        return " and ".join(parts) or "finite"


class Plain:
    """Of text, that it can be the name of a folder within another one."""


def is_plain(name: str) -> bool:
    """Whether a folder can be called that, within another one."""
    return bool(name) and not name.startswith(".") and Path(name).name == name


Count = Annotated[int, Limits(0)]
Number = Annotated[int, Limits(1)]
Amount = Annotated[float, Limits(0)]
Positive = Annotated[float, Limits(0, above=True)]
Share = Annotated[float, Limits(0, 1)]
Range = Annotated[tuple[float, float], Limits()]
Amounts = Annotated[tuple[float, float], Limits(0)]
Positives = Annotated[tuple[float, float], Limits(0, above=True)]
Shares = Annotated[tuple[float, float], Limits(0, 1)]
Name = Annotated[str, Plain()]


@dataclass(frozen=True)
class Limited:
    """Settings that are held to the limits of their types."""

    def __post_init__(self) -> None:
        for name, hint in typing.get_type_hints(type(self), include_extras=True).items():
            for limits in getattr(hint, "__metadata__", ()):
                _check(name, getattr(self, name), limits)


def _check(name: str, value: Any, limits: Limits | Plain) -> None:
    if value is None:
        return
    if isinstance(limits, Plain):
        if not is_plain(value):
            raise SettingError(f"{name} is {value!r}", "it must be a plain name, that of a folder")
        return
    if not isinstance(value, (tuple, list)):
        if not limits.hold(value):
            raise SettingError(f"{name} is {value}", f"it must be {limits}")
        return
    if limits.none and not any(value):
        return
    if not all(limits.hold(bound) for bound in value):
        raise SettingError(f"{name} is {list(value)}", f"both must be {limits}{', or both 0 for none' * limits.none}")
    if value[0] > value[1]:
        raise SettingError(f"{name} is {list(value)}", "write the lower bound first, then the higher one")
