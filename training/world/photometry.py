"""What lens, sensor and exposure make of the light: from brightness to 8-bit pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from training.world.config import Photometry
from training.world.draw import Draw
from training.world.records import per

NORMALS = 1 << 21
"""Different numbers that pixel noise is made of."""

Effect = Callable[[Draw, Tensor, Tensor], Tensor]
"""Draws, images (B, T, H, W) and numbers of the frames (B, T) to images."""


class Development:
    """The photometric settings of B clips.

    Args:
        seeds: (B,) of the clips.
    """

    def __init__(self, seeds: Tensor, settings: Photometry) -> None:
        self.settings = settings
        self.draw = Draw(seeds, "photo.")

    def __call__(self, light: Tensor, outside: Tensor) -> Tensor:
        """(B, T, H, W) brightness to uint8 images; it may rain `outside` (B,)."""
        d, settings = self.draw, self.settings
        frame = torch.arange(light.shape[1], device=light.device).expand(light.shape[0], -1)
        focus = d.unit("focus") * d.chance("defocus", settings.defocus)
        light = _soften(light, d.uniform("blur.lens", *settings.blur) + focus)
        light = self._expose(light, frame)
        light = self._some(d.chance("dust", settings.dust), _dust, light, frame)
        light = self._some(d.chance("rain", settings.rain) & outside, _rain, light, frame)
        light = light.clamp(0.0, 1.0) ** per(d.log_uniform("gamma", *settings.gamma), light)
        grey = 255.0 * light
        if any(settings.noise):
            grey = grey + self._noise(grey, frame)
        grey = self._some(d.chance("jpeg", settings.jpeg), _compress, grey, frame)
        return _soften(grey, d.uniform("blur.warp", *settings.blur)).round_().clamp_(0, 255).to(torch.uint8)

    def _some(self, which: Tensor, effect: Effect, images: Tensor, frame: Tensor) -> Tensor:
        """With an effect on those clips (B,) that it befalls; may change `images` in place."""
        chosen = which.nonzero()[:, 0]
        if len(chosen):
            images[chosen] = effect(Draw(self.draw.seeds[chosen], "photo."), images[chosen], frame[chosen])
        return images

    def _expose(self, light: Tensor, frame: Tensor) -> Tensor:
        d, settings = self.draw, self.settings
        h, w = light.shape[-2:]
        low = (d.chance("metered low", 0.6) * (h // 2)).long()  # many cameras meter by the road
        metered = torch.arange(h, device=light.device)[:, None] >= low[:, None, None, None]
        seen = light.clamp_max(1.5) * metered
        count = metered.sum((1, 2, 3))[:, None] * w
        mean = 0.5 * seen.sum((2, 3)) / count + 0.5 * (seen.square().sum((2, 3)) / count).sqrt()
        level, pace = [mean[:, 0]], d.uniform("adapt", *settings.adapt)
        for now in mean.unbind(1)[1:]:
            level.append(torch.lerp(level[-1], now, pace))
        gain = d.uniform("exposure", *settings.exposure)[:, None] / torch.stack(level, 1).clamp_min(1e-3)
        flicker = d.at(frame).normal("flicker", settings.flicker).exp()
        y = torch.linspace(-1, 1, h, device=light.device)[:, None] * h / w
        x = torch.linspace(-1, 1, w, device=light.device)
        loss = per(d.uniform("vignetting", 0.0, settings.vignetting), light) * (x * x + y * y)
        return light * (per(gain * flicker, light) * (1 - loss))

    def _noise(self, grey: Tensor, frame: Tensor) -> Tensor:
        """Pixel noise, whose variance grows with the brightness, in part."""
        d = self.draw
        h, w = grey.shape[-2:]
        start = d.at(frame).bits("pixel", frame[..., None])[..., 0] & (NORMALS - 1)
        grain = _normal(h * w, str(grey.device)).unfold(0, h * w, 1)[start].view(grey.shape)
        shot = per(d.unit("noise.shot"), grey)
        level = (1 + shot * (grey / 100.0 - 1.0)).clamp_min(0.1).sqrt()
        return grain * level * per(d.log_uniform("noise", *self.settings.noise), grey)


def _dust(d: Draw, light: Tensor, frame: Tensor) -> Tensor:
    """Dark spots that stay where they are in the image."""
    h, w = light.shape[-2:]
    y, x = torch.arange(h, device=light.device)[:, None], torch.arange(w, device=light.device)
    for i in range(4):
        at, size = d.unit(f"dust{i}", (2,)), d.uniform(f"dust{i}.size", 0.01, 0.05) * w
        radius = ((x - per(at[:, 0] * w, light)) ** 2 + (y - per(at[:, 1] * h, light)) ** 2) / per(size**2, light)
        light = light * (1 - per(d.uniform(f"dust{i}.depth", 0.1, 0.6), light) * (-radius).exp())
    return light


def _rain(d: Draw, light: Tensor, frame: Tensor) -> Tensor:
    """Bright streaks, elsewhere in every frame."""
    h, w = light.shape[-2:]
    y, x = torch.arange(h, device=light.device)[:, None], torch.arange(w, device=light.device)
    long, slope = d.uniform("rain.long", 0.05, 0.3) * h, d.normal("rain.slope", 0.15)
    for i in range(10):
        at = d.at(frame).unit(f"rain{i}", (2,))
        down = (y - per(at[..., 1] * h, light)) / per(long, light)
        across = x - per(at[..., 0] * w, light) - per(slope * long, light) * down
        light = light + 0.15 * (-down * down - across * across).exp()
    return light


def _compress(d: Draw, grey: Tensor, frame: Tensor) -> Tensor:
    """Rounds the frequencies of 8 x 8 blocks, as JPEG does; incomplete blocks stay as they are."""
    b, t, h, w = grey.shape
    rows, columns = h // 8, w // 8
    blocks = grey[..., : rows * 8, : columns * 8].reshape(b, t, rows, 8, columns, 8).transpose(3, 4)
    basis = _cosines(grey.device)
    waves = basis @ blocks @ basis.T
    order = torch.arange(8, device=grey.device)
    step = per(d.log_uniform("jpeg.step", 2.0, 8.0), waves) * (1 + 0.3 * (order[:, None] + order))
    blocks = (basis.T @ ((waves / step).round() * step) @ basis).transpose(3, 4).reshape(b, t, rows * 8, columns * 8)
    out = grey.clone()
    out[..., : rows * 8, : columns * 8] = blocks
    return out


def _soften(images: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur of (B, T, H, W) by (B,) pixels, up to about one and a half."""
    taps = torch.arange(-2, 3, device=images.device)
    kernel = (-0.5 * (taps / sigma.clamp_min(1e-3)[:, None]) ** 2).exp()
    kernel = kernel / kernel.sum(1, keepdim=True)
    for axis, around in ((3, (2, 2, 0, 0)), (2, (0, 0, 2, 2))):
        wide = torch.nn.functional.pad(images, around, mode="replicate")
        size = images.shape[axis]
        images = wide.narrow(axis, 0, size) * per(kernel[:, 0], images)
        for i in range(1, 5):
            images += wide.narrow(axis, i, size) * per(kernel[:, i], images)
    return images


def _cosines(device: torch.device) -> Tensor:
    """(8, 8) the orthonormal discrete cosine transform."""
    k, n = torch.arange(8.0, device=device)[:, None], torch.arange(8.0, device=device)
    basis = (math.pi / 8 * (n + 0.5) * k).cos() * 0.5
    basis[0] *= math.sqrt(0.5)
    return basis


@lru_cache(maxsize=4)
def _normal(more: int, device: str) -> Tensor:
    """Normal numbers, always the same; `more` of them follow at the end, from the first on again."""
    numbers = torch.randn(NORMALS, generator=torch.Generator().manual_seed(5))
    return numbers.repeat(2 + more // NORMALS)[: NORMALS + more].to(device)
