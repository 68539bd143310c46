"""What a network says of two frames, as the odometry takes it; the network is told what to say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry, still
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.frontend import Relative
from ros2_vodistill.network import NetworkFrontend
from tests.models import brightness_model, opened

Image = NDArray[np.uint8]

CAMERA = Camera(96, 96, "pinhole", 40.0, 40.0, 47.5, 47.5)  # sees all of the view, however it is rolled
STEP = [0.1, 0.2, 0.3, 0.01, 0.02, 0.03]
VARIANCE = [1e-4, 2e-4, 3e-4, 4e-4, 5e-4, 6e-4]


def frame(right: float = 0.0) -> Image:
    """Waves that are moved to the right by so many pixels."""
    rows, columns = np.mgrid[:96, :96]
    waves = 40 * np.sin((columns - right) / 3) + 40 * np.sin((columns - right + rows) / 4)
    return np.asarray((125 + waves).round(), np.uint8)


class Told(NetworkFrontend):
    """Says what it is told."""

    def __init__(
        self, folder: Path, mount: Mount | None = None, camera: Camera = CAMERA, alone: bool = False, **card: object
    ) -> None:
        engine = opened(brightness_model(folder / "told", **card), "onnxruntime")
        self.says, self.variance = list(STEP), list(VARIANCE)
        engine.step = lambda: (  # type: ignore[method-assign]
            np.array(self.says, np.float32),
            np.log(np.array(self.variance, np.float32)),
        )
        super().__init__(engine, camera, mount or Mount(), alone=alone)

    def after(self, *images: Image) -> Relative:
        """Of the last of these frames in the first."""
        assert self.compare(images[0]) is None
        self.advance()
        found = [self.compare(image) for image in images[1:]][-1]
        assert found is not None
        return found


def test_a_motion_in_level_axes_becomes_one_in_the_cameras(tmp_path: Path) -> None:
    """Rolled by a quarter turn, the camera's x is level y, and its y is level -x. Variances are those of the network
    and the card's."""
    found = Told(tmp_path, Mount(roll=np.pi / 2), covariance_scale=[1, 1, 2, 1, 1, 10]).after(frame(), frame(3))
    np.testing.assert_allclose(geometry.to_motion(found.motion), [0.2, -0.1, 0.3, 0.02, -0.01, 0.03], rtol=1e-6)
    np.testing.assert_allclose(found.covariance, np.diag([2e-4, 1e-4, 6e-4, 5e-4, 4e-4, 60e-4]), rtol=1e-5, atol=1e-12)
    assert (found.still, found.reasons) == (False, ())


@pytest.mark.parametrize(
    ("axis", "value", "told"),
    [
        (2, 2.3, False),
        (2, 2.5, True),  # more than 1.2 times 2 camera heights
        (0, -2.5, True),
        (4, 0.23, False),
        (4, -0.25, True),  # more than 1.2 times 0.2 radians
    ],
)
def test_a_step_that_is_beyond_what_was_learned_is_told(tmp_path: Path, axis: int, value: float, told: bool) -> None:
    network = Told(tmp_path)
    network.says = [0.0] * 6
    network.says[axis] = value
    found = network.after(frame(), frame(3))
    assert geometry.to_motion(found.motion)[axis] == pytest.approx(value, rel=1e-6)
    size = "a step of 2.50 camera_height and 0.0 deg" if axis < 3 else "a step of 0.00 camera_height and 14.3 deg"
    assert found.reasons == ((f"{size}: beyond what told learned",) if told else ())


