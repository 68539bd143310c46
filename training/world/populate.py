"""Fills a world: rows of things along the road, drawn for the whole batch at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.draw import Draw
from training.world.scene import OBJECT, STRUCTURE, Road, Solids
from training.world.textures import Textures


@dataclass(frozen=True)
class Site:
    """What all makers of things need.

    Attributes:
        draw: of the batch.
        road: that things stand along.
        textures: to choose from.
        width: (B,) half width of the carriageway, metres.
        setback: (B,) from its edge to the houses or walls, metres.
        scale: (B,) factor on the sizes of all objects.
        start: (B,) first metre of the road that is populated.
    """

    draw: Draw
    road: Road
    textures: Textures
    width: Tensor
    setback: Tensor
    scale: Tensor
    start: Tensor

    def family(self, name: str, families: Sequence[str], shape: Sequence[int]) -> Tensor:
        options = [index for family in families for index in self.textures.families[family]]
        return self.draw.pick(name, options, shape).float()


def row(site: Site, name: str, count: int, pitch: float) -> tuple[Tensor, Tensor]:
    """Places for two rows of `count` things, left and right: s (B, 2 count) and side (2 count) -1 or 1."""
    index = torch.arange(count, device=site.draw.device).repeat(2)
    side = torch.tensor([-1.0, 1.0], device=site.draw.device).repeat_interleave(count)
    jitter = site.draw.uniform(f"{name}.s", (2 * count,), -0.3, 0.3)
    return site.start[:, None] + (index + 0.5 + jitter) * pitch * site.scale[:, None], side


def solids(
    site: Site,
    place: Tensor,
    heading: Tensor,
    half: Tensor,
    height: Tensor,
    texture: Tensor,
    tile: Tensor,
    tone: Tensor,
    label: int,
    velocity: Tensor | None = None,
    taper: Tensor | None = None,
    straight: float = 0.0,
    offset: Tensor | None = None,
) -> Solids:
    """Solids at world places (B, N, 2) whose centres are `height` (B, N) above the ground."""
    centre = torch.stack([place[..., 0], -height, place[..., 1]], -1)
    return Solids(
        centre,
        heading,
        half,
        torch.zeros_like(place) if taper is None else taper,
        torch.full_like(heading, straight),
        torch.zeros_like(centre) if velocity is None else velocity,
        texture.expand(*heading.shape, 3) if texture.dim() == 3 else texture[..., None].expand(*heading.shape, 3),
        tile,
        torch.zeros_like(heading) if offset is None else offset,
        tone,
        torch.full_like(heading, label, dtype=torch.int64),
    )


def tones(draw: Draw, name: str, shape: Sequence[int], low: float, high: float, contrast: float) -> Tensor:
    """(B, *shape, 2): albedo of a texture's dark and bright end, around a log-uniform mean."""
    mean = draw.log_uniform(name, shape, low, high)
    swing = draw.uniform(f"{name}.contrast", shape, 0.3 * contrast, contrast)
    return torch.stack([mean * (1 - swing), mean * (1 + swing)], -1)


def facades(site: Site, present: Tensor) -> Solids:
    count, pitch = 11, 14.0
    s, side = row(site, "facade", count, pitch)
    draw, scale = site.draw.within("facade."), site.scale[:, None]
    long = pitch * draw.uniform("long", (2 * count,), 0.3, 0.55) * scale
    deep = draw.uniform("deep", (2 * count,), 3.0, 6.0) * scale
    tall = draw.uniform("tall", (2 * count,), 2.0, 7.0) * scale
    gap = draw.uniform("gap", (2 * count,), 0.0, 4.0) * scale
    away = side * (site.width[:, None] + site.setback[:, None] + gap + deep)
    place, heading = site.road.place(s, away)
    there = present[:, None] & draw.chance("there", 0.85, (2 * count,))
    half = torch.stack([deep, tall, long], -1) * there[..., None]
    wall = site.family("facade.wall", ["windows", "windows", "windows", "bricks", "stucco"], (2 * count,))
    top = site.family("facade.top", ["tiles", "noise"], (2 * count,))
    storey = draw.uniform("storey", (2 * count,), 5.0, 9.0) * scale
    texture = torch.stack([wall, top, wall], -1)
    tone = tones(draw, "tone", (2 * count,), 0.25, 0.8, 1.0)
    return solids(
        site, place, heading, half, tall, texture, half / storey[..., None], tone, STRUCTURE,
        offset=draw.uniform("offset", (2 * count,)),
    )  # fmt: skip


