"""The loss on the ground's votes, by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ros2_vodistill.errors import VodistillError
from tests.training.toy import description
from training import networks
from training.learner import Learner
from training.losses.voting import voting
from training.networks.ballot import LONGEST, SHORTEST, log_lengths
from training.stages import Pose, Stage

COUNT = 9
LENGTHS = log_lengths(COUNT).exp().tolist()


def loss(votes: Tensor, length: float) -> float:
    """Of one step of that length straight ahead."""
    return float(voting(votes[None], torch.tensor([[0.0, 0.0, length, 0.0, 0.0, 0.0]])))


@pytest.mark.parametrize("length", [SHORTEST, 0.3, LONGEST])
def test_a_ground_that_knows_nothing_is_surprised_by_the_number_of_lengths(length: float) -> None:
    assert loss(torch.full((COUNT,), 7.0), length) == pytest.approx(math.log(COUNT), rel=1e-6)


@pytest.mark.parametrize("index", [0, 4, COUNT - 1])
def test_a_ground_that_knows_is_not_surprised(index: int) -> None:
    votes = torch.full((COUNT,), -50.0)
    votes[index] = 50.0
    assert loss(votes, LENGTHS[index]) == pytest.approx(0.0, abs=1e-3)


def test_between_two_lengths_the_truth_is_shared_by_their_logarithms() -> None:
    votes = torch.full((COUNT,), -60.0)
    votes[3], votes[4] = math.log(0.75), math.log(0.25)
    between = LENGTHS[3] ** 0.75 * LENGTHS[4] ** 0.25
    assert loss(votes, between) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25), rel=1e-4)


@pytest.mark.parametrize("length", [0.0, 0.5 * SHORTEST, 2 * LONGEST])
def test_lengths_that_are_not_voted_on_do_not_count(length: float) -> None:
    assert loss(torch.randn(COUNT), length) == 0.0


def test_steps_that_do_not_count_do_not_thin_the_others() -> None:
    motions = torch.zeros(1, 3, 6)
    motions[0, :, 2] = torch.tensor([0.0, 0.3, 9.0])
    assert float(voting(torch.zeros(1, 3, COUNT), motions)) == pytest.approx(math.log(COUNT), rel=1e-6)


def test_a_network_whose_ground_does_not_vote_cannot_learn_it() -> None:
    stage = Stage(pose=(Pose("laplace"),), voting=0.1)
    with pytest.raises(VodistillError, match="voting"):
        Learner(networks.build(description()), description(), stage)
