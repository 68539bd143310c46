"""OpenVINO: a little faster than onnxruntime on Intel's processors."""

from __future__ import annotations

import contextlib
from types import ModuleType
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.engines.base import HostEngine, LayerTime, Shapes, UnavailableError, check
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model

_PLAIN = {"SNIPPETS_MODE": "DISABLE"}
"""With kernels made of several small operations at once a graph of many is 2 % faster, and takes 50 MB more."""


class OpenVinoEngine(HostEngine):
    """A model in OpenVINO on the CPU; one request for each direction between the two sets of states."""

    name: ClassVar[str] = "openvino"

    def __init__(self, model: Model, threads: int = 1) -> None:
        self.model = model
        self.device = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
        self._openvino = _import()
        self._options = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            # Each process would else have its one thread on the first core, whatever else is there.
            "ENABLE_CPU_PINNING": False,
            # Some processors would else compute in bfloat16, whatever the graph says.
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = self._compile(self._options)  # first: what does not fit its card may be of any size there
        super().__init__(model)
        self._requests = [self._bind(compiled, reference) for reference in range(2)]

    def step(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._requests[self._reference].infer()
        return self._motion[0], self._log_variance[0]

    def profile(self, steps: int = 20) -> list[LayerTime]:
        request = self._bind(self._compile({**self._options, "PERF_COUNT": True}), self._reference)
        total: dict[tuple[str, str], float] = {}
        request.infer()  # allocates
        for _ in range(steps):
            request.infer()
            for layer in request.get_profiling_info():
                if layer.real_time:
                    key = layer.node_name, layer.exec_type
                    total[key] = total.get(key, 0.0) + 1e3 * layer.real_time.total_seconds() / steps
        times = [LayerTime(name, kind, milliseconds) for (name, kind), milliseconds in total.items()]
        return sorted(times, key=lambda layer: -layer.milliseconds)

    def _compile(self, options: dict[str, Any]) -> Any:
        try:
            graph = self._openvino.Core().read_model(str(self.model.path))
        except Exception as error:  # its errors are RuntimeErrors, and it does not promise so
            raise self._refused(error) from error
        check(self.model, _shapes(graph.inputs), _shapes(graph.outputs))
        with contextlib.suppress(Exception):  # of a version that does not know the option, or of the graph, see below
            return self._openvino.Core().compile_model(graph, "CPU", {**options, **_PLAIN})
        try:
            return self._openvino.Core().compile_model(graph, "CPU", options)
        except Exception as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> VodistillError:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return VodistillError(
            f"OpenVINO {self._openvino.__version__} cannot load {self.model.path}: {' '.join(lines)}",
            "Use --engine onnxruntime, or export the model again.",
        )

    def _bind(self, compiled: Any, reference: int) -> Any:
        request = compiled.create_infer_request()
        for name, buffer in {**self._read(reference), **self._written(reference)}.items():
            request.set_tensor(name, self._openvino.Tensor(buffer, shared_memory=True))
        return request


def _import() -> ModuleType:
    try:
        import openvino
    except ImportError as error:
        raise UnavailableError(
            f"OpenVINO cannot be imported: {error}", "pip install 'ros2_vodistill[openvino]'"
        ) from error
    return openvino


def _shapes(ports: Any) -> Shapes:
    types = {"u8": "uint8", "f32": "float32"}
    found: Shapes = {}
    for port in ports:
        kind = port.get_element_type().get_type_name()
        shape = port.get_partial_shape()
        fixed = tuple(int(n.get_length()) if n.is_static else str(n) for n in shape)
        found[port.get_any_name()] = (fixed, types.get(kind, kind))  # type: ignore[assignment]
    return found