def cars(site: Site, name: str, place: Tensor, heading: Tensor, there: Tensor, speed: Tensor) -> Solids:
    """A body and a cabin each."""
    n = place.shape[1]
    draw, scale = site.draw.within(f"{name}."), site.scale[:, None]
    van = draw.chance("van", 0.2, (n,))
    long = torch.where(van, 2.6, draw.uniform("long", (n,), 1.8, 2.4)) * scale
    wide = draw.uniform("wide", (n,), 0.8, 0.95) * scale
    body = torch.where(van, 1.0, draw.uniform("body", (n,), 0.38, 0.5)) * scale
    half = torch.stack([wide, body, long], -1) * there[..., None]
    cabin = torch.stack([wide * 0.92, body * 0.8, long * 0.55], -1) * there[..., None] * ~van[..., None]
    direction = torch.stack([heading.sin(), torch.zeros_like(heading), heading.cos()], -1)
    velocity = direction * speed[..., None]
    tone = tones(draw, "paint", (n,), 0.03, 0.85, 0.3)
    glass = tones(draw, "glass", (n,), 0.02, 0.12, 0.8)
    side = site.family(f"{name}.side", ["flat", "poster"], (n,))
    pane = site.family(f"{name}.pane", ["windows", "poster", "noise"], (n,))
    lean = torch.full((*heading.shape, 2), 0.25, device=place.device)
    one = torch.full((*heading.shape, 3), 0.5, device=place.device)
    parts = [
        solids(site, place, heading, half, body + 0.25 * scale, side, one, tone, OBJECT, velocity),
        solids(site, place, heading, cabin, body * 2.8 + 0.25 * scale, pane, one, glass, OBJECT, velocity, lean),
    ]
    return Solids.cat(parts)


def parked(site: Site, present: Tensor) -> Solids:
    count = 10
    s, side = row(site, "parked", count, 7.0)
    draw = site.draw.within("parked.")
    away = side * (site.width[:, None] - 1.0 + draw.uniform("away", (2 * count,), -0.2, 0.6))
    place, heading = site.road.place(s, away)
    there = present[:, None] & (draw.uniform("there", (2 * count,)) < draw.uniform("often", (1,), 0.0, 0.8))
    return cars(site, "parked", place, heading, there, torch.zeros_like(heading))


def traffic(site: Site, present: Tensor, lane: Tensor) -> Solids:
    """Vehicles ahead in the same lane and oncoming ones in the other."""
    count = 5
    draw = site.draw.within("traffic.")
    ahead = draw.uniform("s", (count,), 8.0, 90.0)
    with_us = draw.chance("same", 0.4, (count,))
    away = torch.where(with_us, lane[:, None], -lane[:, None])
    place, heading = site.road.place(site.start[:, None] + 20.0 + ahead, away)
    speed = draw.uniform("speed", (count,), 0.0, 20.0) * torch.where(with_us, 1.0, -1.0)
    there = present[:, None] & draw.chance("there", 0.25, (count,))
    return cars(site, "traffic", place, heading, there, speed)


