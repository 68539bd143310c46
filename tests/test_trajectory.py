"""Poses over time: which can be, their lengths and their parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ros2_vodistill import geometry
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.trajectory import (
    Trajectory,
)
from tests.drives import wander

BAD_TRAJECTORIES: dict[str, tuple[dict[str, Any], str]] = {
    "no pose": ({"stamps": [], "poses": np.zeros((0, 4, 4))}, "shape"),
    "scalar stamp": ({"stamps": 1.0, "poses": np.eye(4)[None]}, "shape"),
    "too few poses": ({"stamps": [0, 1], "poses": np.eye(4)[None]}, "shape"),
    "three rows": ({"stamps": [0], "poses": np.eye(4)[None, :3]}, "shape"),
    "small covariance": ({"stamps": [0], "poses": np.eye(4)[None], "covariances": np.eye(3)[None]}, "covariances"),
    "nan covariance": ({"stamps": [0], "poses": np.eye(4)[None], "covariances": np.full((1, 6, 6), np.nan)}, "pose 0"),
    "one nan": (
        {
            "stamps": [0, 1],
            "poses": [np.eye(4)] * 2,
            "covariances": np.where(np.arange(72) == 50, np.nan, 1.0).reshape(2, 6, 6),
        },
        "pose 1 ",
    ),
    "same stamp": ({"stamps": [0, 1, 1], "poses": np.stack([np.eye(4)] * 3)}, "pose 2 .*not later"),
    "nan pose": ({"stamps": [0, 1], "poses": [np.eye(4), np.full((4, 4), np.nan)]}, "pose 1 .*not finite"),
    "projective": ({"stamps": [0], "poses": [np.eye(4) + np.eye(4, k=-1) * [0, 0, 1, 0]]}, "last row"),
    "scaled": ({"stamps": [0], "poses": [np.diag([2, 2, 2, 1])]}, "no rotation matrix"),
    "shrunk": ({"stamps": [0], "poses": [np.diag([0.5, 0.5, 0.5, 1])]}, "no rotation matrix"),
    "far to the left": ({"stamps": [0], "poses": [geometry.make(np.eye(3), [-1e160, 0, 0])]}, "further than"),
}


@pytest.mark.parametrize(("arguments", "message"), BAD_TRAJECTORIES.values(), ids=BAD_TRAJECTORIES.keys())
def test_impossible_trajectories_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(VodistillError, match=message):
        Trajectory(**arguments)


def test_lengths_and_selection() -> None:
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, 3] = [[0, 0, 0], [3, 4, 0], [3, 4, 0], [3, 4, 2]]
    trajectory = Trajectory(np.arange(4.0), poses, np.arange(4.0)[:, None, None] * np.eye(6))
    assert len(trajectory) == 4
    assert trajectory.path_length == 7
    np.testing.assert_array_equal(trajectory.distances, [0, 5, 5, 7])
    for rows in ([1, 3], np.array([False, True, False, True])):
        part = trajectory.select(rows)
        np.testing.assert_array_equal(part.stamps, [1, 3])
        np.testing.assert_array_equal(part.positions, poses[[1, 3], :3, 3])
        np.testing.assert_array_equal(part.covariances, np.array([1.0, 3.0])[:, None, None] * np.eye(6))
        assert part.path_length == 2


def test_a_part_knows_where_poses_were_left_out() -> None:
    whole = wander(8)
    assert whole.follows().tolist() == [True] * 7
    assert whole.follows(9).tolist() == []
    part = whole.select([1, 2, 3, 5, 6])
    assert part.follows().tolist() == [True, True, False, True]
    assert part.follows(2).tolist() == [True, False, False]
    again = part.transformed(np.eye(4)).select(np.array([True, False, True, True, True]))
    assert again.follows().tolist() == [False, False, True]


def test_a_step_from_a_pose_that_was_left_out_is_not_known() -> None:
    steps = np.arange(8.0)[:, None, None] * np.eye(6)
    part = replace(wander(8), steps=steps).select([1, 2, 3, 5, 6])
    assert part.steps is not None
    np.testing.assert_array_equal(part.steps[:, 0, 0], [np.nan, 2, 3, np.nan, 6])
    np.testing.assert_array_equal(steps[:, 0, 0], np.arange(8.0))
    longer = part.transformed(np.eye(4), scale=2.0).steps
    assert longer is not None
    np.testing.assert_allclose(np.diag(longer[1]), [8, 8, 8, 2, 2, 2])


def test_scaling_scales_the_covariance_of_the_translation() -> None:
    once = wander(5, covariances=True)
    twice = once.transformed(geometry.exp([1, 2, 3, 0.1, 0.2, 0.3]), scale=2.0)
    assert once.covariances is not None
    assert twice.covariances is not None
    np.testing.assert_allclose(twice.covariances[:, :3, :3], 4 * once.covariances[:, :3, :3])
    np.testing.assert_allclose(twice.covariances[:, :3, 3:], 2 * once.covariances[:, :3, 3:])
    np.testing.assert_allclose(twice.covariances[:, 3:, 3:], once.covariances[:, 3:, 3:])
    assert twice.path_length == pytest.approx(2 * once.path_length)
