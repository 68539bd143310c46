"""Clips as a robot gets them: rendered through a camera with a lens and a mount, then warped by the robot's own code.

What upsampling, noise and compression of the camera's frames do to a view is in such clips, and not in clips that are
rendered straight into the view. They cost more: the whole frame is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.view import Patch, View, Warp
from training.world.clip import Clip, render
from training.world.config import WorldConfig


def mounted(camera: Camera, mount: Mount) -> Camera:
    """The same camera, with rays in the level frame of its mount."""
    turn = mount.level_from_camera
    own = np.eye(3) if camera.rotation is None else np.asarray(camera.rotation)
    return replace(camera, rotation=tuple(tuple(row) for row in (turn @ own).tolist()))


def render_through(
    config: WorldConfig,
    seeds: Sequence[int] | Tensor,
    camera: Camera,
    views: Mapping[str, View | Patch],
    device: str | torch.device = "cpu",
    *,
    frames: int | None = None,
) -> tuple[Clip, dict[str, Tensor]]:
    """Clips of a camera's own frames, and the views of them, (B, T, H, W) uint8 each, on the CPU.

    Args:
        camera: with rays in the level frame, as `mounted` gives them.
    """
    clip = render(config, seeds, device, frames=frames, view=camera)
    shots = clip.images.cpu().numpy()
    warps = {name: Warp(camera, view, np.eye(3)) for name, view in views.items()}
    return clip, {
        name: torch.from_numpy(np.stack([[warp(shot) for shot in shots_of_clip] for shots_of_clip in shots]))
        for name, warp in warps.items()
    }
