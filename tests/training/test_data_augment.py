"""Photometric changes of recorded windows."""

from __future__ import annotations

import numpy as np
import pytest

from training.config import Augmentation
from training.data.augment import augment


@pytest.mark.parametrize(
    ("settings", "low", "high"),
    [
        (Augmentation(gain=1.0), 0.5, 2.0),
        (Augmentation(flicker=1.0), 0.5, 2.0),
        (Augmentation(gamma=0.5), 0.64, 1.36),
    ],
)
def test_augmentation_stays_within_its_bounds(settings: Augmentation, low: float, high: float) -> None:
    views = {"image": np.full((3, 4, 5), 100, np.uint8), "view_ground": np.full((3, 2, 2), 100, np.uint8)}
    for seed in range(20):
        changed = augment(views, settings, np.random.default_rng(seed))
        ratios = changed["image"][:, 0, 0] / 100
        assert (ratios >= low - 0.01).all()
        assert (ratios <= high + 0.01).all()
        assert (changed["view_ground"][:, 0, 0] == changed["image"][:, 0, 0]).all()
        assert len(set(ratios)) == (1 if settings.flicker == 0 else 3)


def test_no_augmentation_changes_nothing() -> None:
    views = {"image": np.arange(60, dtype=np.uint8).reshape(3, 4, 5)}
    assert augment(views, Augmentation(), np.random.default_rng(0))["image"] is views["image"]


def test_gamma_bends_the_levels_between_black_and_white() -> None:
    """One exponent for all levels: of a level's share of white, the logarithm is stretched by the same factor."""
    levels = np.arange(256, dtype=np.uint8)[None, None]
    exponents = []
    for seed in range(20):
        bent = augment({"image": levels}, Augmentation(gamma=0.5), np.random.default_rng(seed))["image"][0, 0] / 255.0
        assert (bent[0], bent[-1]) == (0.0, 1.0)
        middle = np.log(bent[64:224]) / np.log(np.arange(64, 224) / 255.0)
        assert np.ptp(middle) < 0.04  # levels are whole numbers
        exponents.append(float(np.median(middle)))
    assert 1 / 1.5 - 0.01 < min(exponents) < 0.8
    assert 1.25 < max(exponents) < 1.5 + 0.01


def test_noise_has_its_deviation() -> None:
    views = {"image": np.full((2, 200, 200), 128, np.uint8)}
    changed = augment(views, Augmentation(noise=4.0), np.random.default_rng(0))["image"].astype(float)
    assert changed.std() == pytest.approx(4.0, rel=0.03)
    assert np.corrcoef(changed[0].ravel(), changed[1].ravel())[0, 1] == pytest.approx(0.0, abs=0.02)
