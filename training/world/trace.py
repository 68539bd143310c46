"""Which solid each ray meets first, by inverse depth.

All rays of an exposure start at one point, so the inverse depth of a plane is linear in the ray, and that of a quadric
is linear plus the root of a quadratic form. Both are small matrix products over (tile, solid) pairs; only solids whose
outline can touch a tile are tried in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.scene import Solids

NONE = -1
TILE = (8, 16)
"""Rows and columns of a tile."""
FRONT, BACK = 4, 5
"""Rows kept for the faces that look to the camera and away from it; a box has at most these."""


@dataclass(frozen=True)
class Eyes:
    """Where rays start: poses for E exposures of B worlds; each row of tiles may have its own moment.

    Attributes:
        origin: (B, E, R, 3) world.
        rotation: (B, E, R, 3, 3) world from camera.
        time: (B, E, R) seconds since the start of the clip, for what moves.
    """

    origin: Tensor
    rotation: Tensor
    time: Tensor


def local_axes(yaw: Tensor) -> Tensor:
    """(..., 3, 3): rows are a solid's axes in the world."""
    c, s, zero, one = yaw.cos(), yaw.sin(), torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [torch.stack(r, -1) for r in ((c, zero, -s), (zero, one, zero), (s, zero, c))]
    return torch.stack(rows, -2)


def planes(taper: Tensor, half: Tensor) -> tuple[Tensor, Tensor]:
    """Faces in local axes, scaled: normals (..., 6, 3) and offsets (..., 6) with n . p <= h inside.

    Order: -x, +x, -z, +z, -y (top), +y (bottom). A side leans in by `taper` from the middle to the top.
    """
    inverse = 1.0 / half.clamp_min(1e-6)
    zero, x, y, z = torch.zeros_like(half[..., 0]), inverse[..., 0], inverse[..., 1], inverse[..., 2]
    lean_x, lean_z = -taper[..., 0] * y, -taper[..., 1] * y
    rows = [
        (-x, lean_x, zero),
        (x, lean_x, zero),
        (zero, lean_z, -z),
        (zero, lean_z, z),
        (zero, -y, zero),
        (zero, y, zero),
    ]
    return torch.stack([torch.stack(r, -1) for r in rows], -2), torch.ones_like(half[..., :1]).expand(
        *half.shape[:-1], 6
    )


def box_rows(boxes: Solids, eyes: Eyes) -> Tensor:
    """(B, E, R, N, FRONT + BACK, 3): inverse depth of each face is row . ray (camera axes). A hit lies between the
    least of the front ones and the greatest of the back ones."""
    axes = local_axes(boxes.yaw)  # B N 3 3
    normal, offset = planes(boxes.taper, boxes.half)
    normal = normal @ axes  # world: B N 6 3
    centre = boxes.centre[:, None, None] + boxes.velocity[:, None, None] * eyes.time[..., None, None]
    away = eyes.origin[..., None, :] - centre  # B E R N 3
    gap = offset[:, None, None] - (normal[:, None, None] * away[..., None, :]).sum(-1)  # B E R N 6
    front = gap < 0
    gap = torch.where(gap.abs() < 1e-5, torch.full_like(gap, 1e-5), gap)
    order = front.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    count = front.sum(-1, keepdim=True)
    slot = torch.arange(6, device=gap.device)
    facing = order.gather(-1, torch.minimum(slot, (count - 1).clamp_min(0)).expand_as(order))[..., :FRONT]
    behind = order.gather(-1, torch.maximum(slot, count.clamp_max(5)).expand_as(order))[..., 6 - BACK :]
    pick = torch.cat([facing, behind], -1)
    # Rows in camera axes: (n / gap) R.
    rows = (normal[:, None, None] @ eyes.rotation[..., None, :, :]) / gap[..., None]
    rows = rows.gather(-2, pick[..., None].expand(*pick.shape, 3))
    there = (boxes.half[..., 0] > 0)[:, None, None, :, None] & (count > 0)
    return rows * there[..., None]


