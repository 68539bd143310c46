"""What lens, sensor and exposure make of the light: from brightness to 8-bit pixels."""

from __future__ import annotations

import torch
from torch import Tensor

from training.world.config import Photometry
from training.world.draw import Draw
from training.world.shade import per


def develop(light: Tensor, seeds: Tensor, settings: Photometry, first: int = 0) -> Tensor:
    """(B, T, H, W) brightness to uint8 images; `first` is the number of the first frame in its sequence."""
    draw = Draw(seeds, "photo.")
    b, t, h, w = light.shape
    target = draw.uniform("target", (), 0.25, 0.5)
    mean = light[:, 0].clamp_max(2.0).mean((1, 2))
    gain = target / mean.clamp_min(1e-3) * draw.uniform("gain", (), 0.8, 1.3)
    frame = (first + torch.arange(t, device=light.device))[None]
    flicker = (draw.at("flicker", frame) + draw.at("flicker2", frame) - 1.0) * 2.4 * settings.flicker
    light = light * (per(gain, light) * flicker.exp()[..., None, None])
    y = torch.linspace(-1, 1, h, device=light.device)[:, None] * h / w
    x = torch.linspace(-1, 1, w, device=light.device)
    loss = draw.uniform("vignetting", (), 0.0, settings.vignetting)
    light = light * (1 - per(loss, light) * (x * x + y * y))
    light = light.clamp(0.0, 1.0) ** per(draw.log_uniform("gamma", (), *settings.gamma), light)
    sigma = draw.log_uniform("noise", (), *settings.noise)
    counter = torch.arange(h * w, device=light.device).view(1, 1, h, w) + frame[..., None, None] * (h * w)
    bits = draw.bits("pixel", counter)
    grain = ((bits & 0xFFF).float() + (bits >> 12).float()) * (1.0 / 4096) - 1.0  # triangular, deviation 0.41
    return (255 * light + grain * per(sigma * 2.45, light)).round_().clamp_(0, 255).to(torch.uint8)
