"""Photometric changes of recorded windows: light and sensor, never geometry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from training.config import Augmentation


def augment(
    views: Mapping[str, NDArray[np.uint8]], settings: Augmentation, random: np.random.Generator
) -> dict[str, NDArray[np.uint8]]:
    """Change the windows (T, H, W) of all views alike: one light for all, as they come from one image."""
    if settings == Augmentation():
        return dict(views)
    frames = next(iter(views.values())).shape[0]
    gamma = _factor(settings.gamma, random)
    gains = _factor(settings.gain, random) * _factor(settings.flicker, random, frames)
    table = 255.0 * (np.arange(256) / 255.0) ** gamma
    out = {}
    for name, view in views.items():
        levels = table[view] * gains[:, None, None]
        levels += settings.noise * random.standard_normal(view.shape)
        out[name] = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return out


def _factor(spread: float, random: np.random.Generator, count: int = 1) -> NDArray[np.float64]:
    """Between 1 / (1 + spread) and 1 + spread, evenly in its logarithm."""
    limit = np.log1p(spread)
    return np.exp(random.uniform(-limit, limit, count))