def round_rows(rounds: Solids, eyes: Eyes) -> Tensor:
    """(B, E, R, N, 4, 9): for the features of `features`, the mean inverse depth of the two hits, the square of half
    their difference, and the plane of the top, as a limit from above (where the eye is higher) and from below."""
    inverse = 1.0 / rounds.half.clamp_min(1e-6)
    local = local_axes(rounds.yaw) * inverse[..., None]  # B N 3 3: world to unit
    centre = rounds.centre[:, None, None] + rounds.velocity[:, None, None] * eyes.time[..., None, None]
    start = (local[:, None, None] @ (eyes.origin[..., None, :] - centre)[..., None])[..., 0]  # B E R N 3
    turn = local[:, None, None] @ eyes.rotation[..., None, :, :]  # B E R N 3 3: camera to unit
    upright = 1.0 - rounds.straight
    weight = torch.stack([torch.ones_like(upright), upright, torch.ones_like(upright)], -1)[:, None, None]
    c = (weight * start * start).sum(-1) - 1.0
    there = (rounds.half[..., 0] > 0)[:, None, None] & (c > 1e-6)
    scale = there / torch.where(there, c, torch.ones_like(c))
    mean = -((weight * start)[..., None, :] @ turn)[..., 0, :] * scale[..., None]
    form = (
        mean[..., :, None] * mean[..., None, :]
        - ((turn * weight[..., None]).transpose(-1, -2) @ turn) * scale[..., None, None]
    )
    square = torch.stack([form[..., 0, 0], form[..., 1, 1], form[..., 2, 2],
                          2 * form[..., 0, 1], 2 * form[..., 0, 2], 2 * form[..., 1, 2]], -1)  # fmt: skip
    # Top: -y <= 1 in unit axes.
    gap = 1.0 + start[..., 1]
    gap = torch.where(gap.abs() < 1e-5, torch.full_like(gap, 1e-5), gap)
    top = -turn[..., 1, :] / gap[..., None] * rounds.straight[:, None, None, :, None]
    above = (gap < 0)[..., None]
    zero3, zero6 = torch.zeros_like(top), torch.zeros_like(square)
    rows = [
        torch.cat([mean, zero6], -1),
        torch.cat([zero3, square], -1),
        torch.cat([torch.where(above, zero3, top), zero6], -1),
        torch.cat([torch.where(above, top, zero3), zero6], -1),
    ]
    return torch.stack(rows, -2)


def features(rays: Tensor) -> Tensor:
    """(..., 3, P) rays to (..., 9, P): what `round_rows` multiply."""
    x, y, z = rays.unbind(-2)
    return torch.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], -2)


def corners(solids: Solids) -> Tensor:
    """(B, N, 8, 3) world, at time 0."""
    sign = torch.tensor([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], device=solids.half.device)
    lean = 1.0 + solids.taper[:, :, None] * sign[:, 1, None]  # narrower at the top (y = -1), wider at the bottom
    size = solids.half[:, :, None] * sign
    size = torch.stack([size[..., 0] * lean[..., 0], size[..., 1], size[..., 2] * lean[..., 1]], -1)
    return solids.centre[:, :, None] + size @ local_axes(solids.yaw)


