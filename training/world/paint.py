"""Painters of the texture families: each makes one seamless square tile of grey values 0..1 from a generator."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from training.world.textures import SIZE

Image = NDArray[np.floating]


def noise(rng: Generator, slope: float, lowest: float = 1.0, highest: float = SIZE, stretch: float = 1.0) -> Image:
    """Noise whose amplitude falls as frequency**-slope between two frequencies (cycles per tile); zero mean, unit
    deviation. `stretch` > 1 draws it out along the rows."""
    f = np.fft.fftfreq(SIZE, 1 / SIZE)
    radius = np.hypot(f[None, :] * stretch, f[:, None])
    band = (radius >= lowest) & (radius <= highest)
    amplitude = np.where(band, np.maximum(radius, 1.0) ** -slope, 0.0)
    image = np.fft.ifft2(np.fft.fft2(rng.standard_normal((SIZE, SIZE))) * amplitude).real
    return (image / max(image.std(), 1e-9)).astype(np.float32)


def asphalt(rng: Generator) -> Image:
    """Fine grains on weak larger stains."""
    grains = noise(rng, rng.uniform(0.0, 0.6), 6)
    stains = noise(rng, 1.4, 1, 12)
    return 0.5 + 0.1 * grains + rng.uniform(0.02, 0.1) * stains


def grass(rng: Generator) -> Image:
    blades = noise(rng, 0.6, 4, stretch=rng.uniform(0.5, 1.0))
    return 0.45 + 0.13 * blades + 0.10 * noise(rng, 1.2, 1, 16)


def foliage(rng: Generator) -> Image:
    """Leaves: bright clumps over dark gaps."""
    clumps = noise(rng, 1.0, 2, 24) + 0.7 * noise(rng, 0.3, 12)
    return 0.42 + 0.24 * clumps


def stucco(rng: Generator) -> Image:
    """A plain wall with weak stains."""
    return 0.75 + 0.05 * noise(rng, 1.5, 1, 32) + 0.02 * noise(rng, 0.2, 16)


def clouds(rng: Generator) -> Image:
    return 0.5 + 0.16 * noise(rng, 1.7, 1, 64)


def blotches(rng: Generator) -> Image:
    """What trees cast on the ground: lumps of a few sizes."""
    return 0.5 + 0.17 * noise(rng, 1.3, 2, 48)


def any_noise(rng: Generator) -> Image:
    return 0.5 + rng.uniform(0.08, 0.25) * noise(rng, rng.uniform(0.2, 1.6), rng.uniform(1, 8))


def bricks(rng: Generator) -> Image:
    rows = int(rng.choice([8, 16, 32]))
    columns = int(rng.choice([4, 8])) * rows // 8
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    row = np.floor(y * rows)
    across = x * columns + 0.5 * (row % 2) * rng.integers(0, 2)
    tone = rng.normal(0, 1, (rows, columns))[row.astype(int), np.floor(across).astype(int) % columns]
    joint = np.minimum(_edge(across), _edge(y * rows) * columns / rows) < rng.uniform(0.05, 0.12)
    value = np.where(joint, rng.uniform(0.3, 0.8), rng.uniform(0.4, 0.7) + 0.07 * tone)
    return value + 0.03 * noise(rng, 0.8)


def tiles(rng: Generator) -> Image:
    """A floor or a clad wall: squares with thin joints."""
    count = int(rng.choice([4, 8, 16]))
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE * count
    tone = rng.normal(0, 1, (count, count))[y.astype(int), x.astype(int)]
    joint = np.minimum(_edge(x), _edge(y)) < rng.uniform(0.02, 0.06)
    value = np.where(joint, rng.uniform(0.2, 0.9), 0.6 + rng.uniform(0.0, 0.08) * tone)
    return value + 0.03 * noise(rng, 1.0)


def panels(rng: Generator) -> Image:
    """Large smooth panels with thin joints and a shading of their own, as of partitions and doors."""
    columns, rows = int(rng.integers(1, 4)), int(rng.integers(1, 4))
    y, x = np.mgrid[0:SIZE, 0:SIZE] / SIZE
    tone = rng.normal(0, 0.05, (rows, columns))[(y * rows).astype(int), (x * columns).astype(int)]
    value = rng.uniform(0.55, 0.9) + tone + 0.03 * noise(rng, 1.8, 1, 8)
    wide = rng.uniform(0.004, 0.02)
    joint = np.minimum(_edge(x * columns) / columns, _edge(y * rows) / rows) < wide
    return np.where(joint, rng.uniform(0.05, 0.5), value)


def windows(rng: Generator) -> Image:
    """A facade: a few windows in a plain wall, with frames, sills, blinds and dark or bright panes."""
    image = rng.uniform(0.6, 0.9) + rng.uniform(0.01, 0.05) * noise(rng, 1.2)
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(2, 4))
    for _ in range(int(rng.integers(0, 4))):  # pipes, ledges, cables
        at, wide, value = rng.uniform(0, SIZE), rng.uniform(2, 6), rng.uniform(0.2, 1.0)
        if rng.random() < 0.5:
            _rectangle(image, at, 0, wide, SIZE, value)
        else:
            _rectangle(image, 0, at, SIZE, wide, value)
    wide, high = SIZE / columns, SIZE / rows
    pane_w, pane_h = rng.uniform(0.25, 0.6) * wide, rng.uniform(0.35, 0.65) * high
    frame, sill, bars = rng.uniform(0.3, 1.0), rng.uniform(0.3, 1.0), int(rng.integers(1, 4))
    shutters = rng.random() < 0.3
    if rng.random() < 0.3:
        _rectangle(image, 0, rng.uniform(0, SIZE), SIZE, rng.uniform(4, 16), rng.uniform(0.4, 1.0))
    for r in range(rows):
        for c in range(columns):
            if rng.random() < 0.15:
                continue
            left, top = (c + 0.5) * wide - pane_w / 2, (r + 0.45) * high - pane_h / 2
            if shutters:
                _rectangle(image, left - pane_w / 2, top, 2 * pane_w, pane_h, rng.uniform(0.2, 0.6))
            _rectangle(image, left - 4, top - 4, pane_w + 8, pane_h + 8, frame)
            for bar in range(bars):
                pane = rng.uniform(0.02, 0.4) if rng.random() < 0.85 else rng.uniform(0.5, 1.0)
                _rectangle(image, left + bar * pane_w / bars + 1, top, pane_w / bars - 2, pane_h, pane)
            if rng.random() < 0.4:
                _rectangle(image, left, top, pane_w, pane_h * rng.uniform(0.2, 0.9), rng.uniform(0.5, 0.9))
            _rectangle(image, left - 6, top + pane_h + 4, pane_w + 12, 5, sill)
            _rectangle(image, left - 6, top + pane_h + 9, pane_w + 12, 5, 0.35)
    return image


def poster(rng: Generator) -> Image:
    """Rectangles of all sizes: shop fronts, shelves, signs, machines."""
    image = np.full((SIZE, SIZE), rng.uniform(0.2, 0.8), np.float32)
    for _ in range(int(rng.integers(10, 60))):
        wide, high = SIZE * rng.uniform(0.03, 0.5, 2)
        _rectangle(image, rng.uniform(0, SIZE), rng.uniform(0, SIZE), wide, high, rng.uniform(0.0, 1.0))
    return image + 0.02 * noise(rng, 0.8)


def planks(rng: Generator) -> Image:
    count = int(rng.choice([4, 8, 16]))
    x = np.mgrid[0:SIZE, 0:SIZE][1] / SIZE * count
    tone = rng.normal(0, 1, count)[x.astype(int)]
    value = 0.5 + 0.08 * tone + 0.06 * noise(rng, 0.8, 2, stretch=0.1)
    return np.where(_edge(x) < 0.05, value - 0.25, value)


def flat(rng: Generator) -> Image:
    return 0.8 + 0.01 * noise(rng, 1.0)


def wear(rng: Generator) -> Image:
    """What lies on a carriageway: 0.5 leaves it as it is, 0 is black and 1 paint. Cracks, tar seams along it, patches,
    covers, and on some letters, bars and hatching."""
    image = np.full((SIZE, SIZE), 0.5, np.float32)
    for _ in range(int(rng.integers(0, 5))):
        wide, high = SIZE * rng.uniform(0.05, 0.3), SIZE * rng.uniform(0.05, 0.5)
        value = rng.choice([rng.uniform(0.35, 0.48), rng.uniform(0.51, 0.56)])
        _rectangle(image, rng.uniform(0, SIZE), rng.uniform(0, SIZE), wide, high, value)
    for _ in range(int(rng.integers(1, 6))):
        _scribble(image, rng, along=rng.random() < 0.65, value=rng.uniform(0.0, 0.35), width=int(rng.integers(1, 4)))
    for _ in range(int(rng.integers(0, 3))):
        centre, radius = rng.integers(20, SIZE - 20, 2), int(rng.integers(5, 10))
        cv2.circle(image, centre.tolist(), radius + 2, 0.56, -1)
        cv2.circle(image, centre.tolist(), radius, float(rng.uniform(0.1, 0.35)), -1)
    if rng.random() < 0.4:
        paint = rng.uniform(0.75, 1.0)
        left, top = rng.integers(30, SIZE - 90), rng.integers(30, SIZE - 60)
        if rng.random() < 0.4:
            text = "".join(rng.choice(list("0123456789SBUOTP"), int(rng.integers(1, 3))))
            cv2.putText(image, text, (int(left), int(top) + 40), cv2.FONT_HERSHEY_SIMPLEX, 1.4, paint, 6)
        else:
            slope, count = int(rng.choice([0, 24, 48])), int(rng.integers(3, 8))
            for i in range(count):
                start = (int(left), int(top) + 14 * i)
                cv2.line(image, start, (start[0] + 60, start[1] + slope), paint, int(rng.integers(4, 9)))
    return image


def car_side(rng: Generator) -> Image:
    """The lower half of a car from the side: wheels with rims, arches, sill, doors. 0 is black, 0.8 the paint."""
    image = np.full((SIZE, SIZE), 0.8, np.float32)
    image *= np.linspace(1.15, 0.75, SIZE, dtype=np.float32)[:, None]
    image[: int(0.1 * SIZE)] = 1.0
    image[int(0.12 * SIZE) : int(0.17 * SIZE)] = rng.uniform(0.3, 0.8)
    sill = int(SIZE * rng.uniform(0.7, 0.8))
    image[sill:] = rng.uniform(0.1, 0.6)
    image[int(0.86 * SIZE) :] = 0.0
    for at in (rng.uniform(0.3, 0.4), rng.uniform(0.58, 0.68)):
        image[: int(0.7 * SIZE), int(at * SIZE) : int(at * SIZE) + 2] = 0.45
    for at in (0.17, rng.uniform(0.8, 0.85)):
        centre, wheel = (int(at * SIZE), int(0.68 * SIZE)), np.array([0.075 * SIZE, 0.32 * SIZE])
        for scale, value in ((1.25, 0.08), (1.0, 0.03), (rng.uniform(0.5, 0.7), rng.uniform(0.3, 1.0)), (0.25, 0.3)):
            cv2.ellipse(image, centre, (wheel * scale).astype(int).tolist(), 0, 0, 360, float(value), -1)
    return image


def car_end(rng: Generator) -> Image:
    """Front or rear: lamps, plate, bumper, and the dark between the wheels."""
    image = np.full((SIZE, SIZE), 0.8, np.float32)
    bumper = int(SIZE * rng.uniform(0.5, 0.6))
    image[bumper:] = rng.uniform(0.2, 0.8)
    image[int(0.8 * SIZE) :] = 0.0
    for left, right in ((0.03, 0.25), (0.75, 0.97)):
        image[int(0.15 * SIZE) : int(0.4 * SIZE), int(left * SIZE) : int(right * SIZE)] = rng.choice([0.15, 0.5, 1.0])
    for left, right in ((0.02, 0.2), (0.8, 0.98)):
        image[int(0.75 * SIZE) :, int(left * SIZE) : int(right * SIZE)] = 0.04
    if rng.random() < 0.6:
        image[int(0.2 * SIZE) : int(0.38 * SIZE), int(0.3 * SIZE) : int(0.7 * SIZE)] = rng.uniform(0.05, 0.4)
    image[int(0.55 * SIZE) : int(0.68 * SIZE), int(0.33 * SIZE) : int(0.67 * SIZE)] = 1.0
    return image


def car_glass(rng: Generator) -> Image:
    """The upper half: dark panes with what they mirror, between bright pillars."""
    image = rng.uniform(0.05, 0.25) + 0.05 * noise(rng, 1.5, 1, 16)
    image += np.linspace(0.35 * rng.random(), 0.0, SIZE)[:, None]
    image[: int(0.1 * SIZE)] = 0.9
    for at in (0.0, rng.uniform(0.3, 0.45), rng.uniform(0.6, 0.75), 0.97):
        image[:, int(at * SIZE) : int((at + 0.03) * SIZE)] = rng.choice([0.1, 0.8])
    if rng.random() < 0.5:
        image[int(0.1 * SIZE) : int(0.5 * SIZE)] += rng.uniform(0.1, 0.4)
    return image


def leaves(rng: Generator) -> Image:
    """Ranks 0..255 of a pattern of clumps, for `textures.Leaves`."""
    pattern = noise(rng, 1.1, 3, 64)[::2, ::2].ravel()
    ranks = np.empty(pattern.size, np.float32)
    ranks[np.argsort(pattern)] = np.arange(pattern.size) * 256.0 / pattern.size
    return ranks.reshape(SIZE // 2, SIZE // 2)


FAMILIES: dict[str, tuple[Callable[[Generator], Image], int]] = {
    "flat": (flat, 1),
    "asphalt": (asphalt, 8),
    "wear": (wear, 10),
    "blotches": (blotches, 4),
    "grass": (grass, 4),
    "foliage": (foliage, 6),
    "stucco": (stucco, 4),
    "clouds": (clouds, 4),
    "noise": (any_noise, 10),
    "bricks": (bricks, 6),
    "tiles": (tiles, 6),
    "panels": (panels, 6),
    "windows": (windows, 16),
    "poster": (poster, 8),
    "planks": (planks, 4),
    "car_side": (car_side, 4),
    "car_end": (car_end, 6),
    "car_glass": (car_glass, 4),
}
"""Name -> painter and number of variants."""


def _edge(x: Image) -> Image:
    """Distance to the nearest whole number."""
    return np.abs(x - np.rint(x))


def _rectangle(image: Image, left: float, top: float, wide: float, high: float, value: float) -> None:
    """Fill a rectangle that wraps around the tile's edges."""
    rows = np.arange(int(top), int(top + high)) % SIZE
    columns = np.arange(int(left), int(left + wide)) % SIZE
    image[np.ix_(rows, columns)] = value


def _scribble(image: Image, rng: Generator, along: bool, value: float, width: int) -> None:
    """A wandering line from edge to edge that meets itself on the other side; `along` the columns."""
    steps = np.arange(0, SIZE + 1, 8)
    walk = np.cumsum(rng.normal(0, 4.0, len(steps)))
    walk -= np.linspace(walk[0], walk[-1], len(steps))
    across = rng.uniform(0, SIZE) + walk
    ends = np.stack([across, steps] if along else [steps, across], -1)
    for shift in (-SIZE, 0, SIZE):
        moved = ends + ([shift, 0] if along else [0, shift])
        cv2.polylines(image, [np.rint(moved).astype(np.int32)], False, value, width)
