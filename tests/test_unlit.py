"""What no light reaches."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.classical import ClassicalFrontend
from ros2_vodistill.unlit import Unlit
from tests.street import Street, motion
from tests.test_classical import CAMERA, HEIGHT, compared

Image = NDArray[np.uint8]


def street(count: int, contrast: float = 30.0) -> list[Image]:
    poses = geometry.accumulate(np.stack([motion(0.5)] * (count - 1)))
    return [Street(HEIGHT, contrast=contrast)(CAMERA, pose, 1.0, seed) for seed, pose in enumerate(poses)]


def circle(image: Image, seed: int = 0) -> Image:
    """Within the image circle of a lens, with the sensor's noise outside."""
    inside = np.zeros(image.shape, np.float32)
    cv2.circle(inside, (240, 100), 118, 1.0, -1, cv2.LINE_AA)
    noise = np.random.default_rng(seed).normal(0, 1, image.shape)
    return np.asarray((cv2.blur(inside, (3, 3)) * image + noise).clip(0, 255), np.uint8)


def covered(unlit: Unlit) -> Image:
    """Of a whole image."""
    assert unlit.cells is not None
    return np.asarray(cv2.resize(unlit.cells.astype(np.uint8), (480, 200), interpolation=cv2.INTER_NEAREST), np.uint8)


def test_the_black_around_a_circle_is_found_in_the_first_frame_and_stays() -> None:
    unlit = Unlit(200, 480)
    assert unlit.look(circle(street(2)[0]))
    across = np.flatnonzero(covered(unlit)[100] == 0)
    assert 240 - 118 + 4 < across[0] < 240 - 118 + 16
    assert 240 + 118 - 16 < across[-1] < 240 + 118 - 4
    for seed, image in enumerate(street(20)):
        assert not unlit.look(circle(image, seed))


def test_it_is_given_back_when_it_lights_up_and_looked_for_ever_more_rarely() -> None:
    unlit, dark = Unlit(200, 480), circle(street(2)[0])
    lit = dark.copy()
    lit[20:32, 20:32] = 40
    waits = []
    for _ in range(3):
        waits.append(1)
        while not unlit.look(dark):
            waits[-1] += 1
        assert not unlit.look(dark)
        assert unlit.look(lit)
        assert unlit.cells is None
    assert waits == [1, 10, 20]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: np.where(np.arange(200)[:, None] < 60 + 30 * np.sin(np.arange(480) / 20), 160, image // 50),
        lambda image: image // 8,  # dim: much of it is no lighter than a black frame
        lambda image: np.where(np.arange(480) < 4, 0, image),  # a margin that a corner does not come near
        lambda image: np.where(np.arange(480) > 60, 0, image),  # hardly anything else
    ],
    ids=["street", "night below a sky", "dim", "narrow", "nearly all"],
)
def test_other_images_have_no_such_part(change: Callable[[Image], Image]) -> None:
    unlit = Unlit(200, 480)
    for image in street(12):
        assert not unlit.look(change(image).astype(np.uint8))


def test_a_dark_thing_is_part_of_the_world_once_it_moves() -> None:
    unlit, found = Unlit(200, 480), []
    for number, image in enumerate(street(30)):
        image[90 : 90 + 5 * number + 20, 100:160] = 2
        image[90:, : 6 * number] = 120
        unlit.look(image)
        found.append(unlit.cells is not None)
    assert found[0]
    assert not any(found[-10:])


@pytest.mark.parametrize("around", [circle, lambda image: cv2.copyMakeBorder(image[14:-14, 14:-14], *[14] * 4, 0)])
def test_a_road_in_a_black_frame_has_the_right_length(around: Callable[[Image], Image]) -> None:
    """Where the road hardly has a texture, the frame's edge was the strongest one on it."""
    results = compared(ClassicalFrontend(CAMERA, Mount()), [around(image) for image in street(7, contrast=6.0)])
    lengths = [float(np.linalg.norm(result.motion[:3, 3])) for result in results]
    assert lengths == pytest.approx([0.5 / HEIGHT] * 6, rel=0.1)