def candidates(points: Tensor, there: Tensor, bounds: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Which solids may touch which tile.

    Args:
        points: (B, T, N, K, 3) corners of convex hulls in camera axes, of all moments that count.
        there: (B, T, N) bool.
        bounds: rows (R, 2) and columns (C, 2) of tiles as least and greatest y / z and x / z.

    Returns indices (B, T, R, C, N), nearest first and `NONE` at the end, and their number (B, T, R, C).
    """
    nearest = points[..., 2].amin(-1)
    there = there & (points[..., 2].amax(-1) > 0.05)
    order = torch.where(there, nearest, torch.full_like(nearest, 1e9)).argsort(-1)
    there = there.gather(-1, order)
    x, y, z = (p.gather(2, order[..., None].expand_as(p)) for p in points.unbind(-1))

    def overlap(across: Tensor, edges: Tensor) -> Tensor:
        low = (across[..., None] - z[..., None] * edges[:, 0]).amax(3) > 0
        high = (across[..., None] - z[..., None] * edges[:, 1]).amin(3) < 0
        return low & high  # B T N edges

    rows, columns = overlap(y, bounds[0]) & there[..., None], overlap(x, bounds[1])
    touch = (rows[..., :, None] & columns[..., None, :]).permute(0, 1, 3, 4, 2)  # B T R C N
    count = touch.sum(-1)
    n = touch.shape[-1]
    rank = touch.cumsum(-1, dtype=torch.int32) - 1
    slot = torch.where(touch, rank, torch.full_like(rank, n)).long()
    found = torch.full((*touch.shape[:-1], n + 1), NONE, device=order.device, dtype=torch.int64)
    found.scatter_(-1, slot, order[:, :, None, None].expand_as(slot))
    return found[..., :n], count


def box_depth(rows: Tensor, rays: Tensor) -> Tensor:
    """(G, K) candidates' rows (G, K, FRONT + BACK, 3) and rays (G, 3, P) to inverse depths (G, K, P), 0 for a miss."""
    g, k, f, _ = rows.shape
    w = torch.bmm(rows.reshape(g, k * f, 3), rays).view(g, k, f, -1)
    near, far = w[:, :, :FRONT].amin(2), w[:, :, FRONT:].amax(2)
    return near * (near > far.clamp_min_(0.0))


def round_depth(rows: Tensor, feats: Tensor) -> Tensor:
    """The same for rounds: rows (G, K, 4, 9), features (G, 9, P)."""
    g, k, f, _ = rows.shape
    w = torch.bmm(rows.reshape(g, k * f, 9), feats).view(g, k, f, -1)
    root = w[:, :, 1].clamp_min(0.0).sqrt_()
    near, far = w[:, :, 0] + root, w[:, :, 0] - root
    cap = w[:, :, 3]
    near = torch.where(cap > 0, torch.minimum(near, cap), near)
    miss = (root <= 0) | (near <= w[:, :, 2].clamp_min(0.0)) | (near < far)
    return near.masked_fill_(miss, 0.0)


def first(
    kind: str, rows: Tensor, found: Tensor, count: Tensor, rays: Tensor, limit: int, budget: int
) -> tuple[Tensor, Tensor]:
    """Nearest hits.

    Args:
        kind: 'box' or 'round'.
        rows: (B, T, S, R, N, F, C) of `box_rows` or `round_rows` for T frames of S exposures.
        found, count: of `candidates`.
        rays: (S, R, C, C', P) rays or features in tiles.
        limit: of candidates in a tile; the nearest are kept.
        budget: numbers that one intermediate tensor may hold.

    Returns inverse depth (B, T, S, R, C, P), 0 for a miss, and index (same) int32.
    """
    b, t, s, r, n, f, c = rows.shape
    columns, p = rays.shape[2], rays.shape[-1]
    test = box_depth if kind == "box" else round_depth
    depth = rows.new_zeros(b * t * r * columns, s, p)
    index = torch.full((b * t * r * columns, s, p), NONE, dtype=torch.int32, device=rows.device)
    flat = rows.permute(0, 1, 3, 4, 2, 5, 6).reshape(b * t * r * n, s, f * c)
    flat_rays = rays.permute(1, 2, 0, 3, 4).reshape(r * columns, s, c, p)
    found, count = found.reshape(-1, n), count.flatten().clamp_max(limit)
    tiles, order = count.sort()
    edges = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256]
    edges = [e for e in edges if e < limit] + [limit]
    starts = torch.searchsorted(tiles, torch.tensor(edges, device=tiles.device), right=True).tolist()
    for begin, end, k in zip(starts[:-1], starts[1:], edges[1:], strict=True):
        step = max(1, budget // (k * f * p * s))
        for at in range(begin, end, step):
            group = order[at : min(at + step, end)]
            chosen = found[group, :k]  # G K
            place = (group // columns)[:, None] * n + chosen.clamp_min(0)
            mine = flat[place]  # G K S FC
            mine = mine * (chosen >= 0)[..., None, None]
            g = len(group)
            mine = mine.permute(0, 2, 1, 3).reshape(g * s, k, f, c)
            near = test(mine, flat_rays[group % (r * columns)].reshape(g * s, c, p))
            best, slot = near.max(1)
            depth[group] = best.view(g, s, p)
            name = chosen[:, None].expand(-1, s, -1).reshape(g * s, k).gather(1, slot.view(g * s, p))
            index[group] = name.int().view(g, s, p).masked_fill_((best <= 0).view(g, s, p), NONE)
    shape = (b, t, r, columns, s, p)
    return tuple(x.view(shape).permute(0, 1, 4, 2, 3, 5) for x in (depth, index))  # type: ignore[return-value]
