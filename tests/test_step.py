"""What a step hands on: how well the scale is known after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ros2_vodistill import step
from ros2_vodistill.depths import Depths
from ros2_vodistill.lengths import Gauge, Length
from ros2_vodistill.step import Carried, Sight
from tests.test_anchor import ASIDE, fitted, wall

LENGTH = float(np.linalg.norm(ASIDE[:3, 3]))
PACE = Length(LENGTH, (0.5 * LENGTH) ** 2)


def deviation(before: Carried, sight: Sight) -> float:
    """Relative, of the scale after the length was foretold."""
    known = step.foretold(before, sight, PACE, None)
    assert known is not None
    assert known.length.value == pytest.approx(LENGTH, rel=0.2)
    return float(np.sqrt(known.gauge.variance))


def test_the_scale_is_as_vague_as_what_carries_it() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    sight, before = Sight((first, second), fit, fit), Carried(depths, gauge=Gauge(variance=0.02**2))
    assert deviation(before, sight) < 0.05
    assert deviation(replace(before, depths=Depths.unknown(len(first))), sight) == pytest.approx(0.5, rel=0.01)


def test_a_scale_that_is_a_guess_is_told() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    sight = Sight((first, second), fit, fit)

    def reasons(variance: float) -> tuple[str, ...]:
        before = Carried(depths, gauge=Gauge(variance=variance))
        return step.concluded(before, sight, step.foretold(before, sight, PACE, None), None).reasons

    assert reasons(0.02**2) == ()
    assert "guess" in reasons(0.25)[0]
    assert "unknown" in reasons(np.inf)[0]


def test_a_scale_in_which_all_is_too_near_to_be_true_is_not_believed() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    near = Carried(replace(depths, nearness=1000 * depths.nearness), gauge=Gauge(variance=0.02**2))
    known = step.foretold(near, Sight((first, second), fit, fit), None, None)
    assert known is not None
    assert known.gauge.variance > 0.9
