"""Which solid each ray meets first, by inverse depth.

All rays of an exposure start at one point. So the inverse depth at which a ray meets a plane is linear in the ray, and
where it meets a quadric it is linear plus the root of a quadratic form: small matrix products over pairs of a tile and
a solid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.grid import NONE, Grid, candidates, groups
from training.world.records import Record
from training.world.scene import Solids, away_from_zero
from training.world.textures import Leaves

FRONT, BACK = 4, 5
"""Rows kept for the faces that look to the eye and away from it."""
LIMIT = 64
"""Candidates in a tile."""


@dataclass(frozen=True)
class Eyes(Record):
    """S exposures of each of F frames; V is 1, or the rows of tiles where each has its own moment.

    Attributes:
        origin: (F, S, V, 3) world.
        turn: (F, S, V, 3, 3) takes rays to the world; a rotation, but for what the lens differs from the assumed one.
        time: (F, S, V) seconds since the start of the clip, for what moves.
    """

    origin: Tensor
    turn: Tensor
    time: Tensor

    def see(self, points: Tensor) -> Tensor:
        """(F, S, V, N, 3) world points in the frame of the rays."""
        return (points - self.origin[..., None, :]) @ torch.linalg.inv_ex(self.turn)[0].transpose(-1, -2)

    def outline(self, solids: Solids) -> Tensor:
        """(F, N, 16, 3) corners in the frame of the rays, at the first moment and at the last."""
        ends = Eyes(
            *(torch.stack([v[:, 0, 0], v[:, -1, -1]], 1)[:, :, None] for v in (self.origin, self.turn, self.time))
        )
        shift = moved(solids, ends) - solids.centre[:, None, None]
        seen = ends.see((solids.corners()[:, None, None] + shift[..., None, :]).flatten(3, 4))
        return seen.unflatten(3, (-1, 8))[:, :, 0].transpose(1, 2).flatten(2, 3)


def box_planes(boxes: Solids) -> tuple[Tensor, Tensor]:
    """Faces in the world, relative to the centre: normals (F, N, 6, 3), scaled so that n . p <= 1 inside."""
    inverse = 1.0 / boxes.half.clamp_min(1e-6)
    zero, x, y, z = torch.zeros_like(boxes.yaw), *inverse.unbind(-1)
    lean_x, lean_z = -boxes.taper[..., 0] * y, -boxes.taper[..., 1] * y
    rows = [
        (-x, lean_x, zero),
        (x, lean_x, zero),
        (zero, lean_z, -z),
        (zero, lean_z, z),
        (zero, -y, zero),
        (zero, y, zero),
    ]
    return torch.stack([torch.stack(row, -1) for row in rows], -2) @ boxes.axes(), inverse


def split(first: Tensor) -> tuple[Tensor, Tensor]:
    """For faces (..., 6) of two sorts: indices (..., FRONT + BACK) of those that are of the first sort, then of the
    others, repeated to fill; and whether there are any of the first sort."""
    order = first.to(torch.int8).argsort(dim=-1, descending=True, stable=True)
    count = first.sum(-1, keepdim=True)
    slot = torch.arange(6, device=first.device)
    facing = order.gather(-1, torch.minimum(slot, (count - 1).clamp_min(0)).expand_as(order))[..., :FRONT]
    behind = order.gather(-1, torch.maximum(slot, count.clamp_max(5)).expand_as(order))[..., 6 - BACK :]
    return torch.cat([facing, behind], -1), count[..., 0] > 0


def moved(solids: Solids, eyes: Eyes) -> Tensor:
    """(F, S, V, N, 3) centres at the moments of the exposures."""
    return solids.centre[:, None, None] + solids.velocity[:, None, None] * eyes.time[..., None, None]


def box_equations(boxes: Solids, eyes: Eyes) -> Tensor:
    """(F, S, V, N, (FRONT + BACK) * 3): the inverse depth of each face is row . ray. The ray is inside between the
    greatest of the back ones and the least of the front ones."""
    normal, _ = box_planes(boxes)
    away = eyes.origin[..., None, :] - moved(boxes, eyes)
    gap = 1.0 - (normal[:, None, None] * away[..., None, :]).sum(-1)  # F S V N 6
    pick, outside = split(gap < 0)
    rows = (normal[:, None, None] @ eyes.turn[..., None, :, :]) / away_from_zero(gap)[..., None]
    rows = rows.gather(-2, pick[..., None].expand(*pick.shape, 3))
    there = boxes.there[:, None, None] & outside
    return (rows * there[..., None, None]).flatten(-2)


def box_depth(table: Tensor, rays: Tensor) -> Tensor:
    """Equations (G, K, 27) of candidates and rays (G, 3, P) to inverse depths (G, K, P), 0 for a miss."""
    g, k, _ = table.shape
    w = torch.bmm(table.reshape(g, -1, 3), rays).view(g, k, FRONT + BACK, -1)
    near, far = w[:, :, :FRONT].amin(2), w[:, :, FRONT:].amax(2)
    return near * (near > far.clamp_min_(0.0))


def round_equations(rounds: Solids, eyes: Eyes) -> Tensor:
    """(F, S, V, N, 7 * 9 + 5): rows for `features`: the mean inverse depth of the two hits, the square of half their
    difference, the plane of the top as a limit from below and from above, and the ray in the round's unit axes; then
    the eye there, the share of open leaves and the scale of their pattern."""
    inverse = 1.0 / rounds.half.clamp_min(1e-6)
    local = (rounds.axes() * inverse[..., None])[:, None, None]  # world to unit
    start = (local @ (eyes.origin[..., None, :] - moved(rounds, eyes))[..., None])[..., 0]
    turn = local @ eyes.turn[..., None, :, :]  # F S V N 3 3: ray to unit
    weight = torch.ones_like(rounds.half)
    weight[..., 1] = 1.0 - rounds.straight
    weight = weight[:, None, None]
    c = (weight * start * start).sum(-1) - 1.0
    there = rounds.there[:, None, None] & (c > 1e-6)
    scale = there / torch.where(there, c, torch.ones_like(c))
    mean = -((weight * start)[..., None, :] @ turn)[..., 0, :] * scale[..., None]
    form = (turn * weight[..., None]).transpose(-1, -2) @ turn
    form = mean[..., :, None] * mean[..., None, :] - form * scale[..., None, None]
    pairs = [(0, 0, 1.0), (1, 1, 1.0), (2, 2, 1.0), (0, 1, 2.0), (0, 2, 2.0), (1, 2, 2.0)]
    square = torch.stack([factor * form[..., i, j] for i, j, factor in pairs], -1)
    gap = 1.0 + start[..., 1]  # the top: -y <= 1
    top = -turn[..., 1, :] / away_from_zero(gap)[..., None] * rounds.straight[:, None, None, :, None]
    above = (gap < 0)[..., None]
    zero = torch.zeros_like(top)
    rows = torch.zeros(*start.shape[:-1], 7, 9, device=start.device)
    rows[..., 0, :3], rows[..., 1, 3:] = mean, square
    rows[..., 2, :3], rows[..., 3, :3] = torch.where(above, zero, top), torch.where(above, top, zero)
    rows[..., 4:, :3] = turn
    distance = (eyes.origin[..., None, :] - moved(rounds, eyes)).square().sum(-1).sqrt()
    size = rounds.half.amin(-1)[:, None, None]
    closed = (1.2 - 0.02 * distance / size.clamp_min(0.05)).clamp(0.3, 1.0)
    extra = torch.stack([rounds.leaves[:, None, None] * closed, rounds.tile[..., 1][:, None, None].expand_as(c)], -1)
    return torch.cat([rows.flatten(-2), start, extra], -1)


def features(rays: Tensor) -> Tensor:
    """(..., 3, P) rays to (..., 9, P): what the rows of `round_equations` multiply."""
    x, y, z = rays.unbind(-2)
    return torch.stack([x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], -2)


def round_depth(table: Tensor, feats: Tensor, leaves: Leaves) -> Tensor:
    """The same as `box_depth` for rounds."""
    g, k, _ = table.shape
    w = torch.bmm(table[..., :63].reshape(g, -1, 9), feats).view(g, k, 7, -1)
    root = w[:, :, 1].clamp_min(0.0).sqrt_()
    near, far, cap = w[:, :, 0] + root, w[:, :, 0] - root, w[:, :, 3]
    near = torch.where(cap > 0, torch.minimum(near, cap), near)
    miss = (root <= 0) | (near <= w[:, :, 2].clamp_min(0.0)) | (near < far)
    depth = 1.0 / near.masked_fill_(miss, 1.0)
    start, share, tile = table[..., 63:66, None], table[..., 66, None], table[..., 67, None]
    x, y, z = (w[:, :, 4 + i] * depth + start[:, :, i] for i in range(3))
    tile = 1.4 * tile / (1 + z.abs())  # as `surface.meet` unrolls rounds
    miss |= leaves.open(x * tile, y * tile, share)
    return near.masked_fill_(miss, 0.0)


def first(grid: Grid, boxes: Solids, rounds: Solids, eyes: Eyes, leaves: Leaves, budget: int) -> tuple[Tensor, Tensor]:
    """Nearest hits, tile by tile (F * R * C, S, P): inverse depth, 0 for none, and index int32, rounds after boxes.

    Args:
        budget: of numbers in an intermediate tensor.
    """
    s, r, c, p = grid.shape
    best = torch.zeros(len(eyes.time) * r * c, s, p, device=eyes.time.device)
    index = torch.full_like(best, NONE, dtype=torch.int32)
    for solids, base in ((boxes, 0), (rounds, boxes.count)):
        if solids.count == 0:
            continue
        box = solids is boxes
        table = box_equations(solids, eyes) if box else round_equations(solids, eyes)
        f, _, v, n, wide = table.shape
        table = table.permute(0, 2, 3, 1, 4).reshape(f * v * n, s * wide)
        found, count = candidates(grid, eyes.outline(solids), solids.there)
        width = (FRONT + BACK if box else 12) * s * p
        for group, chosen in groups(found, count, LIMIT, budget // width):
            g, k = chosen.shape
            rows = table[equation(group, chosen, grid, v, n)] * (chosen >= 0)[..., None]
            rows = rows.view(g, k, s, wide).transpose(1, 2).reshape(g * s, k, wide)
            rays = grid.tiles[group % (r * c)].flatten(0, 1)
            near = box_depth(rows, rays) if box else round_depth(rows, features(rays), leaves)
            nearest, slot = near.max(1)
            name = chosen[:, None].expand(-1, s, -1).reshape(g * s, k).gather(1, slot).int() + base
            nearest, name = nearest.view(g, s, p), name.view(g, s, p)
            before = best[group]
            closer = nearest > before
            best[group] = torch.where(closer, nearest, before)
            index[group] = torch.where(closer, name, index[group])
    return best, index


def equation(group: Tensor, chosen: Tensor, grid: Grid, rows: int, count: int) -> Tensor:
    """(G, K) place of the candidates' equations in a table (frames, rows, count)."""
    _, r, c, _ = grid.shape
    frame, tile = group // (r * c), group % (r * c)
    row = frame * rows + (tile // c if rows > 1 else 0)
    return row[:, None] * count + chosen.clamp_min(0)
