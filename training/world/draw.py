"""Random numbers that depend on a sample's seed and on a name, and on nothing else.

They come from a hash of integers, so that the same seed gives the same world on every device, in any batch, and a new
draw leaves all others as they were.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import torch
from torch import Tensor

_GOLDEN = -7046029254386353131  # 0x9E3779B97F4A7C15 as a signed number
_MIX_A = -4658895280553007687  # 0xBF58476D1CE4E5B9
_MIX_B = -7723592293110705685  # 0x94D049BB133111EB


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

    @property
    def device(self) -> torch.device:
        return self.seeds.device

    def within(self, scope: str) -> Draw:
        """Draws whose names begin with `scope`."""
        return Draw(self.seeds, f"{self.scope}{scope}.", self.places)

    def at(self, places: Tensor) -> Draw:
        """Draws (B, N, ...) that belong to places (B, N), such as the numbers of houses along a road."""
        return Draw(self.seeds, self.scope, places)

    def bits(self, name: str, counters: Tensor) -> Tensor:
        """24 random bits for each of the (B, ...) or (1, ...) int64 counters, as int64."""
        key = zlib.crc32(f"{self.scope}{name}".encode())
        base = _mix(self.seeds * _GOLDEN + key).reshape(-1, *[1] * (counters.dim() - 1))
        return (_mix(base + counters * _GOLDEN) >> 40) & 0xFFFFFF

    def unit(self, name: str, shape: Sequence[int] = ()) -> Tensor:
        """(B, *shape), or (B, N, *shape) for places; uniform between 0 and 1, without either."""
        count = math.prod(shape)
        counters = torch.arange(count, device=self.device).reshape(1, *shape)
        if self.places is not None:
            counters = self.places.reshape(*self.places.shape, *[1] * len(shape)) * (1 << 20) + counters
        return (self.bits(name, counters).float() + 0.5) / 2**24

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
        total = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        edges = (total / total[-1]).float()[:-1].to(self.device)
        return torch.bucketize(self.unit(name, shape), edges, right=True)

    def pick(self, name: str, options: Sequence[float], shape: Sequence[int] = ()) -> Tensor:
        """One of the options, all equally likely, as float32."""
        return torch.tensor(options, dtype=torch.float32, device=self.device)[
            self.choice(name, [1.0] * len(options), shape)
        ]
