"""The light of a world: sun, sky, lamps, haze, and what the sky looks like."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.records import Record, per
from training.world.textures import Textures

HORIZON = 300.0
"""Distance of what stands at the horizon, metres: haze grows no thicker after it."""


@dataclass(frozen=True)
class Light(Record):
    """(B,) or (B, k) each.

    Attributes:
        sun: (B, 3) unit direction towards it, world.
        direct, ambient: irradiance of the sun and of the sky.
        sky: (B, 2) brightness at the horizon and at the zenith.
        glare: brightness around the sun.
        cloud: (B, 2) texture and strength of clouds.
        skyline: (B, 4) texture, height (radians), albedo and contrast of what stands at the horizon.
        fog: (B, 2) density (1/m) and brightness.
        lamp: (B, 2) irradiance of a light at the camera, and the distance at which a quarter of it is left.
    """

    sun: Tensor
    direct: Tensor
    ambient: Tensor
    sky: Tensor
    glare: Tensor
    cloud: Tensor
    skyline: Tensor
    fog: Tensor
    lamp: Tensor

    def heaven(self, textures: Textures, ray: Tensor, angle: Tensor, dither: Tensor) -> Tensor:
        """Brightness (B, M) in unit directions (B, 3, M); a ray averages over `angle` radians."""
        x, y, z = ray.unbind(1)
        up = -y
        height = up.clamp(0.0, 1.0)
        base = torch.lerp(per(self.sky[:, 0], up), per(self.sky[:, 1], up), height.sqrt())
        lift = 0.3 / (up + 0.06).clamp_min(0.03)
        index = per(self.cloud[:, 0], up).expand_as(up)
        cloud = textures.sample(index, x * lift, z * lift, angle * lift, dither)
        base = base * (1 + per(self.cloud[:, 1], up) * (cloud - 0.5))
        toward = (x * per(self.sun[:, 0], up) + y * per(self.sun[:, 1], up) + z * per(self.sun[:, 2], up)).clamp_min(
            0.0
        )
        base = base + per(self.glare, up) * toward**16
        around = torch.atan2(x, z) * (2.0 / torch.pi)
        index = per(self.skyline[:, 0], up).expand_as(up)
        outline = textures.sample(index, around, torch.full_like(up, 0.3), angle, dither)
        outline = outline + 0.3 * textures.sample(index, around * 4, torch.full_like(up, 0.7), angle * 3, dither) - 0.15
        inside = textures.sample(index, around * 3, up * 4, angle * 3, dither)
        albedo = per(self.skyline[:, 2], up) * (1 + per(self.skyline[:, 3], up) * (inside - 0.5))
        hill = albedo * per(self.ambient + 0.4 * self.direct, up)
        haze = (-HORIZON * per(self.fog[:, 0], up)).exp()
        hill = torch.lerp(per(self.fog[:, 1], up), hill, haze)
        hidden = ((outline * per(self.skyline[:, 1], up) - up) / angle + 0.5).clamp(0.0, 1.0)
        return torch.lerp(base, hill, hidden)

    def received(self, direct: Tensor, open_sky: Tensor, cosine: Tensor, distance: Tensor) -> Tensor:
        """Irradiance (B, M) from shares of the sun and the sky, the sun's cosine, and the distance in metres."""
        own = per(self.lamp[:, 0], direct) / (1 + 3 * (distance / per(self.lamp[:, 1], direct)) ** 2)
        sun = per(self.direct, direct) * direct * cosine.clamp_min(0.0)
        return sun + per(self.ambient, direct) * open_sky + own

    def through_air(self, bright: Tensor, distance: Tensor) -> Tensor:
        """What is left of a brightness (B, M) after so many metres of haze."""
        left = (-distance.clamp_max(HORIZON) * per(self.fog[:, 0], bright)).exp()
        return torch.lerp(per(self.fog[:, 1], bright), bright, left)
