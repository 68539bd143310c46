"""How cameras move: smooth random signals on a fine grid of time, integrated to poses in the world.

World axes: x right, y down, z ahead; the ground is y = 0. A heading is a rotation about y, positive to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from training.world.config import Driving
from training.world.draw import Draw

STEPS = 8
"""Steps of the time grid in a frame's time."""


@dataclass(frozen=True)
class Path:
    """Poses of the level camera frame on the time grid; frame t is at grid index STEPS * (t + 1).

    Attributes:
        dt: (B,) seconds between grid points.
        position: (B, G, 3) metres.
        heading, pitch, roll: (B, G) radians; pitch positive looks down, roll positive lowers the right side.
    """

    dt: Tensor
    position: Tensor
    heading: Tensor
    pitch: Tensor
    roll: Tensor

    def rotation(self, index: Tensor | slice) -> Tensor:
        """(B, ..., 3, 3) world from camera at grid indices."""
        return rotation(self.heading[:, index], self.pitch[:, index], self.roll[:, index])


def rotation(heading: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """World from camera: Ry(heading) Rx(-pitch) Rz(roll)."""
    ch, sh, cp, sp, cr, sr = heading.cos(), heading.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    # Ry(h) @ Rx(-p) = [[ch, -sh sp, sh cp], [0, cp, sp], [-sh, -ch sp, ch cp]]
    a = torch.stack([ch, -sh * sp, sh * cp], -1)
    b = torch.stack([torch.zeros_like(ch), cp, sp], -1)
    c = torch.stack([-sh, -ch * sp, ch * cp], -1)
    m = torch.stack([a, b, c], -2)
    x = cr[..., None] * m[..., 0] + sr[..., None] * m[..., 1]
    y = -sr[..., None] * m[..., 0] + cr[..., None] * m[..., 1]
    return torch.stack([x, y, m[..., 2]], -1)


def wave(draw: Draw, name: str, time: Tensor, frequency: tuple[float, float], terms: int = 3) -> Tensor:
    """(B, G) smooth random signals of about unit deviation: sums of sines, frequencies in Hz."""
    hertz = draw.log_uniform(f"{name}.frequency", (terms, 1), *frequency)
    phase = draw.uniform(f"{name}.phase", (terms, 1), 0.0, 2 * math.pi)
    return (2 * math.pi * hertz * time[:, None] + phase).sin().sum(1) * (2.0 / terms) ** 0.5


def drive(draw: Draw, settings: Driving, frames: int, height: Tensor, curvature: Tensor, turn: Tensor) -> Path:
    """Car-like motion from the origin along a road that leaves it straight ahead.

    Args:
        height: (B,) of the camera, metres.
        curvature: (B,) of the road, 1/m, positive to the right.
        turn: (B, 3) a bend on top of it: where it starts (m, below zero: the clip starts within it), its radius (m) and
            its signed angle (0 for none).
    """
    grid = (frames + 1) * STEPS + 1
    fps = torch.tensor(settings.fps, device=draw.device)[draw.choice("fps", [1.0] * len(settings.fps))]
    dt = 1.0 / (fps * STEPS)
    time = torch.arange(grid, device=draw.device) * dt[:, None]
    low, high = settings.speed
    cruise = low + (high - low) * draw.uniform("speed") ** 1.6
    limit = (4.5 / torch.maximum(curvature.abs(), 1e-4 + (turn[:, 2] != 0) / turn[:, 1])).sqrt()
    cruise = torch.minimum(cruise, limit * draw.uniform("daring", (), 0.6, 1.1))
    cruise = torch.minimum(cruise, settings.reach * height * fps)
    cruise = torch.where(draw.chance("still", settings.still), torch.zeros_like(cruise), cruise)
    acceleration = draw.normal("acceleration", (1,), 0.8)
    speed = cruise[:, None] + (acceleration * (time - time[:, -1:] / 2)) * (cruise > 0)[:, None]
    speed = speed.clamp_min(0.0) * torch.where(draw.chance("reverse", settings.reverse), -0.4, 1.0)[:, None]
    travelled = torch.cumsum(speed * dt[:, None], 1) - (speed * dt[:, None])[:, :1]
    begin, radius, angle = (turn[:, i, None] for i in range(3))
    bend = ((travelled - begin) / (radius * angle.abs()).clamp_min(1e-3)).clamp(0.0, 1.0)
    sway = wave(draw, "sway", time, (0.1, 0.6)) * draw.uniform("sway", (1,), 0.0, 0.02) * (cruise > 0)[:, None]
    course = travelled * curvature[:, None] + angle * bend * bend * (3 - 2 * bend)
    heading = course - course[:, :1] + sway - sway[:, :1]
    step = speed * dt[:, None]
    middle = 0.5 * (heading[:, 1:] + heading[:, :-1])
    zero = torch.zeros_like(step[:, :1])
    x = torch.cat([zero, (step[:, 1:] * middle.sin()).cumsum(1)], 1)
    z = torch.cat([zero, (step[:, 1:] * middle.cos()).cumsum(1)], 1)
    moving = (speed.abs() / 5.0).clamp(0.0, 1.0)
    rough = draw.log_uniform("rough", (1,), 0.1, 2.0)
    pitch = (wave(draw, "pitch", time, (0.4, 3.0)) * moving * 0.004 * rough) - 0.004 * acceleration
    roll = wave(draw, "roll", time, (0.4, 2.0)) * moving * 0.004 * rough
    heave = wave(draw, "heave", time, (0.7, 3.0)) * moving * 0.008 * rough
    position = torch.stack([x, heave - height[:, None], z], -1)
    return Path(dt, position, heading, pitch, roll)
