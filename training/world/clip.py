"""Renders clips: the entry point of the generated world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ros2_vodistill.camera import Camera
from ros2_vodistill.view import Patch, View
from training.world.build import PART, World, build
from training.world.cast import FAR, Caster
from training.world.config import WorldConfig
from training.world.draw import Draw
from training.world.grid import Grid, grid
from training.world.motion import STEPS, rotation
from training.world.photometry import Development
from training.world.records import per
from training.world.textures import load
from training.world.trace import Eyes


@dataclass(frozen=True)
class Clip:
    """B clips of T frames.

    `poses` are those of the view that the robot believes in. It is fixed to the camera by the *assumed* mount; where
    the mount is off by a degree, the view is tilted by that against the true horizon, and so are the axes in which its
    motion is given: a car that drives level then seems to climb a little. That motion is exactly what the images show,
    and the camera's own follows from it by the same assumed mount. `height` is the true one: translations divided by
    it are what can be read from the ground; a robot that multiplies by a wrong height errs by that factor.

    Attributes:
        images: (B, T, H, W) uint8.
        poses: (B, T, 4, 4) float64, world from the level view's optical frame, metres.
        height: (B,) float64, of the camera above the ground below it, metres; where it changes, at the first frame.
        stamps: (B, T) float64, seconds from the first frame.
        depth: (B, T, H, W) metres along the view's z axis, `FAR` for the sky; this and what follows only if asked for.
        objects: (B, T, H, W) int16, a number for each thing that is no ground, sky, house or wall, which are 0.
        moving: (B, T, H, W) bool, true on what moves by itself.
        flow: (B, T-1, 2, H, W) pixels to where what frame t shows is in frame t + 1, seen there or not; x, then y. None
            through a lens.
        flow_back: (B, T-1, 2, H, W) pixels to where what frame t + 1 shows was in frame t.
    """

    images: Tensor
    poses: Tensor
    height: Tensor
    stamps: Tensor
    depth: Tensor | None = None
    objects: Tensor | None = None
    moving: Tensor | None = None
    flow: Tensor | None = None
    flow_back: Tensor | None = None


def render(
    config: WorldConfig,
    seeds: Sequence[int] | Tensor,
    device: str | torch.device = "cpu",
    *,
    frames: int | None = None,
    view: View | Patch | Camera | None = None,
    labels: bool | View = False,
) -> Clip:
    """One clip for each seed; it depends on nothing but the seed and the configuration.

    Args:
        frames: length of the clips, instead of the configuration's.
        view: instead of the configuration's; a camera is rendered through its lens, in its own frame.
        labels: depth, flow and masks too, in the same view or in one of their own.
    """
    device = torch.device(device)
    seeds = torch.as_tensor(seeds, dtype=torch.int64, device=device)
    frames, view = frames or config.frames, view or config.view
    with torch.no_grad():
        return Renderer(config, device, view).clip(seeds, frames, labels)


class Renderer:
    """Renders through one view on one device.

    Attributes:
        budget: of numbers in an intermediate tensor.
    """

    def __init__(self, config: WorldConfig, device: torch.device, view: View | Patch | Camera) -> None:
        self.config, self.view = config, view
        self.textures = load(str(device))
        self.grid = grid(view, config.samples, device)
        self.budget = 1 << 17 if device.type == "cpu" else 1 << 24

    def clip(self, seeds: Tensor, frames: int, labels: bool | View) -> Clip:
        middle = (STEPS * (torch.arange(frames, device=seeds.device) + 1)).expand(len(seeds), -1)
        draw = Draw(seeds, "rig.")
        when, rolls = self._moments(draw, middle)
        parts = []
        for first in range(0, frames, PART):
            world = build(self.config, seeds, self.textures, first, frames)
            here = slice(first, first + PART)
            parts.append([self._light(world, when[:, here], rolls)])
            if labels:
                view = self.view if labels is True else labels
                parts[-1] += self._labels(world, view, middle[:, here], first == 0, here.stop >= frames)
        light, *known = (torch.cat(part, 1) for part in zip(*parts, strict=True))
        images = Development(seeds, self.config.photometry)(light, ~world.inside) * self._window(draw) * self.grid.seen
        poses = torch.eye(4, dtype=torch.float64, device=seeds.device).repeat(len(seeds), frames, 1, 1)
        poses[..., :3, 3], poses[..., :3, :3] = self._poses(world, middle)
        stamps = (middle - STEPS) * world.path.dt[:, None]
        return Clip(images, poses, world.height, stamps, *known)

    def _moments(self, draw: Draw, middle: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, S, R) when the rays of each row of tiles are seen, in steps of the time grid; and (B,) whether rows
        differ."""
        photometry, (s, r, _, _) = self.config.photometry, self.grid.shape
        shortest, longest = photometry.shutter
        shutter = (shortest + (longest - shortest) * draw.unit("shutter") ** 2) * STEPS
        within = (torch.arange(s, device=middle.device) + 0.5) / s - 0.5
        rolls = draw.chance("rolling", photometry.rolling)
        rolling = draw.uniform("readout", 0.1, 0.5) * STEPS * rolls
        down = (torch.arange(r, device=middle.device) + 0.5) / r - 0.5
        middle = middle[..., None, None]
        return middle + per(shutter, middle) * within[:, None] + per(rolling, middle) * down, rolls

    def _poses(self, world: World, when: Tensor) -> tuple[Tensor, Tensor]:
        """Position and rotation of the assumed view at times (B, ...) in grid steps."""
        position, heading, pitch, roll = world.path.at(when)
        return position, rotation(heading, pitch + per(world.tilt[:, 0], pitch), roll + per(world.tilt[:, 1], roll))

    def _eyes(self, world: World, when: Tensor) -> Eyes:
        """For (B, T, S, V) moments; frames (B * T)."""
        position, turn = self._poses(world, when)
        turn = turn @ world.lens[:, None, None, None]
        time = (when - STEPS) * world.path.dt[:, None, None, None]
        return Eyes(*(v.flatten(0, 1).float() for v in (position, turn, time)))

    def _light(self, world: World, when: Tensor, rolls: Tensor) -> Tensor:
        """(B, T, H, W) brightness; a few frames at a time, those whose rows of tiles differ apart from the others."""
        clips = torch.arange(len(when), device=when.device).repeat_interleave(when.shape[1])
        caster = Caster(self.grid, self.textures, self.budget)
        light = torch.empty(len(clips), *self.grid.size, device=clips.device)
        s, r, c, p = self.grid.shape
        step = max(1, 8 * self.budget // (s * r * c * p))
        for rolling in (False, True):
            eyes = self._eyes(world, when if rolling else when[..., r // 2 : r // 2 + 1])
            chosen = (rolls[clips] == rolling).nonzero()[:, 0]
            for part in chosen.split(step) if len(chosen) else ():
                light[part] = caster.brightness(world.stage.select(clips[part]), eyes.select(part))
        return light.unflatten(0, when.shape[:2])

    def _window(self, draw: Draw) -> Tensor:
        """(B, 1, H, W) uint8: 0 where a narrower camera's image does not reach."""
        h, w = self.grid.size
        narrow = draw.chance("narrow", self.config.rig.narrow)
        sides = draw.uniform("border", -0.1, 0.3, (4,)).clamp_min(0.0) * narrow[:, None]
        x, y = torch.arange(w, device=sides.device) / w, torch.arange(h, device=sides.device)[:, None] / h
        left, right, top, bottom = (v[:, None, None, None] for v in sides.unbind(1))
        return ((x >= left) & (x < 1 - right) & (y >= top) & (y < 1 - 0.3 * bottom)).to(torch.uint8)

    def _labels(
        self, world: World, view: View | Patch | Camera, middle: Tensor, first: bool, last: bool
    ) -> list[Tensor]:
        """Depth, masks of objects and of what moves, and flow (for a view with a pinhole), at the middle of the
        exposures and of the pixels; flow to the next frame, which the last part of a clip has not for its last, and to
        the one before."""
        b, t = middle.shape
        clips = torch.arange(b, device=middle.device).repeat_interleave(t)
        through = grid(view, 1, middle.device)
        caster = Caster(through, self.textures, self.budget)
        onward = torch.cat([middle[:, :1] - STEPS, middle, middle[:, -1:] + STEPS], 1)
        eyes = self._eyes(world, onward[..., None, None])
        now = torch.arange(len(eyes.time), device=middle.device).view(b, t + 2)[:, 1:-1].flatten()
        stage = world.stage.select(clips)
        hits = caster.hits(stage, eyes.select(now))
        index, (_, r, c, _) = hits.index[:, 0], through.shape
        frame = torch.arange(len(index), device=index.device) // (r * c)
        column = index.clamp_min(0).long() + (frame * stage.index("yaw").shape[1])[:, None]
        velocity = stage.index("velocity").flatten(0, 1)[column] * (index >= 0)[..., None]
        thing = torch.cat([2 * stage.boxes.group + 1, 2 * stage.rounds.group + 2], 1) * (stage.index("label") > 0)
        objects = (thing.flatten()[column] * (index >= 0)).to(torch.int16)
        images = [through.image(v).unflatten(0, (b, t)) for v in (
            1.0 / hits.inverse[:, 0], objects, (velocity != 0).any(-1))]  # fmt: skip
        if isinstance(view, View):
            flows = [self._flow(view, through, eyes, hits.inverse[:, 0], velocity, (b, t), way) for way in (1, -1)]
            images += [flows[0][:, :-1] if last else flows[0], flows[1][:, 1:] if first else flows[1]]
        return images

    def _flow(
        self, view: View, through: Grid, eyes: Eyes, inverse: Tensor, velocity: Tensor, shape: tuple[int, int], way: int
    ) -> Tensor:
        """(B, T, 2, H, W) to the next frame (`way` 1) or to the one before (-1), of the inner of T + 2 frames."""
        b, t = shape
        _, r, c, p = through.shape
        rays = through.tiles[:, 0].movedim(1, 0).reshape(3, -1).double()
        inverse, velocity = inverse.reshape(b, t, -1, 1).double(), velocity.reshape(b, t, -1, 3).double()
        pairs = (v.double().view(b, t + 2, *v.shape[3:]) for v in (eyes.origin, eyes.turn, eyes.time))
        (origin, there), (turn, turn_there), (time, then) = ((v[:, 1:-1], v[:, 1 + way : t + 1 + way]) for v in pairs)
        ray = (turn @ rays).transpose(-1, -2)  # world, for a depth of one
        shift = (origin - there)[:, :, None] + velocity * (then - time)[..., None, None]
        inverse = torch.where(inverse <= 1.0 / FAR, torch.zeros_like(inverse), inverse)
        seen = torch.linalg.solve(turn_there, (ray + shift * inverse).transpose(-1, -2))  # B T 3 M
        place = seen[:, :, :2] / seen[:, :, 2:].clamp_min(1e-6) - rays[:2]
        focal = torch.tensor([view.fx, view.fy], device=place.device, dtype=torch.float64)[:, None]
        return through.image((place * focal).float().reshape(b * t * 2 * r * c, p)).view(b, t, 2, *through.size)
