"""What users say that shows the world, and what does not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import frames, geometry
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.mask import Fill, Mask
from ros2_vodistill.network import NetworkFrontend
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.tracks import Tracker
from tests.models import brightness_model, opened
from tests.street import Street, motion

Image = NDArray[np.uint8]

CAMERA = Camera(480, 200, "pinhole", 300, 300, 239.5, 80)
HEIGHT = 1.5
WHOLE = (CAMERA.height, CAMERA.width)


def arm() -> NDArray[np.bool_]:
    """Pixels that show the world beside a robot's arm, which hides most of the road."""
    world = np.ones(WHOLE, bool)
    world[100:, 100:380] = False
    return world


def street(count: int = 7, step: float = 0.5) -> list[Image]:
    """Frames of a smooth road, in front of which the arm is, and its texture."""
    poses = geometry.accumulate(np.stack([motion(step)] * (count - 1)))
    texture = cv2.blur(np.random.default_rng(7).integers(0, 255, WHOLE, dtype=np.uint8), (3, 3))
    seen = [Street(HEIGHT, contrast=6.0)(CAMERA, pose, 1.0, seed) for seed, pose in enumerate(poses)]
    return [np.where(arm(), frame, texture).astype(np.uint8) for frame in seen]


def lengths(mask: Path | NDArray[np.bool_] | Image | None) -> NDArray[np.float64]:
    """Of the steps through the street, in metres."""
    vo = VisualOdometry("classical", camera=CAMERA, mount=Mount(HEIGHT), mask=mask)
    positions = []
    for number, image in enumerate(street()):
        vo.push(image, 0.2 * number)
        positions.append(vo.pose[:3, 3])
    return np.linalg.norm(np.diff(positions, axis=0), axis=1)


def test_a_step_has_its_length_beside_the_robots_own_arm(tmp_path: Path) -> None:
    assert lengths(None).max() < 0.1
    told = lengths(arm())
    assert told == pytest.approx(0.5, rel=0.07)
    cv2.imwrite(str(tmp_path / "arm.png"), 255 * arm().astype(np.uint8))
    np.testing.assert_array_equal(lengths(tmp_path / "arm.png"), told)
    np.testing.assert_array_equal(lengths(255 * arm().astype(np.uint8)), told)


def test_a_white_mask_is_none() -> None:
    np.testing.assert_array_equal(lengths(np.ones(WHOLE, bool)), lengths(None))


@pytest.mark.parametrize("alone", [True, False])
def test_a_network_sees_nothing_of_what_is_hidden(tmp_path: Path, alone: bool) -> None:
    """And what it sees there is the world's own grey, not an edge."""
    engine = opened(brightness_model(tmp_path / "model"), "onnxruntime")
    network = NetworkFrontend(engine, CAMERA, Mount(), arm(), alone=alone)
    seen = []
    for grey in (0, 90, 255):
        network.compare(np.where(arm(), 90, grey).astype(np.uint8))
        seen.append(engine.inputs["image"].copy())
    np.testing.assert_array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[2], seen[1])
    assert set(np.unique(seen[1])) <= {0, 90}


def test_no_corner_is_looked_for_where_the_world_is_not_seen() -> None:
    points = Tracker().corners(street(2)[0], world=arm())
    assert len(points) > 50
    x, y = points.round().astype(int).T
    assert arm()[y, x].all()


def test_what_is_not_seen_is_filled_from_the_nearest_pixel() -> None:
    seen = np.ones((3, 6), bool)
    seen[:, 2:4] = False
    image = np.tile(np.array([1, 2, 0, 0, 5, 6], np.uint8), (3, 1))
    np.testing.assert_array_equal(Fill(seen)(image)[1], [1, 2, 2, 5, 5, 6])
    image[:, 2:4] = 0
    np.testing.assert_array_equal(Fill(seen, np.arange(6) == np.full((3, 1), 2))(image)[1], [1, 2, 2, 0, 5, 6])


@pytest.mark.parametrize("size", [(480, 100), (200, 480)])
def test_a_mask_of_another_size_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    cv2.imwrite(str(tmp_path / "small.png"), np.full(size[::-1], 255, np.uint8))
    with pytest.raises(VodistillError, match=rf"small.png is {size[0]}x{size[1]}, the camera's images are 480x200"):
        VisualOdometry("classical", camera=CAMERA, mask=tmp_path / "small.png")
    later = VisualOdometry("classical", mask=tmp_path / "small.png")
    with pytest.raises(VodistillError, match=r"small.png"):
        later.set_camera(CAMERA)


def test_one_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    """As are labels of 0 and 1, which look black."""
    cv2.imwrite(str(tmp_path / "labels.png"), arm().astype(np.uint8))
    with pytest.raises(VodistillError, match=r"labels.png leaves 0.0% of the image"):
        Mask.of(tmp_path / "labels.png")
    with pytest.raises(VodistillError, match="the mask given leaves"):
        Mask.of(np.zeros(WHOLE, bool))


def test_one_that_is_not_there_or_no_image_is_refused(tmp_path: Path) -> None:
    for name, text in (("notes.png", "hello"), ("empty.png", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(VodistillError, match=rf"{name} is no image"):
            Mask.of(tmp_path / name)
    with pytest.raises(VodistillError, match=r"nowhere.png cannot be read: No such file"):
        Mask.of(tmp_path / "nowhere.png")


def reasons(shown: list[Image], hidden: list[Image]) -> tuple[str, ...]:
    """Of the last of some frames, of which a strip of 60 columns shows the world."""
    world = np.zeros(WHOLE, bool)
    world[:, :60] = True
    vo = VisualOdometry("classical", camera=CAMERA, mount=Mount(HEIGHT), mask=world)
    for number, (one, other) in enumerate(zip(shown, hidden, strict=True)):
        estimate = vo.push(np.where(world, one, other).astype(np.uint8), 0.2 * number)
    assert estimate is not None
    return estimate.reasons


def test_whether_a_frame_is_spoiled_is_told_by_what_shows_the_world() -> None:
    seen, other = (np.random.default_rng(s).integers(30, 220, WHOLE, dtype=np.uint8) for s in (1, 2))
    black, white = np.zeros_like(seen), np.full_like(seen, 255)
    assert reasons([seen, seen], [other, other[:, ::-1]]) == ("the image is frozen: it equals the last one",)
    assert reasons([seen, black], [other, other]) == ("the image is black",)
    assert reasons([seen, white], [other, other]) == ("the image is saturated",)
    spoiled = "frozen", "black", "saturated"
    for hidden in (black, white):
        assert not any(word in why for why in reasons([seen, seen[::-1]], [hidden, hidden]) for word in spoiled)


def test_a_world_between_the_pixels_that_are_judged_is_no_fault() -> None:
    image = np.random.default_rng(0).integers(30, 220, WHOLE, dtype=np.uint8)
    world = np.zeros(WHOLE, bool)
    world[1::4] = True
    assert frames.fault(frames.sample(image, world)) == ""
    assert frames.sample(image, world).size == frames.sample(image).size
