"""What is painted over to see from what networks read the motion."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import masked
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError

CAMERA = Camera(64, 48, "pinhole", 40.0, 40.0, 31.5, 15.5)


def test_the_road_is_level_ground_near_the_way() -> None:
    """1.5 m below: row v sees it at 1.5 * 40 / (v - 15.5) m, and a column so much aside."""
    on = masked.road(CAMERA, Mount(1.5))
    v, u = np.mgrid[16:48, :64]
    ahead = 60 / (v - 15.5)
    assert not on[:16].any()
    np.testing.assert_array_equal(on[16:], (ahead < 50) & (np.abs(u - 31.5) / 40 * ahead < 5))
    assert masked.road(CAMERA, Mount(1.5, pitch=0.3))[8:16].any()
    with pytest.raises(VodistillError, match="height"):
        masked.road(CAMERA, Mount())


def test_what_is_hidden_has_its_own_mean_and_the_rest_stays() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    hidden = np.zeros((3, 4), bool)
    hidden[1] = True
    ((stamp, found),) = masked.painted([(0.5, image)], hidden)
    assert stamp == 0.5
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [5, 5, 5, 5], [8, 9, 10, 11]])
    ((_, whole),) = masked.painted([(0.5, image)], np.zeros((3, 4), bool))
    np.testing.assert_array_equal(whole, image)
