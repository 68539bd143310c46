"""How cameras move: smooth random signals on a fine grid of time, integrated to poses in the world.

The signals are sums of sines with random phases: they can be asked for at any time, and a clip may start anywhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from training.world.config import Motion
from training.world.draw import Draw
from training.world.platform import Platform
from training.world.records import Record, per
from training.world.scene import Hill

Band = tuple[float | Tensor, float | Tensor]

AXLES = 2.6
"""Distance between the axles of a vehicle, metres."""

STEPS = 8
"""Steps of the time grid in a frame's time."""


@dataclass(frozen=True)
class Path(Record):
    """Poses of the level camera frame on a grid of time, (B, G) or (B, G, 3) float64; frame t is at STEPS * (t + 1).

    Attributes:
        dt: (B,) seconds between grid points.
        position: (B, G, 3) world, metres; y is minus the height above the ground at y = 0.
        heading, pitch, roll: radians; pitch positive looks down, roll positive lowers the right side.
    """

    dt: Tensor
    position: Tensor
    heading: Tensor
    pitch: Tensor
    roll: Tensor

    def at(self, when: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Position, heading, pitch and roll at times (B, ...) in grid steps, between grid points on straight lines."""
        flat = when.reshape(len(when), -1).double()
        low = flat.floor().long().clamp(0, self.heading.shape[1] - 2)
        part = flat - low

        def read(signal: Tensor) -> Tensor:
            return torch.lerp(signal.gather(1, low), signal.gather(1, low + 1), part).view(when.shape)

        position = torch.stack([read(axis) for axis in self.position.unbind(-1)], -1)
        return position, read(self.heading), read(self.pitch), read(self.roll)

    def over(self, hill: Hill) -> Path:
        """The same path on a slope: lifted by it, and pitched as the ground is between two axles."""
        x, _, z = self.position.unbind(-1)
        along = [0.5 * AXLES * f(self.heading) for f in (torch.sin, torch.cos)]
        front, rear = hill.up(x + along[0], z + along[1]), hill.up(x - along[0], z - along[1])
        lift = torch.zeros_like(self.position)
        lift[..., 1] = -0.5 * (front + rear)
        return replace(self, position=self.position + lift, pitch=self.pitch - torch.atan((front - rear) / AXLES))


def rotation(heading: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """(..., 3, 3) world from camera: Ry(heading) Rx(-pitch) Rz(roll)."""
    ch, sh, cp, sp, cr, sr = heading.cos(), heading.sin(), pitch.cos(), pitch.sin(), roll.cos(), roll.sin()
    right = torch.stack([ch, torch.zeros_like(ch), -sh], -1)
    down = torch.stack([-sh * sp, cp, -ch * sp], -1)
    ahead = torch.stack([sh * cp, sp, ch * cp], -1)
    return torch.stack(
        [cr[..., None] * right + sr[..., None] * down, cr[..., None] * down - sr[..., None] * right, ahead], -1
    )


class Waves:
    """Random signals at times (B, G) seconds, float64."""

    def __init__(self, draw: Draw, time: Tensor) -> None:
        self.draw, self.time = draw, time

    def __call__(self, name: str, hertz: Band, terms: int = 3) -> Tensor:
        """(B, G) of about unit deviation."""
        rate, phase = self._terms(name, hertz, terms)
        return (rate * self.time[:, None] + phase).sin().sum(1) * (2.0 / terms) ** 0.5

    def _terms(self, name: str, hertz: Band, terms: int) -> tuple[Tensor, Tensor]:
        low, high = (torch.as_tensor(h, device=self.time.device).double().reshape(-1, 1, 1).log() for h in hertz)
        rate = 2 * math.pi * self.draw.uniform(f"{name}.hertz", low, high, (terms, 1)).exp()
        return rate, self.draw.uniform(f"{name}.phase", 0.0, 2 * math.pi, (terms, 1)).double()


@dataclass(frozen=True)
class Route(Record):
    """What a vehicle on a road follows; (B,) each.

    Attributes:
        follow: 1 where it does.
        curvature: of the road, 1/m, positive to the right.
        begin, radius, angle: a bend on top of that: where (m), how tight (m), how far (radians, 0 for none).
    """

    follow: Tensor
    curvature: Tensor
    begin: Tensor
    radius: Tensor
    angle: Tensor

    def heading(self, travelled: Tensor) -> Tensor:
        """(B, ...) after so many metres."""
        length = self.radius * self.angle.abs()
        share = ((travelled - per(self.begin, travelled)) / per(length, travelled).clamp_min(1e-3)).clamp(0.0, 1.0)
        bend = per(self.angle, travelled) * share * share * (3 - 2 * share)
        return per(self.follow, travelled) * (travelled * per(self.curvature, travelled) + bend)


def platforms(settings: Motion) -> tuple[tuple[str, ...], tuple[Platform, ...]]:
    """Names and descriptions."""
    return tuple(settings.platforms), tuple(settings.platforms.values())


def travel(
    draw: Draw, settings: Motion, platform: Tensor, frames: int, height: Tensor, route: Route, fastest: Tensor
) -> Path:
    """The path of B cameras from x = z = 0.

    Args:
        platform: (B,) index into the platforms.
        height: (B,) metres; `fastest` (B,) m/s.
    """
    kinds = platforms(settings)[1]

    def value(name: str, index: int | None = None) -> Tensor:
        numbers = [getattr(k, name) if index is None else getattr(k, name)[index] for k in kinds]
        return torch.tensor(numbers, dtype=torch.float64, device=draw.device)[platform]

    fps = draw.pick("fps", settings.fps).double()
    dt = 1.0 / (fps * STEPS)
    time = torch.arange((frames + 2) * STEPS + 1, device=draw.device) * dt[:, None]
    waves = Waves(draw, time)
    wild = draw.uniform("wild").double() ** 1.5 * 2.0
    still = draw.chance("still", settings.still)

    slowest, most = value("speed", 0), value("speed", 1)
    top = slowest + (most - slowest) * draw.uniform("speed").double() ** value("slow")
    grip = (
        value("grip") / torch.maximum(route.curvature.abs(), (route.angle != 0) / route.radius).clamp_min(1e-4)
    ).sqrt()
    grip = grip * draw.uniform("daring", 0.25, 1.0)
    cruise = torch.minimum(top, torch.where(route.follow > 0, grip, top))
    cruise = torch.minimum(cruise, torch.minimum(settings.reach * height * fps, fastest))
    surge = torch.minimum(draw.uniform("surge", 0.0, 0.4) * cruise + 0.3 * (cruise > 0), most / 4)
    speed = (cruise[:, None] + surge[:, None] * waves("surge", (0.03, 0.2))).clamp_min(0.0)
    reverse = torch.where(draw.chance("reverse", settings.reverse), -0.5, 1.0)
    spot = draw.chance("spot", settings.spot) & (route.follow == 0)
    speed = speed * (reverse * ~(still | spot))[:, None]
    acceleration = torch.diff(speed, dim=1, append=speed[:, -1:]) / dt[:, None]

    going = 1.0 - (-speed.abs() / 0.5).exp()
    always = torch.maximum(value("hover")[:, None] * ~still[:, None], going)
    strength = wild[:, None] * always

    def shake(name: str, unit: float = 1.0) -> Tensor:
        size = value(name) * unit
        return size[:, None] * strength * waves(name, (value("shake_hz", 0), value("shake_hz", 1)), 4)

    travelled = _integral(speed, dt)
    turning = waves("yaw", (0.05, 0.6)) * (torch.deg2rad(value("yaw_rate_deg")) * wild)[:, None]
    spin = (draw.normal("spin") * 0.6).clamp(-1.2, 1.2).double() * (spot & ~still)
    rate = torch.where((route.follow > 0)[:, None], 0.0, turning * always) + spin[:, None]
    heading = route.heading(travelled) + _integral(rate, dt) + shake("yaw_deg", math.pi / 180)
    slide = value("slide")[:, None] * wild[:, None] * always * waves("slide", (0.05, 0.5))
    climb = value("climb")[:, None] * wild[:, None] * always
    lever = value("lever", 0) + (value("lever", 1) - value("lever", 0)) * draw.unit("lever")
    arm = [lever[:, None] * (f(heading) - f(heading[:, STEPS : STEPS + 1])) for f in (torch.sin, torch.cos)]
    x = _integral(speed * heading.sin() + slide * heading.cos(), dt) + arm[0]
    z = _integral(speed * heading.cos() - slide * heading.sin(), dt) + arm[1]
    rise = waves("climb", (0.05, 0.3), 2)
    lift = climb * (rise - rise[:, STEPS : STEPS + 1]) + shake("heave")
    lift = torch.maximum(lift, (0.15 - height.double())[:, None] * 0.9)
    pitch = shake("pitch_deg", math.pi / 180) - value("dive")[:, None] * acceleration.clamp(-6, 6)
    roll = shake("roll_deg", math.pi / 180)
    gaze = draw.normal("gaze").double() * torch.deg2rad(value("gaze_deg"))
    around = draw.uniform("around", -math.pi, math.pi).double()
    gaze = torch.where(draw.unit("sideways") < value("sideways"), around, gaze)
    position = torch.stack([x, -(height[:, None] + lift), z], -1)
    return Path(dt, position, heading + gaze[:, None], pitch, roll)


def _integral(rate: Tensor, dt: Tensor) -> Tensor:
    """(B, G) by the trapezoidal rule, 0 at frame 0 (grid index STEPS)."""
    total = torch.cumsum(0.5 * (rate[:, 1:] + rate[:, :-1]) * dt[:, None], 1)
    total = torch.cat([torch.zeros_like(total[:, :1]), total], 1)
    return total - total[:, STEPS : STEPS + 1]
