"""A batch of worlds from their seeds: place, road, light, solids and the camera's path."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world import populate
from training.world.config import WorldConfig
from training.world.draw import Draw
from training.world.motion import Path, drive
from training.world.scene import Road, Solids
from training.world.shade import Ground, Light
from training.world.textures import Textures

KINDS = ("street", "motorway", "field", "corridor")


@dataclass(frozen=True)
class World:
    """B worlds.

    Attributes:
        kind: (B,) index into KINDS.
        height: (B,) of the camera above the ground, metres.
        path: of the camera.
        tilt: (B, 2) pitch and roll by which the true mount differs from the assumed one, radians.
        lens: (B, 4) true over assumed focal length across and down, and shift of the centre as a share of it.
        boxes, rounds: what stands there.
        ground, light: how it looks.
    """

    kind: Tensor
    height: Tensor
    path: Path
    tilt: Tensor
    lens: Tensor
    boxes: Solids
    rounds: Solids
    ground: Ground
    light: Light


def build(config: WorldConfig, seeds: Tensor, textures: Textures, frames: int) -> World:
    """Draw the worlds of `seeds` (B,) on their device."""
    draw = Draw(seeds, "world.")
    device = seeds.device
    places, rig = config.places, config.rig
    kind = draw.choice("kind", [getattr(places, name) for name in KINDS])
    street, motorway, field, corridor = (kind == i for i in range(4))
    height = torch.where(
        draw.chance("car", rig.car) & ~corridor,
        (rig.car_height[0] + draw.normal("car.height", (), rig.car_height[1])).clamp_min(0.3),
        draw.uniform("height", (), *rig.height),
    )
    scale = torch.where(draw.chance("resized", places.resized), draw.log_uniform("resize", (), *places.resize), 1.0)

    gentle = draw.normal("curvature", (), 0.004)
    sharp = draw.normal("ramp", (), 0.012)
    curvature = torch.where(motorway, torch.where(draw.chance("ramped", 0.4), sharp, gentle), 0.3 * gentle)
    width = torch.where(motorway, draw.uniform("wide", (), 3.5, 9.0), draw.uniform("narrow", (), 2.5, 5.5))
    width = torch.where(corridor, draw.uniform("tight", (), 0.8, 3.5), width)
    lane = torch.where(motorway, draw.uniform("lane", (), -0.6, 0.6), draw.uniform("side", (), -0.1, 0.6)) * width
    turn = torch.stack([
        draw.uniform("turn.begin", (), -10.0, 6.0),
        draw.uniform("turn.radius", (), 6.0, 15.0),
        torch.where(draw.chance("turn", config.driving.turn) & (street | field),
                    draw.uniform("turn.angle", (), -1.6, 1.6), 0.0),
    ], -1)  # fmt: skip
    path = drive(draw.within("drive."), config.driving, frames, height, curvature, turn)
    # The path starts at the origin, heading ahead: the road's middle is `lane` to the left of it.
    road = Road(torch.stack([-lane, torch.zeros_like(lane)], -1), torch.zeros_like(lane), curvature)

    site = populate.Site(draw, road, textures, width, draw.uniform("setback", (), 1.5, 8.0), scale,
                         torch.full_like(lane, -12.0))  # fmt: skip
    alley = draw.chance("alley", 0.7)
    trunks, crowns = populate.trees(site, (street & alley) | field | motorway, 12.0, 0.5, 6.0)
    boxes = Solids.cat([
        populate.facades(site, street),
        populate.parked(site, street | (field & draw.chance("park", 0.3))),
        populate.traffic(site, street | motorway, lane),
        populate.rails(site, motorway),
        populate.walls(site, corridor),
        populate.scatter(site, field | (corridor & draw.chance("things", 0.6)) | (street & draw.chance("stuff", 0.4))),
    ])  # fmt: skip
    rounds = Solids.cat(
        [trunks, crowns, populate.poles(site, street | motorway), populate.hedges(site, motorway | field)]
    )
    tilt = torch.stack([draw.normal("tilt", (), rig.pitch_error_deg), draw.normal("roll", (), rig.roll_error_deg)], -1)
    focal = 1 + draw.normal("focal", (), rig.focal_error)
    lens = torch.stack([
        focal * (1 + draw.normal("aspect", (), 0.2 * rig.focal_error)), focal,
        draw.normal("cx", (), rig.centre_error), draw.normal("cy", (), rig.centre_error),
    ], -1)  # fmt: skip
    return World(kind, height, path, torch.deg2rad(tilt), lens, _clear(boxes, path), _clear(rounds, path),
                 _ground(draw.within("ground."), textures, road, width, street, motorway, corridor),
                 _light(draw.within("light."), textures, corridor, device))  # fmt: skip


def _clear(solids: Solids, path: Path) -> Solids:
    """Without those that the camera would run into."""
    place = solids.centre[:, :, None, ::2] - path.position[:, None, ::4, ::2]
    reach = solids.half[..., ::2].norm(dim=-1)
    slim = solids.half[..., ::2].amin(-1)
    c, s = solids.yaw.cos()[..., None], solids.yaw.sin()[..., None]
    x = (place[..., 0] * c - place[..., 1] * s).abs() - solids.half[..., 0, None]
    z = (place[..., 0] * s + place[..., 1] * c).abs() - solids.half[..., 2, None]
    low = solids.centre[..., 1] + solids.half[..., 1] > path.position[:, :1, 1] - 0.3
    low &= solids.centre[..., 1] - solids.half[..., 1] < path.position[:, :1, 1] + 0.3
    near = (torch.maximum(x, z) < 0.5).any(-1) & low & (reach + slim > 0)
    return solids.select(~near)


def _ground(draw: Draw, textures: Textures, road: Road, width: Tensor, street: Tensor, motorway: Tensor,
            corridor: Tensor) -> Ground:  # fmt: skip
    def family(name: str, *families: str) -> Tensor:
        return draw.pick(name, [i for f in families for i in textures.families[f]]).float()

    rich = draw.chance("rich", 0.3)
    way = torch.where(
        corridor, family("floor", "tiles", "planks", "noise", "asphalt", "stucco"), family("way", "asphalt")
    )
    way = torch.where(rich, family("rich", "noise", "tiles", "asphalt", "grass", "bricks"), way)
    walk = torch.where(street, family("walk", "tiles", "bricks", "asphalt", "grass"), family("verge", "grass"))
    land = torch.where(corridor, way, family("land", "grass", "foliage", "noise"))
    contrast = torch.where(rich, draw.uniform("contrast", (), 0.3, 1.0), draw.uniform("plain", (), 0.02, 0.5))
    mean = draw.log_uniform("mean", (3,), 0.08, 0.35)
    swing = torch.stack([contrast, draw.uniform("swing1", (), 0.2, 1.0), draw.uniform("swing2", (), 0.3, 1.0)], -1)
    tone = torch.stack([mean * (1 - swing), mean * (1 + swing)], -1)
    line = torch.stack([
        draw.uniform("line", (), 0.3, 0.9), draw.uniform("half", (), 0.05, 0.12),
        torch.where(draw.chance("dashed", 0.7), draw.uniform("period", (), 3.0, 12.0), 0.0),
        draw.uniform("share", (), 0.3, 0.6), (motorway | (street & draw.chance("lined", 0.4))).float(),
    ], -1)  # fmt: skip
    return Ground(
        road, width, torch.where(street, draw.uniform("pavement", (), 1.0, 4.0), draw.uniform("shoulder", (), 0.3, 2.0)),
        torch.stack([way, walk, land, family("stain", "clouds", "noise")], -1),
        torch.stack([*draw.uniform("tile", (3,), 1.5, 5.0).unbind(-1), draw.uniform("large", (), 8.0, 40.0)], -1),
        tone, draw.uniform("stains", (3,), 0.0, 1.2), line,
        torch.where(street & draw.chance("kerbed", 0.8), draw.uniform("kerb", (), 0.1, 0.5), 0.0),
    )  # fmt: skip


def _light(draw: Draw, textures: Textures, inside: Tensor, device: torch.device) -> Light:
    azimuth, elevation = draw.uniform("azimuth", (), 0, 6.283), draw.uniform("elevation", (), 0.25, 1.2)
    sun = torch.stack([elevation.cos() * azimuth.sin(), -elevation.sin(), elevation.cos() * azimuth.cos()], -1)
    sunny = draw.chance("sunny", 0.7) & ~inside
    direct = torch.where(sunny, draw.uniform("direct", (), 0.8, 2.5), 0.0)
    bright = draw.uniform("bright", (), 0.9, 3.0)
    fog = torch.where(
        draw.chance("foggy", 0.15), draw.log_uniform("fog", (), 0.003, 0.05), torch.full_like(bright, 2e-4)
    )
    families = textures.families
    return Light(
        sun, direct, draw.uniform("ambient", (), 0.3, 0.7),
        torch.stack([bright, bright * draw.uniform("zenith", (), 0.4, 1.0)], -1),
        torch.stack([draw.pick("cloud", families["clouds"]).float(), draw.uniform("cloudy", (), 0.0, 1.2)], -1),
        torch.stack([draw.pick("skyline", families["noise"] + families["foliage"]).float(),
                     draw.uniform("skyline.height", (), 0.0, 0.25), draw.uniform("skyline.tone", (), 0.05, 0.3)], -1),
        torch.stack([fog, bright * 0.8], -1),
    )  # fmt: skip