@pytest.mark.parametrize(
    ("axis", "value", "variance"),
    [(0, -250.0, 1.0), (4, -30.0, 1.0), (1, np.nan, 1.0), (0, 0.0, 0.0), (0, 0.0, np.inf)],
)
def test_numbers_that_mean_nothing_are_no_motion(tmp_path: Path, axis: int, value: float, variance: float) -> None:
    network = Told(tmp_path)
    network.says[axis], network.variance[5] = value, variance
    with np.errstate(divide="ignore"):
        found = network.after(frame(), frame(3))
    np.testing.assert_array_equal(found.motion, np.eye(4))
    np.testing.assert_allclose(found.covariance, np.diag([2.0**2] * 3 + [0.2**2] * 3))
    assert found.reasons == ("told gave numbers that mean nothing",)


def test_a_camera_that_stands_is_told_by_the_frame_that_it_is_compared_with(tmp_path: Path) -> None:
    network = Told(tmp_path, alone=True)
    moved = network.after(frame(), frame(), frame(2))
    assert not moved.still
    np.testing.assert_allclose(np.diag(moved.covariance)[:2], [1e-4, 2e-4], rtol=1e-5)
    network.advance()
    back, resting = network.compare(frame()), network.compare(frame(2))
    assert back is not None and not back.still
    assert resting is not None and resting.still
    assert np.linalg.eigvalsh(resting.covariance)[0] > 0
    network.reset()
    assert network.compare(frame(2)) is None
    assert not Told(tmp_path).after(frame(), frame()).still  # where something else tells it


def test_what_a_camera_at_rest_may_do_unseen_is_in_its_unit(tmp_path: Path) -> None:
    def unseen(unit: str, height: float | None) -> NDArray[np.float64]:
        still = Told(tmp_path, Mount(height), alone=True, unit=unit).after(frame(), frame())
        return np.sqrt(np.diag(still.covariance))

    heights = unseen("camera_height", 2.0)
    assert (heights[:3] < 0.1).all()
    assert (heights[3:] < 0.01).all()
    np.testing.assert_allclose(unseen("metre", 2.0), heights * [2, 2, 2, 1, 1, 1])
    np.testing.assert_allclose(unseen("metre", None), heights)


@pytest.mark.parametrize(("width", "alone", "told"), [(32, True, 50), (44, True, 0), (32, False, 0), (14, False, 22)])
def test_a_camera_that_sees_too_little_is_told(tmp_path: Path, width: int, alone: bool, told: int) -> None:
    """Less is enough where corners refine the motion."""
    camera = Camera(width, 96, "pinhole", 40.0, 40.0, (width - 1) / 2, 47.5)
    network = Told(tmp_path, camera=camera, alone=alone)
    found = network.after(frame()[:, :width].copy(), frame(3)[:, :width].copy())
    sees = f"the camera sees only {told}% of image: is its calibration for {width}x96, and is the mount's pitch right?"
    assert found.reasons == ((sees,) if told else ())


def test_what_a_camera_at_rest_may_do_moves_the_view_by_what_is_no_motion(tmp_path: Path) -> None:
    """Above level ground, and below a sky six camera heights away: by `still.LIMIT` pixels for each of six numbers."""
    rest = Told(tmp_path, alone=True).after(frame(), frame()).covariance
    view = Camera(64, 32, "pinhole", 40.0, 40.0, 31.5, 15.5)
    pixels = np.stack(np.meshgrid(np.arange(0, 64, 4), np.arange(0, 32, 4)), axis=-1).reshape(-1, 2)
    rays = view.rays(pixels)
    points = rays / np.maximum(rays[:, 1:2], 1 / 6)
    moved = []
    for drawn in np.random.default_rng(0).multivariate_normal(np.zeros(6), rest, 400):
        seen = (points - drawn[:3]) @ geometry.so3_exp(drawn[3:])
        turned = np.cross(seen / np.linalg.norm(seen, axis=1, keepdims=True), rays)
        moved.append(np.square(np.linalg.norm(turned, axis=1)).mean())
    radians = np.arctan(32 / 40) * 2 / 64  # a pixel, in the mean
    assert np.sqrt(np.mean(moved)) == pytest.approx(np.sqrt(6) * still.LIMIT * radians, rel=0.15)
