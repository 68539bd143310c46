# ruff: noqa: N802, N815 (the names are NVIDIA's)
"""A GPU and a TensorRT in plain Python: work on a stream waits until somebody waits for it, as on the real ones."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.models import HEIGHT, WIDTH

Work = Callable[[], object]


class FakeCuda:
    """`cuda.bindings.runtime` in host memory, and a count of what was asked of it."""

    cudaStreamNonBlocking, cudaEventBlockingSync, cudaEventDisableTiming, cudaHostAllocDefault = 1, 1, 2, 0
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, name: str = "Fake", devices: int = 1) -> None:
        self.name, self.devices = name, devices
        self.memory: dict[int, Any] = {}
        self.pinned: set[int] = set()
        self.queue: list[Work] = []
        self.captured: list[Work] | None = None
        self.launches = self.allocations = 0

    def put(self, work: Work) -> None:
        (self.queue if self.captured is None else self.captured).append(work)

    def cudaGetDeviceProperties(self, index: int) -> tuple[Any, ...]:
        if index >= self.devices:
            return 100, None
        return 0, SimpleNamespace(name=self.name.encode(), major=8, minor=7)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[int, int]:
        return 0, 77

    def cudaEventCreateWithFlags(self, flags: int) -> tuple[int, int]:
        assert flags == 3, "a wait would spin"
        return 0, 88

    def cudaMalloc(self, size: int) -> tuple[int, int]:
        assert self.captured is None, "memory cannot be allocated while capturing"
        self.allocations += 1
        buffer = (ctypes.c_uint8 * size)(*([171] * size))
        self.memory[ctypes.addressof(buffer)] = buffer
        return 0, ctypes.addressof(buffer)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[int, int]:
        status, address = self.cudaMalloc(size)
        self.pinned.add(address)
        return status, address

    def cudaFree(self, address: int) -> tuple[int]:
        del self.memory[address]
        return (0,)

    def cudaMemsetAsync(self, address: int, value: int, size: int, stream: int) -> tuple[int]:
        self.put(lambda: ctypes.memset(address, value, size))
        return (0,)

    def cudaMemcpyAsync(self, to: int, of: int, size: int, kind: int, stream: int) -> tuple[int]:
        self.put(lambda: ctypes.memmove(to, of, size))
        return (0,)

    def cudaStreamBeginCapture(self, stream: int, mode: int) -> tuple[int]:
        assert not self.queue, "the stream is busy"
        self.captured = []
        return (0,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[int, list[Work]]:
        captured, self.captured = self.captured, None
        assert captured is not None
        return 0, captured

    def cudaGraphInstantiate(self, graph: list[Work], flags: int) -> tuple[int, list[Work]]:
        return 0, list(graph)

    def cudaGraphLaunch(self, graph: list[Work], stream: int) -> tuple[int]:
        self.launches += 1
        self.queue += graph
        return (0,)

    def cudaEventRecord(self, event: int, stream: int) -> tuple[int]:
        return (0,)

    def cudaEventSynchronize(self, event: int) -> tuple[int]:
        while self.queue:
            self.queue.pop(0)()
        return (0,)


class FakeTensorRt:
    """Runs the brightness model of `tests.models` for whatever plan begins with 'plan'."""

    __name__, __version__ = "tensorrt", "10.3.0"
    IProfiler = object

    class Logger:
        ERROR = 1

        def __init__(self, severity: int) -> None:
            self.severity = severity

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda = cuda

    def Runtime(self, logger: Any) -> Any:
        def deserialize(plan: bytes) -> Any:
            return (
                SimpleNamespace(create_execution_context=lambda: FakeContext(self.cuda))
                if plan[:4] == b"plan"
                else None
            )

        return SimpleNamespace(deserialize_cuda_engine=deserialize)


class FakeContext:
    """An execution context; what it computes on is read from the addresses when the work is enqueued."""

    profiler: Any = None

    def __init__(self, cuda: FakeCuda) -> None:
        self.cuda, self.addresses = cuda, {}  # type: ignore[var-annotated]

    def set_tensor_address(self, name: str, address: int) -> None:
        assert address in self.cuda.memory, f"{name} is not on the GPU"
        self.addresses[name] = address

    def execute_async_v3(self, stream: int) -> bool:
        assert stream == 77
        at = dict(self.addresses)

        def work() -> None:
            mean = np.float32(_array(at["image"], HEIGHT * WIDTH, np.uint8).mean())
            _array(at["motion"], 6)[:] = [0, 0, 0.01 * (mean - _array(at["state_mean"], 1)[0]), 0, 0, 0]
            _array(at["log_variance"], 6)[:] = -6
            _array(at["next_state_mean"], 1)[:] = mean
            if self.profiler is not None:
                self.profiler.report_layer_time("Mul_growth", 0.25)
                self.profiler.report_layer_time("{ForeignNode[mean]}", 0.5)

        self.cuda.put(work)
        return True


def _array(address: int, size: int, dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    count = size * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * count).from_address(address), dtype)
