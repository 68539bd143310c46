"""Losses on motions against sums done by hand, their gradients and their limits."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from training.losses import POSE, Poses, build_pose

W = 4.0  # rotations count twice as much

# Two samples whose squared errors are easy: a difference of 1 in a translation counts 1, of 1 in a rotation 4.
TRUTH = torch.full((2, 6), 0.5, dtype=torch.float64)
STUDENT = TRUTH + torch.tensor([[2.0, 0, 0, 0, 0, 0], [0, 1.0, 0, 0, 0, 1.0]])
TEACHER = TRUTH + torch.tensor([[0, 0, 0, 0.5, 0, 0], [0, 3.0, 0, 0, 0, 0]])
S_TRUTH = (4.0, 1.0 + 4.0)  # ||p_S - p_gt||^2
S_TEACHER = (4.0 + 1.0, 4.0 + 4.0)  # ||p_S - p_T||^2
T_TRUTH = (1.0, 9.0)  # ||p_T - p_gt||^2
CONFIDENCE = torch.tensor([0.75, -0.125], dtype=torch.float64)
LOG_VARIANCE = torch.tensor([[0.2, 0.4, 0.6, 0.8, 1.0, 1.2], [0.0] * 6], dtype=torch.float64)


def poses(**changes: Any) -> Poses:
    return dataclasses.replace(Poses(STUDENT, TRUTH, TEACHER, LOG_VARIANCE, CONFIDENCE), **changes)


def laplace_axis(error: float, log_variance: float) -> float:
    return math.sqrt(2) * abs(error) / math.exp(log_variance / 2) + log_variance / 2


# log sigma of the scaled vector: the mean of its six log standard deviations.
LOG_SIGMA = tuple(
    sum(v / 2 + (math.log(2.0) if axis > 2 else 0.0) for axis, v in enumerate(row)) / 6 for row in LOG_VARIANCE.tolist()
)

EXPECTED = {
    ("baseline",): (4 + 5) / 2,
    ("minimum",): (4 + 5) / 2,
    ("additional", "alpha", 0.25): (0.25 * 4 + 0.75 * 5 + 0.25 * 5 + 0.75 * 8) / 2,
    ("kd", "alpha", 0.25): (0.25 * 4 + 0.75 * 5 + 0.25 * 5 + 0.75 * 8) / 2,
    # the first student is worse than its teacher, the second is better
    ("upper_bound", "alpha", 0.25): (0.25 * 4 + 0.75 * 5 + 0.25 * 5) / 2,
    ("ail", "alpha", 0.25): (0.25 * 4 + 0.75 * 0.75 * 5 + 0.25 * 5 + 0.75 * -0.125 * 8) / 2,
    ("pil_laplace", "alpha", 0.25): sum(
        0.25 * s + 0.75 * (math.sqrt(t) / math.exp(g) + g)
        for s, t, g in zip(S_TRUTH, S_TEACHER, LOG_SIGMA, strict=True)
    )
    / 2,
    ("pil_gaussian", "alpha", 0.25): sum(
        0.25 * s + 0.75 * (t / (2 * math.exp(2 * g)) + g) for s, t, g in zip(S_TRUTH, S_TEACHER, LOG_SIGMA, strict=True)
    )
    / 2,
    # smooth L1 of the scaled vectors (2) and (1, 2): 1.5 and 0.5 + 1.5; bounded where 4 > 1, not where 5 < 9
    ("chen", "bound_weight", 0.5): (1.5 + 0.5 * 4 + 2.0) / 2,
    ("chen", "margin", 5.0): (1.5 + 0.5 * 4 + 2.0 + 0.5 * 5) / 2,
    # axis by axis, without w
    ("gaussian", "beta", 0.0): ((4 * math.exp(-0.2) + 0.2 + 0.4 + 0.6 + 0.8 + 1.0 + 1.2) / 2 + (1 + 1) / 2) / 2,
    ("gaussian", "beta", 0.5): (
        (math.exp(0.1) * (4 * math.exp(-0.2) + 0.2) + sum(math.exp(v / 2) * v for v in (0.4, 0.6))) / 2
        + 2 * sum(math.exp(v / 2) * v for v in (0.8, 1.0, 1.2)) / 2
        + (1 + 2 * 1) / 2
    )
    / 2,
    ("laplace", "beta", 0.5): (
        math.exp(0.1) * laplace_axis(2, 0.2)
        + sum(math.exp(v / 2) * laplace_axis(0, v) for v in (0.4, 0.6))
        + sum(2 * math.exp(v / 2) * laplace_axis(0, v) for v in (0.8, 1.0, 1.2))
        + (1 + 2) * laplace_axis(1, 0)
    )
    / 2,
    ("laplace", "beta", 0.0): (
        laplace_axis(2, 0.2) + sum(laplace_axis(0, v) for v in (0.4, 0.6, 0.8, 1.0, 1.2)) + 2 * laplace_axis(1, 0)
    )
    / 2,
}


@pytest.mark.parametrize("key", EXPECTED, ids=lambda key: " ".join(map(str, key)))
def test_value_by_hand(key: tuple[Any, ...]) -> None:
    name, *option = key
    loss = build_pose(name, rotation_weight=W, **(dict([option]) if option else {}))
    torch.testing.assert_close(loss(poses()).item(), EXPECTED[key])


def test_every_loss_is_checked_by_hand() -> None:
    assert {name for name, *_ in EXPECTED} == set(POSE)


@pytest.mark.parametrize("name", [n for n in POSE if n not in ("pil_laplace", "pil_gaussian", "gaussian", "laplace")])
def test_agreement_costs_nothing(name: str) -> None:
    same = torch.randn(5, 6)
    assert build_pose(name)(Poses(same, same, same, confidence=torch.rand(5))).item() == 0


@pytest.mark.parametrize("name", POSE)
def test_only_the_student_learns(name: str) -> None:
    tensors = {
        "student": STUDENT, "truth": TRUTH, "teacher": TEACHER, "log_variance": LOG_VARIANCE, "confidence": CONFIDENCE,
    }  # fmt: skip
    leaves = {key: tensor.clone().requires_grad_(key != "truth") for key, tensor in tensors.items()}
    build_pose(name, rotation_weight=W)(Poses(**leaves)).backward()
    assert leaves["student"].grad is not None
    assert leaves["student"].grad.any()
    assert leaves["teacher"].grad is None
    assert leaves["confidence"].grad is None
    probabilistic = name in ("pil_laplace", "pil_gaussian", "gaussian", "laplace")
    assert (leaves["log_variance"].grad is not None) == probabilistic


@pytest.mark.parametrize("name", POSE)
def test_gradients_are_the_derivatives(name: str) -> None:
    torch.manual_seed(0)
    loss = build_pose(name, **({"beta": 0.0} if name in ("gaussian", "laplace") else {}))  # beta's weight is a constant
    fixed = Poses(*(torch.randn(4, 6, dtype=torch.float64) for _ in range(4)), torch.rand(4, dtype=torch.float64))

    def value(student: Tensor, log_variance: Tensor) -> Tensor:
        return loss(dataclasses.replace(fixed, student=student, log_variance=log_variance))

    inputs = (fixed.student.clone().requires_grad_(), fixed.log_variance.clone().requires_grad_())
    assert torch.autograd.gradcheck(value, inputs)


def gradient(name: str, batch: Poses, **options: Any) -> Tensor:
    student = batch.student.clone().requires_grad_()
    build_pose(name, rotation_weight=W, **options)(dataclasses.replace(batch, student=student)).backward()
    assert student.grad is not None
    return student.grad


def test_upper_bound_imitates_only_where_the_student_is_worse() -> None:
    found = gradient("upper_bound", poses(), alpha=0.0)
    assert found[0].any()
    assert not found[1].any()


def test_upper_bound_lets_a_student_be_that_is_as_good() -> None:
    teacher = STUDENT.roll(1, -1)  # as far from the truth, elsewhere
    teacher[1] = STUDENT[1].roll(3)
    assert not gradient("upper_bound", poses(teacher=teacher), alpha=0.0).any()


def test_minimum_follows_the_nearer_one() -> None:
    nearer = TRUTH + torch.tensor([[1.5, 0, 0, 0, 0, 0], [0, 3.0, 0, 0, 0, 0]])  # teacher, then truth
    found = gradient("minimum", poses(teacher=nearer))
    torch.testing.assert_close(found[0], (STUDENT - nearer)[0])
    torch.testing.assert_close(found[1], (STUDENT - TRUTH)[1] * torch.tensor([1.0, 1, 1, 4, 4, 4]).double())


def test_distrust_turns_imitation_off() -> None:
    nothing = torch.zeros(2, dtype=torch.float64)
    assert not gradient("ail", poses(confidence=nothing), alpha=0.0).any()
    full = torch.ones(2, dtype=torch.float64)
    torch.testing.assert_close(gradient("ail", poses(confidence=full)), gradient("additional", poses()))


@pytest.mark.parametrize("name", ["additional", "upper_bound", "ail", "pil_laplace", "pil_gaussian"])
def test_alpha_one_is_the_truth_alone(name: str) -> None:
    torch.testing.assert_close(gradient(name, poses(), alpha=1.0), gradient("baseline", poses()))


@pytest.mark.parametrize("name", ["pil_laplace", "pil_gaussian", "gaussian", "laplace"])
def test_the_best_variance_is_the_errors(name: str) -> None:
    """Samples of one error: the loss is least where the predicted deviation is the error's, in its own way."""
    error = 0.3
    student = torch.zeros(1, 6, dtype=torch.float64)
    far = torch.full((1, 6), error, dtype=torch.float64)
    best = {
        "gaussian": error**2,
        "laplace": 2 * error**2,  # its mean absolute deviation is sigma / sqrt 2
        "pil_gaussian": 6 * error**2,  # sigma is the length of the whole vector
        "pil_laplace": 6 * error**2,
    }[name]
    log_variance = torch.full((1, 6), math.log(best), dtype=torch.float64, requires_grad=True)
    build_pose(name, rotation_weight=1.0)(Poses(student, far, far, log_variance)).backward()
    torch.testing.assert_close(log_variance.grad, torch.zeros_like(log_variance), atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", ["gaussian", "laplace"])
def test_the_motion_can_be_left_out(name: str) -> None:
    student = STUDENT.clone().requires_grad_()
    log_variance = LOG_VARIANCE.clone().requires_grad_()
    build_pose(name, motion=False)(poses(student=student, log_variance=log_variance)).backward()
    assert student.grad is None
    assert log_variance.grad is not None


def test_beta_one_gives_the_motion_the_scaled_squared_error() -> None:
    torch.testing.assert_close(gradient("gaussian", poses(), beta=1.0), gradient("baseline", poses()) / 2)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("additional", "teacher"),
        ("ail", "confidence"),
        ("pil_laplace", "log_variance"),
        ("laplace", "log_variance"),
        ("chen", "teacher"),
    ],
)
def test_what_is_missing_is_named(name: str, missing: str) -> None:
    with pytest.raises(VodistillError, match=missing.replace("_", ".")):
        build_pose(name)(poses(**{missing: None}))


def test_unknown_names_and_options_list_the_known() -> None:
    with pytest.raises(VodistillError, match=r"'mse'.*\n.*baseline.*ail"):
        build_pose("mse")
    with pytest.raises(VodistillError, match=r"ail.*beta.*\n.*alpha"):
        build_pose("ail", beta=1)
