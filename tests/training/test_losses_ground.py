"""The loss on which cells are ground: scenes by hand, and the world's own depth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from ros2_vodistill import geometry
from ros2_vodistill.view import View
from tests.training import worlds
from training.losses.ground import grounding, on_ground
from training.world import render

VIEW = View(320, 96, 185.0, 185.0, 159.5, 20.0)
DRIVES = (0.02, 0.01, 0.5, 0.003, 0.02, -0.004)
RAYS = VIEW.rays()[::8, ::8]


def seen(near: np.ndarray, motion: tuple[float, ...]) -> Tensor:
    """(1, 2, h, w) where cells with these inverse depths (h, w) were in the last frame, by their points in space."""
    with np.errstate(divide="ignore", invalid="ignore"):
        points = np.where(near[..., None] > 0, RAYS / near[..., None], 1e9 * RAYS)
    pose = geometry.from_motion(np.array(motion))
    last = points @ pose[:3, :3].T + pose[:3, 3]
    pixels = last[..., :2] / last[..., 2:] * (VIEW.fx, VIEW.fy) + (VIEW.cx, VIEW.cy)
    first = np.stack(np.meshgrid(np.arange(0, VIEW.width, 8), np.arange(0, VIEW.height, 8)), -1)
    return torch.from_numpy((pixels - first).astype(np.float32)).movedim(-1, 0)[None]


def labels(near: np.ndarray, motion: tuple[float, ...] = DRIVES) -> tuple[np.ndarray, np.ndarray]:
    ground, known = on_ground(seen(near, motion), torch.tensor([motion]), VIEW)
    return ground[0].numpy(), known[0].numpy()


LEVEL = np.clip(RAYS[..., 1], 0.0, None)
AHEAD = np.hypot(RAYS[..., 0] - DRIVES[0] / DRIVES[2], RAYS[..., 1] - DRIVES[1] / DRIVES[2]) < 0.05
BELOW = (RAYS[..., 1] > 0.02) & ~AHEAD  # where it drives to, nothing moves


def test_a_level_floor_is_ground_below_the_horizon_only() -> None:
    ground, known = labels(LEVEL)
    assert ground[BELOW].all() and known[BELOW].all()
    assert not (ground | known)[~BELOW & ~AHEAD].any()


@pytest.mark.parametrize("slopes", [(0.03, 0.0), (-0.03, 0.02), (0.01, -0.04)])
def test_so_is_one_that_rises_or_leans(slopes: tuple[float, float]) -> None:
    near = RAYS[..., 1] + slopes[0] + slopes[1] * RAYS[..., 0]
    ground, _ = labels(np.clip(near, 0.0, None))
    assert ground[BELOW & (near > 0.02)].all()


def test_what_stands_on_it_is_none_though_it_fills_nearly_half_of_the_view() -> None:
    """A wall across the left part, 2.5 camera heights ahead: its foot is ground, the rest is not."""
    wall = (RAYS[..., 0] < -0.05) & (LEVEL < 0.4)
    ground, known = labels(np.where(wall, 0.4, LEVEL))
    clearly = wall & BELOW & (LEVEL < 0.35)
    assert known[clearly].all() and not ground[clearly].any()
    assert ground[BELOW & ~wall].all()


def test_what_moves_by_itself_is_none() -> None:
    flow = seen(LEVEL, DRIVES)
    flow[:, :, -3:, 5:15] += 4.0
    ground, known = (x[0] for x in on_ground(flow, torch.tensor([DRIVES]), VIEW))
    assert known[-3:, 5:15].all() and not ground[-3:, 5:15].any() and ground[-3:, 20:].all()


def test_a_camera_that_stands_cannot_tell() -> None:
    _, known = labels(LEVEL, (0.0, 0.0, 1e-5, 0.001, 0.0, 0.0))
    assert not known.any()


def test_what_the_last_frame_does_not_show_helps_nothing() -> None:
    flow = seen(LEVEL, DRIVES)
    flow[..., -1, :] = torch.nan
    ground, known = (x[0] for x in on_ground(flow, torch.tensor([DRIVES]), VIEW))
    assert known[-1].all() and not ground[-1].any()


@pytest.mark.parametrize("place", ["street", "park"])
def test_the_worlds_ground_is_what_lies_at_no_height(place: str) -> None:
    """By the rendered depth and poses, against flow and motion."""
    view = View(320, 96, 185.0, 185.0, 159.5, 47.5)
    eighth = View(40, 12, *(x / 8 for x in (view.fx, view.fy, view.cx, view.cy)))
    clip = render(replace(worlds.config(places=worlds.only(place)), view=view), [3, 4], labels=eighth)
    assert clip.depth is not None and clip.flow_back is not None
    motions = geometry.to_motion(geometry.relative(clip.poses.numpy()))
    motions[..., :3] /= clip.height.numpy()[:, None, None]
    told = torch.from_numpy(motions.reshape(-1, 6).astype(np.float32))
    ground, known = (x.numpy() for x in on_ground(8 * clip.flow_back.flatten(0, 1), told, view))
    points = clip.depth[:, 1:].numpy()[..., None] * view.rays()[::8, ::8]
    poses = clip.poses[:, 1:].numpy()[:, :, None, None]
    world = (poses[..., :3, :3] @ points[..., None])[..., 0] + poses[..., :3, 3]
    height = (-world[..., 1] / clip.height.numpy()[:, None, None, None]).reshape(known.shape)
    assert ground[known & (abs(height) < 0.05)].mean() > 0.99
    assert ground[known & (height > 0.3)].mean() < 0.03


def test_it_is_the_cross_entropy_of_what_is_known() -> None:
    """Cells that are rightly matched are asked whether they are ground; a wrong match is none."""
    flow, (_, known) = seen(LEVEL, DRIVES), labels(LEVEL)
    flag = torch.full((1, 1, 1, *BELOW.shape), 0.8)
    flag[..., :2, :] = 0.1  # above the horizon: of no concern
    motions = torch.tensor(DRIVES).view(1, 1, 6)

    def loss(shift: Tensor) -> float:
        return float(
            grounding({"image": flag}, {"image": shift[None]}, {"image": flow[None]}, motions, {"image": VIEW})
        )

    assert loss(flow) == pytest.approx(-math.log(0.8), rel=1e-5)
    wrong = flow.clone()
    wrong[..., 20:] += 5.0
    share = known[:, 20:].sum() / known.sum()
    assert loss(wrong) == pytest.approx(-(1 - share) * math.log(0.8) - share * math.log(0.2), rel=1e-5)


def test_nothing_known_is_no_loss_and_leaves_no_gradient() -> None:
    flag = torch.full((1, 1, 1, 12, 40), 0.5, requires_grad=True)
    shift = torch.zeros(1, 1, 2, 12, 40, requires_grad=True)
    still = grounding(
        {"image": flag}, {"image": shift}, {"image": shift.detach()}, torch.zeros(1, 1, 6), {"image": VIEW}
    )
    assert float(still.detach()) == 0.0
    flow = seen(LEVEL, DRIVES)[None]
    flow[..., -1, 3] = torch.nan
    grounding(
        {"image": flag}, {"image": shift}, {"image": flow}, torch.tensor(DRIVES).view(1, 1, 6), {"image": VIEW}
    ).backward()
    assert flag.grad is not None and flag.grad.isfinite().all() and flag.grad[..., 5:, :].all()
    assert not flag.grad[..., :3, :].any()
    assert shift.grad is None
