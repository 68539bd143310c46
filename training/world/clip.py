"""Renders clips: the door of the generated world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ros2_vodistill.view import View
from training.world import photometry, shade, trace
from training.world.build import World, build
from training.world.config import WorldConfig
from training.world.draw import Draw
from training.world.motion import STEPS, rotation
from training.world.textures import Textures, load


AT_ONCE = 512
"""Exposures that are traced together; more only take more memory."""


@dataclass(frozen=True)
class Clip:
    """B clips of T frames.

    `poses` are those of the view that the robot believes in: it is fixed to the camera by the *assumed* mount, so the
    view is tilted against the true horizon by what the mount is off, and so are its axes, in which motions are given.
    Dividing translations by `height`, the true one, gives what can be seen in the images.

    Attributes:
        images: (B, T, H, W) uint8.
        poses: (B, T, 4, 4) float64, world from the level view's optical frame, metres.
        height: (B,) float64, of the camera above the ground, metres.
        stamps: (B, T) float64 seconds from the first frame.
        depth: (B, T, H, W) metres along the view's z axis, `shade.FAR` for the sky; None unless asked for.
        flow: (B, T-1, 2, H, W) pixels from frame t to t + 1, at pixels of frame t; None unless asked for.
        objects, moving: (B, T, H, W) bool; None unless asked for.
    """

    images: Tensor
    poses: Tensor
    height: Tensor
    stamps: Tensor
    depth: Tensor | None = None
    flow: Tensor | None = None
    objects: Tensor | None = None
    moving: Tensor | None = None


def render(
    config: WorldConfig,
    seeds: Sequence[int] | Tensor,
    device: str | torch.device = "cpu",
    *,
    frames: int | None = None,
    view: View | None = None,
    labels: bool = False,
) -> Clip:
    """One clip for each seed; a seed's clip depends on nothing but itself and the configuration.

    Args:
        frames: length of the clips, instead of the configuration's.
        view: instead of the configuration's.
        labels: depth, flow and masks too.
    """
    device = torch.device(device)
    seeds = torch.as_tensor(seeds, dtype=torch.int64, device=device)
    frames, view = frames or config.frames, view or config.view
    with torch.no_grad():
        textures = load(str(device))
        world = build(config, seeds, textures, frames)
        moments = STEPS * (torch.arange(frames, device=device) + 1)
        draw = Draw(seeds, "rig.")
        # A ray's moment in the exposure, in steps of the time grid.
        shutter = draw.uniform("shutter", (), *config.photometry.blur) * STEPS
        spread = (torch.arange(config.samples, device=device) + 0.5) / config.samples - 0.5
        when = moments[None, :, None] + shutter[:, None, None] * spread
        parts = when.split(max(1, AT_ONCE // (len(seeds) * config.samples)), 1)
        offsets = _offsets(config.samples)
        light = torch.cat([_cast(world, textures, view, part, offsets)[0].mean(2) for part in parts], 1)
        border = _borders(draw, config, view, light)
        images = photometry.develop(light, seeds, config.photometry) * border
        position, turn = _poses(world, when[:, :, :1] * 0 + moments[None, :, None])
        poses = torch.zeros(len(seeds), frames, 4, 4, dtype=torch.float64, device=device)
        poses[..., :3, :3], poses[..., :3, 3], poses[..., 3, 3] = (
            turn[:, :, 0].double(),
            position[:, :, 0].double(),
            1.0,
        )
        stamps = (torch.arange(frames, device=device) * STEPS).double() * world.path.dt[:, None].double()
        return Clip(images, poses, world.height.double(), stamps)


def _offsets(samples: int) -> list[tuple[float, float]]:
    """Places of the rays in a pixel: a rotated grid, all rows and columns different."""
    order = {1: [0], 2: [0, 1], 4: [1, 3, 0, 2]}.get(samples, list(range(samples)))
    return [((i + 0.5) / samples - 0.5, (j + 0.5) / samples - 0.5) for i, j in enumerate(order)]


def _poses(world: World, when: Tensor) -> tuple[Tensor, Tensor]:
    """Position (B, ..., 3) and rotation (B, ..., 3, 3) of the assumed view at times (B, ...) in grid steps."""
    path = world.path
    flat = when.reshape(when.shape[0], -1)
    low = flat.floor().long().clamp(0, path.heading.shape[1] - 2)
    part = flat - low

    def at(signal: Tensor) -> Tensor:
        return torch.lerp(signal.gather(1, low), signal.gather(1, low + 1), part)

    level = rotation(at(path.heading), at(path.pitch) + world.tilt[:, :1], at(path.roll) + world.tilt[:, 1:])
    position = torch.stack([at(path.position[..., i]) for i in range(3)], -1)
    return position.view(*when.shape, 3), level.view(*when.shape, 3, 3)


def _cast(
    world: World, textures: Textures, view: View, when: Tensor, offsets: list[tuple[float, float]]
) -> tuple[Tensor, Tensor, Tensor]:
    """Brightness, inverse depth and index of what is hit, each (B, T, S, H, W), at moments `when` (B, T, S)."""
    device = when.device
    b, t, s = when.shape
    (th, tw), (h, w) = trace.TILE, (view.height, view.width)
    rows, columns = -(-h // th), -(-w // tw)
    y, x = np.mgrid[0 : rows * th, 0 : columns * tw]
    rays = np.stack([view.rays_at(np.stack([x + i, y + j], -1)) for i, j in offsets])
    rays = torch.from_numpy(rays).float().to(device)  # S H W 3
    tiles = rays.view(s, rows, th, columns, tw, 3).permute(0, 1, 3, 5, 2, 4).reshape(s, rows, columns, 3, th * tw)
    bounds = tuple(
        torch.stack([slope.amin(axes), slope.amax(axes)], -1)
        for slope, axes in (
            (tiles[..., 1, :] / tiles[..., 2, :], (0, 2, 3)),
            (tiles[..., 0, :] / tiles[..., 2, :], (0, 1, 3)),
        )
    )
    bounds = tuple(torch.stack([e[:, 0] - 0.02, e[:, 1] + 0.02], -1) for e in bounds)
    origin, turn = _poses(world, when)
    time = (when - STEPS) * world.path.dt[:, None, None]
    eyes = trace.Eyes(origin.flatten(1, 2)[:, :, None], turn.flatten(1, 2)[:, :, None], time.flatten(1, 2)[:, :, None])
    hits = []
    feats = {"box": tiles, "round": trace.features(tiles)}
    for kind, solids in (("box", world.boxes), ("round", world.rounds)):
        rows_of = trace.box_rows if kind == "box" else trace.round_rows
        equations = rows_of(solids, eyes)  # B T*S 1 N F C
        equations = equations.view(b, t, s, 1, *equations.shape[3:]).expand(-1, -1, -1, rows, -1, -1, -1)
        world_corners = (
            trace.corners(solids)[:, None, None]
            + (solids.velocity[:, None, None] * time[..., None, None])[..., None, :]
        )  # B T S N 8 3
        seen = (world_corners - origin[..., None, None, :]) @ turn[..., None, :, :]
        points = seen.permute(0, 1, 3, 2, 4, 5).flatten(3, 4)
        there = (solids.half[..., 0] > 0)[:, None].expand(-1, t, -1)
        found, count = trace.candidates(points, there, bounds)
        hits.append(trace.first(kind, equations, found, count, feats[kind], 48, 1 << 22))
    (w_box, i_box), (w_round, i_round) = hits
    depth = torch.maximum(w_box, w_round)
    index = torch.where(w_round > w_box, i_round + world.boxes.half.shape[1], i_box)
    index = torch.where(depth > 0, index, torch.full_like(index, trace.NONE))
    flat = tiles.permute(0, 1, 2, 4, 3).reshape(s, -1, 3)  # S M 3 in tile order
    out = _shade(
        world, textures, view, flat, depth.reshape(b, t, s, -1), index.reshape(b, t, s, -1), origin, turn, time
    )

    def image(values: Tensor) -> Tensor:
        values = values.view(b, t, s, rows, columns, th, tw).permute(0, 1, 2, 3, 5, 4, 6)
        return values.reshape(b, t, s, rows * th, columns * tw)[..., :h, :w]

    return tuple(image(o) for o in out)  # type: ignore[return-value]


def _shade(
    world: World, textures: Textures, view: View, rays: Tensor, inverse: Tensor, index: Tensor, origin: Tensor,
    turn: Tensor, time: Tensor,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    b, t, s, m = inverse.shape
    packed = shade.pack(_both(world))
    boxes = world.boxes.half.shape[1]
    light = torch.empty_like(inverse)
    for i in range(t):
        direction = rays @ turn[:, i].transpose(-1, -2)  # B S M 3
        direction = direction.flatten(1, 2)
        at = index[:, i].flatten(1).long()
        w = inverse[:, i].flatten(1)
        start = origin[:, i, :, None].expand(-1, -1, m, -1).flatten(1, 2)
        # The ground: y = 0.
        soil = -direction[..., 1] / start[..., 1].clamp_max(-0.02)
        on_soil = soil > w
        w = torch.maximum(soil, w)
        inverse[:, i] = w.view(b, s, m)
        index[:, i] = torch.where(on_soil, -2, at).view(b, s, m).int()
        depth = 1.0 / w.clamp_min(1.0 / shade.FAR)
        length = direction.norm(dim=-1)
        ray = direction / length[..., None]
        point = start + direction * depth[..., None]
        grain = depth * length / view.fx
        when = time[:, i, :, None].expand(-1, -1, m).flatten(1)
        surface = shade.on_solids(packed, boxes, at, point, when, ray, world.light.sun)
        long = grain / surface.slant.clamp_min(0.05)
        value = textures.sample(surface.texture, surface.u, surface.v, torch.maximum(grain, long * 0.35) * surface.tile)
        albedo = torch.lerp(surface.low, surface.high, value)
        earth = shade.on_ground(
            world.ground, textures, point.clamp(-2e3, 2e3), grain, grain / ray[..., 1].clamp_min(0.02)
        )
        albedo = torch.where(on_soil, earth, albedo)
        lamp = world.light
        lit = torch.where(on_soil, shade.per(-lamp.sun[:, 1], w), surface.lit).clamp_min(0.0)
        above = torch.where(on_soil, 1.0, 0.4 + 0.6 * surface.open)
        bright = albedo * (lit * shade.per(lamp.direct, w) + above * shade.per(lamp.ambient, w))
        fog = (-depth * length * shade.per(lamp.fog[:, 0], w)).exp()
        bright = torch.lerp(shade.per(lamp.fog[:, 1], w).expand_as(w), bright, fog)
        heaven = shade.sky(lamp, textures, ray, torch.full_like(w, 1.0 / view.fx))
        light[:, i] = torch.where((at < 0) & ~on_soil, heaven, bright).view(b, s, m)
    return light, inverse, index


def _both(world: World) -> trace.Solids:
    return trace.Solids.cat([world.boxes, world.rounds])


def _borders(draw: Draw, config: WorldConfig, view: View, light: Tensor) -> Tensor:
    """(B, 1, H, W) uint8: 0 where the camera's image does not reach."""
    h, w = light.shape[-2:]
    narrow = draw.chance("narrow", config.rig.narrow)
    sides = torch.where(narrow[:, None], draw.uniform("border", (4,), -0.1, 0.3).clamp_min(0), 0.0)
    x, y = torch.arange(w, device=light.device) / w, torch.arange(h, device=light.device)[:, None] / h
    left, right, up, down = (shade.per(sides[:, i], light[:, :1]) for i in range(4))
    return ((x >= left) & (x < 1 - right) & (y >= up) & (y < 1 - down)).to(torch.uint8)
