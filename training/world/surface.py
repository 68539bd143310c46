"""The looks of solids at the points where rays meet them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.records import per
from training.world.scene import Solids

WIDTH = 23


def pack(solids: Solids) -> Tensor:
    """(WIDTH, B * N): what `meet` asks of a solid: centre, velocity, cosine and sine of its heading, 1 / half, tiles,
    offset, textures, tones, straight, taper."""
    return torch.cat([
        solids.centre, solids.velocity, solids.yaw.cos()[..., None], solids.yaw.sin()[..., None],
        1.0 / solids.half.clamp_min(1e-6), solids.tile, solids.offset[..., None], solids.texture, solids.tone,
        solids.straight[..., None], solids.taper,
    ], -1).flatten(0, 1).t().contiguous()  # fmt: skip


@dataclass
class Surface:
    """What rays met; (B, M) each.

    Attributes:
        texture, u, v: what to sample, and where, in tiles.
        tile: tiles per metre.
        low, high: albedo where the texture is 0 and where it is 1.
        lit: cosine between the outward normal and the sun.
        up: share of the sky above the surface.
        slant: cosine between the normal and the ray.
    """

    texture: Tensor
    u: Tensor
    v: Tensor
    tile: Tensor
    low: Tensor
    high: Tensor
    lit: Tensor
    up: Tensor
    slant: Tensor


def meet(packed: Tensor, index: Tensor, box: Tensor, point: Tensor, ray: Tensor, time: Tensor, sun: Tensor) -> Surface:
    """Surfaces of solids.

    Args:
        packed: of `pack`.
        index: (G, M) columns of `packed`; `box` (G, M) whether they are boxes.
        point, ray: (G, 3, M) world, and the rays' unit directions.
        time: (G, M) seconds.
        sun: (G, 3) unit direction towards it.
    """
    columns = torch.index_select(packed, 1, index.flatten()).view(WIDTH, *index.shape)
    c, s = columns[6], columns[7]
    x, y, z = (torch.addcmul(point[:, i] - columns[i], columns[3 + i], time, value=-1) for i in range(3))
    x, z = c * x - s * z, s * x + c * z
    ix, iy, iz = columns[8:11]
    x, y, z = x * ix, y * iy, z * iz
    straight, lean_x, lean_z = columns[20:23]
    ax, ay, az = x.abs() - lean_x * y, y.abs(), z.abs() - lean_z * y
    flank = (ax >= az) & (ax >= ay)
    flat = ~flank & (ay > az)
    end = ~(flank | flat)
    lean = torch.where(flank, lean_x, lean_z)
    nx = torch.where(box, x.sign() * flank, x) * ix
    nz = torch.where(box, z.sign() * end, z) * iz
    ny = torch.where(box, torch.where(flat, y.sign(), -lean), y * (1 - straight)) * iy
    norm = (nx * nx + ny * ny + nz * nz + 1e-20).rsqrt()
    nx, nz = (c * nx + s * nz) * norm, (c * nz - s * nx) * norm
    ny = ny * norm
    tx, ty, tz = x * columns[11], y * columns[12], z * columns[13]
    unroll = 1.4 / (1 + z.abs())  # a stereographic map of each half of a round
    u = torch.where(box, torch.where(flank, tz, tx), tx * unroll)
    v = torch.where(box, torch.where(flat, tz, ty), ty * torch.where(straight > 0, 1.0, unroll))
    texture = torch.where(flank, columns[15], torch.where(flat, columns[16], columns[17]))
    lit = nx * per(sun[:, 0], nx) + ny * per(sun[:, 1], nx) + nz * per(sun[:, 2], nx)
    slant = (nx * ray[:, 0] + ny * ray[:, 1] + nz * ray[:, 2]).abs()
    tile = torch.where(flank, columns[13] * iz, columns[11] * ix)
    offset = columns[14]
    return Surface(
        texture, u + offset + 0.5, v + 0.37 * offset + 0.5, tile, columns[18], columns[19], lit, 0.5 - 0.5 * ny, slant
    )
