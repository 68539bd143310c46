"""The corridor: its images show the motion that it says."""

from __future__ import annotations

import numpy as np

from ros2_vodistill import corridor, geometry
from ros2_vodistill.odometry import VisualOdometry


def test_the_classical_odometry_finds_the_motion_and_its_length() -> None:
    camera = corridor.camera(640, 240)
    odometry = VisualOdometry("classical", camera=camera, mount=corridor.MOUNT)
    truth = corridor.poses(6)
    for index, image in enumerate(corridor.frames(camera, 6)):
        assert image.shape == (240, 640)
        odometry.push(image, 0.1 * index)
    error = geometry.to_motion(geometry.invert(geometry.invert(truth[0]) @ truth[-1]) @ odometry.pose)
    assert np.linalg.norm(error[:3]) < 0.05  # of 2 m
    assert np.linalg.norm(error[3:]) < 0.002


def test_a_seed_gives_the_same_frames_and_another_seed_gives_others() -> None:
    camera = corridor.camera(64, 48)
    first, again, other = (corridor.frames(camera, 1, seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5
