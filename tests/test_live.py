"""The rules of a live feed, against a clock that the tests turn."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.frontend import Relative
from ros2_vodistill.image import ImageError
from ros2_vodistill.live import Body, Feed, Frame, Level, Output, Slot, Speed, Stamps, Worker
from ros2_vodistill.live.health import Ages
from ros2_vodistill.odometry import Scale, VisualOdometry
from ros2_vodistill.ros.parameters import PARAMETERS, page

SECOND = 10**9
START = 1_700_000_000 * SECOND
CAMERA = Camera(32, 24, "pinhole", 30.0, 30.0, 15.5, 11.5)
MOUNT = Mount(0.5)
PLACE = geometry.make(
    [[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]], [0.3, 0.1, 0.5]
)  # ahead of base_link, to its left, above it


class Steady:
    """Every compared frame is 0.1 camera heights ahead of the one before."""

    name, unit = "steady", "camera_height"
    min_translation, min_rotation, max_interval = 0.05, 0.01, 0.5

    def __init__(self) -> None:
        self.pair = False
        self.seen: list[int] = []
        self.reasons: tuple[str, ...] = ()
        self.motion = np.array([0, 0, 0.1, 0, 0.01, 0])
        self.covariance = 1e-4 * np.eye(6)
        self.still = False

    def reset(self) -> None:
        self.pair = False

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        self.seen.append(int(image[0, 0]))
        motion = geometry.from_motion(self.motion)
        return Relative(motion, self.covariance, self.reasons, self.still) if self.pair else None

    def advance(self) -> None:
        self.pair = True


class Odometry(VisualOdometry):
    """With the steady frontend, whatever the camera."""

    def __init__(self) -> None:
        super().__init__("classical")
        self.steady = Steady()

    def set_camera(self, camera: Camera, mount: Mount | None = None) -> None:
        super().set_camera(camera, mount)
        self.frontend = self.steady
        self.steady.reset()


class Robot:
    """A feed in a world whose time stands still unless told to move on."""

    def __init__(self, ready: bool = True, **options: object) -> None:
        self.now = 50.0
        self.published: list[Output] = []
        self.publishing = 0.0  # seconds
        self.odometry = Odometry()
        self.feed = Feed(
            self.odometry,
            self.publish,
            clock=lambda: self.now,
            wall=lambda: START + round(self.now * SECOND),
            **options,
        )
        self.made = 0
        if ready:
            self.feed.set_camera(CAMERA)
            self.feed.set_place(MOUNT, PLACE)
            self.feed.work()

    def publish(self, output: Output) -> None:
        self.now += self.publishing
        self.published.append(output)

    @property
    def wall(self) -> int:
        return START + round(self.now * SECOND)

    def image(self) -> NDArray[np.uint8]:
        self.made += 1
        image = np.random.default_rng(self.made).integers(20, 230, (24, 32), dtype=np.uint8)
        image[0, 0] = self.made % 256
        return image

    def offer(self, stamp: int | None = None, decode: Callable[[], NDArray[np.uint8]] | None = None) -> None:
        image = self.image()
        self.feed.offer(Frame(self.wall if stamp is None else stamp, self.wall, self.now, decode or (lambda: image)))

    def step(self, seconds: float = 0.1, **frame: object) -> None:
        self.now += seconds
        self.offer(**frame)
        self.feed.work()

    def health(self, publishers: int = 1) -> tuple[Level, str]:
        health = self.feed.health(publishers, "/image")
        return health.level, health.message


# The slot


def test_slot_keeps_the_newest_and_counts_the_rest() -> None:
    slot = Slot()
    for stamp in (1, 2, 3):
        slot.put(Frame(stamp, 0, 0.0, lambda: np.zeros((1, 1), np.uint8)))
    frame = slot.take()
    assert frame is not None and frame.stamp == 3
    assert slot.take() is None
    assert slot.dropped == 2


def test_a_longer_slot_gives_frames_in_order() -> None:
    slot = Slot(2)
    for stamp in (1, 2, 3):
        slot.put(Frame(stamp, 0, 0.0, lambda: np.zeros((1, 1), np.uint8)))
    assert [frame.stamp for frame in (slot.take(), slot.take()) if frame] == [2, 3]
    assert slot.dropped == 1


def test_a_feed_that_was_given_a_longer_slot_works_on_every_frame_of_a_burst() -> None:
    robot = Robot(slot=Slot(10))
    for _ in range(10):
        robot.now += 0.01
        robot.offer()
    while robot.feed.work():
        pass
    assert len(robot.odometry.steady.seen) == 10
    assert robot.feed.slot.dropped == 0


def test_what_was_kept_before_a_pause_is_forgotten() -> None:
    slot = Slot()
    slot.put(Frame(1, 0, 0.0, lambda: np.zeros((1, 1), np.uint8)))
    slot.clear()
    assert slot.take() is None
    assert slot.dropped == 0


class Waiting:
    """Something that another thread waits for."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self._thread = threading.Thread(target=lambda: setattr(self, "got", wait()), daemon=True)
        self._thread.start()

    def goes_on(self) -> bool:
        self._thread.join(0.05)
        return self._thread.is_alive()

    def ends(self) -> bool:
        self._thread.join(5.0)
        return not self._thread.is_alive()


