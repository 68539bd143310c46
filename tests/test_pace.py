"""How a camera goes on, with and without being seen."""

from __future__ import annotations

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.guess import Guess
from ros2_vodistill.pace import Pace

STEP = geometry.from_motion([0.1, 0.0, 0.5, 0.0, 0.05, 0.0])
OTHER = geometry.from_motion([0.0, 0.0, 0.7, 0.0, 0.01, 0.02])


def test_the_next_step_is_expected_to_be_like_the_last() -> None:
    pace = Pace().followed(STEP)
    np.testing.assert_allclose(pace.ahead, STEP @ STEP)
    np.testing.assert_allclose(pace.advanced().ahead, STEP)
    assert Pace().ahead is None
    assert Pace().length is None
    assert Pace().inertia is None


@pytest.mark.parametrize(("doubt", "expected"), [(1e-6, OTHER), (1e6, STEP)])
def test_what_is_reckoned_is_what_is_known_better(doubt: float, expected: np.ndarray) -> None:
    pace = Pace().followed(STEP).advanced()
    reckoned = pace.reckoned(Guess(OTHER, 1e-2 * np.eye(6)), doubt)
    np.testing.assert_allclose(reckoned.motion, expected, atol=1e-3)


def test_two_opinions_are_surer_than_each() -> None:
    pace = Pace().followed(STEP).advanced()
    covariance = np.diag([0.2**2] * 3 + [0.02**2] * 3)
    both = pace.reckoned(Guess(OTHER, covariance), 1.0).covariance
    alone = pace.reckoned(Guess(OTHER), 1.0).covariance
    assert both is not None and alone is not None
    assert np.linalg.eigvalsh(both).min() > 0
    assert (np.diag(both) < np.minimum(np.diag(covariance), np.diag(alone))).all()


def test_a_mere_start_adds_nothing_to_a_pace_and_a_pace_nothing_to_none() -> None:
    reckoned = Pace().followed(STEP).advanced().reckoned(Guess(OTHER), 1.0)
    np.testing.assert_allclose(reckoned.motion, STEP)
    first = Pace().reckoned(Guess(OTHER, np.eye(6)), 3.0)
    np.testing.assert_array_equal(first.motion, OTHER)
    np.testing.assert_array_equal(first.covariance, 3 * np.eye(6))


def test_unseen_frames_keep_the_last_step_and_make_it_vaguer() -> None:
    seen = Pace().followed(STEP).advanced()
    blind = seen.followed(OTHER, measured=False)
    np.testing.assert_allclose(blind.ahead, OTHER @ STEP)
    blind = blind.advanced()
    np.testing.assert_allclose(blind.ahead, STEP)
    before, after = (pace.reckoned(Guess(STEP), 1.0).covariance for pace in (seen, blind))
    np.testing.assert_allclose(after, 2 * np.asarray(before))
    assert seen.length is not None and blind.length is not None
    assert blind.length.variance == pytest.approx(2 * seen.length.variance)
    assert blind.followed(STEP).blind == 0
