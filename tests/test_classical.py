"""The classical frontend: on a street that is known, and on real ones where they are at hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry, metrics
from ros2_vodistill.calibration import load_camera
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.classical import ClassicalFrontend
from ros2_vodistill.frontend import Frontend, Relative
from ros2_vodistill.ground import Ground, GroundFit
from ros2_vodistill.lengths import Length
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.trajectory import Trajectory, load
from tests.street import Street, motion

Array = NDArray[np.float64]
Image = NDArray[np.uint8]

CAMERA = Camera(480, 200, "pinhole", 300, 300, 239.5, 80)
HEIGHT = 1.5


def compared(frontend: Frontend, images: list[Image], keep: bool = False) -> list[Relative]:
    """Each image against the one before it, or all against the first."""
    results = []
    for image in images:
        result = frontend.compare(image)
        if result is not None:
            results.append(result)
        if result is None or not keep:
            frontend.advance()
    return results


def drive(
    step: Array,
    count: int = 5,
    *,
    camera: Camera = CAMERA,
    mount: Mount | None = None,
    street: Street | None = None,
    change: Callable[[Image], Image] = lambda image: image,
    noise: float = 1.0,
) -> tuple[list[Relative], Array]:
    """What is measured of a step in level axes that is taken again and again; and the step that the camera makes.

    The camera is really mounted like `mount`; the frontend is told so.
    """
    mount, street = mount or Mount(), street or Street(HEIGHT)
    tilt = geometry.make(mount.level_from_camera, np.zeros(3))
    step = np.linalg.inv(tilt) @ step @ tilt
    poses = tilt @ geometry.accumulate(np.stack([step] * (count - 1)))
    images = [change(street(camera, pose, noise, seed)) for seed, pose in enumerate(poses)]
    return compared(ClassicalFrontend(camera, mount), images), step


def check(result: Relative, step: Array, length: float = 0.03, degrees: float = 0.12) -> None:
    """The measured step, camera heights, against the true one in metres: relative in length, absolute in angle."""
    true = step[:3, 3] / HEIGHT
    assert np.linalg.norm(result.motion[:3, 3] - true) < length * np.linalg.norm(true)
    assert np.degrees(geometry.angle(result.motion[:3, :3].T @ step[:3, :3])) < degrees
    assert not result.still
    error = geometry.to_motion(result.motion) - np.concatenate([true, geometry.so3_log(step[:3, :3])])
    assert error @ np.linalg.solve(result.covariance, error) / 6 < 3


@pytest.mark.parametrize(
    "step",
    [
        motion(0.5, 0.01),
        motion(0.5, 0.1),
        motion(2.5, 0.005),
        motion(-0.5),
        motion(0.2, side=0.2),
        motion(0.3, 0, 0.02),
    ],
    ids=["ahead", "sharp turn", "fast", "backwards", "sideways", "nod"],
)
def test_a_step_is_measured_in_camera_heights(step: Array) -> None:
    results, seen = drive(step)
    for result in results:
        check(result, seen)
        assert result.reasons == ()


@pytest.mark.parametrize(
    "camera",
    [
        Camera(480, 360, "plumb_bob", 300, 300, 239.5, 179.5, (-0.3, 0.1, 0.001, -0.001, 0.0)),
        Camera(480, 360, "equidistant", 160, 160, 239.5, 179.5, (0.01, -0.005, 0.002, 0.0)),
        Camera(480, 360, "pinhole", 230, 290, 225, 190),
    ],
    ids=["plumb_bob", "fisheye", "oblong pixels"],
)
def test_any_lens_will_do(camera: Camera) -> None:
    results, seen = drive(motion(0.4, 0.02), 3, camera=camera)
    check(results[-1], seen)


@pytest.mark.parametrize(("pitch", "roll"), [(0.3, 0.0), (0.7, 0.1), (0.1, -0.3), (-0.1, 0.0)])
def test_any_mount_will_do(pitch: float, roll: float) -> None:
    camera = Camera(480, 360, "pinhole", 300, 300, 239.5, 179.5)
    results, seen = drive(motion(0.3, 0.02), 3, camera=camera, mount=Mount(pitch=pitch, roll=roll))
    check(results[-1], seen)


@pytest.mark.parametrize("pitch", [-0.03, 0.03])
def test_a_mount_that_is_off_by_two_degrees_costs_little(pitch: float) -> None:
    tilt = geometry.make(Mount(pitch=pitch).level_from_camera, np.zeros(3))
    poses = geometry.accumulate(np.stack([motion(0.6)] * 7)) @ tilt
    images = [Street(HEIGHT)(CAMERA, pose, 1.0, seed) for seed, pose in enumerate(poses)]
    result = compared(ClassicalFrontend(CAMERA, Mount()), images)[-1]
    check(result, np.linalg.inv(tilt) @ motion(0.6) @ tilt)


@pytest.mark.parametrize("height", [0.2, 6.0])
def test_small_robots_and_tall_ones_measure_alike(height: float) -> None:
    """The same picture at another size: a step in camera heights is the same number."""
    size = height / HEIGHT
    street = Street(height, grain=0.02 * size, width=9.0 * size)
    results, _ = drive(motion(0.4 * height), 3, street=street)
    assert np.linalg.norm(results[-1].motion[:3, 3]) == pytest.approx(0.4, rel=0.02)


def test_the_height_of_the_mount_makes_it_metres() -> None:
    def driven(height: float | None) -> Array:
        odometry = VisualOdometry("classical", camera=CAMERA, mount=Mount(height))
        for k in range(4):
            odometry.push(Street(HEIGHT)(CAMERA, motion(0.5 * k), 1.0, k), 0.1 * k)
        return odometry.pose[:3, 3]

    once, twice, unknown = driven(HEIGHT), driven(2 * HEIGHT), driven(None)
    assert np.linalg.norm(once) == pytest.approx(1.5, rel=0.02)
    np.testing.assert_allclose(twice, 2 * once)
    np.testing.assert_allclose(unknown, once / HEIGHT, rtol=0.02, atol=0.002)  # corners on the ground told nothing


@pytest.mark.parametrize("noise", [0.5, 3.0, 8.0])
def test_standing_still_is_no_motion_however_noisy(noise: float) -> None:
    images = [Street(HEIGHT)(CAMERA, np.eye(4), noise, seed) for seed in range(6)]
    results = compared(ClassicalFrontend(CAMERA, Mount()), images, keep=True)
    assert all(result.still for result in results)
    assert all(np.array_equal(result.motion, np.eye(4)) for result in results)


def test_frames_that_come_twice_are_followed_as_those_that_come_once() -> None:
    step, street, frontend = motion(2.0, 0.15), Street(HEIGHT), ClassicalFrontend(CAMERA, Mount())
    poses = geometry.accumulate(np.stack([step] * 4))
    images = [street(CAMERA, pose, 1.0, 2 * k + copy) for k, pose in enumerate(poses) for copy in range(2)]
    results = compared(frontend, images)
    assert all(result.still for result in results[::2])
    for result in results[1::2]:
        check(result, step, degrees=0.4)


def test_a_car_that_passes_moves_nobody() -> None:
    images = []
    for k in range(4):
        image = Street(HEIGHT)(CAMERA, np.eye(4), 1.0, k)
        car = np.random.default_rng(7).integers(20, 230, (15, 20), dtype=np.uint8)
        image[60:150, 40 + 30 * k : 160 + 30 * k] = cv2.resize(car, (120, 90), interpolation=cv2.INTER_CUBIC)
        images.append(image)
    assert all(result.still for result in compared(ClassicalFrontend(CAMERA, Mount()), images))


def test_creeping_is_measured_against_a_reference_that_stays() -> None:
    images = [Street(HEIGHT)(CAMERA, motion(0.006 * k), 1.0, k) for k in range(11)]
    results = compared(ClassicalFrontend(CAMERA, Mount()), images, keep=True)
    check(results[-1], motion(0.06), length=0.06)


def test_turning_on_the_spot_is_no_translation() -> None:
    results, seen = drive(motion(0.0, 0.03), 4)
    for result in results:
        assert np.degrees(geometry.angle(result.motion[:3, :3].T @ seen[:3, :3])) < 0.05
        assert np.linalg.norm(result.motion[:3, 3]) < 0.003
        assert not result.still


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (np.zeros_like, "dark"),
        (lambda image: np.full_like(image, 255), "overexposed"),
        (lambda image: np.full_like(image, 128), "texture"),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 25), "blur"),
    ],
    ids=["black", "saturated", "grey", "blurred"],
)
def test_what_cannot_be_measured_is_said(change: Callable[[Image], Image], word: str) -> None:
    results, _ = drive(motion(0.5), 3, change=change)
    for result in results:
        assert any(word in reason for reason in result.reasons)
        assert np.isfinite(result.motion).all()
        assert np.linalg.eigvalsh(result.covariance).min() > 0
        assert np.sqrt(result.covariance[2, 2]) > 0.05


def test_a_black_frame_goes_on_at_the_last_pace_and_is_recovered_from() -> None:
    images = [Street(HEIGHT)(CAMERA, motion(0.5 * k), 1.0, k) for k in range(8)]
    images[4] = np.zeros_like(images[4])
    results = compared(ClassicalFrontend(CAMERA, Mount()), images)
    np.testing.assert_allclose(results[3].motion[:3, 3], results[2].motion[:3, 3], atol=1e-6)
    assert results[3].reasons
    assert results[3].covariance[2, 2] > 100 * results[2].covariance[2, 2]
    check(results[-1], motion(0.5))


def test_a_handful_of_specks_that_go_their_own_ways_is_no_motion() -> None:
    """Any five of them fit some motion: it is not believed, and the last pace goes on."""
    random = np.random.default_rng(4)
    frontend = ClassicalFrontend(CAMERA, Mount())
    results = compared(frontend, [Street(HEIGHT)(CAMERA, motion(0.5 * k), 1.0, k) for k in range(4)])
    places = random.uniform([60, 40], [420, 160], (15, 2))
    for _ in range(6):
        image = np.full((CAMERA.height, CAMERA.width), 90, np.uint8)
        for x, y in places + random.uniform(-6, 6, places.shape):
            cv2.circle(image, (round(x * 16), round(y * 16)), 20, 200, -1, cv2.LINE_AA, 4)
        result = frontend.compare(image)
        frontend.advance()
        assert result is not None
        assert result.lost
        assert any("corners" in reason for reason in result.reasons)
        np.testing.assert_allclose(result.motion[:3, 3], results[-1].motion[:3, 3], atol=1e-9)


def mosaic(together: float, seed: int = 0) -> list[Image]:
    """Two frames of tiles: that share of them moves as when the camera turns, and each other one as it likes."""
    random = np.random.default_rng(seed)
    texture = cv2.GaussianBlur(random.normal(size=(260, 560)), (0, 0), 2.0)
    wide = (120 + 40 * texture / texture.std()).clip(0, 255).astype(np.uint8)
    first = wide[30:230, 40:520].copy()
    second = first.copy()
    for top, left in np.ndindex(5, 12):
        x, y = (6, 0) if random.uniform() < together else random.integers(-14, 15, 2)
        row, column = 40 * top, 40 * left
        second[row : row + 40, column : column + 40] = wide[30 + row + y :, 40 + column + x :][:40, :40]
    return [first, second]


@pytest.mark.parametrize(("together", "told"), [(0.0, True), (0.7, False)])
def test_that_few_corners_agree_on_a_motion_is_said(together: float, told: bool) -> None:
    (result,) = compared(ClassicalFrontend(CAMERA, Mount()), mosaic(together))
    assert any("of the corners agree on one motion" in reason for reason in result.reasons) is told


def test_a_flickering_lamp_changes_nothing() -> None:
    """Steps of the exposure, up and down by a fifth, from one frame to the next."""

    def driven(light: list[float]) -> list[Relative]:
        images = [Street(HEIGHT, contrast=8.0)(CAMERA, motion(0.5 * k), 1.0, k) for k in range(len(light))]
        lit = [
            (gain * image.astype(float)).clip(0, 255).astype(np.uint8)
            for gain, image in zip(light, images, strict=True)
        ]
        return compared(ClassicalFrontend(CAMERA, Mount()), lit)

    for result in driven([1.0, 1.2, 0.8, 1.1, 0.9, 1.2]):
        check(result, motion(0.5), length=0.05)
        assert result.reasons == ()


@pytest.mark.parametrize("blind", [1, 3])
def test_what_happens_in_frames_without_sight_is_measured_across_them(blind: int) -> None:
    """The camera begins to turn while it is blind."""
    steps = [motion(0.3)] * 4 + [motion(0.3, 0.03)] * 8
    poses = geometry.accumulate(np.stack(steps))
    odometry = VisualOdometry("classical", camera=CAMERA, mount=Mount(HEIGHT))
    for k, pose in enumerate(poses):
        image = Street(HEIGHT)(CAMERA, pose, 1.0, k)
        odometry.push(cv2.GaussianBlur(image, (0, 0), 25) if 4 < k <= 4 + blind else image, 0.1 * k)
    gap = geometry.invert(poses[-1]) @ odometry.pose
    assert np.degrees(geometry.angle(gap)) < 0.4
    assert np.linalg.norm(gap[:3, 3]) < 0.1


def test_ground_in_the_dark_carries_the_length_on() -> None:
    """No light on the road: the walls keep the scale that the road gave before."""

    def image(k: int) -> Image:
        picture = Street(HEIGHT)(CAMERA, motion(0.5 * k), 1.0, k)
        if k > 3:
            picture[100:] = 4
        return picture

    results = compared(ClassicalFrontend(CAMERA, Mount()), [image(k) for k in range(9)])
    assert results[2].reasons == ()
    assert all("no ground" in results[k].reasons[0] for k in range(4, 8))
    for result in results[4:]:
        assert np.linalg.norm(result.motion[:3, 3]) == pytest.approx(1 / 3, rel=0.08)
    assert results[-1].covariance[2, 2] > results[2].covariance[2, 2]


@pytest.mark.parametrize("noise", [6.0, 10.0, 15.0])
def test_noise_is_no_motion_and_leaves_no_pace(noise: float) -> None:
    frontend = ClassicalFrontend(CAMERA, Mount())
    images = [Street(HEIGHT)(CAMERA, motion(), noise, k) for k in range(6)]
    for result in compared(frontend, images):
        assert result.still or np.linalg.norm(result.motion[:3, 3]) < 0.02
    black = frontend.compare(np.zeros_like(images[0]))
    assert black is not None
    assert np.linalg.norm(black.motion[:3, 3]) < 0.02


def test_a_ground_that_goes_the_other_way_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a pattern that is fixed in the image, dirt on the lens, is all that can be seen of a plain road."""
    measure = Ground.measure

    def backwards(self: Ground, *arguments: Any) -> GroundFit | None:
        found = measure(self, *arguments)
        if found is None:
            return None
        little = -1e-3 * found.translation
        return replace(found, translation=little, length=Length(float(np.linalg.norm(little)), 1e-6))

    step = motion(0.5, 0.01)
    monkeypatch.setattr(Ground, "measure", backwards)
    results, seen = drive(step)
    for result in results[1:]:
        assert unit(result.motion[:3, 3]) @ unit(seen[:3, 3]) > 0.99


