"""`vodistill engine`."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ros2_vodistill import prepare
from ros2_vodistill.model import Model
from tests.cli.recordings import Vodistill


def test_engine_build_without_a_gpu_says_so(
    vodistill: Vodistill, bright: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ros2_vodistill.engines.gpu._LIBRARY", "libno-such-driver.so")
    code, out, err = vodistill("engine", "build", bright)
    assert (code, out) == (2, "")
    assert "there is no NVIDIA driver" in err
    code, _, err = vodistill("engine", "build", bright, "--precision", "fp16")
    assert code == 2
    assert "no fp16 variant" in err


def test_the_example_of_engine_build_names_what_ships() -> None:
    example = re.search(r"`vodistill engine build (\S+) --precision (\S+)`", prepare.build.__doc__ or "")
    assert example is not None
    assert Model.load(example[1]).variant(example[2]).card.precision == example[2]


def test_engine_build_prints_the_plan(
    vodistill: Vodistill, bright: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ros2_vodistill.engines import gpu, tensorrt
    from tests.engines.fakes import FakeCuda, FakeTensorRt

    def built(trt: object, model: object, progress: Callable[[str, int, int], object]) -> bytes:
        progress("Building", 1, 2)
        progress("Building", 2, 2)
        return b"plan"

    cuda = FakeCuda()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(tensorrt, "machine", lambda: (FakeTensorRt(cuda), gpu.Gpu(cuda)))
    monkeypatch.setattr(tensorrt, "build", built)
    code, out, _ = vodistill("engine", "build", bright)
    assert code == 0
    assert Path(out.split(": ", 1)[1].strip()).is_file()
