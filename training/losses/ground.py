"""The loss on what cells take for ground: the true displacement of a cell and the true motion tell how far away it is,
and ground is what then lies in the one plane that is nearest to a level floor, a camera height below."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ros2_vodistill.view import View
from training.networks.algebra import rotation
from training.networks.layers import in_full

_RISE, _LEAN = 0.02, 0.03  # standard deviations of the ground's slopes ahead and aside, radians
_SCALES = (0.05, 0.03, 0.015, 0.01, 0.006, 0.006)  # of what is off the plane, in inverse camera heights, ever stricter
_FLAT, _ROUGH = 0.015, 0.05  # how far ground may be off it: in inverse camera heights, and in shares of its own
_LOWEST = 0.02  # slope below the horizon where ground may begin
_SHORTEST = 0.004  # camera heights: of a step that tells distances
_CLEAR = 2.0  # pixels: what one inverse camera height must make of a displacement, to tell distances
_LEAST = 1e-6  # probability that counts
_ASTRAY, _WRONG = 0.3, 4.0  # pixels: off its line, what moves by itself; off the truth, what another cell was taken for


def grounding(
    flags: Mapping[str, Tensor],
    shifts: Mapping[str, Tensor],
    flow: Mapping[str, Tensor],
    motions: Tensor,
    views: Mapping[str, View],
) -> Tensor:
    """How surprising it is to the network which cells are ground, and rightly matched: the mean cross entropy in nats,
    over the cells below the horizon of which that is known.

    Args:
        flags: of every view (B, T-1, 1, h, w), how far cells are taken for ground.
        shifts: (B, T-1, 2, h, w) their displacements, as the network tells them, pixels.
        flow: (B, T-1, 2, H, W) the true ones, of the cells or of finer ones; NaN where unknown. See `Batch.flow`.
        motions: (B, T-1, 6) in camera heights and radians.
        views: that the cells are in, which are level.
    """
    surprises = []
    for name, view in views.items():
        flag, shift, true = (x[name].flatten(0, 1) for x in (flags, shifts, flow))
        true = functional.avg_pool2d(true, true.shape[-1] // flag.shape[-1])
        with torch.no_grad(), in_full(true):
            ground, known = on_ground(true, motions.flatten(0, 1), view)
            ground &= (shift - true).square().sum(1) < _WRONG**2
        surprise = -torch.where(ground, flag[:, 0], 1 - flag[:, 0]).clamp_min(_LEAST).log()
        surprises.append(torch.where(known, surprise, 0.0).sum() / known.sum().clamp_min(1))
    return torch.stack(surprises).mean()


def on_ground(flow: Tensor, motion: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Which cells are ground that the last frame shows too, and of which it is known whether they are: both (N, h, w).

    Args:
        flow: (N, 2, h, w) displacements of the cells, pixels; NaN where unknown.
        motion: (N, 6) in camera heights and radians.
        view: that they are in.
    """
    spacing = -(-view.height // flow.shape[2])
    rays = torch.from_numpy(view.rays()[::spacing, ::spacing]).to(flow)
    focal = flow.new_tensor([view.fx, view.fy])
    seen = flow.isfinite().all(1)
    place = rays[..., :2] + torch.where(seen[:, None], flow, 0.0).movedim(1, -1) / focal
    turned = rays @ rotation(motion[:, None, 3:]).mT
    way = motion[:, None, None, :3]
    along = way[..., :2] - place * way[..., 2:]  # turned + inverse distance * way is seen at the place
    gone = place * turned[..., 2:] - turned[..., :2]
    clear = along.norm(dim=-1).clamp_min(1e-6)
    near = (along * gone).sum(-1) / clear.square()
    aside = (along[..., 0] * gone[..., 1] - along[..., 1] * gone[..., 0]) / clear
    still = seen & ((aside * view.fy).abs() < _ASTRAY)
    below = rays[..., 1] > _LOWEST
    told = below & torch.where(seen, clear * view.fy > _CLEAR, way.norm(dim=-1) > _SHORTEST)
    off = near - rays[..., 1]
    off = off - _plane(off, rays[..., 0], (told & still).to(flow.dtype))
    return told & still & (off.abs() < _FLAT + _ROUGH * rays[..., 1]), told


def _plane(off: Tensor, aside: Tensor, counts: Tensor) -> Tensor:
    """The slope (N, h, w), as a plane, that most inverse heights above a level floor agree with, near that."""
    unknown = torch.stack([torch.ones_like(aside), aside], -1).flatten(0, 1)  # (P, 2)
    believed = off.new_tensor([_RISE**-2, _LEAN**-2]).diag()
    off_flat, counts = off.flatten(1)[..., None], counts.flatten(1)[..., None]
    found = off.new_zeros(len(off), 2, 1)
    for scale in _SCALES:
        left = (off_flat - unknown @ found) / scale
        weighed = unknown * counts / (scale * (1 + left.square())).square()
        found = torch.linalg.solve(weighed.mT @ unknown + believed, weighed.mT @ off_flat)
    return (unknown @ found).view_as(off)
