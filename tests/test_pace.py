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


def test_a_frame_or_two_that_show_no_motion_may_be_copies_and_more_are_a_stop() -> None:
    pace = Pace().followed(STEP).advanced()
    for _ in range(2):
        pace = pace.resting()
        np.testing.assert_allclose(pace.ahead, STEP)
    np.testing.assert_allclose(pace.resting().ahead, np.eye(4))
    again = pace.followed(STEP).advanced().resting()
    np.testing.assert_allclose(again.ahead, STEP)
    back = Pace().followed(STEP).resting()  # at the reference, not a step ahead of it
    np.testing.assert_allclose(back.ahead, STEP)


@pytest.mark.parametrize(("doubt", "expected"), [(1e-6, OTHER), (1e6, STEP)])
def test_what_is_reckoned_is_what_is_known_better(doubt: float, expected: np.ndarray) -> None:
    pace = Pace().followed(STEP).advanced()
    reckoned = pace.reckoned(Guess(OTHER, 1e-2 * np.eye(6)), doubt)
    np.testing.assert_allclose(reckoned.motion, expected, atol=1e-3)


def test_two_opinions_are_surer_than_each() -> None:
    pace = Pace().followed(STEP).advanced()
    covariance = np.diag([0.2**2] * 3 + [0.02**2] * 3)
    both = pace.reckoned(Guess(OTHER, covariance)).covariance
    alone = pace.reckoned(Guess(OTHER)).covariance
    assert both is not None and alone is not None
    assert np.linalg.eigvalsh(both).min() > 0
    assert (np.diag(both) < np.minimum(np.diag(covariance), np.diag(alone))).all()


def test_a_mere_start_adds_nothing_to_a_pace() -> None:
    reckoned = Pace().followed(STEP).advanced().reckoned(Guess(OTHER))
    np.testing.assert_allclose(reckoned.motion, STEP)


def test_before_anything_was_seen_a_sure_guess_counts_and_a_wild_one_hardly() -> None:
    """Cameras rarely turn by ten degrees from one frame to the next."""
    spread = np.diag([0.1**2] * 3 + [0.003**2] * 3)
    sure = Pace().reckoned(Guess(OTHER, spread))
    np.testing.assert_allclose(geometry.to_motion(sure.motion), geometry.to_motion(OTHER), rtol=0.01, atol=1e-6)
    wild = geometry.from_motion([0.0, 0.0, 0.1, 0.0, 0.17, 0.0])
    doubted = geometry.to_motion(Pace().reckoned(Guess(wild, 900 * spread)).motion)
    assert 0.02 < doubted[4] < 0.05


def test_before_anything_was_seen_nothing_is_known_and_less_the_longer_that_lasts() -> None:
    start, pace = Pace().reckoned(Guess(np.eye(4))), Pace()
    assert start.covariance is not None
    for _ in range(3):
        pace = pace.followed(OTHER, measured=False)
    later = pace.reckoned(Guess(OTHER))
    np.testing.assert_array_equal(start.motion, np.eye(4))
    np.testing.assert_array_equal(later.motion, np.eye(4))
    np.testing.assert_allclose(later.covariance, 16 * start.covariance)
    np.testing.assert_allclose(pace.advanced().reckoned(Guess(OTHER)).covariance, start.covariance)
    assert np.degrees(np.sqrt(start.covariance[4, 4])) == pytest.approx(3, rel=0.1)


def test_inertia_fades_where_nothing_is_seen() -> None:
    pace = Pace().followed(STEP).advanced()
    fresh, blind = pace.inertia, pace.followed(STEP, measured=False).advanced().inertia
    assert fresh is not None and blind is not None
    assert blind.turns == pytest.approx(np.sqrt(2) * fresh.turns)
    assert blind.veers == pytest.approx(np.sqrt(2) * fresh.veers)


def test_a_guess_counts_less_the_longer_nothing_was_seen() -> None:
    """It is of ever longer steps: blind for four frames, the camera is taken to go on."""
    pace = Pace().followed(STEP).advanced()
    stuck = Guess(STEP, np.diag([1.0] * 3 + [0.02**2] * 3))
    for _ in range(4):
        pace = pace.followed(pace.reckoned(stuck).motion, measured=False)
    gone = float(np.linalg.norm(pace.since[:3, 3]))
    assert gone > 3 * float(np.linalg.norm(STEP[:3, 3]))


def test_inertia_keeps_the_turn_and_the_way_and_a_step_that_creeps_only_the_turn() -> None:
    inertia = Pace().followed(STEP).advanced().inertia
    assert inertia is not None
    np.testing.assert_allclose(inertia.rotation, STEP[:3, :3])
    np.testing.assert_allclose(inertia.direction, STEP[:3, 3] / np.linalg.norm(STEP[:3, 3]))
    assert 0 < inertia.turns < inertia.veers < 1
    creeping = Pace().followed(geometry.from_motion([0.0, 0.0, 0.01, 0.0, 0.05, 0.0])).advanced().inertia
    assert creeping is not None
    assert creeping.veers == np.inf
    assert creeping.turns == pytest.approx(inertia.turns)


