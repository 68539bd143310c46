"""The parts that worlds are made of: solids, and roads that give places names.

World axes: x right, y down, z ahead; the ground is y = 0. A heading is a rotation about y, positive to the right.
A place on a road is (s, d): metres along it, and to the right of its middle.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from training.world.records import Record, per

STRUCTURE, OBJECT, PERSON = 0, 1, 2
"""Labels of solids."""


@dataclass(frozen=True)
class Solids(Record):
    """Boxes whose sides may lean, or rounds (ellipsoids and upright cylinders); (B, N) or (B, N, k) each.

    Attributes:
        centre: (B, N, 3) in the world at time 0, metres.
        yaw: heading of the long axis (local z).
        half: (B, N, 3) half sizes in local axes; 0 means that there is none.
        taper: (B, N, 2) boxes: by how much their top is narrower than their middle in x and z, as a share.
        straight: rounds: 1 for upright cylinders, 0 for ellipsoids.
        leaves: rounds: share of their surface that is open, as foliage is.
        velocity: (B, N, 3) metres a second, world axes.
        texture: (B, N, 3) of the faces across local x, y and z; float, for packing.
        tile: (B, N, 3) tiles per half size along x, y, z.
        offset: of the texture, tiles.
        tone: (B, N, 2) albedo where the texture is 0 and where it is 1.
        label: one of the labels above, int64.
        group: number of the thing that it is a part of, int64.
    """

    centre: Tensor
    yaw: Tensor
    half: Tensor
    taper: Tensor
    straight: Tensor
    leaves: Tensor
    velocity: Tensor
    texture: Tensor
    tile: Tensor
    offset: Tensor
    tone: Tensor
    label: Tensor
    group: Tensor

    @property
    def there(self) -> Tensor:
        """(B, N) bool."""
        return self.half[..., 0] > 0

    @property
    def count(self) -> int:
        return self.yaw.shape[1]

    @staticmethod
    def gather(parts: list[Solids]) -> Solids:
        """All parts, each with groups of its own."""
        starts = itertools.accumulate((part.count for part in parts), initial=0)
        numbered = [replace(part, group=part.group + start) for part, start in zip(parts, starts, strict=False)]
        return Solids.join(numbered, 1)

    def without(self, unwanted: Tensor) -> Solids:
        """The same without the things of which any part is unwanted (B, N)."""
        spread = torch.zeros_like(self.group).scatter_reduce(1, self.group, unwanted.long(), "amax")
        return replace(self, half=self.half * (spread.gather(1, self.group) == 0)[..., None])

    def nearest(self, distance: Tensor, count: int) -> Solids:
        """The `count` of least distance (B, N)."""
        _, index = distance.topk(min(count, self.count), largest=False)

        def pick(value: Tensor) -> Tensor:
            where = index.reshape(*index.shape, *[1] * (value.dim() - 2))
            return value.gather(1, where.expand(*index.shape, *value.shape[2:]))

        return Solids(*(pick(getattr(self, f.name)) for f in fields(Solids)))

    def axes(self) -> Tensor:
        """(B, N, 3, 3): rows are the local axes in the world."""
        c, s = self.yaw.cos(), self.yaw.sin()
        zero, one = torch.zeros_like(c), torch.ones_like(c)
        rows = [torch.stack(row, -1) for row in ((c, zero, -s), (zero, one, zero), (s, zero, c))]
        return torch.stack(rows, -2)

    def corners(self) -> Tensor:
        """(B, N, 8, 3) world at time 0; those of the box around a round."""
        signs = [[x, y, z] for x in (-1.0, 1.0) for y in (-1.0, 1.0) for z in (-1.0, 1.0)]
        sign = torch.tensor(signs, device=self.half.device)
        lean = 1.0 + self.taper[:, :, None] * sign[:, 1, None]
        size = self.half[:, :, None] * sign
        size = torch.stack([size[..., 0] * lean[..., 0], size[..., 1], size[..., 2] * lean[..., 1]], -1)
        return self.centre[:, :, None] + size @ self.axes()


@dataclass(frozen=True)
class Road(Record):
    """A circular arc, almost straight for a small curvature; (B,) or (B, 2) each.

    Attributes:
        origin: (B, 2) x, z of its start.
        heading: there.
        curvature: 1/m, positive to the right.
    """

    origin: Tensor
    heading: Tensor
    curvature: Tensor

    def _bend(self) -> Tensor:
        small = self.curvature.abs() < 1e-6
        return torch.where(small, torch.full_like(self.curvature, 1e-6), self.curvature)

    def place(self, s: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """World (x, z), (B, ..., 2), and heading, (B, ...), of places on the road."""
        k, turn0 = per(self._bend(), s), per(self.heading, s)
        turn = s * k
        x = 2 * (turn / 2).sin() ** 2 / k + d * turn.cos()
        z = turn.sin() / k - d * turn.sin()
        c, sn = turn0.cos(), turn0.sin()
        at = torch.stack([x * c + z * sn, z * c - x * sn], -1)
        return at + self.origin.reshape(-1, *[1] * (s.dim() - 1), 2), turn + turn0

    def locate(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """(s, d) of world places (B, ...)."""
        along, across, d = self._local(x, z)
        return torch.atan2(along, across) / per(self._bend(), x), d

    def across(self, x: Tensor, z: Tensor) -> Tensor:
        """d alone of world places (B, ...)."""
        return self._local(x, z)[2]

    def _local(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """From the arc's centre, in radii: along and across the road's start; and d."""
        k, turn = per(self._bend(), x), per(self.heading, x)
        x, z = x - per(self.origin[:, 0], x), z - per(self.origin[:, 1], z)
        c, s = turn.cos(), turn.sin()
        x, z = x * c - z * s, x * s + z * c
        along, across = k * z, 1 - k * x
        return along, across, (2 * x - k * (x * x + z * z)) / (1 + (along * along + across * across).sqrt())


@dataclass(frozen=True)
class Hill(Record):
    """The ground is level up to a line and rises or falls evenly beyond it; (B,) or (B, 2) each.

    Attributes:
        toward: (B, 2) unit x, z across the line, into the slope.
        start: metres from the world's origin to the line.
        rise: metres up for each metre on; 0 for level ground.
    """

    toward: Tensor
    start: Tensor
    rise: Tensor

    def up(self, x: Tensor, z: Tensor) -> Tensor:
        """Metres above the level ground at world places (B, ...)."""
        on = x * per(self.toward[:, 0], x) + z * per(self.toward[:, 1], x) - per(self.start, x)
        return per(self.rise, x) * on.clamp_min(0.0)

    def meet(self, origin: Tensor, ray: Tensor, lift: Tensor | float = 0.0) -> Tensor:
        """(B, ..., P) inverse depth, or 0, at which rays meet the ground raised by `lift`.

        Args:
            origin: (B, ..., 3, 1) start of the rays and `ray` (B, ..., 3, P).
        """
        ox, oy, oz = origin.unbind(-2)
        dx, dy, dz = ray.unbind(-2)
        x, z, start, rise = (per(v, dy) for v in (*self.toward.unbind(1), self.start, self.rise))
        level = dy / (-oy - lift).clamp_min(1e-3)
        above = away_from_zero(-oy - lift - rise * (x * ox + z * oz - start), 1e-3)  # the plane of the slope
        slope = (dy + rise * (x * dx + z * dz)) / above
        # A falling slope is met where a ray is below both planes; it may start below that of the slope.
        fall = torch.where(above > 0, torch.minimum(level, slope), level * (level > slope))
        return torch.where(rise > 0, torch.maximum(level, slope), fall).clamp_min(0.0)


def away_from_zero(x: Tensor, least: float = 1e-5) -> Tensor:
    return torch.where(x.abs() < least, torch.full_like(x, least), x)
