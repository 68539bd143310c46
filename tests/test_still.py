"""Whether the camera stands, judged from two views."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import still

View = NDArray[np.uint8]


def texture(right: float = 0.0, gain: float = 1.0, noise: float = 0.0) -> View:
    """Waves of several directions, moved to the right by so many pixels."""
    y, x = np.mgrid[:96, :320].astype(float)
    x = x - right
    waves = 128 + 30 * np.sin(x / 5) + 25 * np.sin(x / 9 + 1) + 25 * np.sin((x + y) / 7)
    waves = gain * waves + np.random.default_rng(0).normal(0, noise, waves.shape)
    return np.clip(np.round(waves), 0, 255).astype(np.uint8)


def plainly(last: View, this: View) -> float:
    """The same, written as it is defined."""
    a, b = (cv2.GaussianBlur(view, (5, 5), 0).astype(float) for view in (last, this))
    seen = (last > 0) & (this > 0)
    b = (b - b[seen].mean()) * a[seen].std() / b[seen].std() + a[seen].mean()
    slope = np.hypot(*(cv2.Scharr((a + b) / 2, -1, *axis) / 32 for axis in ((1, 0), (0, 1))))
    slope[cv2.erode(seen.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0] = 0
    strong = slope >= max(np.quantile(slope, 0.75), 4)
    return float(np.median(np.abs(b - a)[strong] / slope[strong]))


@settings(deadline=None, max_examples=20)
@given(st.floats(0, 1.5), st.floats(0.8, 1.0), st.floats(0, 3), st.integers(0, 100))
def test_it_is_what_its_definition_says(right: float, gain: float, noise: float, hidden: int) -> None:
    last, this = texture(), texture(right, gain, noise)
    this[:, 320 - hidden :] = 0
    assert still.shift(last, this) == pytest.approx(plainly(last, this), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("right", [0.1, 0.3, 0.6])
def test_a_shift_is_measured_and_is_motion(right: float) -> None:
    """Most waves run across, so the shift along the gradient is nearly the whole of it."""
    assert 0.7 * right < still.shift(texture(), texture(right)) < 1.1 * right
    assert still.shift(texture(), texture(right)) > still.LIMIT


@pytest.mark.parametrize(("gain", "noise"), [(1.0, 0.0), (0.9, 0.0), (1.0, 1.0)])
def test_a_change_of_exposure_and_noise_are_no_motion(gain: float, noise: float) -> None:
    assert still.shift(texture(), texture(0.0, gain, noise)) < still.LIMIT


def test_where_nothing_can_be_seen_nothing_is_said() -> None:
    assert still.shift(np.full((96, 320), 90, np.uint8), np.full((96, 320), 90, np.uint8)) == float("inf")
    assert still.shift(texture(), np.zeros((96, 320), np.uint8)) == float("inf")
