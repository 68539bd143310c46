"""Houses, vehicles, people, and what stands along streets."""

from __future__ import annotations

import torch
from torch import Tensor

from training.world.draw import Draw
from training.world.scene import OBJECT, PERSON, STRUCTURE, Solids
from training.world.site import Row, Site, row, size, stand, tones


def houses(site: Site, there: Tensor, count: int = 9, pitch: float = 15.0) -> Solids:
    """Facades on both sides: blocks with a plinth, and roofs on some."""
    r = row(site, "house", there, count, pitch, 0.12)
    d, k = r.draw, r.scale
    row_house = site.draw.chance("row", 0.35)[:, None]
    long = pitch * torch.where(row_house, d.uniform("long.row", 0.46, 0.56), d.uniform("long", 0.28, 0.45)) * k
    deep, tall = d.uniform("deep", 4.0, 6.0) * k, d.uniform("tall", 2.6, 6.5) * k
    gap = torch.where(row_house, 0.4, 3.0) * d.unit("gap") * k
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + site.verge[:, None] + gap + deep))
    here = r.there & d.chance("there", 0.9)
    half = size(deep, tall, long, deep)
    wall = site.family(d, "wall", "windows", "windows", "windows", "windows", "bricks", "stucco")
    roofing = site.family(d, "roof", "tiles", "planks", "noise")
    storey = (2.2 * d.uniform("storey", 1.3, 2.6) * k)[..., None]
    tone = tones(d, "tone", 0.18, 0.75, 1.0)
    block = stand(site, place, heading, half, (wall, roofing, wall), half / storey, tone, STRUCTURE, there=here,
                  offset=d.unit("offset"))  # fmt: skip
    plinth = size(deep + 0.08, 0.45 * k, long + 0.08, deep)
    dark = tones(d, "plinth", 0.08, 0.3, 0.3)
    foot = site.family(d, "base", "stucco", "flat")
    base = stand(site, place, heading, plinth, foot, plinth / storey, dark, STRUCTURE,
                 there=here & d.chance("plinth.there", 0.6))  # fmt: skip
    pitched = here & d.chance("pitched", 0.6)
    high = d.uniform("ridge", 1.0, 2.0) * k
    lean = torch.stack([torch.full_like(deep, 0.92), torch.where(d.chance("hip", 0.3), 0.5, 0.0)], -1)
    roof = size((deep + 0.4 * k) / 1.92, high, (long + 0.3 * k) / (1 + lean[..., 1]), deep)
    slope = tones(d, "slope", 0.08, 0.3, 0.5)
    top = stand(site, place, heading, roof, roofing, roof / (2.0 * k[..., None]), slope, STRUCTURE, there=pitched,
                lift=2 * tall, taper=lean)  # fmt: skip
    return Solids.join([block, base, top], 1)


def cars(site: Site, d: Draw, place: Tensor, heading: Tensor, there: Tensor, speed: Tensor, turned: Tensor) -> Solids:
    """A lower body with wheels painted on, and a glazed cabin; vans are one tall body.

    Args:
        d: draws for the places (B, N).
        speed: (B, N) m/s along the heading; `turned` (B, N) bool: they look the other way.
    """
    k = site.scale[:, None]
    heading = heading + torch.where(turned, torch.pi, 0.0)
    van = d.chance("van", 0.15)
    long = torch.where(van, d.uniform("long.van", 2.3, 3.2), d.uniform("long", 1.75, 2.4)) * k
    wide = torch.where(van, 0.98, d.uniform("wide", 0.82, 0.93)) * k
    tall = torch.where(van, d.uniform("tall.van", 0.95, 1.35), d.uniform("tall", 0.42, 0.52)) * k
    along = torch.stack([heading.sin(), torch.zeros_like(heading), heading.cos()], -1)
    velocity = along * torch.where(turned, -speed, speed)[..., None]
    fitted = torch.full((1, 1, 3), 0.5, device=place.device)
    paint = d.choice("paint.kind", [0.35, 0.35, 0.3])
    light = torch.where(paint == 1, d.uniform("grey", 0.1, 0.4), d.uniform("white", 0.5, 0.85))
    gloss = torch.where(paint == 0, d.uniform("dark", 0.02, 0.08), light)
    tone = torch.stack([torch.full_like(gloss, 0.012), gloss * 1.25], -1)
    body = size(wide, tall, long, wide)
    front, flank, hood = (
        site.family(d, n, f) for n, f in (("end", "car_end"), ("flank", "car_side"), ("hood", "flat"))
    )
    parts = [stand(site, place, heading, body, (flank, hood, front), fitted, tone, OBJECT, there=there,
                   lift=0.02, velocity=velocity)]  # fmt: skip
    estate = d.uniform("estate", 0.45, 0.75)
    lean = torch.stack([torch.full_like(wide, 0.16), d.uniform("lean", 0.12, 0.3)], -1)
    cabin = size(0.84 * wide, d.uniform("glass", 0.24, 0.32) * k, long * estate, wide)
    back = place - along[..., ::2] * ((0.85 - estate) * d.uniform("back", 0.0, 0.7) * long)[..., None]
    pane, roof = site.family(d, "pane", "car_glass"), site.family(d, "roof", "flat")
    parts.append(stand(site, back, heading, cabin, (pane, roof, pane), fitted, tone, OBJECT, there=there & ~van,
                       lift=2 * tall, velocity=velocity, taper=lean))  # fmt: skip
    return Solids.join(parts, 1)


