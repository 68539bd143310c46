"""The ground: a carriageway, raised pavements beside it, land beyond, and what is painted on them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.records import Record, per
from training.world.scene import Hill, Road
from training.world.textures import Textures


@dataclass(frozen=True)
class Zones(Record):
    """Looks of carriageway, pavement, kerb and land; (B, 4) or (B, 4, 2) each.

    Attributes:
        texture: index.
        tile: size of a tile, metres.
        tone: (B, 4, 2) albedo where the texture is 0 and where it is 1.
        stain: strength of large stains.
    """

    texture: Tensor
    tile: Tensor
    tone: Tensor
    stain: Tensor


@dataclass(frozen=True)
class Lines(Record):
    """Paint along the carriageway; (B, L) each.

    Attributes:
        at: metres from the middle, to both sides if `both`.
        both: 1 where the line is on both sides.
        half: half width, metres; 0 for none.
        period: of dashes, metres; 0 for none.
        share: of the period that is painted.
        tone: albedo.
        worn: 0..1.
    """

    at: Tensor
    both: Tensor
    half: Tensor
    period: Tensor
    share: Tensor
    tone: Tensor
    worn: Tensor


@dataclass(frozen=True)
class Ground(Record):
    """(B,) or (B, k) each.

    Attributes:
        hill: its shape.
        road, cross: the road that the plan follows, and one that crosses it.
        width, cross_width: half widths of the carriageways, metres; a negative one means that there is none.
        kerb: height of the pavement above the carriageway, metres.
        pavement: its width, metres.
        zones, lines: their looks.
        stain: texture and size in metres of the large stains.
        detail: texture, size in metres and strength of what lies on the carriageway: cracks, seams, patches, covers.
        dapple: texture, size in metres, threshold and depth of soft shadows that lie on the ground.
        sheen: how much of the sun the carriageway mirrors at a grazing angle.
    """

    hill: Hill
    road: Road
    cross: Road
    width: Tensor
    cross_width: Tensor
    kerb: Tensor
    pavement: Tensor
    zones: Zones
    lines: Lines
    stain: Tensor
    detail: Tensor
    dapple: Tensor
    sheen: Tensor

    def beyond(self, x: Tensor, z: Tensor) -> Tensor:
        """Metres from the nearest carriageway's edge, negative on it, at world places (B, ...)."""
        side = self.road.across(x, z).abs() - per(self.width, x)
        return torch.minimum(side, self.cross.across(x, z).abs() - per(self.cross_width, x))

    def meet(self, origin: Tensor, ray: Tensor) -> tuple[Tensor, Tensor]:
        """Inverse depth at which rays meet the ground, and whether it is at a kerb's face.

        Args:
            origin: (B, ..., 3, 1) start of the rays and `ray` (B, ..., 3, P).
        """
        low = self.hill.meet(origin, ray)
        high = self.hill.meet(origin, ray, per(self.kerb, low))
        steps = []
        for w in (low, high):
            depth = 1.0 / w.clamp_min(1e-4)
            steps.append(
                self.beyond(origin[..., 0, :] + ray[..., 0, :] * depth, origin[..., 2, :] + ray[..., 2, :] * depth)
            )
        outside_low, outside_high = steps
        share = outside_high / (outside_high - outside_low).clamp_max(-1e-6)
        face = (outside_high < 0) & (outside_low > 0)
        kerb = 1.0 / torch.lerp(1.0 / high.clamp_min(1e-4), 1.0 / low.clamp_min(1e-4), share.clamp(0.0, 1.0))
        return torch.where(face, kerb, torch.where(outside_high >= 0, high, low)) * (low > 0), face

    def albedo(
        self, textures: Textures, x: Tensor, z: Tensor, face: Tensor, grain: Tensor, dither: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Albedo of places, and their share of the sun under soft shadows.

        Args:
            x, z: (B, M) world places; `face` (B, M) whether they are on a kerb's face.
            grain: (B, M) metres over which a ray averages.
            dither: (B, M), for the textures.
        """
        beyond = self.beyond(x, z)
        zone = (beyond > 0).long() + (beyond > per(self.pavement, x))
        kerb = face | ((beyond > 0) & (beyond < 0.14) & (per(self.kerb, x) > 0.02))
        zone = torch.where(kerb, 2, torch.where(zone == 2, 3, zone))
        texture, tile, stain = (v.gather(1, zone) for v in (self.zones.texture, self.zones.tile, self.zones.stain))
        low, high = (v.gather(1, zone) for v in self.zones.tone.unbind(-1))
        value = textures.sample(texture, x / tile, z / tile, grain / tile, dither)
        result = torch.lerp(low, high, value)
        spots = self._layer(textures, self.stain, z, x, grain, dither)
        result = result * (1 + stain * (spots - 0.5))
        s, d = self.road.locate(x, z)
        on_road = zone == 0
        marks = 2 * self._layer(textures, self.detail, d, s, grain, dither) - 1
        marks = torch.where(marks > 0, 3 * marks, marks)
        result = result * (1 + on_road * per(self.detail[:, 2], x) * marks)
        own = on_road & ((self.cross.across(x, z).abs() - per(self.cross_width, x)) > 0)
        result = self._paint(result, s, d, grain, own, spots)
        shadow = self._layer(textures, self.dapple, x, z, grain + 0.05 * per(self.dapple[:, 1], x) / 8, dither)
        open_sky = 1 - per(self.dapple[:, 3], x) * ((per(self.dapple[:, 2], x) - shadow) * 12 + 0.5).clamp(0.0, 1.0)
        return result, open_sky

    def _layer(self, textures: Textures, layer: Tensor, u: Tensor, v: Tensor, grain: Tensor, dither: Tensor) -> Tensor:
        index, scale = per(layer[:, 0], u).expand_as(u), 1.0 / per(layer[:, 1], u)
        return textures.sample(index, u * scale, v * scale, grain * scale, dither)

    def _paint(self, albedo: Tensor, s: Tensor, d: Tensor, grain: Tensor, own: Tensor, spots: Tensor) -> Tensor:
        lines = self.lines
        for i in range(lines.at.shape[1]):
            at, both, half, period, share, tone, worn = (
                per(v[:, i], d)
                for v in (lines.at, lines.both, lines.half, lines.period, lines.share, lines.tone, lines.worn)
            )
            off = (torch.where(both > 0, d.abs(), d) - at).abs()
            cover = ((half - off) / grain + 0.5).clamp(0.0, 1.0) * (half > 0)
            cover = torch.minimum(cover, 2 * half / grain)
            dash = s / period.clamp_min(0.1)
            on = (period <= 0) | ((dash - dash.floor()) < share)
            cover = cover * (on & own) * (1 - worn * spots).clamp(0.0, 1.0)
            albedo = torch.lerp(albedo, tone.expand_as(albedo), cover)
        return albedo
