"""TensorRT: plans built by the code that serves the robot, and its buffers on a GPU that tests can look into."""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ros2_vodistill.engines import UnavailableError, make, tensorrt
from ros2_vodistill.engines.builder import build
from ros2_vodistill.engines.gpu import Gpu
from ros2_vodistill.engines.plan import PlanCache
from ros2_vodistill.engines.tensorrt import TensorRtEngine
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model, shipped
from tests.engines.fakes import FakeCuda, FakeTensorRt
from tests.models import brightness_model, spoil

SHIPPED = list(shipped())


@pytest.fixture(scope="module")
def trt() -> ModuleType:
    """A TensorRT that builds without a GPU."""
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt-rtx: pip install 'ros2_vodistill[dev-tensorrt]'")


@pytest.mark.parametrize("network", ["swift-s", "swift-xs", "flownet-3-3"])
def test_every_node_of_what_training_exports_is_built(network: str, exported: dict[str, Path], trt: ModuleType) -> None:
    steps: dict[str, list[tuple[int, int]]] = {}
    plan = build(trt, Model.load(exported[network]), lambda phase, *step: steps.setdefault(phase, []).append(step))
    assert len(plan) > 10_000
    assert steps
    for done in steps.values():
        assert all(1 <= step <= total for step, total in done)


@pytest.mark.parametrize("folder", SHIPPED, ids=[folder.name for folder in SHIPPED])
def test_every_node_of_what_ships_is_built(folder: Path, trt: ModuleType) -> None:
    assert len(build(trt, Model.load(folder))) > 10_000


def test_a_node_that_it_does_not_know_is_named(tmp_path: Path, trt: ModuleType) -> None:
    model = Model.load(spoil(brightness_model(tmp_path / "bright"), "Flourish", "nowhere"))
    with pytest.raises(VodistillError, match=r"the_growth \(Flourish\)"):
        build(trt, model)


def test_a_graph_that_does_not_fit_its_card_is_refused(tmp_path: Path, trt: ModuleType) -> None:
    model = Model.load(brightness_model(tmp_path / "bright", states={"state_mean": [1, 2]}))
    with pytest.raises(VodistillError, match="does not fit its card"):
        build(trt, model)


@pytest.fixture
def cuda() -> FakeCuda:
    return FakeCuda()


@pytest.fixture
def engine(cuda: FakeCuda, tmp_path: Path) -> TensorRtEngine:
    model = Model.load(brightness_model(tmp_path / "bright"))
    made = TensorRtEngine(model, FakeTensorRt(cuda), Gpu(cuda), b"plan")
    made.warm_up()
    return made


def forward(engine: TensorRtEngine, grey: int) -> float:
    engine.inputs["image"][...] = grey
    return float(engine.step()[0][2])


def test_states_move_only_when_told(engine: TensorRtEngine) -> None:
    assert forward(engine, 100) == pytest.approx(1.0)
    engine.advance()
    assert forward(engine, 110) == pytest.approx(0.1)
    assert forward(engine, 130) == pytest.approx(0.3)
    assert engine.states()["state_mean"] == pytest.approx(130)
    engine.advance()
    assert forward(engine, 90) == pytest.approx(-0.4)
    engine.advance()
    engine.reset()
    assert forward(engine, 50) == pytest.approx(0.5)


def test_a_step_is_one_launch_and_allocates_nothing(engine: TensorRtEngine, cuda: FakeCuda) -> None:
    launches, allocations = cuda.launches, cuda.allocations
    for grey in range(10):
        forward(engine, grey)
        engine.advance()
    assert (cuda.launches - launches, cuda.allocations - allocations) == (10, 0)


def test_an_engine_that_is_gone_leaves_no_memory_on_the_gpu(cuda: FakeCuda, tmp_path: Path) -> None:
    """A node that is configured again makes another one."""
    model = Model.load(brightness_model(tmp_path / "bright"))
    for _ in range(2):
        TensorRtEngine(model, FakeTensorRt(cuda), Gpu(cuda), b"plan").warm_up()
        gc.collect()
        assert cuda.memory.keys() == cuda.pinned


def test_a_profile_has_the_mean_time_of_each_layer(engine: TensorRtEngine) -> None:
    layers = engine.profile(steps=4)
    assert [(layer.kind, layer.milliseconds) for layer in layers] == [("ForeignNode", 0.5), ("Mul", 0.25)]


def test_a_plan_that_cannot_be_loaded_is_an_error(cuda: FakeCuda, tmp_path: Path) -> None:
    """TensorRT gives None and raises nothing."""
    model = Model.load(brightness_model(tmp_path / "bright"))
    with pytest.raises(VodistillError, match="cannot load the plan"):
        TensorRtEngine(model, FakeTensorRt(cuda), Gpu(cuda), b"nonsense")


def test_a_gpu_that_is_not_there_is_told() -> None:
    with pytest.raises(UnavailableError, match="no GPU can be used: cudaGetDeviceProperties failed: 100"):
        Gpu(FakeCuda(devices=0))