def test_a_wait_for_a_frame_ends_with_it_or_when_woken() -> None:
    slot = Slot()
    frame = Frame(1, 0, 0.0, lambda: np.zeros((1, 1), np.uint8))
    for end, got in ((slot.wake, None), (lambda: slot.put(frame), frame)):
        waiting = Waiting(lambda: slot.take(60.0))
        assert waiting.goes_on()
        end()
        assert waiting.ends() and waiting.got is got
    for before, got in ((slot.wake, None), (lambda: slot.put(frame), frame)):
        before()
        ready = Waiting(lambda: slot.take(60.0))
        assert ready.ends() and ready.got is got
    assert slot.take(0.001) is None


def test_a_rest_ends_when_woken_and_leaves_frames_where_they_are() -> None:
    slot = Slot()
    for stamp in (1, 2):
        resting = Waiting(lambda: slot.rest(60.0))
        slot.put(Frame(stamp, 0, 0.0, lambda: np.zeros((1, 1), np.uint8)))
        assert resting.goes_on()
        slot.wake()
        assert resting.ends()
    slot.rest(0.001)
    frame = slot.take()
    assert frame is not None and frame.stamp == 2


# Speeds


def test_a_speed_is_the_nearest_in_time_of_the_last_few() -> None:
    speeds = Speed(timeout=0.5)
    assert speeds.at(0) is None
    for _ in range(200):  # the earliest are forgotten
        assert speeds.add(START, 9.0)
    for second in range(1, 201):
        assert speeds.add(START + second * SECOND, -float(second))
    assert not speeds.add(START + 3 * SECOND, float("inf"))
    assert speeds.last == 200.0
    found = [speeds.at(START + milliseconds * 10**6) for milliseconds in (0, 499, 501, 1000, 1499, 1501)]
    assert found == [None, None, 1.0, 1.0, 1.0, 2.0]
    assert [speeds.at(START + seconds * SECOND) for seconds in (200, 201)] == [200.0, None]
    speeds.forget()
    assert speeds.at(START + SECOND) is None


# The clock rules


@pytest.mark.parametrize(
    ("stamps", "used", "restarts", "counted"),
    [
        ((10.0, 10.1, 10.2), 3, 0, {}),
        ((10.0, 10.0, 10.1), 2, 0, {"duplicate": 1}),
        ((10.0, 10.1, 10.05, 10.2), 3, 0, {"overtaken": 1}),
        ((10.0, 14.0, 10.0, 10.1), 4, 1, {"backwards": 1, "gap": 1}),
        ((10.0, 20.0, 10.1, 10.2), 4, 1, {"ahead": 1, "gap": 1}),
        ((10.0, 10.1, 10.8, 10.2, 10.3), 5, 1, {"ahead": 1}),
        ((10.0, 12.0), 2, 0, {"gap": 1}),
        ((10.0, 1e6), 2, 1, {"jump": 1}),
        ((0.0, 0.0), 2, 0, {"without stamp": 2}),
    ],
    ids=[
        "steady",
        "duplicate",
        "overtaken",
        "loop",
        "one ahead",
        "one ahead by less than a gap",
        "gap",
        "set ahead",
        "no stamps",
    ],
)
def test_clock_rules(stamps: tuple[float, ...], used: int, restarts: int, counted: dict[str, int]) -> None:
    rules = Stamps(disorder=0.2, jump=3600.0, gap=1.0)
    verdicts = [rules.judge(round(stamp * SECOND), 77 * SECOND + i) for i, stamp in enumerate(stamps)]
    assert sum(not verdict.unused for verdict in verdicts) == used
    assert sum(bool(verdict.restart) for verdict in verdicts) == restarts
    assert {name: count for name, count in rules.counts.items() if count} == counted


def test_after_a_pause_any_step_ahead_is_a_pause_and_a_step_back_starts_again() -> None:
    rules = Stamps()
    rules.judge(10 * SECOND, 0)
    rules.pause()
    assert not rules.judge(10**6 * SECOND, 0).restart
    assert rules.judge(10**7 * SECOND, 0).restart
    rules.pause()
    assert rules.judge(10**6 * SECOND, 0).restart


