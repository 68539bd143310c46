"""Procedural textures in one stack with mip levels, and their sampling.

Each texture is a square tile of grey values that repeats without seams. The stack holds, for every texel of every
level, the texel and its three neighbours in one 32-bit word, so that a trilinear sample costs two reads.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SIZE = 256
LEVELS = 9

Image = NDArray[np.floating]


class Leaves:
    """Where foliage is open, as a repeating pattern of clumps.

    Args:
        pattern: (N, N) ranks 0..255, N a power of two; every rank as often as any other.
    """

    def __init__(self, pattern: Image, device: torch.device) -> None:
        self.bits = int(math.log2(len(pattern)))
        self.ranks = torch.from_numpy(np.ascontiguousarray(pattern)).to(device, torch.float32).flatten()

    def open(self, u: Tensor, v: Tensor, share: Tensor) -> Tensor:
        """Whether there is no leaf at a place in tiles, where this share of the places has none."""
        n = 1 << self.bits
        column, row = (u * n).int() & (n - 1), (v * n).int() & (n - 1)
        place = torch.bitwise_left_shift(row, self.bits) + column
        return torch.index_select(self.ranks, 0, place.flatten()).view(place.shape) < share * 256.0


class Textures:
    """The stack.

    Attributes:
        families: name of a family -> indices of its textures.
        words: (textures * words per texture) int32.
        leaves: where foliage is open.
    """

    def __init__(self, images: dict[str, list[Image]], leaves: Image, device: torch.device) -> None:
        self.leaves = Leaves(leaves, device)
        self.families: dict[str, list[int]] = {}
        stack: list[NDArray[np.int32]] = []
        for name, variants in images.items():
            self.families[name] = list(range(len(stack), len(stack) + len(variants)))
            stack += [_words(image) for image in variants]
        self.words = torch.from_numpy(np.concatenate(stack)).to(device)
        self.stride = len(stack[0])
        starts = np.cumsum([0] + [(SIZE >> level) ** 2 for level in range(LEVELS - 1)])
        self.starts = torch.tensor(starts, dtype=torch.int32, device=device)

    def sample(self, index: Tensor, u: Tensor, v: Tensor, footprint: Tensor, dither: Tensor | float = 0.5) -> Tensor:
        """Grey values 0..1. All arguments have one shape.

        Args:
            index: of the textures.
            u, v: place in tiles; they repeat.
            footprint: width of what a sample averages, in tiles.
            dither: 0..1, the level is rounded down after adding it: rays of a pixel that differ in it blend two levels.
        """
        level = (footprint.clamp(1e-6, 1.0).log2() + (math.log2(SIZE) + dither)).clamp(0.0, LEVELS - 1).int()
        shift = (LEVELS - 1) - level
        size = torch.bitwise_left_shift(torch.ones_like(level), shift)
        mask, scale = size - 1, size.float()
        x, y = torch.addcmul(scale - 0.5, u - u.floor(), scale), torch.addcmul(scale - 0.5, v - v.floor(), scale)
        column, row = x.int(), y.int()
        x, y = x - column, y - row
        start = torch.index_select(self.starts, 0, level.flatten()).view(level.shape)
        place = index.int() * self.stride + start + torch.bitwise_left_shift(row & mask, shift) + (column & mask)
        word = torch.index_select(self.words, 0, place.flatten()).reshape(place.shape)
        upper = torch.lerp((word & 255).float(), ((word >> 8) & 255).float(), x)
        lower = torch.lerp(((word >> 16) & 255).float(), ((word >> 24) & 255).float(), x)
        return torch.lerp(upper, lower, y) * (1.0 / 255.0)


def _words(image: Image) -> NDArray[np.int32]:
    levels = []
    while True:
        grey = np.rint(255 * np.clip(image, 0.0, 1.0)).astype(np.uint32)
        right = np.roll(grey, -1, 1)
        word = grey | right << 8 | np.roll(grey, -1, 0) << 16 | np.roll(right, -1, 0) << 24
        levels.append(word.astype(np.uint32).view(np.int32).ravel())
        if len(image) == 1:
            return np.concatenate(levels)
        image = 0.25 * (image[::2, ::2] + image[1::2, ::2] + image[::2, 1::2] + image[1::2, 1::2])


@lru_cache(maxsize=4)
def load(device: str) -> Textures:
    """The stack that all worlds share; always the same."""
    from training.world import paint

    images = {}
    for name, (painter, count) in paint.FAMILIES.items():
        images[name] = [painter(np.random.default_rng([7, *name.encode(), i])) for i in range(count)]
    return Textures(images, paint.leaves(np.random.default_rng(11)), torch.device(device))
