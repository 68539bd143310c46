"""Lengths from speeds, where the camera is not in the middle of what moves."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.frontend import Relative
from ros2_vodistill.scale import Gone, Metres, Scale, stretch

CARRIER = geometry.make([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], [0.3, 0.1, 0.5])


def seen(base: np.ndarray, unit: float) -> np.ndarray:
    """The camera's motion, in units of so many metres, of the base's six numbers."""
    motion = geometry.invert(CARRIER) @ geometry.from_motion(base) @ CARRIER
    motion[:3, 3] /= unit
    return motion


@pytest.mark.parametrize("unit", [0.5, 2.0])
@pytest.mark.parametrize(
    "base",
    [
        [0.2, 0, 0, 0, 0, 0],
        [0.2, 0, 0, 0, 0, 0.05],
        [-0.2, 0, 0, 0, 0, 0.05],
        [0, 0, 0, 0, 0, 0.05],
        [0.01, 0, 0, 0, 0, -0.05],
    ],
    ids=["ahead", "a curve", "back in a curve", "on the spot", "nearly on the spot"],
)
def test_what_carries_the_camera_goes_that_far(base: list[float], unit: float) -> None:
    motion, distance = seen(np.array(base), unit), float(np.linalg.norm(base[:3]))
    found = stretch(motion, distance, CARRIER, likely=unit)
    assert found == pytest.approx(unit, rel=1e-6)
    motion[:3, 3] *= found
    gone = CARRIER @ motion @ geometry.invert(CARRIER)
    assert np.linalg.norm(gone[:3, 3]) == pytest.approx(distance, abs=1e-6)


@pytest.mark.parametrize("likely", [0.5, 2.0])
def test_of_two_lengths_it_is_the_likelier(likely: float) -> None:
    """A slide against the way that the arm swings: short, it makes good a part of it; long, more than all."""
    swing = geometry.make(np.eye(3), [0.0, 0.0, 1.0])  # a metre ahead of what carries it
    motion = geometry.from_motion([0.04, 0, 0, 0, 0.05, 0])
    found = [stretch(motion, distance, swing, likely) for distance in (0.03, 0.0)]
    gone = swing @ geometry.from_motion([found[0] * 0.04, 0, 0, 0, 0.05, 0]) @ geometry.invert(swing)
    assert np.linalg.norm(gone[:3, 3]) == pytest.approx(0.03, abs=1e-9)
    assert (found[0] < found[1]) == (likely < found[1])
    assert found[0] > 0


def test_without_an_arm_it_is_the_ratio_of_lengths() -> None:
    motion = geometry.from_motion([0, 0, 0.25, 0, 0.3, 0])
    assert stretch(motion, 0.5) == pytest.approx(2.0)
    assert stretch(motion, 0.0) == 0.0
    assert stretch(geometry.from_motion([0, 0, 0, 0, 0.3, 0]), 0.5) == 0.0


def test_where_no_length_goes_that_far_it_is_the_one_that_comes_nearest() -> None:
    base = np.array([0, 0.05, 0, 0, 0, 0.05])  # a slide that nobody measures
    motion = seen(base, 1.0)
    found = stretch(motion, 0.0, CARRIER)

    def gone(length: float) -> float:
        longer = motion.copy()
        longer[:3, 3] *= length
        return float(np.linalg.norm((CARRIER @ longer @ geometry.invert(CARRIER))[:3, 3]))

    assert gone(found) < min(gone(found - 1e-3), gone(found + 1e-3))


def test_a_ratio_is_that_of_the_last_ways() -> None:
    assert Gone().ratio is None
    assert Gone().further(0.0, 0.0).ratio is None
    gone = Gone()
    for _ in range(100):
        gone = gone.further(0.5, 1.0)
    for _ in range(100):
        gone = gone.further(0.8, 2.0)
    assert gone.ratio == pytest.approx(0.4, rel=0.01)


AHEAD = Relative(geometry.from_motion([0, 0, 0.5, 0, 0, 0]), np.diag([0.01] * 3 + [0.02] * 3))


@pytest.mark.parametrize(
    ("unit", "height", "times", "scale"),
    [
        ("metre", None, 1.0, Scale.MODEL),
        ("metre", 0.4, 1.0, Scale.MODEL),
        ("camera_height", 0.4, 0.4, Scale.CAMERA_HEIGHT),
        ("camera_height", None, 1.0, Scale.UNKNOWN),
        ("none", 0.4, 1.0, Scale.UNKNOWN),
    ],
)
def test_without_a_speed_metres_come_from_the_unit(unit: str, height: float | None, times: float, scale: Scale) -> None:
    metres = Metres(unit, height, Scale.MODEL)
    found = metres.measured(AHEAD, None, None)
    assert (found.motion[2, 3], metres.scale) == (pytest.approx(0.5 * times), scale)
    np.testing.assert_allclose(np.diag(found.covariance), [0.01 * times**2] * 3 + [0.02] * 3)


def test_a_step_by_a_speed_is_as_doubtful_as_both() -> None:
    """What was measured, four times as long, and 1 % of two metres and a millimetre."""
    found = Metres("camera_height", 0.4, Scale.MODEL).measured(AHEAD, 2.0, None)
    assert found.motion[2, 3] == pytest.approx(2.0)
    np.testing.assert_allclose(np.diag(found.covariance), [0.16 + 0.02**2 + 0.001**2] * 3 + [0.02] * 3)


def test_of_lengths_that_have_no_unit_a_speed_tells_nothing() -> None:
    metres = Metres("none", None, Scale.MODEL)
    metres.measured(AHEAD, 2.0, None)
    found = metres.measured(AHEAD, None, None)
    assert (found.motion[2, 3], metres.scale) == (0.5, Scale.UNKNOWN)


@pytest.mark.parametrize("before", ["height", "speed"])
@pytest.mark.parametrize("likely", [0.5, 2.0])
def test_which_of_two_lengths_is_likelier_a_height_tells_or_a_speed_before(before: str, likely: float) -> None:
    metres = Metres("camera_height", likely if before == "height" else None, Scale.MODEL)
    if before == "speed":
        metres.measured(AHEAD, 0.5 * likely, None)
    swing = geometry.make(np.eye(3), [0.0, 0.0, 1.0])  # as above
    slide = Relative(geometry.from_motion([0.04, 0, 0, 0, 0.05, 0]), 1e-6 * np.eye(6))
    found = metres.measured(slide, 0.03, swing).motion[0, 3] / 0.04
    assert found == pytest.approx(stretch(slide.motion, 0.03, swing, likely))
    assert (found < 1.25) == (likely == 0.5)
