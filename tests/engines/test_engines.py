"""Engines: the same interface, the same numbers, and a state that moves only when it is told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ros2_vodistill.engines import ENGINES, Engine, make
from ros2_vodistill.model import Model
from tests.models import brightness_model


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    made, passed_over = make(Model.load(brightness_model(tmp_path / "bright")), request.param)
    assert passed_over == []
    return made


def forward(engine: Engine, grey: int) -> float:
    engine.inputs["image"][...] = grey
    motion, log_variance = engine.step()
    np.testing.assert_allclose(log_variance, -6.0)
    np.testing.assert_allclose(np.delete(motion, 2), 0.0)
    return float(motion[2])


def test_a_step_compares_with_the_reference_until_told_to_advance(engine: Engine) -> None:
    assert forward(engine, 100) == pytest.approx(1.0)  # after warm-up the state is zero again
    engine.advance()
    assert forward(engine, 110) == pytest.approx(0.1)
    assert forward(engine, 130) == pytest.approx(0.3)
    engine.advance()
    assert forward(engine, 130) == pytest.approx(0.0)
    assert forward(engine, 90) == pytest.approx(-0.4)


def test_reset_forgets(engine: Engine) -> None:
    forward(engine, 200)
    engine.advance()
    engine.reset()
    assert forward(engine, 50) == pytest.approx(0.5)


def test_states_are_those_of_the_last_step_and_copies(engine: Engine) -> None:
    forward(engine, 42)
    states = engine.states()
    assert states["state_mean"] == pytest.approx(42.0)
    forward(engine, 43)
    assert states["state_mean"] == pytest.approx(42.0)


def test_a_profile_has_times_slowest_first(engine: Engine) -> None:
    layers = engine.profile(steps=3)
    assert layers
    assert [layer.milliseconds for layer in layers] == sorted((x.milliseconds for x in layers), reverse=True)


def test_it_says_what_it_runs_on(engine: Engine) -> None:
    assert engine.device
