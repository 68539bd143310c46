"""Corners on the ground tell the length of a step; those that stand above it, or move, do not."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill.footing import footing

STEP = 0.4  # camera heights


def depths(*groups: tuple[int, float, float]) -> np.ndarray:
    """Below the camera, per step: so many corners each, spread evenly between two depths in camera heights."""
    return np.concatenate([np.linspace(low, high, count) for count, low, high in groups]) / STEP


def found(*groups: tuple[int, float, float]) -> float:
    length = footing(depths(*groups))
    assert length is not None
    return length.value


def test_corners_on_the_ground_tell_the_length() -> None:
    assert found((40, 0.98, 1.02)) == pytest.approx(STEP, rel=0.01)


def test_what_stands_on_the_ground_or_is_above_the_camera_does_not_count() -> None:
    assert found((40, 0.98, 1.02), (100, -3.0, 0.9)) == pytest.approx(STEP, rel=0.02)


def test_a_few_corners_that_seem_to_be_below_the_ground_do_not_count() -> None:
    assert found((40, 0.98, 1.02), (10, 2.0, 9.0)) == pytest.approx(STEP, rel=0.01)
    assert found((40, 0.98, 1.02), (10, 2.9, 2.95)) == pytest.approx(STEP, rel=0.01)


def test_of_two_levels_the_lower_one_is_the_ground() -> None:
    assert found((30, 0.49, 0.51), (25, 0.98, 1.02)) == pytest.approx(STEP, rel=0.02)


def test_a_rough_ground_is_found_too() -> None:
    assert found((40, 0.92, 1.08), (60, -3.0, 0.5)) == pytest.approx(STEP, rel=0.06)


@pytest.mark.parametrize(
    "groups", [(), ((3, 0.99, 1.01),), ((100, -3.0, -0.1),), ((100, -2.0, 0.8),), ((5, 0.99, 1.01), (150, -4.0, 0.7))]
)
def test_nothing_is_told_where_too_few_corners_are_on_one_level(groups: tuple[tuple[int, float, float], ...]) -> None:
    values = depths(*groups) if groups else np.empty(0)
    assert footing(values) is None


def test_more_corners_are_surer_but_never_of_the_mount() -> None:
    few, some, many = (footing(depths((count, 0.99, 1.01))) for count in (5, 10, 1000))
    assert few is not None
    assert some is not None
    assert many is not None
    assert few.relative == pytest.approx(0.1**2 + 0.2**2)
    assert few.relative > some.relative > many.relative
    assert many.relative == pytest.approx(0.1**2, rel=0.01)
