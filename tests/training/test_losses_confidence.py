"""Phi and eta by the formula, at their ends, and where they cannot be."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill.errors import VodistillError
from training.losses import Confidence, claimed_errors, teacher_errors


def test_errors_by_hand() -> None:
    truth = torch.zeros(2, 6)
    teacher = torch.tensor([[1.0, 2.0, 0, 0, 0, 0], [0, 0, 0, 0.1, 0, 0.2]])
    torch.testing.assert_close(teacher_errors(teacher, truth, 3.0), torch.tensor([5.0, 3 * 0.05]))
    torch.testing.assert_close(teacher_errors(teacher.view(1, 2, 6), truth, 3.0), torch.tensor([[5.0, 0.15]]))


def test_claimed_errors_are_the_expected_squared_errors() -> None:
    log_variance = torch.tensor([[math.log(v) for v in (1.0, 2.0, 3.0, 0.1, 0.2, 0.3)]])
    torch.testing.assert_close(claimed_errors(log_variance, 5.0), torch.tensor([6.0 + 5 * 0.6]))
    torch.manual_seed(0)
    errors = torch.randn(200_000, 6) * (log_variance / 2).exp()
    found = teacher_errors(errors, torch.zeros(6), 5.0).mean()
    torch.testing.assert_close(found, claimed_errors(log_variance, 5.0)[0], rtol=0.02, atol=0)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=20).filter(lambda e: max(e) > min(e) + 1e-3))
def test_phi_is_the_formula_and_ends_where_it_must(values: list[float]) -> None:
    errors = torch.tensor(values, dtype=torch.float64)
    confidence = Confidence.of(errors)
    least, largest = min(values), max(values)
    assert confidence.eta == pytest.approx(largest - least)
    phi = confidence(errors)
    assert phi.tolist() == pytest.approx([1 - e / (largest - least) for e in values])
    assert phi.max().item() == pytest.approx(1 - least / (largest - least))
    assert phi.min().item() == pytest.approx(-least / (largest - least))
    assert phi.min().item() <= 1e-12


def test_a_perfect_best_sample_is_fully_trusted() -> None:
    assert Confidence.of(torch.tensor([0.0, 3.0, 6.0]))(torch.tensor([0.0, 3.0, 6.0])).tolist() == [1.0, 0.5, 0.0]


def test_a_teacher_that_is_never_trusted_is_told() -> None:
    assert Confidence(1.0, 2.1).doubt == ""
    for largest in (2.0, 1.5):
        assert "nothing that it says is trusted" in Confidence(1.0, largest).doubt
    assert "Phi is at most -1:" in Confidence(1.0, 1.5).doubt


def test_clamped_phi_stays_between_nothing_and_all() -> None:
    confidence = Confidence(1.0, 3.0, clamp=True)
    assert confidence(torch.tensor([0.0, 1.0, 3.0, 9.0])).tolist() == [1.0, 0.5, 0.0, 0.0]


def test_no_gradient_goes_through_phi() -> None:
    errors = torch.tensor([1.0, 2.0], requires_grad=True)
    assert not Confidence.of(errors)(errors).requires_grad


@pytest.mark.parametrize("errors", [[2.0, 2.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_errors_that_tell_nothing_are_refused(errors: list[float]) -> None:
    with pytest.raises(VodistillError, match="errors lie between"):
        Confidence.of(torch.tensor(errors))
