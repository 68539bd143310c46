"""Sub-pixel refinement: corners that were followed in downscaled images, located in larger ones.

Lucas-Kanade iterations for all corners at once, on a patch around each, so that the cost does not depend on the size of
the images. The mean and the contrast of a patch may change. A corner that moves too far from where it was found stays
there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Image = NDArray[np.uint8]
Pixels = NDArray[np.float32]

_HALF = 5  # pixels on each side of a corner that are compared
_STEPS = 3
_STRIDE, _ASTRAY = 1.0, 2.0  # pixels at most: in one iteration, and in all
_FAINT = 1e-3  # squared gradient per pixel that is added to the structure tensor, which may be singular
_HALVED, _TINY = np.float32(0.5), np.float32(1e-6)


def settled(last: Image, this: Image, points: Array, places: Array) -> Array:
    """Where corners at `points` (N,2) of the last image are in this one; they were found near `places`."""
    size = np.array(last.shape[::-1])
    room = _HALF + 3
    low, high = np.minimum(points, places - _ASTRAY), np.maximum(points, places + _ASTRAY)
    inside = ((low >= room) & (high < size - room)).all(axis=1)
    found = places.copy()
    if inside.any():
        found[inside] = _followed(last, this, points[inside], places[inside])
    return found


def _followed(last: Image, this: Image, points: Array, places: Array) -> Array:
    around = _looked_up(last, points, _HALF + 1)
    level = _flat(around[:, 1:-1, 2:] - around[:, 1:-1, :-2]) * _HALVED
    down = _flat(around[:, 2:, 1:-1] - around[:, :-2, 1:-1]) * _HALVED
    wanted, contrast = _centred(around[:, 1:-1, 1:-1])
    least = np.float32(_FAINT * wanted.shape[1])
    xx, yy, xy = _dot(level, level) + least, _dot(down, down) + least, _dot(level, down)
    square = xx * yy - xy * xy
    found = places
    for _ in range(_STEPS):
        seen, own = _centred(_looked_up(this, found, _HALF))
        left: Pixels = wanted - seen * (contrast / np.maximum(own, _TINY))[:, None]
        x, y = _dot(level, left), _dot(down, left)
        step = np.stack([(yy * x - xy * y) / square, (xx * y - xy * x) / square], axis=1)
        found = np.clip(found + np.clip(step, -_STRIDE, _STRIDE), places - _ASTRAY, places + _ASTRAY)
    astray = (np.abs(found - places) >= _ASTRAY).any(axis=1, keepdims=True)
    return np.where(astray, places, found)


def _looked_up(image: Image, places: Array, half: int) -> Pixels:
    """(N, 2 half + 1, 2 half + 1) of an image around each place, between the pixels."""
    whole = np.floor(places)
    right, low = (places - whole).astype(np.float32).T[:, :, None, None]
    reach = np.arange(-half, half + 2)
    around = (reach[:, None] * image.shape[1] + reach).ravel()
    first = (whole[:, 1] * image.shape[1] + whole[:, 0]).astype(np.int64)
    pixels = image.ravel().take(first[:, None] + around).astype(np.float32).reshape(len(places), 2 * half + 2, -1)
    across = pixels[:, :, :-1] + right * (pixels[:, :, 1:] - pixels[:, :, :-1])
    return np.asarray(across[:, :-1] + low * (across[:, 1:] - across[:, :-1]))


def _centred(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """(N, P) without their means, and the root (N,) of the sum of their squares."""
    flat = _flat(pixels)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat, np.asarray(np.sqrt(_dot(flat, flat)), np.float32)


def _flat(pixels: Pixels) -> Pixels:
    return pixels.reshape(len(pixels), -1)


def _dot(a: Pixels, b: Pixels) -> Pixels:
    return np.asarray(np.einsum("np,np->n", a, b))