def unit(vector: Array) -> Array:
    return np.asarray(vector / np.linalg.norm(vector))


def test_without_ground_in_view_direction_and_rotation_still_hold() -> None:
    mount = Mount(pitch=-0.35)
    results, seen = drive(motion(0.5, 0.01), 4, mount=mount, street=Street(HEIGHT, width=5.0, tall=40.0))
    result = results[-1]
    assert any("no ground" in reason for reason in result.reasons)
    assert "the scale is unknown" in " ".join(results[0].reasons)
    direction = result.motion[:3, 3] / np.linalg.norm(result.motion[:3, 3])
    assert np.degrees(np.arccos(direction @ seen[:3, 3] / np.linalg.norm(seen[:3, 3]))) < 3
    assert np.degrees(geometry.angle(result.motion[:3, :3].T @ seen[:3, :3])) < 0.15
    assert np.sqrt(direction @ result.covariance[:3, :3] @ direction) > 0.5 * np.linalg.norm(result.motion[:3, 3])
    lengths = [np.linalg.norm(one.motion[:3, 3]) for one in results]
    assert max(lengths) < 1.1 * min(lengths)


def test_reset_forgets_the_reference() -> None:
    frontend, image = ClassicalFrontend(CAMERA, Mount()), Street(HEIGHT)(CAMERA, np.eye(4))
    assert frontend.compare(image) is None
    frontend.advance()
    assert frontend.compare(image) is not None
    frontend.reset()
    frontend.advance()
    assert frontend.compare(image) is None