def test_a_single_step_may_be_wrong_and_gives_no_inertia_until_others_go_on_like_it() -> None:
    pace, worth = Pace(), []
    for motion in (OTHER, STEP, STEP, STEP, geometry.from_motion([0.5, 0.0, 0.1, 0.0, -0.3, 0.0])):
        pace = pace.followed(motion).advanced()
        assert pace.inertia is not None
        worth.append(pace.inertia.worth)
    assert worth[0] == worth[1] == worth[4] == 0
    assert 0 < worth[2] < worth[3] < 1


def test_in_more_time_a_camera_goes_farther() -> None:
    pace = Pace().after(1e9).followed(OTHER).after(0.1).followed(OTHER @ STEP).advanced()
    assert pace.ahead is not None
    np.testing.assert_array_equal(pace.after(0.11).ahead, pace.ahead)
    np.testing.assert_array_equal(pace.after(0.0).ahead, pace.ahead)
    np.testing.assert_allclose(pace.after(0.3).ahead, STEP @ STEP @ STEP, atol=1e-12)
    np.testing.assert_allclose(pace.after(0.3).after(0.1).ahead, STEP, atol=1e-12)
    later = pace.after(0.3).followed(OTHER).advanced()
    np.testing.assert_allclose(later.after(0.3).ahead, OTHER, atol=1e-12)


@pytest.mark.parametrize("advancing", [False, True])
def test_what_was_reckoned_wrongly_is_no_step(advancing: bool) -> None:
    """After a sudden turn the camera goes straight on, and a frame in between shows nothing."""
    turned = geometry.from_motion([0.0, 0.0, 0.5, 0.0, 0.35, 0.0])
    straight = geometry.from_motion([0.0, 0.0, 0.5, 0.0, 0.0, 0.0])
    pace = Pace().followed(turned).advanced()
    pace = pace.followed(pace.reckoned(Guess(turned)).motion, measured=False)
    motion = straight @ straight
    if advancing:
        motion, pace = geometry.invert(pace.since) @ motion, pace.advanced()
    pace = pace.followed(motion)
    np.testing.assert_allclose(pace.step, straight, atol=1e-12)


def test_unseen_frames_keep_the_last_step_and_make_it_vaguer() -> None:
    seen = Pace().followed(STEP).advanced()
    blind = seen.followed(OTHER, measured=False)
    np.testing.assert_allclose(blind.ahead, OTHER @ STEP)
    blind = blind.advanced()
    np.testing.assert_allclose(blind.ahead, STEP)
    before, after = (pace.reckoned(Guess(STEP)).covariance for pace in (seen, blind))
    np.testing.assert_allclose(after, 2 * np.asarray(before))
    assert seen.length is not None and blind.length is not None
    assert blind.length.variance == pytest.approx(2 * seen.length.variance)
    assert blind.followed(STEP).blind == 0


def doubts(times: float) -> np.ndarray:
    """Deviations of what follows on a step that is so many times as long and as much turned: its length, how far aside
    and how far turned it goes, and the six numbers where nothing is seen."""
    pace = Pace().followed(geometry.from_motion(times * np.array([0.0, 0.0, 0.5, 0.0, 0.05, 0.0]))).advanced()
    length, inertia, blind = pace.length, pace.inertia, pace.reckoned(Guess(np.eye(4))).covariance
    assert length is not None and inertia is not None and blind is not None
    return np.array([np.sqrt(length.variance), inertia.veers * length.value, inertia.turns, *np.sqrt(np.diag(blind))])


def test_a_step_differs_from_the_last_by_a_share_of_it_and_by_a_little_whatever_it_is() -> None:
    once, twice, thrice = (doubts(times) for times in (1.0, 2.0, 3.0))
    np.testing.assert_allclose(thrice - twice, twice - once, rtol=1e-6)
    assert (twice > 1.01 * once).all()
    assert (2 * once > 1.01 * twice).all()  # the shorter the step, the larger its share


def test_a_turn_makes_the_next_turn_vague_and_not_its_way() -> None:
    straight, turning = (
        Pace().followed(geometry.from_motion([0.0, 0.0, 0.5, 0.0, turn, 0.0])).advanced().reckoned(Guess(np.eye(4)))
        for turn in (0.0, 0.3)
    )
    assert straight.covariance is not None and turning.covariance is not None
    more = np.diag(turning.covariance) / np.diag(straight.covariance)
    np.testing.assert_allclose(more[:3], 1)
    assert (more[3:] > 2).all()
