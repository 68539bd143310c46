"""From worlds and moments to brightness: follows all rays of a batch of frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from training.world import shadow, surface, trace
from training.world.grid import Grid
from training.world.ground import Ground
from training.world.records import Record, per
from training.world.scene import Solids
from training.world.sky import Light
from training.world.textures import Textures
from training.world.trace import Eyes

FAR = 1e6
"""Depth of the sky, metres."""
GROUND, SKY = -2, -1
"""Indices of what is no solid."""


@dataclass(frozen=True)
class Stage(Record):
    """What rays can meet, and its light, for F frames."""

    boxes: Solids
    rounds: Solids
    ground: Ground
    light: Light

    def index(self, name: str) -> Tensor:
        """(F, boxes + rounds [, k]) an attribute of all solids."""
        return torch.cat([getattr(self.boxes, name), getattr(self.rounds, name)], 1)


@dataclass(frozen=True)
class Hits:
    """Tile by tile, (F * R * C, S, P).

    Attributes:
        inverse: inverse depth.
        index: of the solid, GROUND or SKY; int32.
        kerb: whether it is the face of a kerb.
        points: (F * R * C, 4, S * P) world (x, y, z, 1).
    """

    inverse: Tensor
    index: Tensor
    kerb: Tensor
    points: Tensor


def _parts(tiles: Tensor, step: int) -> Iterator[Tensor]:
    return iter(tiles.split(step)) if len(tiles) else iter(())


@dataclass(frozen=True)
class Caster:
    """Follows the rays of a grid.

    Attributes:
        budget: of numbers in an intermediate tensor; small enough for the cache of a CPU, or large for a GPU.
    """

    grid: Grid
    textures: Textures
    budget: int

    @property
    def _step(self) -> int:
        s, _, _, p = self.grid.shape
        return max(1, self.budget // (s * p))

    def _ray(self, eyes: Eyes, tiles: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of tiles (G,): frame (G,), origin (G, S, 3, 1) and direction (G, S, 3, P) in the world, time (G, S)."""
        _, r, c, _ = self.grid.shape
        frame, tile = tiles // (r * c), tiles % (r * c)
        row = tile // c if eyes.time.shape[2] > 1 else torch.zeros_like(tile)
        origin, turn, time = (v.transpose(1, 2)[frame, row] for v in (eyes.origin, eyes.turn, eyes.time))
        return frame, origin[..., None], turn @ self.grid.tiles[tile], time

    def hits(self, stage: Stage, eyes: Eyes) -> Hits:
        """What the rays of all frames meet first."""
        leaves = self.textures.leaves
        inverse, index = trace.first(self.grid, stage.boxes, stage.rounds, eyes, leaves, 4 * self.budget)
        kerb = torch.zeros_like(index, dtype=torch.bool)
        points = torch.ones(len(index), 4, index.shape[1] * index.shape[2], device=index.device)
        for tiles in _parts(torch.arange(len(index), device=index.device), self._step):
            frame, origin, ray, _ = self._ray(eyes, tiles)
            near = inverse[tiles]
            down = (ray[:, :, 1].amax((1, 2)) > 0).nonzero()[:, 0]
            if len(down):
                soil, face = stage.ground.select(frame[down]).meet(origin[down], ray[down])
                nearer = soil > near[down]
                near[down] = torch.maximum(near[down], soil)
                inverse[tiles] = near
                index[tiles[down]] = torch.where(nearer, GROUND, index[tiles[down]])
                kerb[tiles[down]] = face & nearer
            points[tiles, :3] = (origin + ray / near.clamp_min(1e-4)[:, :, None]).transpose(1, 2).flatten(2)
        return Hits(inverse.clamp_min_(1.0 / FAR), index, kerb, points)

    def brightness(self, stage: Stage, eyes: Eyes) -> Tensor:
        """(F, H, W), averaged over the rays of a pixel."""
        hits = self.hits(stage, eyes)
        s, _, _, p = self.grid.shape
        light = torch.zeros(len(hits.points), s * p, device=hits.points.device)
        flat = hits.index.flatten(1)
        shares = self._shares(stage, eyes, hits, (flat != SKY).any(1))
        packed = surface.pack(Solids.join([stage.boxes, stage.rounds], 1))
        for kind, here in (("sky", flat == SKY), ("ground", flat == GROUND), ("solid", flat >= 0)):
            for tiles in _parts(here.any(1).nonzero()[:, 0], self._step):
                bright = self._shade(kind, stage, eyes, hits, packed, shares, tiles)
                light[tiles] = torch.where(here[tiles], bright, light[tiles])
        return self.grid.image(light.view(-1, s, p).mean(1))

    def _shares(self, stage: Stage, eyes: Eyes, hits: Hits, tiles: Tensor) -> tuple[Tensor, Tensor]:
        """Of the sun and of the sky, where any of the `tiles` (bool) are reached."""
        s, v = (n // 2 for n in eyes.time.shape[1:])
        middle = Eyes(eyes.origin[:, s, v, None, None], eyes.turn[:, s, v, None, None], eyes.time[:, s, v, None, None])
        return shadow.shade(
            self.grid, stage.boxes, stage.rounds, middle, stage.light.sun, stage.light.direct > 0, hits.points, tiles,
            self.textures.leaves, 8 * self.budget,
        )  # fmt: skip

    def _shade(
        self,
        kind: str,
        stage: Stage,
        eyes: Eyes,
        hits: Hits,
        packed: Tensor,
        shares: tuple[Tensor, Tensor],
        tiles: Tensor,
    ) -> Tensor:
        """Brightness (G, S * P) in tiles (G,) of what is of one kind in them."""
        s, r, c, p = self.grid.shape
        frame, _, ray, time = self._ray(eyes, tiles)
        ray = ray.transpose(1, 2).flatten(2)
        length = ray.square().sum(1).sqrt()
        ray = ray / length[:, None]
        light = stage.light.select(frame)
        angle = self.grid.angle[tiles % (r * c)].expand(-1, s, -1).flatten(1)
        dither = torch.arange(s, device=frame.device).add(0.5).div(s)[:, None].expand(s, p).reshape(1, -1)
        if kind == "sky":
            return light.heaven(self.textures, ray, angle, dither)
        distance = length / hits.inverse[tiles].flatten(1)
        where = (hits.points[tiles, :3], ray, angle * distance, dither)
        sun, open_sky = (share[tiles] for share in shares)
        if kind == "ground":
            ground = stage.ground.select(frame)
            albedo, cosine, dapple, up = self._ground(ground, light, hits.kerb[tiles].flatten(1), *where)
            cosine = cosine + self._mirrored(ground, light, ray) / albedo.clamp_min(0.02)
            sun, open_sky = sun * dapple, open_sky * up
        else:
            time = time[..., None].expand(-1, -1, p).flatten(1)
            albedo, cosine, up = self._solid(stage, packed, light, frame, hits.index[tiles].flatten(1), time, *where)
            open_sky = open_sky * (0.35 + 0.65 * up)
        return light.through_air(albedo * light.received(sun, open_sky, cosine, distance), distance)

    def _ground(
        self, ground: Ground, light: Light, kerb: Tensor, point: Tensor, ray: Tensor, grain: Tensor, dither: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        grain = self._spread(grain, ray[:, 1].clamp_min(0.02))
        albedo, dapple = ground.albedo(self.textures, point[:, 0], point[:, 2], kerb, grain, dither)
        cosine = per(-light.sun[:, 1], grain).expand_as(grain)
        return albedo, torch.where(kerb, 0.4 * cosine, cosine), dapple, torch.where(kerb, 0.5, 1.0)

    def _mirrored(self, ground: Ground, light: Light, ray: Tensor) -> Tensor:
        """Share of the sun that the ground sends straight on, (G, M)."""
        x, y, z = ray.unbind(1)
        toward = x * per(light.sun[:, 0], x) - y * per(light.sun[:, 1], x) + z * per(light.sun[:, 2], x)
        return per(ground.sheen, x) * toward.clamp_min(0.0) ** 12 * (1 - y).clamp(0.0, 1.0) ** 4

    def _solid(
        self, stage: Stage, packed: Tensor, light: Light, frame: Tensor, index: Tensor, time: Tensor, point: Tensor,
        ray: Tensor, grain: Tensor, dither: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        count = stage.boxes.count + stage.rounds.count
        column = index.clamp_min(0) + frame[:, None].int() * count
        met = surface.meet(packed, column, index < stage.boxes.count, point, ray, time, light.sun)
        grain = self._spread(grain, met.slant.clamp_min(0.05))
        value = self.textures.sample(met.texture, met.u, met.v, grain * met.tile, dither)
        return torch.lerp(met.low, met.high, value), met.lit, met.up

    def _spread(self, grain: Tensor, cosine: Tensor) -> Tensor:
        """Metres that a ray averages over: its share of the pixel, which a slanted surface draws out."""
        return torch.maximum(grain, grain / (cosine * self.grid.shape[0]))