def test_a_failing_call_names_itself(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu(cuda)
    monkeypatch.setattr(cuda, "cudaMalloc", lambda size: (2, None))
    with pytest.raises(VodistillError, match="cudaMalloc failed: 2"):
        gpu.allocate(4)


def test_what_fails_while_a_graph_is_captured_names_itself(cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    """The capture then ends with an error, too."""
    monkeypatch.setattr(cuda, "cudaMemsetAsync", lambda *_: (700,))
    monkeypatch.setattr(cuda, "cudaStreamEndCapture", lambda stream: (901, None))
    gpu = Gpu(cuda)
    with pytest.raises(VodistillError, match="cudaMemsetAsync failed: 700"):
        gpu.capture(lambda: gpu.clear(0, 4))


def test_without_a_driver_it_is_an_error_by_name_and_passed_over_by_auto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.engines.gpu._LIBRARY", "libno-such-driver.so")
    model = Model.load(brightness_model(tmp_path / "bright"))
    with pytest.raises(UnavailableError, match="no NVIDIA driver"):
        make(model, "tensorrt")
    engine, passed_over = make(model)
    assert engine.name == "onnxruntime"
    assert any("tensorrt" in text and "no NVIDIA driver" in text for text in passed_over)


def test_a_tensorrt_that_is_too_old_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = ModuleType("tensorrt")
    old.__version__ = "8.6.2"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tensorrt", old)
    with pytest.raises(UnavailableError, match=r"8\.6\.2"):
        tensorrt.import_tensorrt()


@pytest.fixture
def machine(cuda: FakeCuda, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine with a GPU, as far as this code can tell; counts its builds."""
    found = {"gpu": cuda, "builds": 0}

    def built(trt: Any, model: Model, progress: Any = None) -> bytes:
        found["builds"] += 1
        return b"plan %d" % found["builds"]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "require_driver", lambda: None)
    monkeypatch.setattr(tensorrt, "import_tensorrt", lambda: FakeTensorRt(cuda))
    monkeypatch.setattr(tensorrt, "open_gpu", lambda: Gpu(found["gpu"]))
    monkeypatch.setattr(tensorrt, "build", built)
    return found


def test_a_plan_is_built_once_and_again_for_another_gpu(
    machine: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = Model.load(brightness_model(tmp_path / "bright"))
    engine, passed_over = make(model)
    assert (engine.name, passed_over, machine["builds"]) == ("tensorrt", [], 1)
    assert "minutes" in caplog.text
    make(model, "tensorrt")
    assert machine["builds"] == 1
    caplog.clear()
    machine["gpu"].name = "Another"
    make(model, "tensorrt")
    assert machine["builds"] == 2
    assert "gpu: Fake (8.7), here Another (8.7)" in caplog.text


def test_where_nothing_can_be_kept_it_runs_and_says_so(
    machine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    engine, _ = make(Model.load(brightness_model(tmp_path / "bright")), "tensorrt")
    assert engine.name == "tensorrt"
    assert "built anew at every start" in caplog.text
    np.testing.assert_allclose(engine.step()[0], 0.0)


def test_engine_build_keeps_the_plan_and_doctor_says_whether_it_fits(machine: dict[str, Any], tmp_path: Path) -> None:
    model = Model.load(brightness_model(tmp_path / "bright"))
    assert tensorrt.examine(model) == (False, "tensorrt 10.3.0 on Fake (8.7), no plan yet")
    path = tensorrt.prepare(model, lambda text: None, lambda *step: None)
    assert path.is_file()
    tensorrt.prepare(model, lambda text: None, lambda *step: None)
    assert machine["builds"] == 1
    assert tensorrt.examine(model) == (True, "tensorrt 10.3.0 on Fake (8.7), the plan is built")
    machine["gpu"].name = "Another"
    ready, found = tensorrt.examine(model)
    assert not ready
    assert "gpu: Fake (8.7), here Another (8.7)" in found


def test_a_kept_plan_that_is_not_taken_any_more_is_built_anew_once(
    machine: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a change of the driver, which the plan's key does not know."""
    model = Model.load(brightness_model(tmp_path / "bright"))
    wanted = tensorrt.key(*tensorrt.machine(), model)

    def prepare() -> None:
        tensorrt.prepare(model, lambda text: None, lambda *step: None)

    for use in (lambda: make(model, "tensorrt"), prepare):
        PlanCache().get(wanted, lambda: b"stale")
        builds = machine["builds"]
        assert tensorrt.examine(model)[0] is False
        use()
        assert machine["builds"] == builds + 1
        assert tensorrt.examine(model)[0] is True
        PlanCache().forget(wanted, "the next one")
    assert "it is built anew" in caplog.text
    monkeypatch.setattr(tensorrt, "build", lambda *_: b"useless")
    with pytest.raises(UnavailableError, match="cannot load the plan"):
        make(model, "tensorrt")
    assert make(model, "auto")[0].name == "onnxruntime"


def test_engine_build_is_an_error_where_nothing_can_be_kept(
    machine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(VodistillError, match="cannot be written"):
        tensorrt.prepare(Model.load(brightness_model(tmp_path / "bright")), lambda text: None, lambda *step: None)
    assert machine["builds"] == 0