def test_the_same_frames_give_the_same_numbers() -> None:
    one, _ = drive(motion(0.5, 0.02), 4)
    other, _ = drive(motion(0.5, 0.02), 4)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a.motion, b.motion)


def followed(folder: Path, height: float | None, every: int = 1) -> tuple[Trajectory, Trajectory]:
    """The classical odometry's trajectory of a sequence and the true one, both from the origin."""
    if not folder.is_dir():
        pytest.skip(f"no sequence at {folder}")
    truth = load(folder / "poses.txt", times=folder / "times.txt")
    names = sorted((folder / "image_0").iterdir())[::every]
    truth = Trajectory(truth.stamps[::every], geometry.invert(truth.poses[0]) @ truth.poses[::every])
    first = cv2.imread(str(names[0]), cv2.IMREAD_GRAYSCALE)
    camera = load_camera(folder / "calib.txt", (first.shape[1], first.shape[0]))
    odometry = VisualOdometry("classical", camera=camera, mount=Mount(height))
    poses = []
    for name, stamp in zip(names, truth.stamps, strict=False):
        odometry.push(cv2.imread(str(name), cv2.IMREAD_GRAYSCALE), float(stamp))
        poses.append(odometry.pose)
    return Trajectory(truth.stamps[: len(poses)], np.array(poses)), truth


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "metres", "degrees", "drift"), [("kitti00", 0.045, 0.075, 4.0), ("kitti01", 0.03, 0.055, 0.6)]
)
def test_real_roads(shared_data: Path, name: str, metres: float, degrees: float, drift: float) -> None:
    """Nothing aligned; the camera's height given. The truth of the first dozen frames of kitti00 is off by a fifth."""
    estimate, truth = followed(shared_data / name, 1.65)
    lengths, angles = metrics.rpe(estimate, truth)
    assert lengths is not None and lengths < metres
    assert angles is not None and angles < degrees
    assert metrics.ate(estimate, truth, "none") < drift


@pytest.mark.slow
def test_a_real_road_at_a_third_of_the_frames(shared_data: Path) -> None:
    estimate, truth = followed(shared_data / "kitti00", 1.65, every=3)
    lengths, angles = metrics.rpe(estimate, truth)
    assert lengths is not None and lengths < 0.13
    assert angles is not None and angles < 0.18
    assert metrics.scale(estimate, truth) == pytest.approx(1.0, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "degrees", "drift"), [("parking", 0.04, 0.1), ("newtsukuba", 0.1, 0.06)])
def test_cameras_without_a_known_height(shared_data: Path, name: str, degrees: float, drift: float) -> None:
    estimate, truth = followed(shared_data / name, None)
    assert metrics.rpe(estimate, truth)[1] < degrees
    assert metrics.ate(estimate, truth, "sim3") < drift