def test_arrival_stands_in_for_a_stamp_of_zero() -> None:
    assert Stamps().judge(0, 123).stamp == 123


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 20 * SECOND), min_size=1, max_size=40))
def test_between_restarts_the_used_stamps_increase(stamps: list[int]) -> None:
    rules, last = Stamps(), 0
    for stamp in stamps:
        verdict = rules.judge(stamp, stamp)
        if verdict.restart:
            last = 0
        if not verdict.unused:
            assert verdict.stamp > last
            last = verdict.stamp


# From the camera to the robot


@pytest.fixture
def random_body() -> Iterator[tuple[Body, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(3)
    body = Body(geometry.from_motion(rng.normal(size=6)), geometry.from_motion(rng.normal(size=6)))
    root = 1e-4 * rng.normal(size=(6, 6))
    yield body, geometry.from_motion(rng.normal(size=6)), root @ root.T


def numeric(function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Jacobian at zero by central differences."""
    step = 1e-6
    return np.stack([(function(step * e) - function(-step * e)) / (2 * step) for e in np.eye(6)], axis=1)


def test_pose_covariance_is_about_odoms_axes(random_body: tuple[Body, np.ndarray, np.ndarray]) -> None:
    """nav_msgs/Odometry: position and fixed-axis rotation in the header's frame, by differentiating numerically."""
    body, camera, covariance = random_body
    centre = body.pose(camera)

    def moved(xi: np.ndarray) -> np.ndarray:
        pose = body.pose(camera @ geometry.exp(xi))
        turn = geometry.so3_log(pose[:3, :3] @ centre[:3, :3].T)
        return np.concatenate([pose[:3, 3] - centre[:3, 3], turn])

    jacobian = numeric(moved)
    np.testing.assert_allclose(
        body.pose_covariance(camera, covariance), jacobian @ covariance @ jacobian.T, rtol=1e-5, atol=1e-14
    )


def test_twist_is_base_links_own(random_body: tuple[Body, np.ndarray, np.ndarray]) -> None:
    """Against the difference of two poses of base_link."""
    body, camera, covariance = random_body
    twist = np.random.default_rng(4).normal(size=6)

    def velocity(given: np.ndarray) -> np.ndarray:
        dt = 1e-6
        start, end = (body.pose(camera @ geometry.exp(s * dt * given)) for s in (-0.5, 0.5))
        return geometry.log(geometry.invert(start) @ end) / dt

    np.testing.assert_allclose(body.twist(twist), velocity(twist), atol=1e-6)
    jacobian = np.stack([velocity(e) for e in np.eye(6)], axis=1)
    np.testing.assert_allclose(
        body.twist_covariance(covariance), jacobian @ covariance @ jacobian.T, rtol=1e-4, atol=1e-13
    )


def test_set_pose_is_undone_by_pose(random_body: tuple[Body, np.ndarray, np.ndarray]) -> None:
    body, pose, covariance = random_body
    camera = body.camera(pose)
    np.testing.assert_allclose(body.pose(camera), pose, atol=1e-12)
    back = body.pose_covariance(camera, body.camera_covariance(pose, covariance))
    np.testing.assert_allclose(back, covariance, rtol=1e-8, atol=1e-16)


def test_base_link_starts_at_odoms_origin_and_stays_when_the_camera_is_moved() -> None:
    body = Body(PLACE)
    np.testing.assert_allclose(body.pose(np.eye(4)), np.eye(4), atol=1e-15)
    camera = geometry.from_motion([0.1, 0.0, 2.0, 0.0, 0.3, 0.0])
    other = body.remounted(geometry.from_motion([1.0, 2.0, 3.0, 0.1, 0.2, 0.3]), camera)
    np.testing.assert_allclose(other.pose(camera), body.pose(camera), atol=1e-12)


def test_a_camera_that_looks_ahead_moves_the_robot_ahead() -> None:
    """The lever arm turns with the robot: a turn to the left about base_link, seen by a camera beside it."""
    body = Body(PLACE)
    np.testing.assert_allclose(body.pose(geometry.from_motion([0, 0, 1.0, 0, 0, 0]))[:3, 3], [1, 0, 0], atol=1e-15)
    left = geometry.make(geometry.so3_exp([0, 0, 0.5]), [0.0, 0.0, 0.0])
    camera = geometry.invert(PLACE) @ left @ PLACE
    np.testing.assert_allclose(body.pose(camera), left, atol=1e-12)
    spin = body.twist(np.linalg.solve(geometry.adjoint(PLACE), [0, 0, 0, 0, 0, 1.0]))
    np.testing.assert_allclose(spin, [0, 0, 0, 0, 0, 1.0], atol=1e-12)


# The feed


def test_steady_driving_is_published_in_metres() -> None:
    robot = Robot()
    for _ in range(6):
        robot.step()
    assert len(robot.published) == 5
    assert robot.published[-1].stamp == robot.wall
    expected = geometry.accumulate([geometry.from_motion([0, 0, 0.05, 0, 0.01, 0])] * 5)[-1]
    np.testing.assert_allclose(robot.published[-1].pose, Body(PLACE).pose(expected), atol=1e-12)
    assert robot.health() == (Level.OK, "tracking")


def test_figures_tell_where_the_time_goes() -> None:
    robot = Robot()
    assert robot.feed.health(1, "/image").values["status"] == "initialising"
    robot.publishing = 0.005

    def decode() -> NDArray[np.uint8]:
        robot.now += 0.02
        return robot.image()

    for k in range(12):
        robot.now = 60.0 + 0.5 * k
        robot.offer(stamp=robot.wall - SECOND // 25, decode=decode)
        robot.now += 0.01
        robot.feed.work()
    robot.now += 0.1
    values = robot.feed.health(1, "/image").values
    figures = {name: value for name, value in values.items() if "(" in name and "camera" not in name}
    assert figures == {
        "frames in (Hz)": "2.0",  # ten in the last five seconds
        "odometry out (Hz)": "2.0",
        "stamp to arrival p50 / p99 (ms)": "40.00 / 40.00",
        "wait p50 / p99 (ms)": "10.00 / 10.00",
        "work p50 / p99 (ms)": "20.00 / 20.00",
        "publishing p50 / p99 (ms)": "5.00 / 5.00",
        "stamp to publish p50 / p99 (ms)": "75.00 / 75.00",
    }
    assert (values["status"], values["camera height (m)"]) == ("tracking", "0.5")
    assert not {"last restart", "last clock jump (s)", "last fault", "speed given (m/s)"} & set(values)


def test_half_of_the_frames_were_faster_than_the_first_figure() -> None:
    ages = Ages()
    assert str(ages) == "-"
    for milliseconds in (*[1e6] * 300, *range(300)):  # the earliest are forgotten
        ages.add(milliseconds)
    assert str(ages) == "149.50 / 296.01"


def test_a_robot_that_stands_is_said_to() -> None:
    robot = Robot()
    robot.odometry.steady.still = True
    for _ in range(3):
        robot.step()
    assert robot.health() == (Level.OK, "standing")


def test_a_feed_goes_by_the_rules_that_it_was_given() -> None:
    robot = Robot(stamps=Stamps(jump=5.0))
    robot.step()
    robot.step(6.0)
    assert "restarted: stamps jumped ahead by 6 s" in robot.health()[1]


def test_nothing_is_published_until_calibration_and_place_are_known() -> None:
    robot = Robot(ready=False)
    robot.step()
    assert robot.health()[1] == "waiting for a calibration (camera_info) and the camera's place (tf_static)"
    robot.feed.set_camera(CAMERA)
    robot.step()
    assert robot.health() == (Level.WARN, "waiting for the camera's place (tf_static)")
    robot.feed.set_place(MOUNT, PLACE)
    robot.feed.work()
    for _ in range(3):
        robot.step()
    assert robot.published
    assert robot.feed.slot.dropped == 1  # of the two that came too early


def test_100_hz_into_a_10_hz_engine_keeps_up_and_counts_drops() -> None:
    robot = Robot()
    ages = []
    for _ in range(50):
        for _ in range(10):
            robot.now += 0.01
            robot.offer()
        robot.feed.work()
        if robot.published:
            ages.append(robot.wall - robot.published[-1].stamp)
    assert robot.feed.slot.dropped == 450
    assert max(ages) == 0
    assert robot.feed.vitals.counts["frames received"] == 500
    assert robot.feed.vitals.counts["frames published"] == 49
    values = robot.feed.health(1, "/image").values
    assert values["frames dropped for newer ones"] == "450"
    assert values["wait p50 / p99 (ms)"] == "0.00 / 0.00"  # of what is worked on: the newest alone


def test_a_burst_is_one_frame() -> None:
    robot = Robot()
    robot.step()
    for i in range(20):
        robot.offer(stamp=robot.wall + (i + 1) * 10**7)
    assert robot.feed.work()
    assert not robot.feed.work()
    assert len(robot.odometry.steady.seen) == 2
    assert robot.published[-1].stamp == robot.wall + 20 * 10**7


def test_hours_leave_memory_and_figures_as_they_are() -> None:
    """Three of them, a frame every ten seconds."""
    robot = Robot(stall=20.0)
    robot.odometry.max_gap = 20.0
    robot.odometry.steady.max_interval = 20.0
    for _ in range(5):
        robot.step()
    few = len(repr(vars(robot.feed.vitals._ages))), len(robot.feed.health(1, "/image").values)
    image = robot.image()
    for i in range(3 * 360):
        image[0, 0] ^= 1
        robot.published.clear()
        robot.now += 10.0
        robot.feed.offer(Frame(robot.wall, robot.wall, robot.now, image.copy))
        robot.feed.work()
        if i % 100 == 50:
            assert robot.health()[0] is Level.OK
    assert len(robot.feed.vitals._ages._values) == 300
    assert len(robot.feed.health(1, "/image").values) <= few[1] + 2
    assert not robot.feed._commands


def test_a_stall_says_whether_somebody_publishes() -> None:
    robot = Robot(stall=2.0)
    assert robot.health(0) == (Level.WARN, "waiting for images: nobody publishes /image")
    robot.now += 3
    assert robot.health(2) == (Level.ERROR, "no frame yet on /image for 3.0 s, though it has 2 publishers")
    for _ in range(3):
        robot.step()
    robot.now += 5
    assert robot.health(1) == (Level.ERROR, "stalled: no frame on /image for 5.0 s, though it has 1 publisher")
    assert robot.health(0) == (Level.ERROR, "stalled: no frame on /image for 5.0 s, nobody publishes it")
    robot.step()
    assert "stalled" not in robot.health()[1]


def test_while_nobody_listens_no_frame_is_missed() -> None:
    robot = Robot(stall=2.0)
    robot.now += 600
    robot.feed.pause()
    assert robot.health() == (Level.WARN, "no frame yet on /image for 0.0 s, though it has 1 publisher")
    for _ in range(3):
        robot.step()
    robot.now += 600
    robot.feed.pause()
    assert robot.health() == (Level.OK, "tracking")
    robot.now += 3
    assert robot.health() == (Level.ERROR, "stalled: no frame on /image for 3.0 s, though it has 1 publisher")


def test_an_engine_that_hangs_is_told_while_frames_flow() -> None:
    robot = Robot(stall=2.0)
    seen: list[tuple[Level, str]] = []

    def slow() -> NDArray[np.uint8]:
        robot.now += 7.0
        robot.offer()
        seen.append(robot.health())
        return robot.image()

    robot.step(decode=slow)
    assert seen == [(Level.ERROR, "stalled: at work on one frame for 7.0 s")]


def test_a_clock_that_stands_is_told() -> None:
    """Frames come, but nothing goes out."""
    robot = Robot(stall=2.0)
    for _ in range(3):
        robot.step()
    stamp, published = robot.wall, len(robot.published)
    for _ in range(15):
        robot.step(stamp=stamp)
        assert robot.health() == (Level.OK, "tracking")
    for _ in range(10):
        robot.step(stamp=stamp)
    assert len(robot.published) == published
    level, why = robot.health()
    assert level == Level.ERROR
    assert why == "frames come, but for 2.4 s each was left out: its stamp is that of the one before"
    robot.step()
    assert robot.health()[0] is not Level.ERROR


def test_a_recording_that_begins_anew_while_nobody_listens_starts_again() -> None:
    robot = Robot()
    for _ in range(5):
        robot.step()
    published = len(robot.published)
    robot.offer()
    robot.feed.pause()
    assert not robot.feed.work()
    for _ in range(5):
        robot.step(stamp=robot.wall - 600 * SECOND)
    assert len(robot.published) == published + 4
    assert robot.feed.vitals.counts["restarts"] == 1


def test_a_pause_of_hours_holds_the_pose() -> None:
    robot = Robot()
    for _ in range(5):
        robot.step()
    before = robot.published[-1].pose
    robot.feed.pause()
    robot.step(2 * 3600.0)
    np.testing.assert_array_equal(robot.published[-1].pose, before)
    assert robot.feed.vitals.counts["restarts"] == 0


@pytest.mark.parametrize("at_start", [True, False])
def test_a_bag_that_loops_starts_again(at_start: bool) -> None:
    robot = Robot(restart_at_start=at_start)
    stamps = [START + i * SECOND // 10 for i in range(5)]
    for stamp in stamps:
        robot.step(stamp=stamp)
    first = [output.pose for output in robot.published]
    for stamp in stamps:
        robot.step(stamp=stamp)
    second = [output.pose for output in robot.published[len(first) :]]
    anchor = np.eye(4) if at_start else first[-1]
    np.testing.assert_allclose(second, [anchor @ pose for pose in first], atol=1e-12)
    assert robot.feed.vitals.counts["restarts"] == 1
    assert "restarted: stamps went back by 0.40 s" in robot.health()[1]
    assert bool(robot.published[-1].pose_covariance[0, 0] > 1.0) is not at_start


@pytest.mark.parametrize("ahead", [0.7, 10.0])
def test_one_stamp_that_is_wrong_does_not_begin_anew(ahead: float) -> None:
    robot = Robot()
    for _ in range(5):
        robot.step()
    before = robot.published[-1].pose
    robot.step(stamp=robot.wall + round(ahead * SECOND))
    for _ in range(3):
        robot.step()
    after = robot.published[-1].pose
    assert before[0, 3] < after[0, 3] < before[0, 3] + 0.2
    assert f"restarted: one stamp was {ahead - 0.2:.2f} s ahead" in robot.health()[1]


def test_a_gap_holds_the_pose_and_says_so() -> None:
    robot = Robot()
    for _ in range(3):
        robot.step()
    before = robot.published[-1]
    robot.step(5.0)
    np.testing.assert_array_equal(robot.published[-1].pose, before.pose)
    assert np.trace(robot.published[-1].pose_covariance) > np.trace(before.pose_covariance) + 1
    assert "no frame for 5.0 s" in robot.health()[1]


@pytest.mark.parametrize("name", ["pose", "pose_covariance", "twist", "twist_covariance"])
def test_an_output_with_one_number_that_is_not_finite_is_not(name: str) -> None:
    robot = Robot()
    for _ in range(2):
        robot.step()
    (output,) = robot.published
    assert output.finite
    spoiled = getattr(output, name).copy()
    spoiled.flat[-1] = np.nan
    assert not replace(output, **{name: spoiled}).finite


@pytest.mark.parametrize("at_start", [True, False])
@pytest.mark.parametrize("wrong", ["all", "one", "covariance"])
def test_numbers_that_are_not_finite_are_never_published(wrong: str, at_start: bool) -> None:
    robot = Robot(restart_at_start=at_start)
    for _ in range(3):
        robot.step()
    steady = robot.odometry.steady
    steady.motion, steady.covariance = steady.motion.copy(), steady.covariance.copy()
    if wrong == "covariance":
        steady.covariance[0, 0] = np.inf
    else:
        steady.motion[: 6 if wrong == "all" else 1] = np.nan
    count = len(robot.published)
    with np.errstate(invalid="ignore"):
        robot.step()
    assert len(robot.published) == count
    assert "not finite" in robot.health()[1]
    assert robot.feed.health(1, "/image").values["frames not finite"] == "1"
    steady.motion, steady.covariance = np.array([0, 0, 0.1, 0, 0, 0]), 1e-4 * np.eye(6)
    for _ in range(3):
        robot.step()
    assert len(robot.published) == count + 2
    assert all(np.isfinite(output.pose).all() for output in robot.published)
    assert np.isfinite(robot.published[-1].pose_covariance).all()


def test_degraded_output_is_marked_or_withheld() -> None:
    robot = Robot()
    robot.odometry.steady.reasons = ("it is dark",)
    for _ in range(3):
        robot.step()
    assert len(robot.published) == 2
    assert robot.health() == (Level.WARN, "degraded: it is dark")
    assert robot.feed.health(1, "/image").values["frames degraded"] == "2"
    robot.feed.withhold_degraded = True
    robot.step()
    assert len(robot.published) == 2
    assert "withheld, because it is dark" in robot.health()[1]


def test_a_frame_that_cannot_be_decoded_is_told_and_the_next_one_is_used() -> None:
    robot = Robot()
    for _ in range(3):
        robot.step()

    def broken() -> NDArray[np.uint8]:
        raise ImageError("unknown image encoding 'x'", "Known: some.")

    robot.step(decode=broken)
    assert "unknown image encoding 'x'" in robot.health()[1]
    values = robot.feed.health(1, "/image").values
    assert (values["frames unusable"], values["last fault"][:22]) == ("1", "unknown image encoding")
    robot.step()
    assert len(robot.published) == 3


def test_frames_of_another_size_than_the_calibration_are_withheld_with_both_sizes() -> None:
    robot = Robot()
    robot.step(decode=lambda: np.zeros((48, 64), np.uint8))
    assert not robot.published
    assert "64x48" in robot.health()[1] and "32x24" in robot.health()[1]


def test_a_new_calibration_goes_on_from_the_same_pose() -> None:
    robot = Robot()
    for _ in range(4):
        robot.step()
    before = robot.published[-1].pose
    robot.feed.set_camera(Camera(32, 24, "pinhole", 31.0, 31.0, 15.5, 11.5))
    robot.feed.set_place(MOUNT, geometry.make(PLACE[:3, :3], [0.0, 0.0, 1.0]))
    robot.step()
    np.testing.assert_allclose(robot.published[-1].pose, before, atol=1e-12)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (VodistillError("it sees nothing", "Calibrate it."), "it sees nothing. Calibrate it."),
        (ZeroDivisionError("a bug"), "ZeroDivisionError: a bug"),
    ],
)
def test_after_a_calibration_that_fails_it_goes_on_from_the_same_pose(
    monkeypatch: pytest.MonkeyPatch, error: Exception, told: str
) -> None:
    robot = Robot()
    for _ in range(4):
        robot.step()
    before = robot.published[-1].pose
    robot.feed.set_place(MOUNT, geometry.make(PLACE[:3, :3], [0.9, 0.0, 1.0]))
    robot.feed.work()

    def refuse(*_: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(robot.odometry, "set_camera", refuse)
        robot.feed.set_camera(CAMERA.scaled(16, 12))
        robot.step()
        assert robot.health() == (Level.ERROR, told)
    robot.feed.set_camera(CAMERA)
    robot.step()
    np.testing.assert_allclose(robot.published[-1].pose, before, atol=1e-12)


def test_a_calibration_that_fails_as_a_frame_comes_leaves_that_out(monkeypatch: pytest.MonkeyPatch) -> None:
    robot = Robot()
    for _ in range(4):
        robot.step()
    published, take = len(robot.published), robot.feed.slot.take

    def refuse(*_: object) -> None:
        raise VodistillError("it sees nothing", "Calibrate it.")

    def taken(timeout: float) -> Frame | None:
        robot.feed.set_camera(CAMERA)
        return take(timeout)

    monkeypatch.setattr(robot.odometry, "set_camera", refuse)
    monkeypatch.setattr(robot.feed.slot, "take", taken)
    robot.step()
    assert len(robot.published) == published
    assert robot.health() == (Level.ERROR, "it sees nothing. Calibrate it.")
    assert robot.feed.health(1, "/image").values["frames without calibration"] == "1"


def test_set_pose_and_reset_come_before_the_next_frame() -> None:
    robot = Robot()
    for _ in range(3):
        robot.step()
    pose = geometry.from_motion([4.0, 5.0, 0.0, 0.0, 0.0, 1.0])
    covariance = np.diag([1.0, 2.0, 3.0, 0.1, 0.2, 0.3])
    robot.feed.reset(pose, covariance)
    robot.step()
    robot.step()
    step = Body(PLACE).pose(geometry.from_motion([0, 0, 0.05, 0, 0.01, 0]))
    np.testing.assert_allclose(robot.published[-1].pose, pose @ step, atol=1e-12)
    assert robot.published[-1].pose_covariance[2, 2] > 2.9
    moved = geometry.make(PLACE[:3, :3], [0.0, 0.0, 1.0])
    robot.feed.set_place(MOUNT, moved)
    done = robot.feed.reset()
    robot.feed.work()
    assert robot.health() == (Level.WARN, "initialising")
    robot.step()
    robot.step()
    assert done.done() and done.exception() is None
    np.testing.assert_allclose(
        robot.published[-1].pose, Body(moved).pose(geometry.from_motion([0, 0, 0.05, 0, 0.01, 0])), atol=1e-12
    )


def test_reset_before_there_is_a_pose_is_refused() -> None:
    robot = Robot(ready=False)
    done = robot.feed.reset()
    robot.feed.work()
    assert isinstance(done.exception(), VodistillError)


def test_speed_gives_the_scale_where_it_is_fresh() -> None:
    robot = Robot(speed=Speed(timeout=0.3, topic="/speed/odom"))
    assert not robot.feed.speed.add(robot.wall, float("nan"))
    for _ in range(4):
        robot.feed.speed.add(robot.wall + SECOND // 10, -3.0)
        robot.step()
    assert robot.published[-1].estimate.scale is Scale.SPEED
    moved = robot.published[-1].pose - robot.published[-2].pose  # base_link's, as the speed is
    assert np.linalg.norm(moved[:3, 3]) == pytest.approx(0.3, rel=1e-5)
    assert robot.health() == (Level.OK, "tracking")
    robot.step(0.5)
    assert robot.published[-1].estimate.scale is Scale.CAMERA_HEIGHT
    assert robot.health() == (Level.WARN, "no speed has come on /speed/odom that is of the last frame's time")


def test_a_robot_that_turns_on_the_spot_stays_there() -> None:
    """The camera ahead of it moves, and the wheels say that it does not."""
    robot = Robot()
    turn = geometry.invert(PLACE) @ geometry.from_motion([0, 0, 0, 0, 0, 0.05]) @ PLACE
    turn[:3, 3] *= 1.1 / MOUNT.height  # so long the camera takes it for
    robot.odometry.steady.motion = geometry.to_motion(turn)
    for _ in range(30):
        robot.feed.speed.add(robot.wall + SECOND // 10, 0.0)
        robot.step()
    np.testing.assert_allclose(robot.published[-1].pose[:3, 3], 0, atol=1e-9)
    np.testing.assert_allclose(robot.published[-1].twist, [0, 0, 0, 0, 0, 0.5], atol=1e-5)


def test_when_the_clock_jumps_speeds_and_ages_are_forgotten_and_frames_go_on() -> None:
    robot = Robot(speed=Speed(timeout=0.3))
    for _ in range(3):
        robot.feed.speed.add(robot.wall + SECOND // 10, 3.0)
        robot.step()
    assert robot.feed.health(1, "/image").values["stamp to publish p50 / p99 (ms)"] == "0.00 / 0.00"
    before = len(robot.published)
    robot.feed.clock_jumped(-12.5)
    robot.step()
    assert len(robot.published) == before + 1
    assert robot.published[-1].estimate.scale is Scale.CAMERA_HEIGHT  # although a speed of 0.1 s ago was there
    values = robot.feed.health(1, "/image").values
    assert (values["clock jumps"], values["last clock jump (s)"]) == ("1", "-12.50")
    assert "restarts" not in values


@pytest.mark.parametrize("withhold", [False, True])
def test_an_unknown_scale_is_told_or_withheld(withhold: bool) -> None:
    robot = Robot(ready=False, withhold_degraded=withhold)
    robot.feed.set_camera(CAMERA)
    robot.feed.set_place(Mount(None), PLACE)
    robot.feed.work()
    for _ in range(3):
        robot.step()
    unknown = "the scale is unknown: give camera_height or a speed"
    if withhold:
        assert robot.health() == (Level.ERROR, f"withheld, because {unknown}")
    else:
        assert robot.health() == (Level.WARN, unknown)
    assert bool(robot.published) is not withhold
    assert robot.feed.health(1, "/image").values["camera height (m)"] == "unknown"


def test_frames_without_a_stamp_are_told_while_they_come() -> None:
    robot = Robot()
    for _ in range(3):
        robot.step(stamp=0)
    assert robot.health() == (Level.WARN, "frames have no stamp: the time of arrival is used")
    robot.step()
    assert robot.health() == (Level.OK, "tracking")


@pytest.mark.parametrize("begin", [1000 * SECOND, 2 * START])
def test_a_clock_that_is_not_the_cameras_is_told(begin: int) -> None:
    robot = Robot()
    for i in range(3):
        robot.step(stamp=begin + i * SECOND // 10)
    assert "use_sim_time" in robot.health()[1]
    values = robot.feed.health(1, "/image").values
    assert {values[f"stamp to {end} p50 / p99 (ms)"] for end in ("arrival", "publish")} == {"-"}


# The thread


def test_the_worker_outlives_what_nobody_expected_and_ends_when_told() -> None:
    robot = Robot()
    for _ in range(3):
        robot.step()
    failures: list[Exception] = []
    told = threading.Event()

    def failed(error: Exception) -> None:
        failures.append(error)
        told.set()

    def bug() -> NDArray[np.uint8]:
        raise ZeroDivisionError("a bug")

    worker = Worker(robot.feed, failed)
    worker.start()
    robot.now += 0.1
    robot.offer(decode=bug)
    assert told.wait(20)
    assert isinstance(failures[0], ZeroDivisionError)
    assert robot.health() == (Level.WARN, "ZeroDivisionError: a bug")
    told.clear()
    robot.now += 10
    robot.offer(decode=bug)
    assert told.wait(20)
    robot.feed.reset().result(timeout=20)
    assert worker.stop(20)
    assert threading.current_thread().name != "odometry"
    assert len(failures) == 2 and robot.health() == (Level.ERROR, "ZeroDivisionError: a bug")


@pytest.mark.parametrize("ready", [True, False])
def test_a_command_ends_the_wait_for_a_frame(ready: bool) -> None:
    robot = Robot(ready)
    if not ready:
        robot.offer()  # which it cannot work on yet
    waiting = Waiting(lambda: robot.feed.work(60.0))
    assert waiting.goes_on()
    done = robot.feed.command(lambda: None)
    assert waiting.ends() and waiting.got is False
    assert done.done()


def test_commands_are_done_although_no_frame_comes() -> None:
    robot = Robot(ready=False)
    worker = Worker(robot.feed, lambda error: None)
    worker.start()
    robot.feed.set_camera(CAMERA).result(timeout=20)
    assert worker.stop(20)


# The page of parameters


def test_the_page_of_parameters_is_current() -> None:
    written = Path(__file__).resolve().parents[1] / "docs" / "parameters.md"
    assert written.read_text() == page(), "python -m ros2_vodistill.ros.parameters > docs/parameters.md"


def test_every_default_is_allowed_and_ranges_hold() -> None:
    for parameter in PARAMETERS:
        assert parameter.fault(parameter.default) == ""
        if parameter.least is not None and parameter.most is not None:
            kind = int if isinstance(parameter.default, int) else float
            assert parameter.fault(kind(parameter.most * 2)) != ""
            assert parameter.fault(kind(parameter.most)) == ""
        if parameter.choices:
            assert parameter.name in parameter.fault("nonsense")


def test_a_camera_pose_must_be_a_pose() -> None:
    (pose,) = (parameter for parameter in PARAMETERS if parameter.name == "camera_pose")
    assert pose.fault([0.1, 0, 0.3, 0, 0, 0, 1.0]) == ""
    assert "length" in pose.fault([0.1, 0, 0.3, 0, 0, 0, 0.5])
    assert "seven" in pose.fault([0.1, 0, 0.3])
