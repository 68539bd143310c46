"""onnxruntime on an NVIDIA GPU, by its CUDA or its TensorRT provider.

onnxruntime lists providers whose libraries are missing, and a session then runs on the processor without a word. So
what a session really got is asked afterwards, and anything else is an error.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ros2_vodistill.engines import gpu, plan
from ros2_vodistill.engines.base import Engine, LayerTime, UnavailableError, check
from ros2_vodistill.engines.onnx import layer_times, session_options, shapes
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model

_INSTALL = (
    "pip uninstall onnxruntime; pip install onnxruntime-gpu, with the CUDA and cuDNN that its release notes name."
)


class OnnxGpuEngine(Engine):
    """A model in onnxruntime with all its buffers on a GPU; a binding for each direction between two sets of states."""

    provider: ClassVar[str]
    memory: ClassVar[str] = "cuda"

    def __init__(self, model: Model, threads: int = 1) -> None:
        self.require()
        self.model, self.device = model, f"GPU, onnxruntime {ort.__version__} ({self.provider})"
        self._threads = threads
        self._session = self._open(self.options(), profile=None)
        card = model.card
        self._views = {name: np.zeros((1, 1, v.height, v.width), np.uint8) for name, v in card.views.items()}
        self.inputs = {name: buffer[0, 0] for name, buffer in self._views.items()}
        self._zeros = {name: np.zeros(shape, np.float32) for name, shape in card.states.items()}
        self._sets = [{name: self._put(zero) for name, zero in self._zeros.items()} for _ in range(2)]
        self._seen = {name: self._put(buffer) for name, buffer in self._views.items()}
        self._results = {name: self._put(np.zeros((1, 6), np.float32)) for name in ("motion", "log_variance")}
        self._reference = 0
        self._bindings = [self._bind(self._session, reference) for reference in range(2)]
        self._runs = [self._run_options(reference) for reference in range(2)]

    @classmethod
    def require(cls) -> None:
        """UnavailableError where it is plain that there is no such provider."""
        gpu.require_driver()
        if cls.provider not in ort.get_available_providers():
            raise UnavailableError(f"this onnxruntime {ort.__version__} has no {cls.provider}", _INSTALL)

    def options(self) -> dict[str, Any]:
        """Of the provider."""
        return {}

    def step(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        for name, view in self._views.items():
            self._seen[name].update_inplace(view)
        self._session.run_with_iobinding(self._bindings[self._reference], self._runs[self._reference])
        return self._results["motion"].numpy()[0], self._results["log_variance"].numpy()[0]

    def advance(self) -> None:
        self._reference = 1 - self._reference

    def reset(self) -> None:
        for name, state in self._sets[self._reference].items():
            state.update_inplace(self._zeros[name])

    def states(self) -> dict[str, NDArray[np.float32]]:
        return {name: state.numpy().copy() for name, state in self._sets[1 - self._reference].items()}

    def profile(self, steps: int = 20) -> list[LayerTime]:
        with tempfile.TemporaryDirectory() as folder:
            options = {name: value for name, value in self.options().items() if name != "enable_cuda_graph"}
            session = self._open(options, profile=Path(folder) / "profile")
            return layer_times(session, self._bind(session, self._reference), steps)

    def _open(self, provider_options: dict[str, Any], profile: Path | None) -> ort.InferenceSession:
        options = session_options(self._threads, profile)
        try:
            session = ort.InferenceSession(str(self.model.path), options, providers=[(self.provider, provider_options)])
        except Exception as error:  # onnxruntime raises classes of its own, without a common base
            raise VodistillError(
                f"onnxruntime {ort.__version__} cannot load {self.model.path} with {self.provider}: {error}",
                "Use --engine onnxruntime, or export the model again.",
            ) from error
        if self.provider not in (got := session.get_providers()):
            raise UnavailableError(
                f"onnxruntime cannot use {self.provider} and would run on {', '.join(got)}",
                "A library that it needs is missing or of another version; its messages are above.",
            )
        check(self.model, shapes(session.get_inputs()), shapes(session.get_outputs()))
        return session

    def _put(self, array: NDArray[Any]) -> ort.OrtValue:
        return ort.OrtValue.ortvalue_from_numpy(array.copy(), self.memory, 0)

    def _bind(self, session: ort.InferenceSession, reference: int) -> Any:
        binding = session.io_binding()
        for name, value in {**self._seen, **self._sets[reference]}.items():
            binding.bind_ortvalue_input(name, value)
        following = {f"next_{name}": value for name, value in self._sets[1 - reference].items()}
        for name, value in {**self._results, **following}.items():
            binding.bind_ortvalue_output(name, value)
        return binding

    def _run_options(self, reference: int) -> ort.RunOptions:
        """Each binding has buffers of its own, so each has a CUDA graph of its own."""
        run = ort.RunOptions()
        run.add_run_config_entry("gpu_graph_id", str(reference + 1))
        return run


class OnnxCudaEngine(OnnxGpuEngine):
    """By the CUDA provider, replaying a CUDA graph."""

    name: ClassVar[str] = "onnxruntime-cuda"
    provider: ClassVar[str] = "CUDAExecutionProvider"

    def options(self) -> dict[str, Any]:
        return {"device_id": 0, "enable_cuda_graph": "1", "use_tf32": "0", "cudnn_conv_algo_search": "EXHAUSTIVE"}


class OnnxTensorRtEngine(OnnxGpuEngine):
    """By the TensorRT provider, which keeps the engines that it builds in the user's cache."""

    name: ClassVar[str] = "onnxruntime-tensorrt"
    provider: ClassVar[str] = "TensorrtExecutionProvider"

    def options(self) -> dict[str, Any]:
        precision = {"fp16": {"trt_fp16_enable": True}, "int8": {"trt_int8_enable": True}}
        chosen: dict[str, Any] = {"device_id": 0, **precision.get(self.model.card.precision, {})}
        folder = plan.user_cache() / "onnxruntime-tensorrt" / f"{self.model.card.sha256[:16]}-{ort.__version__}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            plan.check_folder(folder)
        except (OSError, VodistillError) as error:
            logging.getLogger(__name__).warning("the engine is built anew at every start: %s", error)
            return chosen
        kept = {"trt_engine_cache_enable": True, "trt_engine_cache_path": str(folder)}
        return {**chosen, **kept, "trt_timing_cache_enable": True, "trt_timing_cache_path": str(folder)}
