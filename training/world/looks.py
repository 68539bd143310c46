"""How the ground and the light of a world look."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from training.world.config import Places
from training.world.draw import Draw
from training.world.ground import Ground, Lines, Zones
from training.world.scene import Road
from training.world.site import Site, tones
from training.world.sky import Light


def choose(masks: list[Tensor], values: list[Tensor], otherwise: Tensor) -> Tensor:
    """The value of the first mask that holds."""
    for mask, value in zip(reversed(masks), reversed(values), strict=True):
        otherwise = torch.where(mask, value, otherwise)
    return otherwise


def ground(
    site: Site, places: Places, cross: Road, cross_width: Tensor, paved: Tensor, marked: Tensor, inside: Tensor
) -> Ground:
    """The ground of B worlds.

    Args:
        paved: (B,) bool: there are pavements with kerbs; `marked`: lines are likely; `inside`: floors.
    """
    d = site.draw.within("ground")
    family = lambda name, *families: site.family(d, name, *families)  # noqa: E731
    plain = d.chance("plain", places.plain)
    road = family("road", "asphalt", "asphalt", "asphalt", "asphalt", "noise", "tiles", "bricks", "grass")
    road = torch.where(plain | marked, family("asphalt", "asphalt"), road)
    floor = family("floor", "tiles", "panels", "planks", "noise", "asphalt", "stucco", "flat", "bricks")
    road = torch.where(inside, floor, road)
    walk = torch.where(
        paved, family("walk", "tiles", "bricks", "asphalt", "asphalt", "grass"), family("verge", "grass")
    )
    land = torch.where(inside, floor, family("land", "grass", "grass", "foliage", "noise"))
    swing = torch.where(plain & ~inside, d.log_uniform("swing.plain", 0.03, 0.5), d.log_uniform("swing.rich", 0.3, 2.0))
    mean = torch.where(inside, d.log_uniform("floor.mean", 0.1, 0.6), d.log_uniform("mean", 0.1, 0.35))
    carriage = torch.stack([mean * (1 - swing), mean * (1 + swing)], -1).clamp(0.005, 0.95)
    beside = tones(d, "walk", 0.12, 0.45, 0.8)
    kerbstone = tones(d, "kerbstone", 0.1, 0.5, 0.3)
    zones = Zones(
        torch.stack([road, walk, family("stone", "stucco", "asphalt"), land], -1),
        torch.cat([d.log_uniform("tile", 1.2, 4.0, (2,)), d.uniform("kerb.tile", 0.5, 2.0, (1,)),
                   d.log_uniform("land.tile", 1.5, 8.0, (1,))], -1),
        torch.stack([carriage, beside, kerbstone, tones(d, "land", 0.07, 0.3, 1.0)], -2),
        torch.stack([d.uniform("stain.road", 0.0, 1.2) * torch.where(plain, 0.5, 1.0),
                     d.uniform("stain.walk", 0.0, 1.0), torch.zeros_like(mean), d.uniform("stain.land", 0.2, 1.5)], -1),
    )  # fmt: skip
    wear = torch.where(inside, 0.15, 1.0) * d.uniform("wear", 0.0, 1.1)
    wear = wear * torch.where(plain, 0.6, 1.0)
    shady = d.chance("dappled", 0.35) & ~inside
    return Ground(
        site.hill, site.road, cross,
        torch.where(inside, 1e3, site.width), cross_width, paved * d.uniform("kerb", 0.05, 0.16),
        torch.where(inside, 1e3, torch.where(paved, d.uniform("pavement", 1.0, 4.0), d.uniform("shoulder", 0.2, 2.0))),
        zones, _lines(d, site.width, marked, inside),
        torch.stack([family("stain", "clouds", "noise"), d.log_uniform("stain.size", 6.0, 40.0)], -1),
        torch.stack([family("wear", "wear"), d.log_uniform("wear.size", 6.0, 24.0), wear], -1),
        torch.stack([family("dapple", "blotches"), d.log_uniform("dapple.size", 8.0, 30.0),
                     d.uniform("shade", 0.42, 0.62), shady * d.uniform("depth", 0.7, 1.0)], -1),
        d.chance("shiny", 0.5) * ~inside * d.unit("sheen") ** 2 * 0.6,
    )  # fmt: skip


def _lines(d: Draw, width: Tensor, marked: Tensor, inside: Tensor) -> Lines:
    """A middle line, edge lines, and a lane line on wide roads."""
    like = torch.zeros_like(width)
    there = torch.where(marked, 0.85, 0.25) * ~inside
    lanes = (width > 5.0) & marked
    half = d.uniform("line.half", 0.05, 0.11)
    middle = d.chance("line.middle", there) * half
    edge = d.chance("line.edge", there) * half * d.uniform("line.wide", 0.8, 1.6)
    dashed = d.chance("line.dashed", 0.75)
    period = torch.where(dashed, d.log_uniform("line.period", 3.0, 18.0), 0.0)
    share, tone, worn = (
        d.uniform("line.share", 0.25, 0.6),
        d.uniform("line.tone", 0.3, 0.85),
        d.uniform("worn", 0.0, 1.2),
    )
    inner = torch.where(lanes, width / 3, d.uniform("line.off", -0.3, 0.3))
    return Lines(
        at=torch.stack([inner, width - d.uniform("inset", 0.2, 0.7), -width / 3], -1),
        both=torch.stack([like, torch.where(d.chance("line.both", 0.8), 1.0, 0.0), like], -1),
        half=torch.stack([middle, edge, torch.where(lanes, middle, 0.0)], -1),
        period=torch.stack([period, torch.where(d.chance("edge.dashed", 0.1), period, 0.0), period], -1),
        share=share[:, None].expand(-1, 3), tone=tone[:, None].expand(-1, 3), worn=worn[:, None].expand(-1, 3),
    )  # fmt: skip


def light(site: Site, inside: Tensor) -> Light:
    """Sun and sky, overcast, night and fog; lamps where there is a ceiling."""
    d = site.draw.within("light")
    azimuth, elevation = d.uniform("azimuth", 0.0, 2 * math.pi), d.uniform("elevation", 0.2, 1.2)
    sun = torch.stack([elevation.cos() * azimuth.sin(), -elevation.sin(), elevation.cos() * azimuth.cos()], -1)
    night = d.chance("night", 0.05) & ~inside
    sunny = d.chance("sunny", 0.68) & ~inside & ~night
    direct = torch.where(sunny, d.uniform("direct", 0.8, 3.0), 0.0)
    ambient = torch.where(sunny, 0.2 + direct * d.uniform("ambient", 0.03, 0.15), d.uniform("overcast", 0.6, 1.2))
    bright = torch.where(sunny, d.uniform("sky", 0.8, 2.5), d.uniform("cloud", 0.8, 1.5))
    bright = torch.where(night, 0.03, bright)
    dim = torch.where(
        inside, d.uniform("inside", 0.5, 1.0), torch.where(night, d.uniform("night", 0.03, 0.15), ambient)
    )
    foggy = d.chance("foggy", 0.08) & ~inside
    fog = torch.where(foggy, d.log_uniform("fog", 0.004, 0.05), d.log_uniform("air", 1e-4, 1.5e-3))
    lamp = torch.where(night | (inside & d.chance("lamp", 0.3)), d.uniform("lamp.power", 0.2, 0.8), 0.0)
    trees = site.family(d, "skyline", "noise", "foliage", "foliage", "poster", "clouds")
    return Light(
        sun, direct, dim,
        torch.stack([bright, bright * d.uniform("zenith", 0.35, 1.0)], -1),
        torch.where(sunny, d.uniform("glare", 0.0, 3.0), 0.0),
        torch.stack([site.family(d, "clouds", "clouds"), d.uniform("cloudy", 0.0, 1.2)], -1),
        torch.stack([trees, d.uniform("skyline.height", -0.02, 0.25), d.log_uniform("skyline.tone", 0.04, 0.2),
                     d.uniform("skyline.swing", 0.3, 1.6)], -1),
        torch.stack([fog, bright * d.uniform("fog.tone", 0.5, 0.9)], -1),
        torch.stack([lamp, d.uniform("lamp.reach", 4.0, 15.0)], -1),
    )  # fmt: skip
