"""Whether the camera stands, judged from two views."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import geometry, still

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
    last[: hidden // 2], this[:, 320 - hidden :] = 0, 0
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
    sliver = np.where(np.arange(320) < 16, texture(), 0).astype(np.uint8)
    assert still.shift(sliver, sliver) == float("inf")
    speck = np.full((96, 320), 90, np.uint8)
    speck[48, 100:104] = 250
    assert still.shift(speck, speck) == float("inf")
    faint = np.tile(128 + 12 * np.sin(np.arange(320) / 4), (96, 1)).astype(np.uint8)  # 3 levels a pixel at most
    assert still.shift(faint, faint) == float("inf")


def corners(nearness: float = 0.2) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit rays all over a view of 60 by 40 degrees, to things that are equally near."""
    x, y = (v.ravel() for v in np.meshgrid(np.linspace(-0.6, 0.6, 25), np.linspace(-0.36, 0.36, 15)))
    rays = np.stack([x, y, np.ones_like(x)], axis=1)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True), np.full(len(x), nearness)


def test_motions_of_the_hidden_size_move_points_by_what_is_unseen() -> None:
    rays, nearness = corners()
    covariance = still.hidden(rays, nearness, 1e-4)
    drawn = np.random.default_rng(0).multivariate_normal(np.zeros(6), covariance, 500)
    moved = []
    for motion in drawn:
        points = rays / nearness[:, None]
        seen = (points - motion[:3]) @ geometry.so3_exp(motion[3:])
        seen /= np.linalg.norm(seen, axis=1, keepdims=True)
        moved.append(np.sqrt((np.linalg.norm(seen - rays, axis=1) ** 2).mean()))
    # six numbers, each of which alone moves the points by sigma
    assert np.sqrt(np.mean(np.square(moved))) == pytest.approx(np.sqrt(6) * 1e-4, rel=0.1)


def test_more_is_hidden_ahead_than_aside_and_where_things_are_far() -> None:
    rays, nearness = corners()
    near, far = (np.sqrt(np.diag(still.hidden(rays, n, 1e-4))) for n in (nearness, nearness / 4))
    assert near[2] > 1.5 * np.sqrt(1e-4**2 / nearness[0] ** 2)
    np.testing.assert_allclose(far[:3], 4 * near[:3], rtol=0.05)
    np.testing.assert_allclose(far[3:], near[3:], rtol=0.05)


def test_what_is_infinitely_far_hides_every_step_and_no_turn() -> None:
    rays, nearness = corners(1 / still.TYPICAL_DEPTH)
    near, far = (np.sqrt(np.diag(still.hidden(rays, n, 1e-4))) for n in (nearness, 0 * nearness))
    np.testing.assert_allclose(far[:3], 0.1)
    assert (near[:3] < 0.01).all()
    assert (far[3:] < 1e-3).all()


def test_what_can_hide_has_its_bounds() -> None:
    """A wall in the far distance, or a single point, says nothing of most motions."""
    rays, _ = corners()
    for some in (rays, rays[:1]):
        deviations = np.sqrt(np.diag(still.hidden(some, np.full(len(some), 1e-9), 1e-4)))
        assert (deviations[:3] <= 0.1 + 1e-9).all()
        assert (deviations[3:] <= 0.01 + 1e-9).all()
