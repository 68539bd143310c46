"""Knowledge review: ABF and HCL, step by step."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from training.losses import Features, build_features
from training.losses.review import AttentionFusion, Review, hierarchical_context


def test_context_of_a_tall_map_by_hand() -> None:
    """8x8: pooling to 4, 2 and 1 with weights 1/2, 1/4, 1/8."""
    student, teacher = (torch.randn(2, 3, 8, 8, dtype=torch.float64) for _ in range(2))
    difference = (student - teacher).numpy()
    total = (difference**2).mean()
    for weight, size in ((0.5, 4), (0.25, 2), (0.125, 1)):
        step = 8 // size
        pooled = difference.reshape(2, 3, size, step, size, step).mean((3, 5))
        total += weight * (pooled**2).mean()
    assert hierarchical_context(student, teacher).item() == pytest.approx(total / 1.875)


def test_context_of_a_low_map_leaves_out_what_is_not_smaller() -> None:
    """2 rows: pooling to 4 and 2 is left out, so that 1x1 has the first weight, 1/2."""
    student, teacher = (torch.randn(2, 3, 2, 6, dtype=torch.float64) for _ in range(2))
    difference = (student - teacher).numpy()
    expected = ((difference**2).mean() + 0.5 * (difference.mean((2, 3)) ** 2).mean()) / 1.5
    assert hierarchical_context(student, teacher).item() == pytest.approx(expected)
    one_row = student[:, :, :1], teacher[:, :, :1]
    assert hierarchical_context(*one_row).item() == pytest.approx(((one_row[0] - one_row[1]) ** 2).mean().item())


def test_equal_features_cost_nothing() -> None:
    x = torch.randn(1, 2, 8, 8)
    assert hierarchical_context(x, x).item() == 0


def test_fusion_step_by_step() -> None:
    torch.manual_seed(0)
    fusion = AttentionFusion(5, 4, 6, deepest=False).double().eval()
    x, deeper = torch.randn(2, 5, 4, 6).double(), torch.randn(2, 4, 2, 3).double()
    output, residual = fusion(x, deeper, (4, 6))
    reduce, attend, expand = fusion.reduce[0], fusion.attend, fusion.expand[0]
    assert reduce.bias is None
    assert expand.bias is None
    epsilon = fusion.reduce[1].eps  # of a fresh normalisation, which in eval mode only divides by sqrt(1 + epsilon)
    reduced = np.einsum("oc,nchw->nohw", reduce.weight.detach().numpy()[:, :, 0, 0], x.numpy()) / np.sqrt(1 + epsilon)
    enlarged = deeper.numpy().repeat(2, 2).repeat(2, 3)
    both = np.concatenate([reduced, enlarged], 1)
    z = np.einsum("oc,nchw->nohw", attend.weight.detach().numpy()[:, :, 0, 0], both)
    z = 1 / (1 + np.exp(-(z + attend.bias.detach().numpy()[None, :, None, None])))
    fused = reduced * z[:, :1] + enlarged * z[:, 1:]
    np.testing.assert_allclose(residual.detach().numpy(), fused)
    expected = functional.conv2d(torch.from_numpy(fused), expand.weight, padding=1) / np.sqrt(1 + epsilon)
    torch.testing.assert_close(output, expected)


def test_the_deepest_level_is_only_reduced_and_expanded() -> None:
    fusion = AttentionFusion(5, 4, 6, deepest=True).eval()
    assert fusion.attend is None
    x = torch.randn(1, 5, 2, 3)
    output, residual = fusion(x, None, (2, 3))
    torch.testing.assert_close(residual, fusion.reduce(x))
    torch.testing.assert_close(output, fusion.expand(residual))


def test_the_output_has_the_teachers_size() -> None:
    fusion = AttentionFusion(5, 4, 6, deepest=True).eval()
    output, residual = fusion(torch.randn(1, 5, 2, 3), None, (4, 6))
    assert output.shape == (1, 6, 4, 6)
    assert residual.shape == (1, 4, 4, 6)


def test_convolutions_start_uniform() -> None:
    """kaiming_uniform(a=1): within sqrt(3 / fan in), and filling it."""
    fusion = AttentionFusion(64, 32, 64, deepest=True)
    for convolution, inputs in ((fusion.reduce[0], 64), (fusion.expand[0], 32 * 9)):
        bound = np.sqrt(3 / inputs)
        assert 0.98 * bound < convolution.weight.abs().max().item() <= bound
        assert convolution.weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.1)


def test_levels_are_fused_from_deep_to_shallow() -> None:
    """The deepest student feature reaches every level's loss; the shallowest its own only."""
    torch.manual_seed(0)
    loss = build_features("review", (3, 4), (5, 6), middle=8)
    assert isinstance(loss, Review)
    students = [torch.randn(2, 3, 8, 8, requires_grad=True), torch.randn(2, 4, 4, 4, requires_grad=True)]
    teachers = (torch.randn(2, 5, 8, 8), torch.randn(2, 6, 4, 4))
    shallow, residual = None, None
    deep, residual = loss.fusions[1](students[1], None, (4, 4))
    shallow, _ = loss.fusions[0](students[0], residual, (8, 8))
    expected = hierarchical_context(shallow, teachers[0]) + hierarchical_context(deep, teachers[1])
    torch.testing.assert_close(loss(Features(tuple(students), teachers)), expected)
    hierarchical_context(shallow, teachers[0]).backward(retain_graph=True)
    assert students[1].grad.any()
    students[0].grad = None
    hierarchical_context(deep, teachers[1]).backward()
    assert students[0].grad is None


def test_every_layer_of_the_review_learns() -> None:
    torch.manual_seed(0)
    loss: nn.Module = build_features("review", (3, 4, 5), (3, 4, 5))
    features = tuple(torch.randn(2, c, 16 // 2**i, 16 // 2**i) for i, c in enumerate((3, 4, 5)))
    loss(Features(features, tuple(torch.randn_like(f) for f in features))).backward()
    assert all(p.grad is not None and p.grad.any() for p in loss.parameters())
