"""How generated worlds are laid out: the road under the camera, things on slopes, and a way that is free."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.worlds import config, only
from training.world.build import World, build
from training.world.config import Motion
from training.world.draw import Draw
from training.world.motion import STEPS, Path, rotation
from training.world.scene import OBJECT, STRUCTURE, Hill, Road, Solids
from training.world.site import Site, size, stand
from training.world.textures import load

CARS = Motion({"car": Motion().platforms["car"]}, still=0.0, reverse=0.0, turn=0.0, fps=(10.0,))
SLOPE = Hill(torch.tensor([[0.6, 0.8]]), torch.tensor([5.0]), torch.tensor([0.2]))
"""One that rises, not straight ahead, from five metres on."""


def worlds(kind: str, motion: Motion, count: int, frames: int = 8) -> World:
    return build(config(motion=motion, places=only(kind)), torch.arange(count), load("cpu"), 0, frames)


def test_vehicles_keep_to_the_right_of_the_middle_of_their_road() -> None:
    found = worlds("street", CARS, 64)
    road, way = found.stage.ground.road, found.path.position[:, STEPS:, ::2].float()
    beside = road.across(way[..., 0], way[..., 1])
    width = found.stage.ground.width
    assert float((beside[:, 0] / width).mean()) > 0.1
    assert bool((beside[:, 0].abs() < width).all())
    platform = Motion().platforms["car"]
    calm = replace(platform, lever=(0.0, 0.0), yaw_deg=0.0)
    found = worlds("street", replace(CARS, platforms={"car": calm}), 64)
    road, way = found.stage.ground.road, found.path.position[:, STEPS:, ::2].float()
    beside = road.across(way[..., 0], way[..., 1])
    assert float((beside - beside[:, :1]).abs().max()) < 0.1  # they stay in it


def test_a_vehicle_on_a_slope_is_pitched_as_the_slope_is() -> None:
    """Its view ahead and its right side are along the ground, its height above it as on level ground."""
    zero = torch.zeros(1, 3, dtype=torch.float64)
    position = torch.tensor([[[0.0, -1.5, 0.0], [9.0, -1.5, 12.0], [12.0, -1.5, 16.0]]]).double()
    heading = zero + math.atan2(0.6, 0.8)
    path = Path(torch.ones(1), position, heading, zero, zero).over(SLOPE)
    turn = rotation(path.heading, path.pitch, path.roll)[0]
    normal = torch.tensor([0.2 * 0.6, 1.0, 0.2 * 0.8]).double()  # y + rise * (way into the slope) is constant
    assert float((turn[1:, :, 2] @ normal).abs().max()) < 1e-6 and float((turn[1:, :, 0] @ normal).abs().max()) < 1e-6
    assert float(turn[0, 1, 2]) == pytest.approx(0.0)
    up = torch.tensor([0.0, 0.2 * (15 - 5), 0.2 * (20 - 5)]).double()
    assert torch.allclose(-path.position[0, :, 1] - 1.5, up)


def test_things_stand_on_the_slope() -> None:
    one = torch.ones(1)
    road = Road(torch.zeros(1, 2), 0 * one, 0 * one)
    site = Site(Draw(torch.arange(1)), load("cpu"), SLOPE, road, one, one, one, one, one, one > 0)
    place = torch.tensor([[[0.0, 0.0], [9.0, 12.0], [-3.0, 20.0]]])
    flat = torch.zeros(1, 3)
    half = size(0.5, 0.7, 0.4, flat)
    solids = stand(site, place, flat, half, flat, half, torch.zeros(1, 1, 2), OBJECT, there=flat == 0, lift=0.3)
    foot = -(solids.centre[..., 1] + solids.half[..., 1])
    assert torch.allclose(foot, torch.tensor([[0.3, 0.3 + 0.2 * 10.0, 0.3 + 0.2 * (14.2 - 5)]]), atol=1e-5)


def test_traffic_keeps_to_its_side() -> None:
    """What drives our way does so on our side of the middle, what comes towards us on the other one."""
    found = worlds("street", CARS, 96)
    road, boxes = found.stage.ground.road, found.stage.boxes
    ours = road.across(torch.zeros(96), torch.zeros(96))[:, None].expand_as(boxes.yaw)
    beside = road.across(boxes.centre[..., 0], boxes.centre[..., 2])
    driving = boxes.there & (boxes.velocity.norm(dim=-1) > 2.5) & (ours.abs() > 1.0)
    for way in (1.0, -1.0):
        those = driving & (boxes.velocity[..., 2] * way > 0)
        assert those.sum() > 10 and float((beside - way * ours)[those].abs().max()) < 1.0


def test_nothing_is_built_on_the_other_road() -> None:
    settings = config(motion=CARS, places=replace(only("street"), junction=1.0))
    stage = build(settings, torch.arange(48), load("cpu"), 0, 1).stage
    boxes, cross, width = stage.boxes, stage.ground.cross, stage.ground.cross_width
    built = boxes.there & (boxes.label == STRUCTURE)
    away = cross.across(boxes.centre[..., 0], boxes.centre[..., 2]).abs()
    assert built.sum() > 500 and bool((away > width[:, None])[built].all())


def test_the_camera_runs_into_nothing() -> None:
    inside = 0
    for kind in ("field", "street", "corridor"):
        found = worlds(kind, replace(Motion(), still=0.0, reach=20.0), 48)
        for solids in (found.stage.boxes, found.stage.rounds):
            inside += run_into(solids, found.path)
    assert inside == 0


def run_into(solids: Solids, path: Path) -> int:
    """How often a camera is inside of the box around a solid, frame by frame."""
    frames = torch.arange(STEPS, path.heading.shape[1] - STEPS, STEPS)
    time = ((frames - STEPS) * path.dt[:, None]).numpy()
    way = path.position[:, frames].numpy()
    centre, velocity, half, yaw = (
        v.double().numpy() for v in (solids.centre, solids.velocity, solids.half, solids.yaw)
    )
    away = way[:, None] - centre[:, :, None] - velocity[:, :, None] * time[:, None, :, None]
    c, s = np.cos(yaw)[..., None], np.sin(yaw)[..., None]
    local = np.stack([away[..., 0] * c - away[..., 2] * s, away[..., 1], away[..., 0] * s + away[..., 2] * c], -1)
    return int((np.abs(local) < half[:, :, None] - 1e-6).all(-1).sum())
