"""The brightness of what rays hit: ground, solids and sky."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.scene import Road, Solids
from training.world.textures import Textures
from training.world.trace import Eyes, local_axes

FAR = 1e6
"""Depth of the sky, metres."""


@dataclass(frozen=True)
class Ground:
    """What the ground looks like; (B,) or (B, k) each.

    Attributes:
        road: that the plan follows.
        width: half width of the carriageway, metres.
        pavement: width of what lies beside it, metres.
        texture: of carriageway, pavement, land beyond, large stains.
        tile: their sizes, metres.
        tone: (B, 3, 2) albedo of the first three.
        stain: (B, 3) strength of the stains on each.
        line: (B, 5): albedo, half width, period (0 continuous) and on-share of the dashes, and whether there are any.
        kerb: albedo of the kerb; 0 for none.
    """

    road: Road
    width: Tensor
    pavement: Tensor
    texture: Tensor
    tile: Tensor
    tone: Tensor
    stain: Tensor
    line: Tensor
    kerb: Tensor


@dataclass(frozen=True)
class Light:
    """(B,) or (B, k) each.

    Attributes:
        sun: (B, 3) direction to the sun, world.
        direct, ambient: irradiance of the sun and of the sky.
        sky: (B, 2) brightness at the horizon and at the zenith.
        cloud: (B, 2) texture and strength of clouds.
        skyline: (B, 3) texture, height (radians) and albedo of what stands at the horizon.
        fog: (B, 2) density (1/m) and brightness.
    """

    sun: Tensor
    direct: Tensor
    ambient: Tensor
    sky: Tensor
    cloud: Tensor
    skyline: Tensor
    fog: Tensor


def per(value: Tensor, like: Tensor) -> Tensor:
    """(B,) spread over the trailing axes of `like`."""
    return value.view(-1, *[1] * (like.dim() - 1))


def pack(solids: Solids) -> Tensor:
    """(B, N, 23): what shading asks of a solid: centre, velocity, heading, 1 / half, tile, offset, textures, tones."""
    return torch.cat([
        solids.centre, solids.velocity, solids.yaw.cos()[..., None], solids.yaw.sin()[..., None],
        1.0 / solids.half.clamp_min(1e-6), solids.tile, solids.offset[..., None], solids.texture, solids.tone,
        solids.straight[..., None], solids.taper,
    ], -1)  # fmt: skip


@dataclass
class Surface:
    """What a ray met, as the texture sampler and the light need it; all of one shape."""

    texture: Tensor
    u: Tensor
    v: Tensor
    tile: Tensor  # tiles per metre
    low: Tensor
    high: Tensor
    lit: Tensor  # cosine to the sun
    open: Tensor  # share of the sky above it
    slant: Tensor  # cosine to the ray


def on_solids(
    packed: Tensor, kinds: int, index: Tensor, point: Tensor, time: Tensor, ray: Tensor, sun: Tensor
) -> Surface:
    """Surfaces of solids.

    Args:
        packed: (B, N, k); the first `kinds` are boxes, the others rounds.
        index: (B, M) of the solid, `point` (B, M, 3), `time` (B, M), `ray` (B, M, 3) unit, `sun` (B, 3).
    """
    b, n, k = packed.shape
    start = torch.arange(b, device=index.device)[:, None] * n
    place = (start + index.clamp_min(0)).flatten()
    g = [torch.index_select(column, 0, place).view(index.shape) for column in packed.reshape(b * n, k).t().contiguous()]
    x, y, z = (point[..., i] - g[i] - g[3 + i] * time for i in range(3))
    c, s = g[6], g[7]
    x, z = c * x - s * z, s * x + c * z
    ix, iy, iz = g[8:11]
    x, y, z = x * ix, y * iy, z * iz
    box = index < kinds
    straight, lean_x, lean_z = g[20], g[21], g[22]
    ax, az, ay = x.abs() - lean_x * y, z.abs() - lean_z * y, y.abs()
    side_x = (ax >= az) & (ax >= ay)
    side_y = ~side_x & (ay > az)
    # Local normal.
    upright = 1 - straight
    nx = torch.where(box, torch.where(side_x, x.sign() * ix, 0.0), x * ix)
    ny = torch.where(
        box, torch.where(side_y, y.sign() * iy, -torch.where(side_x, lean_x, lean_z) * iy), y * iy * upright
    )
    nz = torch.where(box, torch.where(side_x | side_y, 0.0, z.sign() * iz), z * iz)
    norm = (nx * nx + ny * ny + nz * nz + 1e-20).rsqrt()
    nx, nz = c * nx + s * nz, c * nz - s * nx
    nx, ny, nz = nx * norm, ny * norm, nz * norm
    kx, ky, kz = g[11:14]
    tx, ty, tz = x * kx, y * ky, z * kz
    u = torch.where(box, torch.where(side_x, tz, tx), torch.where(x.abs() > z.abs(), tz, tx)) + g[14] + 0.5
    v = torch.where(box & side_y, tz, ty) + 0.37 * g[14] + 0.5
    tile = torch.where(side_x, kz * iz, kx * ix)
    texture = torch.where(side_x, g[15], torch.where(side_y, g[16], g[17]))
    lit = nx * per(sun[:, 0], nx) + ny * per(sun[:, 1], nx) + nz * per(sun[:, 2], nx)
    slant = (nx * ray[..., 0] + ny * ray[..., 1] + nz * ray[..., 2]).abs()
    return Surface(texture, u, v, tile, g[18], g[19], lit, 0.5 - 0.5 * ny, slant)


def ramp(x: Tensor, width: Tensor) -> Tensor:
    """0 below zero and 1 above, averaged over `width`."""
    return (x / width + 0.5).clamp(0.0, 1.0)


def on_ground(ground: Ground, textures: Textures, point: Tensor, grain: Tensor, long: Tensor) -> Tensor:
    """Albedo (B, M) of the ground at `point` (B, M, 3), averaged over `grain` metres across and `long` along the ray."""
    x, z = point[..., 0], point[..., 2]
    s, d = ground.road.locate(x, z)
    side = d.abs()
    beyond = side - per(ground.width, d)
    blur = grain + 0.3 * (long - grain)
    walk = ramp(beyond, blur)
    land = ramp(beyond - per(ground.pavement, d), blur)
    zone = (beyond > 0).int() + (beyond > per(ground.pavement, d)).int()
    texture, tile = (torch.gather(t, 1, zone.long()) for t in (ground.texture[:, :3], ground.tile[:, :3]))
    value = textures.sample(texture, x / tile, z / tile, blur / tile)
    stain = textures.sample(per(ground.texture[:, 3], d).expand_as(d), z / per(ground.tile[:, 3], d),
                            x / per(ground.tile[:, 3], d), blur / per(ground.tile[:, 3], d))  # fmt: skip
    low = torch.gather(ground.tone[..., 0], 1, zone.long())
    high = torch.gather(ground.tone[..., 1], 1, zone.long())
    albedo = torch.lerp(low, high, value) * (1 + torch.gather(ground.stain, 1, zone.long()) * (stain - 0.5))
    tone, half, period, share, there = (per(ground.line[:, i], d) for i in range(5))
    dash = s / period.clamp_min(0.1)
    on = torch.where(period > 0, ((dash - dash.floor()) < share).float(), 1.0)
    edge = ramp(half - (side - per(ground.width, d) + 0.4).abs(), blur)
    middle = ramp(half - side, blur) * on
    mark = torch.maximum(edge, middle) * there * (1 - walk)
    albedo = torch.lerp(albedo, tone.expand_as(albedo), mark)
    kerb = ramp(0.12 - (beyond - 0.06).abs(), blur) * (per(ground.kerb, d) > 0)
    return torch.lerp(albedo, per(ground.kerb, d).expand_as(albedo), kerb) * (1 - 0 * land)


def sky(light: Light, textures: Textures, ray: Tensor, grain: Tensor) -> Tensor:
    """Brightness (B, M) in the directions `ray` (B, M, 3, unit, world)."""
    up = -ray[..., 1]
    base = torch.lerp(
        per(light.sky[:, 0], up).expand_as(up), per(light.sky[:, 1], up).expand_as(up), up.clamp(0, 1) ** 0.5
    )
    lift = 0.3 / (up + 0.05).clamp_min(0.02)
    cloud = textures.sample(
        per(light.cloud[:, 0], up).expand_as(up), ray[..., 0] * lift, ray[..., 2] * lift, grain * lift
    )
    base = base * (1 + per(light.cloud[:, 1], up) * (cloud - 0.5))
    around = torch.atan2(ray[..., 0], ray[..., 2]) * 1.273
    index = per(light.skyline[:, 0], up).expand_as(up)
    height = textures.sample(index, around, torch.full_like(up, 0.3), grain) * per(light.skyline[:, 1], up)
    leaf = textures.sample(index, around * 2, up * 2, grain * 2)
    hill = per(light.skyline[:, 2], up) * (0.4 + 1.2 * leaf)
    return torch.lerp(base, hill, ramp(height - up, grain))