def trees(site: Site, present: Tensor, pitch: float, low: float, high: float) -> tuple[Solids, Solids]:
    """Trunks (rounds, straight) with crowns of three ellipsoids each."""
    count = 9
    s, side = row(site, "tree", count, pitch)
    draw, scale = site.draw.within("tree."), site.scale[:, None]
    n = 2 * count
    away = side * (site.width[:, None] + draw.uniform("away", (n,), low, high) * scale)
    place, heading = site.road.place(s, away)
    there = present[:, None] & (draw.uniform("there", (n,)) < draw.uniform("often", (1,), 0.1, 0.9))
    thick = draw.uniform("thick", (n,), 0.1, 0.3) * scale
    tall = draw.uniform("tall", (n,), 1.2, 2.5) * scale
    bark = site.family("tree.bark", ["noise", "planks"], (n,))
    half = torch.stack([thick, tall, thick], -1) * there[..., None]
    dark = tones(draw, "bark", (n,), 0.05, 0.2, 0.6)
    trunks = solids(site, place, heading, half, tall, bark, half * 0.5, dark, OBJECT, straight=1.0)
    leaf = site.family("tree.leaf", ["foliage"], (1,)).expand(-1, n)
    green = tones(draw, "leaf", (1,), 0.06, 0.25, 1.0).expand(-1, n, -1)
    crowns = []
    for i in range(3):
        wide = draw.uniform(f"wide{i}", (n,), 0.8, 2.2) * scale
        shift = draw.uniform(f"shift{i}", (n, 2), -1.0, 1.0) * scale[..., None]
        up = 2 * tall + draw.uniform(f"up{i}", (n,), -0.3, 1.8) * scale
        size = torch.stack([wide, wide * 0.8, wide], -1) * there[..., None]
        crowns.append(solids(site, place + shift, heading, size, up, leaf, size * 0.35, green, OBJECT))
    return trunks, Solids.cat(crowns)


def poles(site: Site, present: Tensor) -> Solids:
    count = 5
    s, side = row(site, "pole", count, 22.0)
    draw, scale = site.draw.within("pole."), site.scale[:, None]
    n = 2 * count
    place, heading = site.road.place(s, side * (site.width[:, None] + 0.6 * scale))
    there = present[:, None] & draw.chance("there", 0.6, (n,))
    tall = draw.uniform("tall", (n,), 1.2, 4.0) * scale
    thick = draw.uniform("thick", (n,), 0.04, 0.1) * scale
    half = torch.stack([thick, tall, thick], -1) * there[..., None]
    tone = tones(draw, "tone", (n,), 0.1, 0.6, 0.2)
    return solids(site, place, heading, half, tall, site.family("pole", ["flat"], (n,)), half, tone, OBJECT, straight=1)


def hedges(site: Site, present: Tensor) -> Solids:
    """Rows of bushes, as beside motorways."""
    count = 16
    s, side = row(site, "hedge", count, 8.0)
    draw, scale = site.draw.within("hedge."), site.scale[:, None]
    n = 2 * count
    wide = draw.uniform("wide", (n,), 2.5, 6.0) * scale
    tall = draw.uniform("tall", (n,), 1.0, 5.0) * scale * draw.uniform("rank", (1,), 0.3, 1.3)
    away = side * (site.width[:, None] + site.setback[:, None] + 0.6 * wide + draw.uniform("away", (n,), 0, 6) * scale)
    place, heading = site.road.place(s, away)
    half = torch.stack([wide, tall, wide * 1.2], -1) * (present[:, None] & draw.chance("there", 0.9, (n,)))[..., None]
    leaf = site.family("hedge.leaf", ["foliage", "grass"], (n,))
    tone = tones(draw, "tone", (n,), 0.05, 0.2, 1.0)
    return solids(site, place, heading, half, 0.5 * tall, leaf, half * 0.25, tone, OBJECT,
                  offset=draw.uniform("offset", (n,)))  # fmt: skip


