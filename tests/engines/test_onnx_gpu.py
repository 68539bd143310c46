"""onnxruntime's providers for GPUs: their buffers, with the processor in a GPU's place; what is told without."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any, ClassVar

import onnxruntime as ort
import pytest

from ros2_vodistill.engines import UnavailableError, gpu, make
from ros2_vodistill.engines.onnx_gpu import OnnxCudaEngine, OnnxGpuEngine, OnnxTensorRtEngine
from ros2_vodistill.model import Model
from tests.models import brightness_model, opened


class OnProcessor(OnnxGpuEngine):
    """The same bindings, in the processor's memory."""

    name: ClassVar[str] = "processor"
    provider: ClassVar[str] = "CPUExecutionProvider"
    memory: ClassVar[str] = "cpu"

    @classmethod
    def require(cls) -> None:
        return


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return Model.load(brightness_model(tmp_path / "bright"))


def forward(engine: OnnxGpuEngine, grey: int) -> float:
    engine.inputs["image"][...] = grey
    return float(engine.step()[0][2])


def test_states_move_only_when_told(model: Model) -> None:
    engine = OnProcessor(model)
    engine.warm_up()
    assert forward(engine, 100) == pytest.approx(1.0)
    engine.advance()
    assert forward(engine, 110) == pytest.approx(0.1)
    assert forward(engine, 130) == pytest.approx(0.3)
    states = engine.states()
    forward(engine, 20)
    assert states["state_mean"] == pytest.approx(130)
    engine.advance()
    assert forward(engine, 90) == pytest.approx(0.7)
    engine.advance()
    engine.reset()
    assert forward(engine, 50) == pytest.approx(0.5)
    assert engine.profile(2)


def test_it_agrees_with_the_engine_that_is_always_there(exported: dict[str, Path]) -> None:
    from tests.engines.test_agreement import agree, jumping

    ours = OnProcessor(Model.load(exported["swift-xs"]))
    motions, state = agree(ours, opened(exported["swift-xs"], "onnxruntime"), jumping(6))
    assert motions.max() < 1e-6 and state < 1e-6


@pytest.mark.parametrize("kind", [OnnxCudaEngine, OnnxTensorRtEngine])
def test_without_a_driver_it_is_an_error(
    kind: type[OnnxGpuEngine], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "_LIBRARY", "libno-such-driver.so")
    with pytest.raises(UnavailableError, match="no NVIDIA driver"):
        make(model, kind.name)


@pytest.mark.parametrize("kind", [OnnxCudaEngine, OnnxTensorRtEngine])
def test_an_onnxruntime_for_processors_is_told(
    kind: type[OnnxGpuEngine], model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "require_driver", lambda: None)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(UnavailableError, match=f"has no {kind.provider}") as caught:
        make(model, kind.name)
    assert "onnxruntime-gpu" in caught.value.remedy


@pytest.mark.skipif("CUDAExecutionProvider" in ort.get_available_providers(), reason="this onnxruntime has CUDA")
@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_fell_back_to_the_processor_is_an_error(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(OnnxCudaEngine, "require", classmethod(lambda cls: None))
    with pytest.raises(UnavailableError, match="would run on CPUExecutionProvider"):
        make(model, "onnxruntime-cuda")


@pytest.fixture
def options(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    engine = object.__new__(OnnxTensorRtEngine)
    engine.model = model
    return engine.options


def test_the_tensorrt_provider_keeps_its_engines_where_only_the_user_can_write(options: Any) -> None:
    folder = Path(options()["trt_engine_cache_path"])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_it_does_not_use_a_folder_that_others_can_write(options: Any, caplog: pytest.LogCaptureFixture) -> None:
    Path(options()["trt_engine_cache_path"]).chmod(0o777)
    assert "trt_engine_cache_enable" not in options()
    assert "built anew" in caplog.text
