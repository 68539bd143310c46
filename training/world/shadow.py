"""Sun and sky light that solids keep from what rays hit.

For rays towards the sun all directions are equal, so the distance to a plane is linear in the point that the ray starts
at: the same products over tiles and solids as in `trace`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.world.grid import Grid, candidates, groups
from training.world.scene import Solids, away_from_zero
from training.world.textures import Leaves
from training.world.trace import BACK, FRONT, LIMIT, Eyes, box_planes, equation, moved, split

REACH = 0.7
"""How far from a solid's foot the ground is darker, metres."""
LONGEST = 40.0
"""Shadows are cut after so many metres along the sun's rays."""
TOUCH = 0.03
"""Metres in which a surface does not shade itself."""


def _affine(rows: Tensor, centre: Tensor, constant: Tensor | float = 0.0) -> Tensor:
    """Rows (..., k, 3) of points relative to a centre (..., 3) as rows (..., k, 4) of points (x, y, z, 1)."""
    shift = constant - (rows * centre[..., None, :]).sum(-1)
    return torch.cat([rows, shift[..., None]], -1)


def box_equations(boxes: Solids, eyes: Eyes, sun: Tensor) -> Tensor:
    """(F, 1, 1, N, 45): rows for points (x, y, z, 1): metres towards the sun at which each face is crossed, entering
    ones first; then where the point is across and along, in units of half size + REACH; and the steepness of that."""
    normal, _ = box_planes(boxes)
    rate = away_from_zero((normal * sun[:, None, None]).sum(-1))  # F N 6
    pick, _ = split(rate < 0)
    rows = -normal / rate[..., None]
    rows = rows.gather(-2, pick[..., None].expand(*pick.shape, 3))
    ahead = (1.0 / rate).gather(-1, pick)
    foot = boxes.half[..., ::2] + REACH
    near = boxes.axes()[:, :, ::2] / foot[..., None]
    centre = moved(boxes, eyes)
    shape = centre.shape[:-1]
    equations = torch.cat([
        _affine(rows[:, None, None].expand(*shape, *rows.shape[2:]), centre, ahead[:, None, None]),
        _affine(near[:, None, None].expand(*shape, 2, 3), centre),
    ], -2)  # fmt: skip
    grounded = (boxes.centre[..., 1] + boxes.half[..., 1] > -0.4) & boxes.there
    steep = foot.amin(-1) / REACH * grounded
    return torch.cat([equations.flatten(-2), steep[:, None, None].expand(shape)[..., None]], -1)


def round_equations(rounds: Solids, eyes: Eyes, sun: Tensor) -> Tensor:
    """(F, 1, 1, N, 20): rows for points (x, y, z, 1) in unit axes: two across the sun's rays, one along them, height
    of the nearest approach (cylinders); then units in a metre, share of open leaves, pattern scale, and 1."""
    local = rounds.axes() / rounds.half.clamp_min(1e-6)[..., None]
    weight = torch.ones_like(rounds.half)
    weight[..., 1] = 1.0 - rounds.straight
    ray = (local @ sun[:, None, :, None])[..., 0]
    flat = ray * weight
    length = flat.norm(dim=-1, keepdim=True).clamp_min(1e-4)
    along = flat / length
    side = torch.linalg.cross(along, torch.tensor([0.0, 1.0, 0.0], device=sun.device).expand_as(along))
    side = side / side.norm(dim=-1, keepdim=True).clamp_min(1e-4)
    up = torch.linalg.cross(side, along) * (1 - rounds.straight)[..., None]
    rise = torch.zeros_like(along)
    rise[..., 1] = 1.0
    rise = (rise - along * (ray[..., 1:2] / length)) * rounds.straight[..., None]
    rows = torch.stack([side, up, along, rise], -2) @ local  # F N 4 3
    centre = moved(rounds, eyes)
    shape = centre.shape[:-1]
    equations = _affine(rows[:, None, None].expand(*shape, 4, 3), centre).flatten(-2)
    extra = torch.stack([length[..., 0], rounds.leaves, rounds.tile[..., 1], rounds.there.float()], -1)
    return torch.cat([equations, extra[:, None, None].expand(*shape, 4)], -1)


