"""Clips through a robot's camera and warp."""

from __future__ import annotations

import math

import numpy as np
import torch

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.view import Patch, Warp
from tests.training.worlds import SMALL, config
from training.world import render, render_through
from training.world.through import mounted

PATCH = Patch(48, 40, 2.0, 8.0, 3.0)


def test_a_view_through_a_camera_looks_like_one_rendered_straight() -> None:
    pinhole = Camera(320, 192, "pinhole", 185.0, 185.0, 160.0, 80.0)
    mount = Mount(1.5, math.radians(6.0), math.radians(2.0))
    camera = mounted(pinhole, mount)
    clip, views = render_through(config(), [4, 5], camera, {"image": SMALL, "view_ground": PATCH}, frames=2)
    straight = render(config(), [4, 5], frames=2)
    assert torch.equal(clip.poses, straight.poses)
    assert views["image"].shape == straight.images.shape and views["view_ground"].shape == (2, 2, 40, 48)
    seen = views["image"] > 0
    assert seen.float().mean() > 0.6
    # Exposure is set by what the camera sees, so compare shapes, not levels.
    for a, b, mask in zip(views["image"].flatten(0, 1), straight.images.flatten(0, 1), seen.flatten(0, 1), strict=True):
        assert np.corrcoef(a[mask].numpy(), b[mask].numpy())[0, 1] > 0.8


def test_the_mounts_tilt_is_taken_out_by_the_warp() -> None:
    """The rotated camera warps as the robot would warp it: by the camera as calibrated and its mount."""
    camera, mount = (
        Camera(320, 192, "plumb_bob", 185.0, 185.0, 160.0, 80.0, (-0.1, 0.02, 0.0, 0.0)),
        Mount(1.5, 0.1, 0.03),
    )
    ours, robots = Warp(mounted(camera, mount), SMALL, np.eye(3)), Warp(camera, SMALL, mount.level_from_camera)
    np.testing.assert_allclose(ours.map_x, robots.map_x, atol=1e-2)
    np.testing.assert_allclose(ours.map_y, robots.map_y, atol=1e-2)
