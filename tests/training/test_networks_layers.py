"""Layers against torch's own and against plain loops."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from training.networks.correlation import Correlation, local_correlation
from training.networks.layers import GRUCell, Linear, LSTMCell, Residual, ScaledConv2d, SeparableConv2d, box_mean, fold


@settings(deadline=None, max_examples=30)
@given(
    channels=st.integers(1, 3),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    stride=st.integers(1, 2),
    vertical=st.integers(0, 3),
    horizontal=st.integers(0, 3),
)
def test_local_correlation_is_a_loop_of_scalar_products(
    channels: int, height: int, width: int, stride: int, vertical: int, horizontal: int
) -> None:
    this = torch.randn(2, channels, height, width, dtype=torch.float64)
    last = torch.randn(2, channels, stride * height, stride * width, dtype=torch.float64)
    found = local_correlation(this, last, (vertical, horizontal))
    rows, columns = 2 * vertical + 1, 2 * horizontal + 1
    assert found.shape == (2, height, width, rows * columns)
    for y in range(height):
        for x in range(width):
            for dy in range(-vertical, vertical + 1):
                for dx in range(-horizontal, horizontal + 1):
                    v, u = stride * y + dy, stride * x + dx
                    inside = 0 <= v < stride * height and 0 <= u < stride * width
                    expected = (this[:, :, y, x] * last[:, :, v, u]).sum(1) if inside else torch.zeros(2).double()
                    number = (dy + vertical) * columns + dx + horizontal
                    torch.testing.assert_close(found[:, y, x, number], expected / math.sqrt(channels))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (2, -1), (-3, 2)])
def test_correlation_finds_where_each_cell_came_from(dx: int, dy: int, stride: int) -> None:
    """An image that moved as a whole: the expected displacement is where it was, away from the edges."""
    torch.manual_seed(0)
    last = nn.functional.normalize(torch.randn(1, 64, 12, 16), dim=1)
    this = last.roll((-dy, -dx), (2, 3))[:, :, ::stride, ::stride]
    correlation = Correlation((2, 3))
    nn.init.constant_(correlation.temperature, math.log(400.0))
    both, flow = correlation(this, last)
    assert both.shape[1] == correlation.channels == 5 * 7 + 2
    inner = flow[0, :, 3 // stride + 1 : -3 // stride, 4 // stride + 1 : -4 // stride]
    torch.testing.assert_close(inner, torch.tensor([dx, dy]).float()[:, None, None].expand_as(inner), atol=0.02, rtol=0)
    torch.testing.assert_close(both[:, -2:], flow)


@pytest.mark.parametrize("size", [1, 3, 7])
def test_box_mean_is_that_of_the_pixels_inside(size: int) -> None:
    x, reach = torch.randn(2, 1, 5, 8, dtype=torch.float64), size // 2
    found = box_mean(x, size)
    for row in range(5):
        for column in range(8):
            part = x[..., max(0, row - reach) : row + reach + 1, max(0, column - reach) : column + reach + 1]
            torch.testing.assert_close(found[..., row, column], part.mean((2, 3)))


def test_scaled_filters_are_standardised() -> None:
    layer = ScaledConv2d(5, 4, 3, gain=1.0)
    with torch.no_grad():
        layer.weight.mul_(7).add_(3)
        layer.gain.copy_(torch.tensor([1.0, 2.0, 0.5, 3.0]).view(4, 1, 1, 1))
    filters = layer.standardised()
    torch.testing.assert_close(filters.mean((1, 2, 3)), torch.zeros(4), atol=1e-6, rtol=0)
    torch.testing.assert_close(filters.square().sum((1, 2, 3)).sqrt(), layer.gain.flatten(), atol=1e-4, rtol=0)


def test_scaled_filters_are_rounded_once() -> None:
    torch.manual_seed(0)
    layer = ScaledConv2d(64, 32, 3)
    exact = copy.deepcopy(layer).double().standardised()
    torch.testing.assert_close(layer.standardised(), exact.float(), rtol=0, atol=0)


def test_scaled_convolution_keeps_the_variance() -> None:
    """With the gain of a rectifier, white noise keeps its second moment through a deep stack, near enough."""
    torch.manual_seed(0)
    x = torch.randn(4, 32, 32, 32)
    for _ in range(8):
        x = ScaledConv2d(32, 32, 3)(x).relu()
    assert 0.2 < x.square().mean().item() < 5


def test_a_separable_convolution_is_one_of_all_channels() -> None:
    """Whose filters are products, and that has many more parameters."""
    torch.manual_seed(0)
    layer = SeparableConv2d(6, 8, stride=2)
    torch.nn.init.normal_(layer.each.weight)
    whole = layer.mix.standardised() * layer.each.weight.transpose(0, 1)
    x = torch.randn(2, 6, 9, 12)
    expected = nn.functional.conv2d(x, whole, layer.mix.bias, stride=2, padding=1)
    torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)
    assert sum(p.numel() for p in layer.parameters()) < whole.numel() / 3


def test_a_separable_convolution_that_strides_begins_as_a_mean() -> None:
    """What lies between the places counts as much as what lies at them."""
    layer = SeparableConv2d(1, 1, stride=2)
    x = torch.rand(1, 1, 8, 8)
    means = nn.functional.avg_pool2d(x[..., 1:, 1:], 3, 2)
    torch.testing.assert_close(layer.each(x)[..., 1:, 1:], means)


@pytest.mark.parametrize("separable", [False, True])
def test_folding_changes_nothing_but_the_kind(separable: bool) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(ScaledConv2d(3, 8, 5, stride=2), nn.ReLU(), Residual(8, separable))
    x = torch.randn(2, 3, 11, 13)
    expected = module(x)
    folded = fold(module)
    assert not any(isinstance(m, ScaledConv2d) for m in folded.modules())
    torch.testing.assert_close(folded(x), expected)


def test_a_wide_layer_is_torchs_and_keeps_its_digits() -> None:
    """Added up one after the other, so many equal numbers come out wrong by 2e-5: each sum is rounded the same way."""
    ours, theirs = Linear(10240, 4), nn.Linear(10240, 4)
    assert ours.parts == 80
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(3, 10240)
    for layer in (ours, theirs):
        layer(x).square().sum().backward()
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.weight.grad, theirs.weight.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ours.bias.grad, theirs.bias.grad, rtol=1e-4, atol=1e-5)
    nn.init.constant_(ours.weight, 1.3)
    nn.init.zeros_(ours.bias)
    torch.testing.assert_close(ours(torch.ones(1, 10240)), torch.full((1, 4), 1.3 * 10240), rtol=2e-6, atol=0.0)


@pytest.mark.parametrize(("inputs", "parts"), [(1024, 1), (12800, 100), (1031, 1), (2062, 2)])
def test_a_wide_layer_has_parts_whatever_its_width(inputs: int, parts: int) -> None:
    layer = Linear(inputs, 2)
    assert layer.parts == parts
    assert layer(torch.randn(5, inputs)).shape == (5, 2)


def test_lstm_cell_is_torchs() -> None:
    ours, theirs = LSTMCell(5, 7), nn.LSTMCell(5, 7)
    with torch.no_grad():
        theirs.weight_ih.copy_(ours.gates.weight[:, :5])
        theirs.weight_hh.copy_(ours.gates.weight[:, 5:])
        theirs.bias_ih.copy_(ours.gates.bias)
        theirs.bias_hh.zero_()
    x, hidden, cell = torch.randn(3, 5), torch.randn(3, 7), torch.randn(3, 7)
    for found, expected in zip(ours(x, hidden, cell), theirs(x, (hidden, cell)), strict=True):
        torch.testing.assert_close(found, expected)


def test_gru_cell_is_torchs() -> None:
    ours, theirs = GRUCell(5, 7), nn.GRUCell(5, 7)

    def swapped(x: torch.Tensor) -> torch.Tensor:  # torch orders the gates reset, update, new
        update, reset, new = x.chunk(3)
        return torch.cat([reset, update, new])

    with torch.no_grad():
        theirs.weight_ih.copy_(swapped(ours.from_input.weight))
        theirs.weight_hh.copy_(swapped(ours.from_state.weight))
        theirs.bias_ih.copy_(swapped(ours.from_input.bias))
        theirs.bias_hh.copy_(swapped(ours.from_state.bias))
    x, state = torch.randn(3, 5), torch.randn(3, 7)
    torch.testing.assert_close(ours(x, state), theirs(x, state))
