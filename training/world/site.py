"""Where things stand: places along a road that keep their numbers wherever the camera is, and the making of solids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.world.draw import Draw, constant
from training.world.records import per
from training.world.scene import STRUCTURE, Hill, Road, Solids
from training.world.textures import Textures


@dataclass(frozen=True)
class Site:
    """What the makers of things need.

    Attributes:
        draw: of the batch.
        textures: to choose from.
        hill: shape of the ground.
        road: that things stand along.
        width: (B,) half width of the carriageway, metres.
        verge: (B,) metres from its edge to houses, walls or vegetation.
        scale: (B,) factor on the sizes of things.
        start: (B,) first metre of the road that is populated; `home` (B,) where the camera is at frame 0.
        there: (B,) whether anything is.
        end: (B,) last metre that is populated; without it, makers have a number of places each.
    """

    draw: Draw
    textures: Textures
    hill: Hill
    road: Road
    width: Tensor
    verge: Tensor
    scale: Tensor
    start: Tensor
    home: Tensor
    there: Tensor
    end: Tensor | None = None

    def family(self, draw: Draw, name: str, *families: str, shape: Sequence[int] = ()) -> Tensor:
        """A random texture of one of these families; repeat one to make it likelier."""
        chosen = draw.pick(f"{name}.family", range(len(families)), shape).long()
        members = [self.textures.families[family] for family in families]
        first = constant(tuple(m[0] for m in members), str(draw.device))[chosen]
        count = constant(tuple(len(m) for m in members), str(draw.device))[chosen]
        return (first + (draw.unit(f"{name}.member", shape) * count).floor()).float()

    def within(self, name: str) -> Site:
        return replace(self, draw=self.draw.within(name))


@dataclass(frozen=True)
class Row:
    """Numbered places along both sides of a road, left ones first; (B, N) each, or (N,) for `side`.

    Attributes:
        draw: draws (B, N, ...) for these places.
        s: metres along the road.
        side: -1 left, 1 right.
        scale: (B, 1) of the site.
        there: bool.
        count: of places on a side.
    """

    draw: Draw
    s: Tensor
    side: Tensor
    scale: Tensor
    there: Tensor
    count: int


def row(site: Site, name: str, there: Tensor, count: int, pitch: float, jitter: float = 0.3, sides: int = 2) -> Row:
    """`count` places on each side, or as many as it takes to the site's end, `pitch` metres apart (times the site's
    scale), in those worlds that have them (B,)."""
    step = pitch * site.scale[:, None]
    if site.end is not None:
        count = int(((site.end - site.start)[:, None] / step).max().ceil()) + 1
    index = torch.arange(count, device=site.draw.device).repeat(sides)
    side = torch.linspace(-1, 1, sides, device=site.draw.device) if sides > 1 else torch.zeros(1, device=index.device)
    side = side.repeat_interleave(count)
    cell = (site.start[:, None] / step).floor().long() + index
    draw = site.draw.within(name).at(cell * 4 + side.long() + 1)
    s = (cell + 0.5 + draw.uniform("s", -jitter, jitter)) * step
    here = there[:, None].expand_as(s) if site.end is None else there[:, None] & (s < site.end[:, None])
    return Row(draw, s, side.expand_as(s), site.scale[:, None], here, count)


def stretch(road: Road, way: Tensor, behind: float, ahead: float) -> tuple[Tensor, Tensor]:
    """(B,) the first and the last metre of a road from so far behind to so far ahead of a way (B, P, 2)."""
    s, _ = road.locate(way[..., 0], way[..., 1])
    return s.amin(1) - behind, s.amax(1) + ahead


def tones(draw: Draw, name: str, low: float, high: float, contrast: float, shape: Sequence[int] = ()) -> Tensor:
    """(..., 2): albedo of a texture's dark and bright end, around a log-uniform mean."""
    mean = draw.log_uniform(name, low, high, shape)
    swing = draw.uniform(f"{name}.contrast", 0.3 * contrast, contrast, shape)
    return torch.stack([mean * (1 - swing), mean * (1 + swing)], -1)


def stand(
    site: Site,
    place: Tensor,
    heading: Tensor,
    half: Tensor,
    texture: Tensor | Sequence[Tensor],
    tile: Tensor,
    tone: Tensor,
    label: int,
    *,
    there: Tensor,
    lift: Tensor | float = 0.0,
    velocity: Tensor | None = None,
    taper: Tensor | None = None,
    straight: Tensor | float = 0.0,
    leaves: Tensor | float = 0.0,
    offset: Tensor | None = None,
) -> Solids:
    """Solids (B, N) that stand on the ground.

    Args:
        place: (B, N, 2) world x, z.
        half: (B, N, 3) half sizes.
        texture: (B, N), or three of them: faces across local x, y and z.
        tile: (B, N, 3) tiles for each half size.
        there: (B, N) bool.
        lift: of the lowest point above the ground, metres.
    """
    zero = torch.zeros_like(heading)
    faces = torch.stack(list(texture), -1) if not isinstance(texture, Tensor) else texture[..., None]
    foot = site.hill.up(place[..., 0], place[..., 1])
    if label == STRUCTURE:  # walls go down to the lowest ground around them
        sunk = 0.5 * per(site.hill.rise.abs(), foot) * half[..., ::2].amax(-1) * (foot != 0)
        half, lift = torch.stack([half[..., 0], half[..., 1] + sunk, half[..., 2]], -1), lift - 2 * sunk
    centre = torch.stack([place[..., 0], -(foot + half[..., 1] + lift), place[..., 1]], -1)
    return Solids(
        centre=centre,
        yaw=heading,
        half=half * (there & site.there[:, None])[..., None],
        taper=torch.zeros_like(place) if taper is None else taper.expand_as(place),
        straight=zero + straight,
        leaves=zero + leaves,
        velocity=torch.zeros_like(centre) if velocity is None else velocity,
        texture=faces.expand(*heading.shape, 3).float(),
        tile=tile.expand(*heading.shape, 3),
        offset=zero if offset is None else offset.expand_as(heading),
        tone=tone.expand(*heading.shape, 2),
        label=torch.full_like(heading, label, dtype=torch.int64),
        group=torch.arange(heading.shape[1], device=heading.device).expand(heading.shape),
    )


def size(x: Tensor | float, y: Tensor | float, z: Tensor | float, like: Tensor) -> Tensor:
    """(B, N, 3) half sizes from tensors or numbers that broadcast to `like` (B, N)."""
    return torch.stack([torch.zeros_like(like) + v for v in (x, y, z)], -1)