def parked(site: Site, there: Tensor, count: int = 9) -> Solids:
    """Cars at the edges of the carriageway, half on the pavement in some worlds."""
    r = row(site, "parked", there, count, 6.6, 0.12)
    d = r.draw
    inward = site.draw.uniform("parked.inward", -0.9, 1.1)[:, None] * r.scale
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] - inward + d.uniform("away", -0.15, 0.15)))
    often = site.draw.uniform("parked.often", -0.3, 0.9, (2,)).repeat_interleave(r.count, 1)
    heading = heading + d.normal("askew", 0.03)
    here = r.there & (d.unit("there") < often)
    return cars(site.within("parked"), d, place, heading, here, torch.zeros_like(heading), d.chance("turned", 0.5))


def rows_of_cars(site: Site, there: Tensor, count: int = 16) -> Solids:
    """Cars that stand across, side by side, as in a car park."""
    r = row(site, "bay", there, count, 2.7, 0.04)
    d = r.draw
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + 2.4 * r.scale + d.uniform("away", -0.3, 0.3)))
    here = r.there & (d.unit("there") < site.draw.uniform("bay.often", 0.2, 0.9)[:, None])
    still = torch.zeros_like(heading)
    return cars(site.within("bay"), d, place, heading + torch.pi / 2, here, still, d.chance("turned", 0.5))


def traffic(site: Site, there: Tensor, lane: Tensor, pace: Tensor, count: int = 6) -> Solids:
    """Vehicles that drive: in front in the same lane at about our pace, and oncoming in the other one."""
    d = site.draw.within("traffic").at(torch.arange(count, device=lane.device).expand(len(lane), -1))
    same = d.chance("same", 0.45)
    away = torch.where(same, lane[:, None], -lane[:, None]) + d.normal("weave", 0.2)
    s = site.home[:, None] + d.uniform("s", 9.0, 100.0)
    place, heading = site.road.place(s, away)
    speed = torch.where(same, pace[:, None] * d.uniform("pace", 0.6, 1.3), -d.uniform("speed", 2.0, 25.0))
    here = there[:, None] & (d.unit("there") < site.draw.uniform("traffic.often", 0.0, 0.6)[:, None])
    return cars(site.within("traffic"), d, place, heading, here, speed, ~same)


def people(site: Site, there: Tensor, count: int = 5) -> Solids:
    """Upright bodies with heads, that walk along or across."""
    d = site.draw.within("people").at(torch.arange(count, device=there.device).expand(len(there), -1))
    s = site.home[:, None] + d.uniform("s", 3.0, 45.0)
    away = (d.unit("side") - 0.5).sign() * (site.width[:, None] + d.uniform("away", -1.0, 2.5))
    place, heading = site.road.place(s, away)
    heading = heading + d.pick("heading", [0.0, torch.pi, torch.pi / 2, -torch.pi / 2]) + d.normal("askew", 0.2)
    here = there[:, None] & (d.unit("there") < site.draw.uniform("people.often", -0.3, 0.6)[:, None])
    speed = d.uniform("speed", 0.0, 1.8)
    velocity = torch.stack([heading.sin(), torch.zeros_like(heading), heading.cos()], -1) * speed[..., None]
    tall = d.uniform("tall", 0.65, 0.8) * site.scale[:, None]
    body = size(0.24 * tall / 0.7, tall, 0.17 * tall / 0.7, tall)
    cloth = tones(d, "cloth", 0.03, 0.6, 0.6)
    coat = site.family(d, "coat", "flat", "noise", "poster")
    head = size(0.1, 0.13, 0.11, tall)
    return Solids.join([
        stand(site, place, heading, body, coat, body * 0.7, cloth, PERSON, there=here, velocity=velocity),
        stand(site, place, heading, head, coat, head, tones(d, "skin", 0.1, 0.5, 0.3), PERSON, there=here,
              velocity=velocity, lift=2 * tall - 0.04),
    ], 1)  # fmt: skip


