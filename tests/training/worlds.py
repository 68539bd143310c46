"""Small worlds for tests: without noise and residual errors unless asked for."""

from __future__ import annotations

from dataclasses import replace

import torch

from ros2_vodistill.view import View
from training.world import WorldConfig
from training.world.build import KINDS
from training.world.config import Photometry, Places, Rig
from training.world.platform import Platform
from training.world.scene import Solids

SMALL = View(160, 48, 92.5, 92.5, 79.5, 23.5)
EXACT = Rig(0.0, 0.0, 0.0, 0.0, 0.0)
CLEAN = Photometry(
    noise=(1e-6, 1e-6),
    adapt=(0.0, 0.0),
    flicker=0.0,
    vignetting=0.0,
    shutter=(0.0, 0.0),
    rolling=0.0,
    blur=(0.0, 0.0),
    defocus=0.0,
    jpeg=0.0,
    dust=0.0,
    rain=0.0,
)


def config(rig: Rig = EXACT, photometry: Photometry = CLEAN, **kwargs: object) -> WorldConfig:
    return WorldConfig(frames=3, view=SMALL, rig=rig, photometry=photometry, **kwargs)  # type: ignore[arg-type]


def only(kind: str) -> Places:
    return replace(Places(), **{name: float(name == kind) for name in KINDS})  # type: ignore[arg-type]


def straight(**kwargs: object) -> Platform:
    """A platform that goes straight ahead without shaking."""
    names = (
        "yaw_rate_deg",
        "yaw_deg",
        "pitch_deg",
        "roll_deg",
        "heave",
        "dive",
        "gaze_deg",
        "sideways",
        "slide",
        "climb",
    )
    return Platform(road=False, **{**dict.fromkeys(names, 0.0), **kwargs})  # type: ignore[arg-type]


def box(**kwargs: object) -> Solids:
    """One box of 2 x 2 x 2 m, 10 m ahead, standing on the ground."""
    one = lambda *values: torch.tensor(values).view(1, 1, *([-1] if len(values) > 1 else []))  # noqa: E731
    fields = {
        "centre": one(0.0, -1.0, 10.0), "yaw": one(0.0), "half": one(1.0, 1.0, 1.0), "taper": one(0.0, 0.0),
        "straight": one(0.0), "leaves": one(0.0), "velocity": one(0.0, 0.0, 0.0), "texture": one(0.0, 0.0, 0.0),
        "tile": one(1.0, 1.0, 1.0), "offset": one(0.0), "tone": one(0.1, 0.9), "label": one(1), "group": one(0),
    }  # fmt: skip
    return Solids(**{**fields, **kwargs})  # type: ignore[arg-type]
