"""Painters of the texture families: each makes one seamless square tile of grey values 0..1 from a generator."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.world.textures import SIZE

Image = NDArray[np.float32]


def noise(rng: Generator, slope: float, lowest: float = 1.0, highest: float = SIZE, stretch: float = 1.0) -> Image:
    """Noise whose amplitude falls as frequency**-slope between two frequencies (cycles per tile); zero mean, unit
    deviation. `stretch` > 1 draws it out along the rows."""
    fx = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.hypot(fx[None, :] * stretch, fx[:, None])
    band = (radius >= lowest) & (radius <= highest)
    amplitude = np.where(band, np.maximum(radius, 1.0) ** -slope, 0.0)
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * amplitude).real
    return (image / max(image.std(), 1e-9)).astype(np.float32)


def speckle(rng: Generator) -> Image:
    """Fine grains, as of asphalt and gravel, on weak larger stains."""
    grains = noise(rng, rng.uniform(0.0, 0.5), 8)
    stains = noise(rng, 1.4, 1, 12)
    return _level(0.5 + 0.09 * grains + rng.uniform(0.01, 0.06) * stains)


def grass(rng: Generator) -> Image:
    blades = noise(rng, 0.6, 4, stretch=rng.uniform(0.5, 1.0))
    return _level(0.45 + 0.13 * blades + 0.10 * noise(rng, 1.2, 1, 16))


def foliage(rng: Generator) -> Image:
    """Leaves: bright clumps over dark gaps."""
    clumps = noise(rng, 0.9, 2, 40) + 0.6 * noise(rng, 0.3, 12)
    return _level(0.36 + 0.2 * clumps)


def stucco(rng: Generator) -> Image:
    """A plain wall with weak stains."""
    return _level(0.75 + 0.04 * noise(rng, 1.5, 1, 32) + 0.02 * noise(rng, 0.2, 16))


def clouds(rng: Generator) -> Image:
    return _level(0.5 + 0.16 * noise(rng, 1.7, 1, 64))


def any_noise(rng: Generator) -> Image:
    return _level(0.5 + rng.uniform(0.08, 0.25) * noise(rng, rng.uniform(0.2, 1.6), rng.uniform(1, 8)))


def bricks(rng: Generator) -> Image:
    rows = int(rng.choice([8, 16, 32]))
    columns = int(rng.choice([4, 8])) * rows // 8
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows)
    across = x * columns + 0.5 * (row % 2) * rng.integers(0, 2)
    tone = rng.normal(0, 1, (rows, columns))[row.astype(int), np.floor(across).astype(int) % columns]
    joint = np.minimum(_edge(across), _edge(y * rows) * columns / rows) < rng.uniform(0.03, 0.08) * columns / rows * 2
    value = np.where(joint, rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.7) + 0.07 * tone)
    return _level(value + 0.03 * noise(rng, 0.8))


def tiles(rng: Generator) -> Image:
    """A floor or a clad wall: squares with thin joints."""
    count = int(rng.choice([4, 8, 16]))
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE * count
    tone = rng.normal(0, 1, (count, count))[y.astype(int), x.astype(int)]
    joint = np.minimum(_edge(x), _edge(y)) < rng.uniform(0.02, 0.06)
    value = np.where(joint, rng.uniform(0.2, 0.9), 0.6 + rng.uniform(0.0, 0.08) * tone)
    return _level(value + 0.03 * noise(rng, 1.0))


def windows(rng: Generator) -> Image:
    """A facade: a few windows in a plain wall, with frames and dark or bright panes."""
    wall = rng.uniform(0.6, 0.9)
    image = wall + 0.02 * noise(rng, 1.2)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    wide, high = SIZE / columns, SIZE / rows
    pane_w, pane_h = rng.uniform(0.3, 0.6) * wide, rng.uniform(0.4, 0.65) * high
    frame, sill = rng.uniform(0.2, 1.0), rng.uniform(0.3, 1.0)
    bars = int(rng.integers(1, 3))
    for r in range(rows):
        for c in range(columns):
            left, top = (c + 0.5) * wide - pane_w / 2, (r + 0.45) * high - pane_h / 2
            _rectangle(image, left - 3, top - 3, pane_w + 6, pane_h + 6, frame)
            for bar in range(bars):
                at = left + bar * pane_w / bars
                _rectangle(image, at + 1, top, pane_w / bars - 2, pane_h, rng.uniform(0.03, 0.35))
            if rng.random() < 0.4:
                _rectangle(image, left, top, pane_w, pane_h * rng.uniform(0.2, 0.9), rng.uniform(0.5, 0.9))
            _rectangle(image, left - 5, top + pane_h + 3, pane_w + 10, 4, sill)
    return _level(image)


def poster(rng: Generator) -> Image:
    """Rectangles of all sizes: shop fronts, shelves, signs, machines."""
    image = np.full((SIZE, SIZE), rng.uniform(0.2, 0.8), np.float32)
    for _ in range(int(rng.integers(10, 60))):
        wide, high = SIZE * rng.uniform(0.03, 0.5, 2)
        _rectangle(image, *(rng.uniform(0, SIZE, 2)), wide, high, rng.uniform(0.0, 1.0))
    return _level(image + 0.02 * noise(rng, 0.8))


def planks(rng: Generator) -> Image:
    count = int(rng.choice([4, 8, 16]))
    x = np.mgrid[0:SIZE, 0:SIZE][1] / SIZE * count
    tone = rng.normal(0, 1, count)[x.astype(int)]
    value = 0.5 + 0.08 * tone + 0.06 * noise(rng, 0.8, 2, stretch=0.1)
    return _level(np.where(_edge(x) < 0.05, value - 0.25, value))


def flat(rng: Generator) -> Image:
    return _level(0.5 + 0.01 * noise(rng, 1.0))


FAMILIES: dict[str, tuple[Callable[[Generator], Image], int]] = {
    "flat": (flat, 1),
    "asphalt": (speckle, 8),
    "grass": (grass, 4),
    "foliage": (foliage, 6),
    "stucco": (stucco, 4),
    "clouds": (clouds, 4),
    "noise": (any_noise, 12),
    "bricks": (bricks, 6),
    "tiles": (tiles, 6),
    "windows": (windows, 14),
    "poster": (poster, 8),
    "planks": (planks, 4),
}
"""Name -> painter and number of variants."""


def _edge(x: NDArray[np.floating]) -> NDArray[np.floating]:
    """Distance to the nearest whole number."""
    return np.abs(x - np.rint(x))


def _rectangle(image: Image, left: float, top: float, wide: float, high: float, value: float) -> None:
    """Fill a rectangle that wraps around the tile's edges."""
    rows = np.arange(int(top), int(top + high)) % SIZE
    columns = np.arange(int(left), int(left + wide)) % SIZE
    image[np.ix_(rows, columns)] = value


def _level(image: NDArray[np.floating]) -> Image:
    return cv2.blur(np.clip(image, 0.0, 1.0).astype(np.float32), (1, 1))
