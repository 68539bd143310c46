"""Engines: the same interface, the same numbers, and a state that moves only when it is told to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from ros2_vodistill.engines import ENGINES, Engine, UnavailableError, make
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model
from tests.models import brightness_model, opened, rehashed, spoil


@pytest.fixture(params=list(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    return opened(brightness_model(tmp_path / "bright"), request.param)


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


@pytest.mark.parametrize("name", list(ENGINES))
def test_an_engine_has_the_name_that_it_is_asked_for_by(name: str, tmp_path: Path) -> None:
    assert opened(brightness_model(tmp_path / "bright"), name).name == name


def said_alone(code: str, folder: Path) -> list[str]:
    """What code prints in a process of its own, of a small model as `model`, in words."""
    pytest.importorskip("openvino", reason="openvino is not installed")
    begin = (
        "import sys; from pathlib import Path; from ros2_vodistill.engines import make; "
        "from ros2_vodistill.model import Model; model = Model.load(Path(sys.argv[1])); "
    )
    command = [sys.executable, "-c", begin + code, str(brightness_model(folder / "bright"))]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_an_openvino_that_does_not_know_an_option_runs_without_it(tmp_path: Path) -> None:
    """Alone, for what is refused is refused deep inside."""
    code = (
        "from ros2_vodistill.engines import openvino; openvino._PLAIN = {'NO_SUCH_OPTION': 'NO'}; "
        "engine = make(model, 'openvino')[0]; engine.inputs['image'][...] = 100; "
        "print(engine.name, round(float(engine.step()[0][2]), 4))"
    )
    assert said_alone(code, tmp_path) == ["openvino", "1.0"]


def test_one_engine_does_not_load_the_others(tmp_path: Path) -> None:
    """Each takes twenty megabytes of a robot's memory and more."""
    code = "print(make(model, 'openvino')[0].name, 'onnxruntime' in sys.modules)"
    assert said_alone(code, tmp_path) == ["openvino", "False"]


@pytest.mark.parametrize("name", list(ENGINES))
def test_a_node_that_an_engine_does_not_know_is_named(name: str, tmp_path: Path) -> None:
    folder = spoil(brightness_model(tmp_path / "bright"), "Flourish", "nowhere")
    with pytest.raises(VodistillError, match=r"Flourish|the_growth"):
        opened(folder, name)


def test_auto_says_what_it_passed_over_and_takes_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(model: Model, threads: int) -> Engine:
        raise UnavailableError("there is no moon", "wait for the night")

    model = Model.load(brightness_model(tmp_path / "bright"))
    engines = {"moonlight": missing, "moonshine": missing, "onnxruntime": ENGINES["onnxruntime"]}
    monkeypatch.setattr("ros2_vodistill.engines.ENGINES", engines)
    engine, passed_over = make(model)
    assert engine.name == "onnxruntime"
    assert passed_over == ["moonlight, moonshine: there is no moon"]
    with pytest.raises(UnavailableError, match="no moon"):
        make(model, "moonlight")


def test_a_model_that_fails_is_an_error_also_for_auto(tmp_path: Path) -> None:
    folder = spoil(brightness_model(tmp_path / "bright"), "Flourish", "nowhere")
    with pytest.raises(VodistillError, match="Flourish"):
        make(Model.load(folder))


def test_a_graph_that_fails_only_when_it_runs_is_an_error(tmp_path: Path) -> None:
    """As what is looked up where nothing is: no engine can tell before."""
    folder = brightness_model(tmp_path / "bright")
    graph = onnx.load(folder / "model.onnx")
    (growth,) = (node for node in graph.graph.node if node.output[0] == "growth")
    growth.output[0] = "grown"
    looked_up = [
        onnx.helper.make_node("Add", ["mean4", "log_variance"], ["below"]),
        onnx.helper.make_node("Cast", ["below"], ["place"], to=onnx.TensorProto.INT64),  # -6 for black, of one
        onnx.helper.make_node("Gather", ["grown", "place"], ["found"]),
        onnx.helper.make_node("ReduceMax", ["found"], ["growth"], keepdims=0),
    ]
    graph.graph.node.extend(looked_up)
    graph.graph.node.append(graph.graph.node.pop([n.output[0] for n in graph.graph.node].index("motion")))
    onnx.save(graph, folder / "model.onnx")
    with pytest.raises(VodistillError, match=r"onnxruntime cannot run .*model.onnx: .*Gather"):
        opened(rehashed(folder), "onnxruntime")


def test_nobody_is_told(tmp_path: Path) -> None:
    """Newer onnxruntimes keep a device's name, and what they mean to send to their makers, in the user's cache."""
    environment = {
        key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME")
    }
    code = "from ros2_vodistill import engines, model; engines.make(model.Model.load('swift-s'), 'onnxruntime')"
    subprocess.run([sys.executable, "-c", code], env=environment | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*")) == []
