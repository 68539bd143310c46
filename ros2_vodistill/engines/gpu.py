"""What the engines need of CUDA: memory, copies, graphs of work, and a wait that burns no processor.

A thin layer over NVIDIA's `cuda.bindings`; the module is passed in, and each call's status becomes an error.
"""

from __future__ import annotations

import ctypes
import platform
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.engines.base import UnavailableError
from ros2_vodistill.errors import VodistillError

_LIBRARY = "nvcuda.dll" if platform.system() == "Windows" else "libcuda.so.1"


class Gpu:
    """The first GPU, and one stream on it.

    Args:
        cuda: `cuda.bindings.runtime`.

    Attributes:
        name: of the GPU.
        capability: its compute capability, as in '8.7'.
        stream: handle, for whoever launches work on it.
    """

    def __init__(self, cuda: Any) -> None:
        self._cuda = cuda
        try:
            properties = self._call("cudaGetDeviceProperties", 0)
        except VodistillError as error:
            raise UnavailableError(f"no GPU can be used: {error.problem}", "See nvidia-smi, and its driver.") from error
        name = properties.name
        self.name = name.decode() if isinstance(name, bytes) else str(name)
        self.capability = f"{properties.major}.{properties.minor}"
        self._stream = self._call("cudaStreamCreateWithFlags", cuda.cudaStreamNonBlocking)
        self.stream = int(self._stream)
        # A thread that waits for the GPU sleeps; CUDA would else spin.
        self._done = self._call("cudaEventCreateWithFlags", cuda.cudaEventBlockingSync | cuda.cudaEventDisableTiming)
        self._kept: list[Any] = []
        self._allocated: list[int] = []
        # A node that is configured again makes another engine. What ends with the process, the driver frees.
        weakref.finalize(self, _free, cuda, self._allocated).atexit = False

    def pinned(self, shape: tuple[int, ...], dtype: type[Any]) -> NDArray[Any]:
        """Zeroed host memory that the GPU copies from and to by itself; lives as long as the process."""
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaHostAlloc", size, self._cuda.cudaHostAllocDefault))
        memory = memoryview((ctypes.c_uint8 * size).from_address(address))
        array = np.frombuffer(memory, dtype).reshape(shape)
        array[...] = 0
        return array

    def allocate(self, size: int) -> int:
        """Address of so many zeroed bytes on the GPU; they live as long as this object."""
        address = int(self._call("cudaMalloc", size))
        self._allocated.append(address)
        self.clear(address, size)
        self.wait()
        return address

    def clear(self, address: int, size: int) -> None:
        """Zero memory on the GPU, in the stream's order."""
        self._call("cudaMemsetAsync", address, 0, size, self._stream)

    def upload(self, array: NDArray[Any], address: int) -> None:
        """Copy to the GPU, in the stream's order."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", address, array.ctypes.data, array.nbytes, kind, self._stream)

    def download(self, address: int, array: NDArray[Any]) -> None:
        """Copy from the GPU, in the stream's order."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", array.ctypes.data, address, array.nbytes, kind, self._stream)

    def capture(self, work: Callable[[], None]) -> Any:
        """What `work` puts on the stream, as a graph to launch again and again."""
        mode = self._cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", self._stream, mode)
        try:
            work()
        except VodistillError:
            with suppress(VodistillError):  # that the graph is not whole is no news
                self._call("cudaStreamEndCapture", self._stream)
            raise
        graph = self._call("cudaStreamEndCapture", self._stream)
        self._kept.append(graph)
        return self._call("cudaGraphInstantiate", graph, 0)

    def launch(self, graph: Any) -> None:
        """Put the graph's work on the stream."""
        self._call("cudaGraphLaunch", graph, self._stream)

    def wait(self) -> None:
        """Sleep until the stream is idle."""
        self._call("cudaEventRecord", self._done, self._stream)
        self._call("cudaEventSynchronize", self._done)

    def _call(self, name: str, *arguments: Any) -> Any:
        """A CUDA call's result; its status becomes an error."""
        status, *results = getattr(self._cuda, name)(*arguments)
        if int(status) != 0:
            reason = getattr(status, "name", status)
            raise VodistillError(f"{name} failed: {reason}", "See the messages of the GPU's driver: dmesg, nvidia-smi.")
        return results[0] if results else None


def _free(cuda: Any, addresses: list[int]) -> None:
    for address in addresses:
        cuda.cudaFree(address)


def require_driver() -> None:
    """UnavailableError where there is no NVIDIA driver."""
    try:
        ctypes.CDLL(_LIBRARY)
    except OSError as error:
        raise UnavailableError(
            f"there is no NVIDIA driver here ({_LIBRARY})", "Use an engine that runs on the processor."
        ) from error


def open_gpu() -> Gpu:
    """The GPU of this machine."""
    require_driver()
    return Gpu(_bindings())


def _bindings() -> ModuleType:
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        raise UnavailableError(
            f"NVIDIA's Python bindings of CUDA cannot be imported: {error}",
            "pip install 'ros2_vodistill[tensorrt]'; with a driver for CUDA 12, also 'cuda-bindings<13'.",
        ) from error
    return runtime
