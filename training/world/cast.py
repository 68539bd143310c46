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
    """Tile by tile, (F * R * C, S, P): inverse depth, and index of the solid, GROUND or SKY; whether it is a kerb."""

    inverse: Tensor
    index: Tensor
    kerb: Tensor


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
        for tiles in _parts(torch.arange(len(index), device=index.device), self._step):
            frame, origin, ray, _ = self._ray(eyes, tiles)
            soil, face = stage.ground.select(frame).meet(origin, ray)
            nearer = soil > inverse[tiles]
            inverse[tiles] = torch.maximum(inverse[tiles], soil)
            index[tiles] = torch.where(nearer, GROUND, index[tiles])
            kerb[tiles] = face & nearer
        return Hits(inverse.clamp_min_(1.0 / FAR), index, kerb)

    def brightness(self, stage: Stage, eyes: Eyes) -> Tensor:
        """(F, H, W), averaged over the rays of a pixel."""
        hits = self.hits(stage, eyes)
        s, r, c, p = self.grid.shape
        points = self._points(eyes, hits)
        middle = Eyes(*(v[:, s // 2 : s // 2 + 1, v.shape[2] // 2 : v.shape[2] // 2 + 1] for v in (
            eyes.origin, eyes.turn, eyes.time)))  # fmt: skip
        shares = shadow.shade(
            self.grid,
            stage.boxes,
            stage.rounds,
            middle,
            stage.light.sun,
            stage.light.direct > 0,
            points,
            self.textures.leaves,
            4 * self.budget,
        )
        light = torch.zeros(len(points), s * p, device=points.device)
        flat = hits.index.flatten(1)
        packed = surface.pack(Solids.join([stage.boxes, stage.rounds], 1))
        for kind, here in (("sky", flat == SKY), ("ground", flat == GROUND), ("solid", flat >= 0)):
            for tiles in _parts(here.any(1).nonzero()[:, 0], self._step):
                frame, _, ray, time = self._ray(eyes, tiles)
                ray = ray.transpose(1, 2).flatten(2)
                length = ray.square().sum(1).sqrt()
                ray = ray / length[:, None]
                part = stage.light.select(frame)
                angle = self.grid.angle[tiles % (r * c)].expand(-1, s, -1).flatten(1)
                dither = torch.arange(s, device=frame.device).add(0.5).div(s)[:, None].expand(s, p).reshape(1, -1)
                if kind == "sky":
                    bright = part.heaven(self.textures, ray, angle, dither)
                else:
                    distance = length / hits.inverse[tiles].flatten(1)
                    where = (points[tiles, :3], ray, angle * distance, dither)
                    sun, open_sky = (share[tiles] for share in shares)
                    if kind == "ground":
                        ground = stage.ground.select(frame)
                        albedo, cosine, dapple, up = self._ground(ground, part, hits.kerb[tiles].flatten(1), *where)
                        sun, open_sky = sun * dapple, open_sky * up
                        cosine = cosine + self._mirrored(ground, part, where[1]) / albedo.clamp_min(0.02)
                    else:
                        time = time[..., None].expand(-1, -1, p).flatten(1)
                        albedo, cosine, up = self._solid(stage, packed, part, frame, flat[tiles], time, *where)
                        open_sky = open_sky * (0.35 + 0.65 * up)
                    bright = albedo * part.received(sun, open_sky, cosine, distance)
                    bright = part.through_air(bright, distance)
                light[tiles] = torch.where(here[tiles], bright, light[tiles])
        return self.grid.image(light.view(-1, s, p).mean(1))

    def _points(self, eyes: Eyes, hits: Hits) -> Tensor:
        """(tiles, 4, S * P) world (x, y, z, 1)."""
        points = torch.ones(len(hits.index), 4, hits.index[0].numel(), device=hits.inverse.device)
        for tiles in _parts(torch.arange(len(points), device=points.device), self._step):
            _, origin, ray, _ = self._ray(eyes, tiles)
            near = hits.inverse[tiles].clamp_min(1e-4)[:, :, None]
            points[tiles, :3] = (origin + ray / near).transpose(1, 2).flatten(2)
        return points

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