def shade(
    grid: Grid,
    boxes: Solids,
    rounds: Solids,
    eyes: Eyes,
    sun: Tensor,
    shines: Tensor,
    points: Tensor,
    reached: Tensor,
    leaves: Leaves,
    budget: int,
) -> tuple[Tensor, Tensor]:
    """Share of the sun and of the sky that reaches points: (F * R * C, M) each.

    Args:
        eyes: one exposure for each of the F frames.
        sun: (F, 3) unit direction towards it; `shines` (F,) bool whether it is to be seen.
        points: (F * R * C, 4, M) world (x, y, z, 1).
        reached: (F * R * C,) bool: the tiles that matter.
    """
    m = points.shape[-1]
    direct = torch.ones(len(points), m, device=points.device)
    ambient = torch.ones_like(direct)
    for solids, box in ((boxes, True), (rounds, False)):
        if solids.count == 0:
            continue
        table = (box_equations if box else round_equations)(solids, eyes, sun).flatten(0, 3)
        found, count = candidates(grid, _hull(solids, eyes, sun), solids.there & (shines[:, None] | box))
        count = count * reached.view(count.shape)
        for group, chosen in groups(found, count, LIMIT, budget // (11 * m)):
            rows = table[equation(group, chosen, grid, 1, solids.count)] * (chosen >= 0)[..., None]
            if box:
                dark, near = _box_shade(rows, points[group])
                ambient[group] = torch.minimum(ambient[group], near)
            else:
                dark = _round_shade(rows, points[group], leaves)
            direct[group] *= ~dark
    return direct, ambient


def _hull(solids: Solids, eyes: Eyes, sun: Tensor) -> Tensor:
    """(F, N, 20, 3): corners, their shadows, and feet in the frame of the rays."""
    corners = solids.corners() + (moved(solids, eyes)[:, 0, 0] - solids.centre)[:, :, None]
    length = (corners[..., 1] / sun[:, None, None, 1]).clamp(0.0, LONGEST)
    shadows = corners - sun[:, None, None] * length[..., None]
    feet = torch.cat([corners[:, :, 2:4], corners[:, :, 6:8]], 2)  # those of the lower side
    feet = feet + (feet - solids.centre[:, :, None]).sign() * REACH
    feet[..., 1] = 0.0
    points = torch.cat([corners, shadows, feet], 2)
    return eyes.see(points.flatten(1, 2)[:, None, None])[:, 0, 0].unflatten(1, points.shape[1:3])


def _box_shade(rows: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
    """Whether points (G, 4, P) are in the dark, and their share of the sky."""
    g, k, _ = rows.shape
    w = torch.bmm(rows[..., :-1].reshape(g, -1, 4), points).view(g, k, FRONT + BACK + 2, -1)
    enter, leave = w[:, :, :FRONT].amax(2), w[:, :, FRONT : FRONT + BACK].amin(2)
    steep = rows[..., -1:]
    dark = ((torch.maximum(enter, torch.full_like(enter, TOUCH)) < leave) & (leave < 2 * LONGEST)).any(1)
    out = w[:, :, FRONT + BACK :].abs_().amax(2)
    near = ((1.0 - out) * steep).clamp_(0.0, 1.0).amax(1)
    low = (1.0 + 2.0 * points[:, 1]).clamp(0.0, 1.0)
    return dark, 1.0 - 0.6 * near * near * low


def _round_shade(rows: Tensor, points: Tensor, leaves: Leaves) -> Tensor:
    g, k, _ = rows.shape
    w = torch.bmm(rows[..., :16].reshape(g, -1, 4), points).view(g, k, 4, -1)
    side, up, along, rise = w.unbind(2)
    unit, share, tile = rows[..., 16:17], rows[..., 17:18], rows[..., 18:19]
    inside = 1.0 - side * side - up * up
    out = inside.clamp_min(0.0).sqrt() - along
    hidden = (inside > 0) & (out > TOUCH * unit) & (rise > -1.0) & (rows[..., 19:] > 0)
    return (hidden & ~leaves.open(side * tile, up * tile, share)).any(1)