def rails(site: Site, present: Tensor) -> Solids:
    count = 12
    s, side = row(site, "rail", count, 10.0)
    draw, scale = site.draw.within("rail."), site.scale[:, None]
    index = torch.arange(count, device=draw.device).repeat(2)
    s = site.start[:, None] + (index + 0.5) * 10.0 * scale
    place, heading = site.road.place(s, (side * (site.width[:, None] + 0.8)))
    half = torch.stack([0.05 * scale, 0.16 * scale, 5.0 * scale], -1).expand(-1, 2 * count, -1)
    there = present[:, None, None] & draw.chance("there", 0.6, (2, 1)).expand(-1, 2, count).reshape(-1, 2 * count, 1)
    tone = tones(draw, "tone", (1,), 0.15, 0.5, 0.3).expand(-1, 2 * count, -1)
    texture = site.family("rail", ["flat", "planks"], (1,)).expand(-1, 2 * count)
    return solids(site, place, heading, half * there, 0.6 * scale.expand(-1, 2 * count), texture, half, tone, STRUCTURE)


def walls(site: Site, present: Tensor) -> Solids:
    """Both sides of a corridor or tunnel, and its ceiling."""
    count = 16
    index = torch.arange(count, device=site.draw.device).repeat(3)
    side = torch.tensor([-1.0, 1.0, 0.0], device=site.draw.device).repeat_interleave(count)
    draw, scale = site.draw.within("wall."), site.scale[:, None]
    length = draw.uniform("length", (1,), 2.0, 6.0) * scale
    place, heading = site.road.place(site.start[:, None] + (index + 0.5) * length, side * (site.width[:, None] + 1.0))
    tall = draw.uniform("tall", (1,), 1.2, 2.2) * scale + 0.5
    over = (side == 0)[None]
    half = torch.stack([
        torch.where(over, site.width[:, None] + 1.0, torch.ones_like(scale)),
        torch.where(over, 0.5, tall),
        (0.51 * length).expand(-1, 3 * count),
    ], -1) * present[:, None, None]  # fmt: skip
    height = torch.where(over, 2 * tall + 0.5, tall)
    families = ["windows", "bricks", "tiles", "stucco", "poster", "noise", "planks"]
    base = site.family("wall.base", families, (3, 1)).expand(-1, 3, count).reshape(-1, 3 * count)
    other = site.family("wall.other", families, (3 * count,))
    texture = torch.where(draw.chance("same", 0.7, (3 * count,)), base, other)
    tone = tones(draw, "tone", (3 * count,), 0.2, 0.8, 0.9)
    same = tones(draw, "sametone", (3, 1), 0.2, 0.8, 0.9).expand(-1, 3, count, 2).reshape(-1, 3 * count, 2)
    tone = torch.where(draw.chance("sameness", 0.8, (3 * count,))[..., None], same, tone)
    return solids(site, place, heading, half, height, texture, half / draw.uniform("tile", (1, 1), 1.0, 4.0), tone,
                  STRUCTURE)  # fmt: skip


def scatter(site: Site, present: Tensor) -> Solids:
    """Boxes of all sizes anywhere but on the way."""
    n = 28
    draw, scale = site.draw.within("scatter."), site.scale[:, None]
    s = site.start[:, None] + draw.uniform("s", (n,)) ** 1.5 * 70 * scale
    gap = site.width[:, None] * 0.6
    half = draw.log_uniform("half", (n, 3), 0.15, 2.0) * scale[..., None]
    reach = half[..., 0] + half[..., 2]
    away = torch.where(draw.chance("side", 0.5, (n,)), 1.0, -1.0) * (
        gap + reach + draw.uniform("d", (n,)) ** 2 * 25 * scale
    )
    place, _ = site.road.place(s, away)
    families = ["windows", "bricks", "tiles", "stucco", "poster", "noise", "planks", "foliage", "grass"]
    texture = site.family("scatter", families, (n,))
    tone = tones(draw, "tone", (n,), 0.08, 0.8, 1.0)
    half = half * present[:, None, None]
    return solids(site, place, draw.uniform("yaw", (n,), 0, 6.28), half, half[..., 1], texture, half * 0.4, tone,
                  OBJECT)  # fmt: skip
