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
    """

    def __init__(self, seeds: Tensor, scope: str = "") -> None:
        self.seeds, self.scope = seeds, scope

    @property
    def device(self) -> torch.device:
        return self.seeds.device

    @property
    def batch(self) -> int:
        return self.seeds.shape[0]

    def within(self, scope: str) -> Draw:
        """Draws whose names begin with `scope`."""
        return Draw(self.seeds, f"{self.scope}{scope}.")

    def bits(self, name: str, counters: Tensor) -> Tensor:
        """24 random bits for each of the (B, ...) or (1, ...) int64 counters, as int64."""
        key = zlib.crc32(f"{self.scope}{name}".encode())
        base = _mix(self.seeds * _GOLDEN + key).reshape(-1, *[1] * (counters.dim() - 1))
        return (_mix(base + counters * _GOLDEN) >> 40) & 0xFFFFFF

    def at(self, name: str, counters: Tensor, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers keyed by counters, such as the index of a place; float32 of the counters' shape."""
        return low + (high - low) * (self.bits(name, counters).float() + 0.5) / 2**24

    def uniform(
        self, name: str, shape: Sequence[int] = (), low: float | Tensor = 0.0, high: float | Tensor = 1.0
    ) -> Tensor:
        """(B, *shape) uniform in low..high; bounds may be tensors that broadcast."""
        count = math.prod(shape)
        counters = torch.arange(count, device=self.device).reshape(1, *shape)
        unit = (self.bits(name, counters).float() + 0.5) / 2**24
        return low + (high - low) * unit

    def log_uniform(self, name: str, shape: Sequence[int], low: float, high: float) -> Tensor:
        """(B, *shape), uniform in the logarithm."""
        return self.uniform(name, shape, math.log(low), math.log(high)).exp()

    def normal(self, name: str, shape: Sequence[int] = (), sigma: float | Tensor = 1.0) -> Tensor:
        """(B, *shape) from a normal distribution around zero."""
        radius = (-2.0 * self.uniform(name, shape).log()).sqrt()
        return sigma * radius * torch.cos(2 * math.pi * self.uniform(f"{name}'", shape))

    def chance(self, name: str, probability: float | Tensor, shape: Sequence[int] = ()) -> Tensor:
        """(B, *shape) bool."""
        return self.uniform(name, shape) < probability

    def choice(self, name: str, weights: Sequence[float], shape: Sequence[int] = ()) -> Tensor:
        """(B, *shape) int64 indices, as likely as their weights say."""
        total = torch.tensor(weights, dtype=torch.float64).cumsum(0)
        edges = (total / total[-1]).float()[:-1].to(self.device)
        return torch.bucketize(self.uniform(name, shape), edges, right=True)

    def pick(self, name: str, options: Sequence[int], shape: Sequence[int] = ()) -> Tensor:
        """(B, *shape) int64, one of the options, all equally likely."""
        return torch.tensor(list(options), device=self.device)[self.choice(name, [1.0] * len(options), shape)]
