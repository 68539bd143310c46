"""Walls, ceilings, furniture, and things that stand about."""

from __future__ import annotations

import torch
from torch import Tensor

from training.world.scene import OBJECT, STRUCTURE, Solids
from training.world.site import Site, row, size, stand, tones

WALLS = ("windows", "bricks", "tiles", "stucco", "stucco", "flat", "poster", "noise", "planks", "panels", "panels")


def passage(site: Site, there: Tensor, high: Tensor, count: int = 14, pitch: float = 5.0) -> Solids:
    """Two walls and a roof along the road: corridors and tunnels.

    Args:
        high: (B,) half height, metres.
    """
    r = row(site, "wall", there, count, pitch, 0.0, sides=3)
    d, k = r.draw, r.scale
    over = r.side == 0
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + 1.0))
    tall = torch.where(over, 0.5, high[:, None].expand_as(r.s) + 0.3)
    half = size(torch.where(over, site.width[:, None] + 1.0, 1.0), tall, 0.502 * pitch * k, r.s)
    which = r.side.long() + 1
    base = site.family(site.draw, "wall.base", *WALLS, shape=(3,)).gather(1, which)
    same = tones(site.draw, "wall.tone", 0.15, 0.8, 0.8, (3,)).gather(1, which[..., None].expand(*which.shape, 2))
    other = d.chance("other", 0.2)
    texture = torch.where(other, site.family(d, "texture", *WALLS), base)
    tone = torch.where(other[..., None], tones(d, "tone", 0.1, 0.8, 0.9), same)
    grain = site.draw.log_uniform("wall.grain", 0.8, 4.0)[:, None, None]
    open_wall = d.chance("open", 0.04) & ~over
    return stand(site, place, heading, half, texture, half / grain, tone, STRUCTURE, there=r.there & ~open_wall,
                 lift=torch.where(over, 2 * high[:, None], 0.0))  # fmt: skip


def doors(site: Site, there: Tensor, count: int = 9, pitch: float = 4.0) -> Solids:
    """Flat things on walls: doors, posters, cabinets, lamps."""
    r = row(site, "door", there, count, pitch)
    d = r.draw
    deep = d.log_uniform("deep", 0.02, 0.4)
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + 0.02 - deep))
    door = d.chance("door", 0.5)
    tall = torch.where(door, 1.02, d.uniform("tall", 0.1, 0.7))
    half = size(deep, tall, torch.where(door, 0.45, d.uniform("long", 0.1, 1.0)), tall) * r.scale[..., None]
    fitted = torch.full((1, 1, 3), 0.5, device=place.device)
    look = site.family(d, "look", "poster", "planks", "flat", "panels", "windows")
    return stand(site, place, heading, half, look, fitted, tones(d, "tone", 0.05, 0.8, 1.0), OBJECT,
                 there=r.there & d.chance("there", 0.6),
                 lift=torch.where(door, 0.0, d.uniform("lift", 0.0, 1.5)))  # fmt: skip


def columns(site: Site, there: Tensor, high: Tensor, count: int = 8, pitch: float = 8.0) -> Solids:
    """Square pillars on both sides, and the beams that they carry."""
    r = row(site, "column", there, count, pitch, 0.0)
    d = r.draw
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + 0.4))
    thick = site.draw.uniform("column.thick", 0.15, 0.4)[:, None]
    half = size(thick, high[:, None], thick, r.s)
    look = site.family(site.draw, "column.look", "stucco", "noise", "flat", "bricks")[:, None].expand_as(r.s)
    tone = tones(site.draw, "column.tone", 0.2, 0.7, 0.5)[:, None]
    upright = stand(site, place, heading, half, look, half / 2.0, tone, STRUCTURE, there=r.there)
    middle, turn = site.road.place(r.s, torch.zeros_like(r.s))
    beam = size(site.width[:, None] + 9.0, 0.25, 0.2, r.s)
    here = r.there & (r.side > 0) & d.chance("beam", 0.9)
    beams = stand(site, middle, turn, beam, look, beam / 2.0, tone * 0.8, STRUCTURE, there=here,
                  lift=2 * high[:, None] - 0.5)  # fmt: skip
    return Solids.join([upright, beams], 1)


def shell(site: Site, there: Tensor, high: Tensor, spread: Tensor) -> Solids:
    """Four walls and a ceiling around the origin.

    Args:
        high: (B,) half height; `spread` (B, 2) half sizes across and along, metres.
    """
    d = site.draw.within("shell").at(torch.arange(5, device=high.device).expand(len(high), -1))
    across, along = spread[:, :1], spread[:, 1:]
    x = torch.tensor([-1.0, 1.0, 0.0, 0.0, 0.0], device=high.device)
    z = torch.tensor([0.0, 0.0, -1.0, 1.0, 0.0], device=high.device)
    over = (x == 0) & (z == 0)
    s = site.home[:, None] + 0.35 * along + z * (along + 1.0)
    place, heading = site.road.place(s, x * (across + 1.0) + 0.0 * s)
    half = size(
        torch.where(x.abs() > 0, 1.0, across + 2.0), torch.where(over, 0.5, high[:, None] + 0.2),
        torch.where(z.abs() > 0, 1.0, along + 2.0), place[..., 0],
    )  # fmt: skip
    texture = site.family(d, "texture", *WALLS)
    grain = d.log_uniform("grain", 0.8, 4.0)[..., None]
    return stand(site, place, heading, half, texture, half / grain, tones(d, "tone", 0.15, 0.8, 0.8), STRUCTURE,
                 there=there[:, None].expand(-1, 5), lift=torch.where(over, 2 * high[:, None], 0.0))  # fmt: skip


def clutter(site: Site, there: Tensor, reach: Tensor, count: int = 30) -> tuple[Solids, Solids]:
    """Boxes, some leaning, and rounds of all sizes, around the way.

    Args:
        reach: (B,) metres around the start of the way.
    """
    d = site.draw.within("clutter").at(torch.arange(count, device=reach.device).expand(len(reach), -1))
    k = site.scale[:, None]
    s = site.home[:, None] + d.uniform("s", -0.4, 1.3) * reach[:, None]
    away = d.uniform("away", -1.0, 1.0) * reach[:, None] * d.unit("near").sqrt()
    place, _ = site.road.place(s, away)
    half = d.log_uniform("half", 0.08, 1.2, (3,)) * (reach[:, None, None] / 10.0).clamp(0.5, 2.0) * k[..., None]
    look = site.family(d, "look", *WALLS, "foliage", "grass", "asphalt")
    grain = d.log_uniform("grain", 0.4, 3.0)[..., None]
    here = there[:, None] & (d.unit("there") < site.draw.uniform("clutter.often", 0.2, 1.0)[:, None])
    lean = d.uniform("lean", -0.1, 0.6, (2,)).clamp_min(0.0) * d.chance("leaning", 0.3)[..., None]
    tone, yaw = tones(d, "tone", 0.05, 0.8, 1.0), d.uniform("yaw", 0.0, 6.28)
    lift = d.log_uniform("lift", 0.1, 2.0) * d.chance("lifted", 0.1)
    boxes = stand(site, place, yaw, half, look, half / grain, tone, OBJECT, there=here, taper=lean, lift=lift)
    few = slice(0, count // 3)
    at, _ = site.road.place(s[:, few] + 2.0, -away[:, few])
    yaw, half, look, tone, here = (v[:, few] for v in (yaw, half, look, tone, here))
    rounds = stand(site, at, yaw, half, look, half / grain[:, few], tone, OBJECT, there=here,
                   straight=d.chance("straight", 0.6)[:, few].float())  # fmt: skip
    return boxes, rounds
