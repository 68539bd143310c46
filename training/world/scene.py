"""What stands in a world: solids, and the ground's plan, drawn for a batch at once.

A road is a circular arc (almost straight for small curvature) that starts at the origin; places on it are (s, d):
metres along and to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

OBJECT, STRUCTURE = 1, 0


@dataclass(frozen=True)
class Solids:
    """Boxes whose sides may lean, or ellipsoids and upright cylinders; (B, N) or (B, N, k) each.

    Attributes:
        centre: (B, N, 3) of the solid in the world, at time 0, metres.
        yaw: (B, N) heading of its long axis (local z).
        half: (B, N, 3) half sizes in local axes; 0 means that there is none.
        taper: (B, N, 2) how much narrower its top is than its middle in x and z, as a share (boxes).
        straight: (B, N) 1 for upright cylinders, 0 for ellipsoids (rounds).
        velocity: (B, N, 3) metres a second, world axes.
        texture: (B, N, 3) of the faces across local x, y and z.
        tile: (B, N, 3) tiles per local unit along x, y, z (a face spans 2 units).
        offset: (B, N) of the texture, tiles.
        tone: (B, N, 2) albedo where the texture is 0 and 1.
        label: (B, N) int64, 0 for structures, 1 for objects.
    """

    centre: Tensor
    yaw: Tensor
    half: Tensor
    taper: Tensor
    straight: Tensor
    velocity: Tensor
    texture: Tensor
    tile: Tensor
    offset: Tensor
    tone: Tensor
    label: Tensor

    @staticmethod
    def cat(parts: list[Solids]) -> Solids:
        return Solids(*(torch.cat([getattr(p, f.name) for p in parts], 1) for f in fields(Solids)))

    def select(self, keep: Tensor) -> Solids:
        """The same with those that are not kept (B, N) reduced to nothing."""
        return replace(self, half=self.half * keep[..., None])


@dataclass(frozen=True)
class Road:
    """An arc: (B,) each.

    Attributes:
        origin: (B, 2) x, z of its start.
        heading: (B,) there.
        curvature: (B,) 1/m, positive to the right.
    """

    origin: Tensor
    heading: Tensor
    curvature: Tensor

    def place(self, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """World (x, z) as (..., 2) and heading of places (B, ...) on the road."""
        view = (-1, *[1] * (s.dim() - 1))
        k = self.curvature.view(view)
        k = torch.where(k.abs() < 1e-6, torch.full_like(k, 1e-6), k)
        turn = s * k
        # Along an arc: x = (1 - cos ks) / k, z = sin(ks) / k; d to the right of it.
        x = 2 * (turn / 2).sin() ** 2 / k + d * turn.cos()
        z = turn.sin() / k - d * turn.sin()
        c, sn = self.heading.cos().view(view), self.heading.sin().view(view)
        world = torch.stack([x * c + z * sn, z * c - x * sn], -1) + self.origin.view(-1, *[1] * (s.dim() - 1), 2)
        return world, turn + self.heading.view(view)

    def locate(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """(s, d) of world places (B, ...)."""
        view = (-1, *[1] * (x.dim() - 1))
        k = self.curvature.view(view)
        k = torch.where(k.abs() < 1e-6, torch.full_like(k, 1e-6), k)
        x, z = x - self.origin[:, 0].view(view), z - self.origin[:, 1].view(view)
        c, sn = self.heading.cos().view(view), self.heading.sin().view(view)
        x, z = x * c - z * sn, x * sn + z * c
        near = ((k * z) ** 2 + (1 - k * x) ** 2).sqrt()
        return torch.atan2(k * z, 1 - k * x) / k, (2 * x - k * (x * x + z * z)) / (1 + near)
