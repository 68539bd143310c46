"""Random numbers that depend on a sample's seed and on a name, and on nothing else.

They come from a hash of integers, so that the same seed gives the same world on every device, in any batch, and a new
draw leaves all others as they were.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_A = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_B = -7723592293110705685  # 0x94D049BB133111EB

BELOW_ONE = 1 - 2**-24
"""The largest float32 below one, the greatest draw: rounding alone would make one of it."""


def _mix(x: Tensor) -> Tensor:
    """The splitmix64 finaliser on int64, which wraps."""
    x = (x ^ ((x >> 30) & 0x3FFFFFFFF)) * _MIX_A
    x = (x ^ ((x >> 27) & 0x1FFFFFFFFF)) * _MIX_B
    return x ^ ((x >> 31) & 0x1FFFFFFFF)


class Draw:
    """Draws for B samples.

    Args:
        seeds: (B,) int64.
        scope: a prefix of all names.
        places: (B, N) int64; where given, draws have shape (B, N, ...) and depend on these numbers.
    """

    def __init__(self, seeds: Tensor, scope: str = "", places: Tensor | None = None) -> None:
        self.seeds, self.scope, self.places = seeds, scope, places
        self._sheet = _Sheet(seeds, places, _asked(scope, places is not None))

    @property
    def device(self) -> torch.device:
        return self.seeds.device

    def within(self, scope: str) -> Draw:
        """Draws whose names begin with `scope`."""
        inner = copy.copy(self)
        inner.scope = f"{self.scope}{scope}."
        return inner

    def at(self, places: Tensor) -> Draw:
        """Draws (B, N, ...) that belong to places (B, N), such as the numbers of houses along a road."""
        return Draw(self.seeds, self.scope, places)

    def bits(self, name: str, counters: Tensor) -> Tensor:
        """24 random bits for each of the (B, ...) or (1, ...) int64 counters, as int64."""
        base = _mix(self.seeds * _GOLDEN + _key(f"{self.scope}{name}"))
        return _bits(base.reshape(-1, *[1] * (counters.dim() - 1)), counters)

    def unit(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        """(B, *shape), or (B, N, *shape) for places; uniform between 0 and 1, without either."""
        numbers = self._sheet.unit(f"{self.scope}{name}", math.prod(shape))
        if not shape:
            return numbers[0]
        return numbers.movedim(0, -1).contiguous().unflatten(-1, tuple(shape))

    def uniform(
        self, name: str, low: float | Tensor = 0.0, high: float | Tensor = 1.0, shape: Sequence[int] = ()
    ) -> Tensor:
        """Between bounds, which may be tensors that broadcast."""
        return low + (high - low) * self.unit(name, shape)

    def log_uniform(self, name: str, low: float, high: float, shape: Sequence[int] = ()) -> Tensor:
        """Uniform in the logarithm."""
        return self.uniform(name, math.log(low), math.log(high), shape).exp()

    def normal(self, name: str, sigma: float | Tensor = 1.0, shape: Sequence[int] = ()) -> Tensor:
        """From a normal distribution around zero, cut at 3.5 deviations."""
        radius = (-2.0 * self.unit(name, shape).log()).sqrt().clamp_max(3.5)
        return sigma * radius * torch.cos(2 * math.pi * self.unit(f"{name}'", shape))

    def chance(self, name: str, probability: float | Tensor, shape: Sequence[int] = ()) -> Tensor:
        """bool."""
        return self.unit(name, shape) < probability

    def choice(self, name: str, weights: Sequence[float], shape: Sequence[int] = ()) -> Tensor:
        """int64 indices, as likely as their weights say."""
        return torch.bucketize(self.unit(name, shape), _edges(tuple(weights), str(self.device)), right=True)

    def pick(self, name: str, options: Sequence[float], shape: Sequence[int] = ()) -> Tensor:
        """One of the options, all equally likely, as float32."""
        chosen = self.choice(name, [1.0] * len(options), shape)
        return constant(tuple(map(float, options)), str(self.device))[chosen]


class _Sheet:
    """The draws of some samples, or of places in them, all at once as far as their names are known.

    A draw is twenty small operations, a clip needs a thousand draws, and on a GPU the number of operations is what
    counts: so the names that earlier clips asked for are drawn together.
    """

    def __init__(self, seeds: Tensor, places: Tensor | None, asked: dict[str, int]) -> None:
        self.seeds, self.places, self.asked = seeds, places, asked
        self.drawn: dict[str, Tensor] = {}

    def unit(self, name: str, count: int) -> Tensor:
        """(count, B) or (count, B, N) numbers between 0 and 1."""
        if name not in self.drawn or len(self.drawn[name]) < count:
            self.asked[name] = max(count, self.asked.get(name, 0))
            self._draw({name: self.asked[name]} if self.drawn else self.asked)
        return self.drawn[name][:count]

    def _draw(self, counts: dict[str, int]) -> None:
        keys = [_key(name) for name, count in counts.items() for _ in range(count)]
        counters = [i for count in counts.values() for i in range(count)]
        key, counter = torch.tensor([keys, counters], device=self.seeds.device)[..., None]
        base = _mix(self.seeds * _GOLDEN + key)
        if self.places is not None:
            base, counter = base[..., None], self.places * (1 << 20) + counter[..., None]
        units = ((_bits(base, counter).float() + 0.5) / 2**24).clamp_max(BELOW_ONE)
        self.drawn.update(zip(counts, units.split(list(counts.values())), strict=True))


@cache
def _asked(scope: str, at_places: bool) -> dict[str, int]:
    """Names that were asked for below a scope in this process, and how many numbers of each."""
    return {}


@cache
def _key(name: str) -> int:
    return zlib.crc32(name.encode())


def _bits(base: Tensor, counters: Tensor) -> Tensor:
    return (_mix(base + counters * _GOLDEN) >> 40) & 0xFFFFFF


@cache
def constant(values: tuple[float, ...], device: str) -> Tensor:
    """Numbers that the code knows, on a device: float32, or int64 where all are whole."""
    return torch.tensor(values, device=device)


@cache
def _edges(weights: tuple[float, ...], device: str) -> Tensor:
    """Where the shares of the weights end, but for the last."""
    total = torch.tensor(weights, dtype=torch.float64).cumsum(0)
    return (total / total[-1]).float()[:-1].to(device)
