"""The odometry's own work: gating, composing, propagating, and what it does when frames go wrong.

A scripted frontend stands in for whatever measures motion; the networks and the classical one have tests of their own.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import frames, geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.frontend import Relative
from ros2_vodistill.odometry import Estimate, Scale, Status, VisualOdometry
from tests.models import brightness_model

WIDTH, HEIGHT = 64, 48
CAMERA = Camera(WIDTH, HEIGHT, "pinhole", 40.0, 40.0, 31.5, 23.5)


class Scripted:
    """Reads its own position, in centimetres, from the first pixels of the image (16 bits), and moves along z."""

    name, unit = "scripted", "camera_height"
    min_translation, min_rotation, max_interval = 0.1, 0.01, 0.5

    def __init__(self, covariance: NDArray[np.float64] | None = None) -> None:
        self.covariance = 1e-4 * np.eye(6) if covariance is None else covariance
        self.reference: float | None = None
        self.newest = 0.0
        self.still = False
        self.reasons: tuple[str, ...] = ()
        self.lost = False
        self.advanced = 0
        self.turn = 0.02
        self.seconds: list[float] = []

    def reset(self) -> None:
        self.reference = None

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        self.newest = (int(image[0, 0]) * 256 + int(image[0, 4])) / 100
        self.seconds.append(seconds)
        if self.reference is None:
            return None
        motion = geometry.from_motion([0, 0, self.newest - self.reference, 0, self.turn, 0])
        return Relative(motion, self.covariance, self.reasons, self.still, self.lost)

    def advance(self) -> None:
        self.reference = self.newest
        self.advanced += 1


def frame(metres: float, seed: int = 0) -> NDArray[np.uint8]:
    image = np.random.default_rng([seed, round(1000 * metres)]).integers(30, 220, (HEIGHT, WIDTH), dtype=np.uint8)
    image[0, 0], image[0, 4] = divmod(round(100 * metres), 256)
    return image


def odometry(height: float | None = 2.0, frontend: Scripted | None = None, max_gap: float = 1.0) -> VisualOdometry:
    vo = VisualOdometry("classical", camera=CAMERA, mount=Mount(height), max_gap=max_gap)
    vo.frontend = frontend or Scripted()
    vo.engine = None
    return vo


def pushed(vo: VisualOdometry, metres: float, stamp: float, **options: float) -> Estimate:
    estimate = vo.push(frame(metres), stamp, **options)
    assert estimate is not None
    return estimate


def test_the_first_frame_gives_nothing_and_the_second_a_metric_pose() -> None:
    vo = odometry(height=2.0)
    assert vo.push(frame(0.0), 0.0) is None
    estimate = pushed(vo, 0.5, 0.1)
    expected = geometry.from_motion([0, 0, 1.0, 0, 0.02, 0])  # half a camera height of two metres
    np.testing.assert_allclose(estimate.pose, expected, atol=1e-12)
    np.testing.assert_allclose(estimate.twist, geometry.log(expected) / 0.1, atol=1e-12)
    assert (estimate.scale, estimate.status, estimate.reasons) == (Scale.CAMERA_HEIGHT, Status.TRACKING, ())


def test_without_a_height_the_scale_is_unknown_and_lengths_are_camera_heights() -> None:
    vo = odometry(height=None)
    vo.push(frame(0.0), 0.0)
    estimate = pushed(vo, 0.5, 0.1)
    assert estimate.scale is Scale.UNKNOWN
    assert estimate.pose[2, 3] == pytest.approx(0.5)


def test_a_speed_sets_the_length_of_the_step() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    estimate = pushed(vo, 0.5, 0.25, speed=8.0)
    assert np.linalg.norm(estimate.pose[:3, 3]) == pytest.approx(2.0)
    assert estimate.scale is Scale.SPEED
    assert pushed(vo, 1.0, 0.5).scale is Scale.CAMERA_HEIGHT


def test_a_speed_that_comes_no_more_has_told_the_scale() -> None:
    vo = odometry(height=None)
    vo.push(frame(0.0), 0.0)
    for k in range(1, 6):
        told = pushed(vo, 0.5 * k, 0.1 * k, speed=4.0)
    assert told.status is Status.TRACKING
    later = pushed(vo, 3.0, 0.6)
    assert np.linalg.norm(later.twist[:3]) == pytest.approx(4.0, rel=1e-3)
    assert later.scale is Scale.SPEED
    assert later.status is Status.DEGRADED and "no speed has come" in later.reasons[0]
    vo.reset()
    vo.set_camera(CAMERA)
    vo.frontend = Scripted()
    vo.push(frame(0.0), 1.0)
    assert pushed(vo, 0.5, 1.1).scale is Scale.UNKNOWN


@pytest.mark.parametrize("speed", [1e-155, 1e-12])
def test_next_to_no_speed_is_none(speed: float) -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1)
    before = vo.pose[:3, 3]
    np.testing.assert_allclose(pushed(vo, 1.0, 0.2, speed=speed).pose[:3, 3], before, atol=1e-9)


@pytest.mark.parametrize(("step", "references"), [(0.12, 11), (0.85, 61)])
def test_a_fast_camera_is_compared_as_rarely_as_a_slow_one_unless_it_goes_far(step: float, references: int) -> None:
    """Errors of many short steps would add up."""
    frontend = Scripted()
    vo = odometry(height=1.0, frontend=frontend)
    for i in range(61):
        vo.push(frame(step * i), i / 60)
    assert frontend.advanced == references


@pytest.mark.parametrize(
    ("least", "seconds", "turn", "references"),
    [
        (0.1, 0.1, 0.05, 1),
        (0.1, 0.1, 0.12, 2),
        (0.1, 0.01, 0.12, 2),
        (0.01, 0.1, 0.005, 1),
        (0.01, 0.1, 0.02, 2),
        (0.01, 0.01, 0.03, 1),  # so soon, it must turn a good deal
        (0.01, 0.01, 0.06, 2),
        (0.004, 0.01, 0.04, 2),
    ],
)
def test_a_turn_gets_a_new_reference_if_it_is_worth_one(
    least: float, seconds: float, turn: float, references: int
) -> None:
    frontend = Scripted()
    frontend.min_rotation, frontend.turn = least, turn
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    vo.push(frame(0.0, seed=1), seconds)
    assert frontend.advanced == references


def test_a_frontend_is_told_how_long_ago_it_saw_the_last_frame() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 5.0)
    pushed(vo, 0.5, 5.1)
    vo.push(np.zeros((HEIGHT, WIDTH), np.uint8), 5.2)
    pushed(vo, 1.0, 5.4)
    assert frontend.seconds[1:] == pytest.approx([0.1, 0.3])


def test_small_steps_keep_the_reference_so_that_nothing_adds_up() -> None:
    frontend = Scripted()
    vo = odometry(height=1.0, frontend=frontend)
    frontend.min_rotation = 1.0
    vo.push(frame(0.0), 0.0)
    for i in range(1, 10):
        estimate = pushed(vo, 0.01 * i, 0.01 * i)
        np.testing.assert_allclose(estimate.pose, geometry.from_motion([0, 0, 0.01 * i, 0, 0.02, 0]), atol=1e-12)
    assert frontend.advanced == 1
    pushed(vo, 0.1, 0.1)
    assert frontend.advanced == 2


def test_a_slow_motion_gets_a_new_reference_in_the_end() -> None:
    frontend = Scripted()
    frontend.min_rotation = 1.0
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.01, 0.3)
    assert frontend.advanced == 1
    pushed(vo, 0.02, 0.6)
    assert frontend.advanced == 2


def test_a_frame_in_which_nothing_is_measured_is_no_reference() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1)
    before = frontend.advanced
    frontend.lost = True
    guessed = pushed(vo, 0.8, 0.2)  # it was reckoned to be there
    assert guessed.pose[2, 3] == pytest.approx(2.0 * 0.8, abs=0.01)
    frontend.lost = False
    assert frontend.advanced == before
    after = pushed(vo, 1.2, 0.3)
    assert frontend.advanced == before + 1
    assert after.pose[2, 3] == pytest.approx(2.0 * 1.2, abs=0.01)
    assert after.pose_covariance[2, 2] < guessed.pose_covariance[2, 2] + 1e-3


def test_a_reference_that_was_lost_for_long_is_given_up() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    frontend.lost = True
    for k in range(1, 8):
        pushed(vo, 0.5 * k, 0.1 * k)
    assert frontend.advanced == 2


def test_standing_still_holds_the_pose_for_as_long_as_it_lasts() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    frontend.still = True
    for i in range(600):
        estimate = pushed(vo, 0.501 + 0.001 * i, 0.2 + 0.1 * i)
        np.testing.assert_array_equal(estimate.pose, before.pose)
        assert estimate.still == (i > 1)  # until then it may be a copy of the frame before
        np.testing.assert_array_equal(estimate.twist, 0.0 if estimate.still else before.twist)
    # What the two images may hide, once: it does not add up.
    grown = estimate.pose_covariance - before.pose_covariance
    np.testing.assert_allclose(grown, np.diag([1e-4 * 2.0**2] * 3 + [1e-4] * 3), atol=1e-12)


def test_a_copy_of_a_frame_is_no_stop() -> None:
    """A stream of ten frames a second that was brought to twenty."""
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    for k in range(1, 5):
        frontend.still = True
        copy = pushed(vo, 0.5 * k + 0.001, 0.1 * k + 0.05)
        assert copy.status is Status.TRACKING and not copy.still
        np.testing.assert_allclose(copy.twist, before.twist, rtol=1e-9)
        speed, pace = copy.twist[2], copy.pose_covariance[2, 2] - vo._keyframe.drift.covariance[2, 2]
        assert copy.twist_covariance[2, 2] > speed**2  # it may have stopped
        assert pace > (0.05 * speed) ** 2  # or not
        frontend.still = False
        step = pushed(vo, 0.5 * (k + 1), 0.1 * k + 0.1)
        np.testing.assert_allclose(step.twist, before.twist, rtol=1e-9)
    frontend.still = True
    assert pushed(vo, 2.501, 0.55, speed=0.0).still  # somebody knows


def test_covariance_is_that_of_many_noisy_walks() -> None:
    random = np.random.default_rng(1)
    spread = np.array([0.02, 0.01, 0.03, 0.004, 0.006, 0.005])
    mean = np.array([0.05, 0.0, 0.4, 0.01, 0.05, -0.02])

    class Noisy(Scripted):
        noise = np.zeros(6)

        def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
            relative = super().compare(image, seconds)
            return relative and Relative(geometry.from_motion(mean + self.noise), np.diag(spread**2))

    def walk(noisy: bool) -> Estimate:
        frontend = Noisy()
        vo = odometry(height=1.0, frontend=frontend, max_gap=1e3)
        vo.push(frame(0.0), 0.0)
        for i in range(1, 9):
            frontend.noise = spread * random.standard_normal(6) * noisy
            estimate = vo.push(frame(0.0, seed=i), 1e2 * i)  # so seldom that no error lasts
        assert estimate is not None
        return estimate

    ideal = walk(False)
    ends = np.stack([walk(True).pose for _ in range(1500)])
    measured = np.cov(geometry.log(geometry.invert(ideal.pose) @ ends).T)
    scale = np.sqrt(np.outer(np.diag(measured), np.diag(measured)))
    np.testing.assert_allclose(ideal.pose_covariance / scale, measured / scale, atol=0.12)


@pytest.mark.parametrize("speed", [0.0, 20.0])
def test_a_speed_is_not_certain(speed: float) -> None:
    """Wheels slip; and a filter cannot work with a variance of 0."""
    vo = odometry(frontend=Scripted(1e-12 * np.eye(6)))
    vo.push(frame(0.0), 0.0)
    estimate = pushed(vo, 0.5, 0.1, speed=speed)
    assert estimate.step_covariance is not None
    deviations = np.sqrt(np.diag(estimate.step_covariance))[:3]
    np.testing.assert_allclose(deviations, np.hypot(1e-3, 0.01 * 0.1 * speed), rtol=0.01)


def test_a_speed_of_zero_holds_the_place() -> None:
    vo = odometry(height=2.0)
    vo.push(frame(0.0), 0.0)
    moving, resting = pushed(vo, 0.5, 0.1), pushed(vo, 1.0, 0.2, speed=0.0)
    np.testing.assert_allclose(resting.pose[:3, 3], moving.pose[:3, 3])
    assert np.isfinite(resting.pose_covariance).all()


def test_a_step_has_a_covariance_of_its_own_if_the_last_frame_was_its_reference() -> None:
    vo = odometry(height=2.0)
    assert vo.frontend is not None
    vo.frontend.min_rotation = 1.0
    vo.push(frame(0.0), 0.0)
    first, little, more = (pushed(vo, metres, stamp) for metres, stamp in ((0.5, 0.1), (0.51, 0.2), (1.2, 0.3)))
    assert first.step_covariance is not None
    np.testing.assert_allclose(first.step_covariance, first.twist_covariance * 0.1**2)
    assert little.step_covariance is not None  # it becomes no reference
    assert more.step_covariance is None


def test_frames_that_are_not_newer_are_skipped_and_counted() -> None:
    vo = odometry()
    vo.push(frame(0.0), 5.0)
    before = pushed(vo, 0.5, 5.1)
    assert vo.push(frame(0.9), 5.1) is None
    assert vo.push(frame(0.9), 4.0) is None
    assert vo.skipped == 2
    np.testing.assert_array_equal(vo.pose, before.pose)
    assert pushed(vo, 1.0, 5.2).pose[2, 3] > before.pose[2, 3]


def test_a_clock_that_is_set_back_is_a_cut_in_time() -> None:
    vo = odometry()
    vo.push(frame(0.0), 5.0)
    before = pushed(vo, 0.5, 5.1)
    for k in range(30):
        assert vo.push(frame(1.0 + 0.1 * k), 2.1 + 0.1 * k) is None
    assert vo.skipped == 30
    after = pushed(vo, 4.0, 5.11)
    np.testing.assert_array_equal(after.pose, before.pose)
    assert after.reasons == ("restarted after stamps that went back by 3.0 s",)
    assert np.sqrt(after.pose_covariance[2, 2]) > 3.0
    assert pushed(vo, 4.5, 5.21).status is Status.TRACKING


@pytest.mark.parametrize("stamp", [float("nan"), float("inf")])
def test_a_stamp_that_is_no_time_is_refused(stamp: float) -> None:
    with pytest.raises(VodistillError, match="stamp is"):
        odometry().push(frame(0.0), stamp)


def test_a_cut_in_time_restarts_from_the_pose_and_says_so() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    after = pushed(vo, 7.0, 4.1)
    np.testing.assert_array_equal(after.pose, before.pose)
    assert after.status is Status.DEGRADED
    assert "4.0 s" in after.reasons[0]
    assert np.sqrt(after.pose_covariance[2, 2]) > 3.0
    assert pushed(vo, 7.5, 4.2).status is Status.TRACKING


def test_beyond_a_cut_in_time_errors_are_others_and_the_time_before_it_is_over() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    for k in range(1, 6):
        before = pushed(vo, 0.5 * k, 0.1 * k)
    cut = pushed(vo, 9.0, 5.0)
    after = pushed(vo, 9.5, 5.1)
    carry = geometry.adjoint(geometry.invert(geometry.invert(cut.pose) @ after.pose))
    assert after.step_covariance is not None
    expected = carry @ cut.pose_covariance @ carry.T + after.step_covariance
    np.testing.assert_allclose(after.pose_covariance, expected, rtol=1e-9, atol=1e-12)
    again = pushed(vo, 20.0, 10.1)
    dark = vo.push(np.zeros((HEIGHT, WIDTH), np.uint8), 10.2)
    assert dark is not None
    speed = np.linalg.norm(before.twist[:3])
    assert np.linalg.norm(after.twist[:3]) == pytest.approx(speed)
    grown = dark.pose_covariance - again.pose_covariance
    np.testing.assert_allclose(np.diag(grown), [(0.1 * speed) ** 2] * 3 + [0.04 * 0.1**2] * 3, rtol=1e-6)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((HEIGHT, WIDTH), np.uint8), "black"),
        (np.full((HEIGHT, WIDTH), 255, np.uint8), "saturated"),
        (np.full((HEIGHT, WIDTH), 128, np.uint8), "no contrast"),
        (frame(0.5), "frozen"),
    ],
)
def test_a_spoiled_image_holds_the_pose_and_says_why(image: NDArray[np.uint8], reason: str) -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    spoiled = vo.push(image, 0.2)
    assert spoiled is not None
    np.testing.assert_array_equal(spoiled.pose, before.pose)
    assert spoiled.status is Status.DEGRADED
    assert reason in spoiled.reasons[0]
    assert (np.diag(spoiled.pose_covariance) > np.diag(before.pose_covariance)).all()
    after = pushed(vo, 1.0, 0.3)
    assert after.status is Status.TRACKING
    assert after.pose[2, 3] == pytest.approx(2.0, abs=0.01)  # measured against the frame before the spoiled one


@pytest.mark.parametrize(
    ("level", "spread", "white", "fault"),
    [
        (5, 2.0, 0.0, "the image is black"),
        (5, 2.0, 0.01, ""),  # lamps at night
        (247, 2.5, 0.0, "the image is saturated"),
        (100, 30.0, 0.95, "the image is saturated"),
        (100, 30.0, 0.7, ""),  # snow
        (128, 1.5, 0.0, "the image has no contrast"),
        (128, 2.5, 0.0, ""),
    ],
)
def test_what_a_frame_is_spoiled_by(level: int, spread: float, white: float, fault: str) -> None:
    image = np.random.default_rng(0).normal(level, spread, (240, 320)).clip(0, 255).round().astype(np.uint8)
    image[:, : round(white * 320)] = 255
    assert frames.fault(frames.sample(image)) == fault


def test_each_frame_after_a_first_that_shows_nothing_has_a_pose() -> None:
    vo = odometry()
    assert vo.push(np.zeros((HEIGHT, WIDTH), np.uint8), 0.0) is None
    second = pushed(vo, 1.0, 0.1)
    assert second.status is Status.DEGRADED
    assert second.reasons == ("restarted after the image is black",)
    assert pushed(vo, 1.5, 0.2).status is Status.TRACKING


@pytest.mark.parametrize("rate", [2, 10, 100])
@pytest.mark.parametrize("speed", [0.1, 6.0])
def test_what_nobody_saw_is_as_uncertain_at_any_rate(rate: int, speed: float) -> None:
    """As far as it went before, and at least a metre a second."""
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    pushed(vo, speed / 2, 1.0)
    before = vo.pose_covariance
    for i in range(1, 3 * rate + 1):
        vo.push(np.zeros((HEIGHT, WIDTH), np.uint8), 1.0 + i / rate)
    expected = np.diag([(3 * max(1.0, speed)) ** 2] * 3 + [0.36] * 3)
    np.testing.assert_allclose(vo.pose_covariance - before, expected, rtol=0.01, atol=1e-9)
    after = pushed(vo, 9.0, 4.5)  # the first one that shows something
    expected *= (3.5 / 3) ** 2
    np.testing.assert_allclose(after.pose_covariance - before, expected, rtol=0.01, atol=1e-9)


def test_a_camera_that_shows_the_same_for_long_is_compared_with_that() -> None:
    """As in a simulator without noise, where the robot stands."""
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    for i in range(30):
        frozen = pushed(vo, 0.5, 0.2 + 0.1 * i)
    np.testing.assert_array_equal(frozen.pose, before.pose)
    after = pushed(vo, 1.0, 3.3)
    assert after.status is Status.TRACKING
    assert after.pose[2, 3] == pytest.approx(2.0, abs=0.01)
    assert after.pose_covariance[2, 2] < before.pose_covariance[2, 2] + 1e-2


def test_nothing_is_reckoned_across_a_long_time_that_nobody_saw() -> None:
    """The camera hung while the robot went on, and what it sees then has nothing in common with before."""
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    for i in range(30):
        pushed(vo, 0.5, 0.2 + 0.1 * i)
    frontend.lost, frontend.reasons = True, ("nothing agrees",)
    after = pushed(vo, 20.0, 3.2)
    assert after.status is Status.DEGRADED and "restarted after nothing agrees" in after.reasons[0]
    np.testing.assert_array_equal(after.pose, before.pose)
    way = np.linalg.norm(before.twist[:3]) * 3.1
    assert after.pose_covariance[2, 2] == pytest.approx(before.pose_covariance[2, 2] + way**2, rel=1e-3)


def test_a_stop_is_no_part_of_the_step_that_ends_it() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1, speed=10.0)
    frontend.still = True
    resting = [pushed(vo, 0.5, 0.2 + 0.1 * i, speed=0.0) for i in range(50)]
    np.testing.assert_allclose(resting[-1].twist_covariance, resting[0].twist_covariance, rtol=1e-6)
    frontend.still = False
    place = vo.pose[:3, 3]
    after = pushed(vo, 1.0, 5.2, speed=10.0)
    assert np.linalg.norm(after.pose[:3, 3] - place) == pytest.approx(1.0, rel=1e-6)
    assert np.linalg.norm(after.twist[:3]) == pytest.approx(10.0, rel=1e-2)
    assert after.step_covariance is not None


def test_reset_forgets_what_speeds_have_told() -> None:
    vo = odometry(height=None)
    for _ in range(2):
        vo.push(frame(0.0), 0.0)
        first = pushed(vo, 0.5, 0.1)
        assert (first.scale, np.linalg.norm(first.pose[:3, 3])) == (Scale.UNKNOWN, pytest.approx(0.5))
        pushed(vo, 1.0, 0.2, speed=4.0)
        vo.reset()


def test_after_a_new_calibration_the_same_image_is_one_to_begin_with() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1)
    vo.set_camera(CAMERA)
    vo.frontend = Scripted()
    assert pushed(vo, 0.5, 0.2).reasons == ("restarted after a new calibration",)
    assert pushed(vo, 1.0, 0.3).status is Status.TRACKING


def test_a_frozen_image_of_a_camera_that_stands_is_no_fault() -> None:
    frontend = Scripted()
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1)
    frontend.still = True
    estimate = pushed(vo, 0.5, 0.2, speed=0.0)
    assert estimate.status is Status.TRACKING and estimate.still
    assert pushed(vo, 0.5, 0.3, speed=0.5).status is Status.DEGRADED


def test_a_long_darkness_gives_the_reference_up() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    for i in range(15):
        vo.push(np.zeros((HEIGHT, WIDTH), np.uint8), 0.2 + 0.1 * i)
    after = pushed(vo, 9.0, 1.8)
    np.testing.assert_array_equal(after.pose, before.pose)
    assert "black" in after.reasons[0]


def test_an_image_of_another_size_is_refused_and_changes_nothing() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    with pytest.raises(VodistillError, match=r"32x24.*64x48"):
        vo.push(np.zeros((24, 32), np.uint8), 0.2)
    np.testing.assert_array_equal(vo.pose, before.pose)
    assert pushed(vo, 1.0, 0.2).status is Status.TRACKING


def test_frames_in_colour_or_with_16_bits_are_the_same_frame() -> None:
    grey = frame(0.5)
    results = []
    for other in (grey, np.repeat(grey[..., None], 3, 2), grey.astype(np.uint16) * 256):
        vo = odometry()
        vo.push(frame(0.0), 0.0)
        estimate = vo.push(other, 0.1)
        assert estimate is not None
        results.append(estimate.pose)
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_without_a_camera_frames_are_refused() -> None:
    with pytest.raises(VodistillError, match="no calibration"):
        VisualOdometry("classical").push(frame(0.0), 0.0)


def test_a_new_calibration_keeps_the_pose_and_restarts() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    before = pushed(vo, 0.5, 0.1)
    vo.set_camera(CAMERA.scaled(32, 24))
    vo.frontend = Scripted()
    image = frame(0.5)[::2, ::2].copy()
    restarted = vo.push(image, 0.2)
    assert restarted is not None
    assert "calibration" in restarted.reasons[0]
    np.testing.assert_array_equal(restarted.pose, before.pose)
    grown = restarted.pose_covariance - before.pose_covariance
    assert np.sqrt(grown[2, 2]) == pytest.approx(10.0 * 0.1, rel=0.01)  # what it went since, nobody saw


def test_a_new_mount_has_another_height() -> None:
    vo = odometry(height=2.0)
    vo.set_camera(CAMERA, Mount(0.5))
    vo.frontend = Scripted()
    vo.push(frame(0.0), 0.0)
    assert np.linalg.norm(pushed(vo, 0.4, 0.1).pose[:3, 3]) == pytest.approx(0.2)


def test_reset_starts_again_where_it_is_told() -> None:
    vo = odometry()
    vo.push(frame(0.0), 0.0)
    pushed(vo, 0.5, 0.1)
    start = geometry.from_motion([1, 2, 3, 0.1, 0.2, 0.3])
    vo.reset(start)
    assert vo.push(frame(0.0), 0.05) is None  # an older stamp is fine after a reset
    np.testing.assert_array_equal(vo.pose, start)


def test_a_frontend_that_doubts_makes_the_estimate_degraded() -> None:
    frontend = Scripted()
    frontend.reasons = ("few corners",)
    vo = odometry(frontend=frontend)
    vo.push(frame(0.0), 0.0)
    estimate = pushed(vo, 0.5, 0.1)
    assert (estimate.status, estimate.reasons) == (Status.DEGRADED, ("few corners",))


def test_classical_has_nothing_to_refine() -> None:
    with pytest.raises(VodistillError, match="cannot be refined"):
        VisualOdometry("classical", refine=True)
    with pytest.raises(VodistillError, match="no engine, not on 'onnxruntime'"):
        VisualOdometry("classical", engine="onnxruntime")


def test_what_the_network_saw_is_a_copy(tmp_path: Path) -> None:
    vo = VisualOdometry(brightness_model(tmp_path / "bright"), camera=CAMERA, mount=Mount(1.5), refine=False)
    vo.push(np.full((HEIGHT, WIDTH), 90, np.uint8) + frame(0.0) // 8, 0.0)
    first = vo.view()
    assert first is not None
    before = first.copy()
    vo.push(np.full((HEIGHT, WIDTH), 150, np.uint8) + frame(0.5) // 8, 0.1)
    second = vo.view()
    assert second is not None and second.mean() > before.mean() + 30
    np.testing.assert_array_equal(first, before)
    assert odometry().view() is None


def test_the_mount_turns_a_network_motion_into_the_camera(tmp_path: Path) -> None:
    """A network's forward is level; a camera that looks down sees it as forward and up."""
    camera = Camera(128, 96, "pinhole", 60.0, 60.0, 63.5, 47.5)
    pitch = np.radians(20.0)
    vo = VisualOdometry(
        brightness_model(tmp_path / "bright"), camera=camera, mount=Mount(1.5, pitch=pitch), refine=False
    )
    texture = np.random.default_rng(0).integers(0, 40, (96, 128), dtype=np.uint8)
    vo.push(texture + 60, 0.0)
    estimate = vo.push(texture + 100, 0.1)
    assert estimate is not None
    step = estimate.pose[:3, 3]
    np.testing.assert_allclose(step / np.linalg.norm(step), [0, -np.sin(pitch), np.cos(pitch)], atol=1e-3)
    spread = np.linalg.inv(np.linalg.cholesky(estimate.pose_covariance))
    assert np.isfinite(spread).all()


@pytest.mark.parametrize("refine", [False, True])
@pytest.mark.parametrize(("forward", "log_variance"), [(np.nan, -6), (1e30, -6), (0.1, 1000), (0.1, -1000)])
def test_numbers_of_a_network_that_mean_nothing_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forward: float, log_variance: float, refine: bool
) -> None:
    vo = VisualOdometry(brightness_model(tmp_path / "bright"), camera=CAMERA, mount=Mount(1.5), refine=refine)
    vo.push(frame(1), 0.0)
    told = np.array([0, 0, forward, 0, 0, 0], np.float32), np.full(6, log_variance, np.float32)
    monkeypatch.setattr(vo.engine, "step", lambda: told)
    estimate = vo.push(frame(2), 0.1)
    assert estimate is not None
    assert "bright gave numbers that mean nothing" in estimate.reasons
    assert np.isfinite(estimate.pose).all() and np.isfinite(estimate.pose_covariance).all()