def poles(site: Site, there: Tensor, count: int = 5, pitch: float = 20.0) -> tuple[Solids, Solids]:
    """Upright poles (rounds), and signs on some (boxes)."""
    r = row(site, "pole", there, count, pitch)
    d, k = r.draw, r.scale
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + (0.5 + d.uniform("away", 0.0, 1.0)) * k))
    here = r.there & d.chance("there", 0.5)
    tall, thick = d.uniform("tall", 1.1, 4.0) * k, d.uniform("thick", 0.03, 0.1) * k
    half = size(thick, tall, thick, tall)
    grey = tones(d, "tone", 0.08, 0.5, 0.2)
    flat = site.family(d, "metal", "flat")
    upright = stand(site, place, heading, half, flat, half, grey, OBJECT, there=here, straight=1.0)
    plate = size(d.uniform("wide", 0.2, 0.5) * k, d.uniform("high", 0.2, 0.5) * k, 0.03, tall)
    fitted = torch.full((1, 1, 3), 0.5, device=place.device)
    sign = stand(site, place, heading + d.normal("askew", 0.3), plate, site.family(d, "sign", "poster", "flat"), fitted,
                 tones(d, "sign.tone", 0.3, 0.8, 1.0), OBJECT, there=here & d.chance("sign", 0.5),
                 lift=2 * tall - 2 * plate[..., 1])  # fmt: skip
    return upright, sign


def fences(site: Site, there: Tensor, count: int = 14, pitch: float = 8.0) -> Solids:
    """Low walls, hedges trimmed square, and rails between the pavement and what lies behind it."""
    r = row(site, "fence", there, count, pitch, 0.0)
    d, k = r.draw, r.scale
    inset = site.draw.uniform("fence.inset", 0.3, 0.9)[:, None]
    place, heading = site.road.place(r.s, r.side * (site.width[:, None] + site.verge[:, None] * inset))
    tall = d.uniform("tall", 0.25, 0.9) * k
    half = size(d.uniform("thick", 0.05, 0.4) * k, tall, 0.5 * pitch * d.uniform("long", 0.6, 1.02) * k, tall)
    look = site.family(d, "look", "foliage", "foliage", "stucco", "bricks", "planks", "grass")
    here = r.there & (d.unit("there") < site.draw.uniform("fence.often", 0.0, 1.0)[:, None])
    tone = tones(d, "tone", 0.06, 0.5, 0.9)
    return stand(site, place, heading, half, look, half / (1.2 * k[..., None]), tone, STRUCTURE, there=here,
                 offset=d.unit("offset"))  # fmt: skip


def rails(site: Site, there: Tensor, count: int = 12, pitch: float = 10.0) -> Solids:
    """Guard rails: a band at knee height, without gaps."""
    r: Row = row(site, "rail", there, count, pitch, 0.0)
    k = r.scale
    sided = site.draw.chance("rail.there", 0.6, (2,)).repeat_interleave(r.count, 1)
    place, heading = site.road.place(
        r.s, r.side * (site.width[:, None] + site.draw.uniform("rail.away", 0.4, 2.0)[:, None])
    )
    wall = site.draw.chance("rail.wall", 0.25)[:, None]
    half = size(0.05 * k, torch.where(wall, 0.4, 0.15) * k, 0.5 * pitch * k, r.s)
    look = site.family(site.draw, "rail.look", "flat", "stucco", "noise")[:, None].expand_as(r.s)
    tone = tones(site.draw, "rail.tone", 0.12, 0.5, 0.4)[:, None]
    return stand(site, place, heading, half, look, half / 2.0, tone, STRUCTURE, there=r.there & sided,
                 lift=torch.where(wall, 0.0, 0.5) * k)  # fmt: skip
