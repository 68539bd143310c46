"""What stands still at the bottom of the images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.bonnet import Bonnet
from ros2_vodistill.camera import Mount
from ros2_vodistill.classical import ClassicalFrontend
from tests.street import Street, motion
from tests.test_classical import CAMERA, HEIGHT, compared

Image = NDArray[np.uint8]

ROWS = 160  # of 200 that show the road


def street(count: int = 12, step: float = 0.5) -> list[Image]:
    poses = geometry.accumulate(np.stack([motion(step, 0.005)] * (count - 1)))
    return [Street(HEIGHT)(CAMERA, pose, 1.0, seed) for seed, pose in enumerate(poses)]


def flat(image: Image) -> Image:
    image = image.copy()
    image[ROWS:] = 60
    return image


def bent(image: Image) -> Image:
    """A bonnet whose edge is an arc."""
    image = image.copy()
    cv2.ellipse(image, (240, ROWS + 300), (700, 300), 0, 0, 360, 220, -1)
    return image


def watched(images: list[Image], inverted: bool = False) -> tuple[Bonnet, list[int]]:
    """The rows after each frame."""
    bonnet, rows = Bonnet(200, 480, inverted), []
    for last, this in pairwise(images):
        changed = bonnet.look(last, this)
        assert changed == (bonnet.rows != (rows[-1] if rows else 200))
        rows.append(bonnet.rows)
    return bonnet, rows


@pytest.mark.parametrize("cover", [flat, bent], ids=["bar", "bonnet"])
def test_what_stands_still_is_cut_off_within_a_few_frames(cover: Callable[[Image], Image]) -> None:
    _, rows = watched([cover(image) for image in street()])
    assert rows[0] == 200
    assert ROWS - 20 <= rows[-1] <= ROWS


def test_a_camera_that_hangs_upside_down_has_it_at_the_top() -> None:
    covered = [bent(image) for image in street()]
    upright, inverted = watched(covered)[0], watched([image[::-1, ::-1] for image in covered], inverted=True)[0]
    assert inverted.rows == pytest.approx(upright.rows, abs=8)
    assert (upright.first, inverted.first) == (0, 200 - inverted.rows)


def test_a_road_is_not() -> None:
    assert set(watched(street())[1]) == {200}


def test_nor_is_dirt_here_and_there() -> None:
    def dirty(image: Image) -> Image:
        image = image.copy()
        for x in (60, 180, 330):
            cv2.circle(image, (x, 170), 12, 20, -1)
        return image

    assert set(watched([dirty(image) for image in street()])[1]) == {200}


def test_nor_is_a_still_line_below_which_the_road_moves() -> None:
    def lined(image: Image) -> Image:
        image = image.copy()
        image[146:152] = 235
        return image

    assert set(watched([lined(image) for image in street()])[1]) == {200}


def test_nor_is_what_slants_through_the_picture() -> None:
    def slanted(image: Image) -> Image:
        image = image.copy()
        cv2.fillPoly(image, [np.array([[0, 203], [480, 138], [480, 203]])], 235)
        return image

    assert set(watched([slanted(image) for image in street()])[1]) == {200}


def test_nor_is_what_is_known_to_be_none_of_the_world() -> None:
    images = [flat(image) for image in street()]
    world = np.ones((200, 480), bool)
    world[ROWS - 4 :] = False
    bonnet = Bonnet(200, 480, world=world)
    for last, this in pairwise(images):
        assert not bonnet.look(last, this)


def test_it_is_given_back_when_the_world_moves_there() -> None:
    images = street(50)
    bonnet, rows = watched([flat(image) for image in images[:10]] + images[10:])
    assert min(rows) < 200
    assert bonnet.rows == 200


def test_forgetting_keeps_the_rows() -> None:
    bonnet, _ = watched([flat(image) for image in street()])
    rows = bonnet.rows
    bonnet.reset()
    assert bonnet.rows == rows < 200


@pytest.mark.parametrize("cover", [flat, bent], ids=["bar", "bonnet"])
@pytest.mark.parametrize("inverted", [False, True], ids=["upright", "upside down"])
def test_a_road_behind_a_bonnet_has_the_right_length(cover: Callable[[Image], Image], inverted: bool) -> None:
    images = [cover(image) for image in street(16)]
    camera, mount = CAMERA, Mount()
    if inverted:
        images = [np.ascontiguousarray(image[::-1, ::-1]) for image in images]
        middle = {"cx": CAMERA.width - 1 - CAMERA.cx, "cy": CAMERA.height - 1 - CAMERA.cy}
        camera, mount = replace(CAMERA, **middle), Mount(roll=np.pi)
    results = compared(ClassicalFrontend(camera, mount), images)
    lengths = [float(np.linalg.norm(result.motion[:3, 3])) for result in results[-4:]]
    assert lengths == pytest.approx([0.5 / HEIGHT] * 4, rel=0.06)
