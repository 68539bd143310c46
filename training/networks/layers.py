"""Layers that both families are built from, written so that they export to plain, fast graphs."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

_EPSILON = 1e-6
_LONG = 1024  # numbers that are added one after the other at most


class ScaledConv2d(nn.Conv2d):
    """A convolution whose filters are standardised, with a learned gain each (scaled weight standardisation).

    It stands in for batch normalisation: as stable, but free of batch statistics, so that training and inference, a
    clip and its single steps, one process and several compute the same thing, and a frozen layer is really frozen.
    `folded` turns it into a plain convolution, so that it costs nothing on the robot.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, gain: float = 1.7) -> None:
        super().__init__(inputs, outputs, kernel, stride, padding=kernel // 2)
        self.gain = nn.Parameter(torch.full((outputs, 1, 1, 1), gain))
        # Their length does not change what is computed, but how far a step of the optimiser turns them.
        nn.init.normal_(self.weight, std=self.weight[0].numel() ** -0.5)
        nn.init.zeros_(self.bias)  # type: ignore[arg-type]

    def standardised(self) -> Tensor:
        """The filters that are applied. They are rounded once, at the end: an error of a filter's scale would go all
        one way in every pixel."""
        weight = self.weight.double()
        variance, mean = torch.var_mean(weight, dim=(1, 2, 3), keepdim=True, correction=0)
        scale = self.gain.double() * torch.rsqrt(variance * weight[0].numel() + _EPSILON)
        return ((weight - mean) * scale).to(self.weight.dtype)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.standardised(), self.bias, self.stride, self.padding)

    def folded(self) -> nn.Conv2d:
        """A plain convolution that computes the same."""
        plain = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size, self.stride, self.padding)  # type: ignore[arg-type]
        plain.weight = nn.Parameter(self.standardised().detach())
        plain.bias = self.bias
        return plain


def fold(module: nn.Module) -> nn.Module:
    """Replace every `ScaledConv2d` inside `module` by its plain equivalent, in place; returns the module."""
    for name, child in module.named_children():
        setattr(module, name, child.folded() if isinstance(child, ScaledConv2d) else fold(child))
    return module


class SeparableConv2d(nn.Module):
    """A 3x3 convolution in two: of each channel by itself, then of all channels at one place. Of 64 channels it has a
    ninth of the parameters. With a stride it begins as a mean, so that nothing falls between the places."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, gain: float = 1.7) -> None:
        super().__init__()
        self.each = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.mix = ScaledConv2d(inputs, outputs, 1, gain=gain)
        if stride == 1:
            nn.init.normal_(self.each.weight, std=1 / 3)
        else:
            nn.init.constant_(self.each.weight, 1 / 9)

    def forward(self, x: Tensor) -> Tensor:
        return self.mix(self.each(x))


class Residual(nn.Module):
    """Two 3x3 convolutions and the input added to them; near the identity at first."""

    def __init__(self, width: int, separable: bool = False) -> None:
        super().__init__()
        self.first = convolution(width, width, separable=separable)
        self.second = convolution(width, width, gain=0.3, separable=separable)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


def unhalved(x: Tensor) -> Tensor:
    """In single precision what autocast halved; double precision stays."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def frame_mean(maps: Tensor) -> Tensor:
    """The mean (N, C, 1, 1) of every map (N, C, H, W), over its rows and then over theirs.

    Some engines add one number after the other, in single precision: over a whole frame at once they lose half of the
    digits.
    """
    return maps.mean(3, keepdim=True).mean(2, keepdim=True)


class Linear(nn.Linear):
    """A fully connected layer. Many inputs are added up in parts, about as many as each is long: see `frame_mean`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.parts = 1 if inputs <= _LONG else next(n for n in range(math.isqrt(inputs), 0, -1) if inputs % n == 0)

    def forward(self, x: Tensor) -> Tensor:
        if self.parts == 1:
            return super().forward(x)
        weight = self.weight.unflatten(1, (self.parts, -1)).permute(1, 2, 0)
        return (x.unflatten(1, (self.parts, -1)).transpose(0, 1) @ weight).sum(0) + self.bias


def box_mean(x: Tensor, size: int) -> Tensor:
    """The mean over a box of an odd `size` around every pixel of maps (N, C, H, W), as far as it lies inside. Engines
    pool such boxes one pixel after the other; products take a fraction of the time."""
    with in_full(x):
        x = unhalved(x)
        down, across = (_near(length, size // 2, x) for length in x.shape[2:])
        return down @ x @ across.T


def _near(length: int, reach: int, like: Tensor) -> Tensor:
    """(length, length) the mean, for every place in a row, of those that are no farther than `reach`."""
    place = torch.arange(length, device=like.device)
    near = ((place[:, None] - place).abs() <= reach).to(like.dtype)
    return near / near.sum(1, keepdim=True)


def convolution(
    inputs: int, outputs: int, stride: int = 1, gain: float = 1.7, separable: bool = False
) -> ScaledConv2d | SeparableConv2d:
    """Of 3x3 places, as a whole or in two parts."""
    if separable:
        return SeparableConv2d(inputs, outputs, stride, gain)
    return ScaledConv2d(inputs, outputs, 3, stride, gain)


def stage(begin: nn.Module, width: int, blocks: int, separable: bool = False) -> nn.Sequential:
    """A convolution to so many channels, then residual blocks."""
    return nn.Sequential(begin, nn.ReLU(), *(Residual(width, separable) for _ in range(blocks)))


class GRUCell(nn.Module):
    """A gated recurrent unit with an explicit state, written out for export. The state has `width` numbers."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.from_input = nn.Linear(inputs, 3 * width)
        self.from_state = nn.Linear(width, 3 * width)

    def forward(self, x: Tensor, state: Tensor) -> Tensor:
        update_x, reset_x, new_x = self.from_input(x).chunk(3, -1)
        update_h, reset_h, new_h = self.from_state(state).chunk(3, -1)
        update = torch.sigmoid(update_x + update_h)
        new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
        return new + update * (state - new)


class LSTMCell(nn.Module):
    """A long short-term memory with explicit state (hidden, cell) and one bias, written out for export."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.gates = Linear(inputs + width, 4 * width)

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        enter, forget, new, leave = self.gates(torch.cat([x, hidden], -1)).chunk(4, -1)
        cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
        return torch.sigmoid(leave) * torch.tanh(cell), cell


def in_full(x: Tensor) -> AbstractContextManager[object]:
    """Where products are computed in full precision also while others are halved; nothing where none are, so that
    exported graphs know nothing of it."""
    halved = torch.is_autocast_enabled(x.device.type)
    return torch.autocast(x.device.type, enabled=False) if halved else nullcontext()
