"""One model on one engine, timed frame by frame in a process of its own, as `bench` asks it to.

The process reads what to do as lines of JSON from its input and answers each with one on its output. So its memory is
its own, its threads are set before any library starts some, and several can take turns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2

from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import to_grey
from ros2_vodistill.network import NetworkFrontend
from ros2_vodistill.odometry import VisualOdometry
from ros2_vodistill.refine import RefinedFrontend

PARTS = ("decode", "warp", "step", "refine", "compose")
"""Bytes to grey; grey to the views; views to motion; that polished by corners; motion to pose, with all gates."""


@dataclass(frozen=True)
class Task:
    """What is to be timed.

    Attributes:
        model: name or folder of a model, or 'classical'.
        refine: polish the network's motion.
        engine: 'auto' or the name of one; classical has none.
        threads: of the engine, or of OpenCV for classical.
        frames: file of raw BGR images, one after the other.
        camera, mount: the fields of a `Camera` and a `Mount`.
    """

    model: str
    refine: bool
    engine: str
    threads: int
    frames: str
    camera: dict[str, Any]
    mount: dict[str, Any]


class Contender:
    """An odometry that is timed on the same frames, forwards and backwards, so that the motion never jumps."""

    def __init__(self, task: Task) -> None:
        cv2.setNumThreads(task.threads)
        camera = Camera(**task.camera)
        self.height, self.width = camera.height, camera.width
        self.odometry = VisualOdometry(
            task.model,
            engine=task.engine,
            threads=task.threads,
            camera=camera,
            mount=Mount(**task.mount),
            refine=task.refine,
        )
        self.spent: dict[str, float] = dict.fromkeys(PARTS, 0.0)
        self._frames = Path(task.frames)
        self._pushed = 0
        self._watch()

    def describe(self) -> dict[str, Any]:
        """Which model and engine it really is."""
        engine = self.odometry.engine
        card = engine.model.card if engine else None
        return {
            "model": self.odometry.name,
            "refine": self.odometry.refine,
            "family": card.family if card else None,
            "teacher": card.teacher if card else None,
            "parameters": card.parameters if card else None,
            "d_rate": card.d_rate if card else None,
            "precision": card.precision if card else None,
            "engine": engine.name if engine else None,
            "device": engine.device if engine else "CPU",
            "passed_over": self.odometry.passed_over,
        }

    def run(self, count: int) -> dict[str, Any]:
        """Milliseconds of so many frames: the total and each part; processor time of all threads; memory."""
        times: dict[str, list[float]] = {name: [] for name in ("total", *PARTS)}
        processor = 0.0
        for data in self._raw(count):
            self.spent = dict.fromkeys((*PARTS, "inner"), 0.0)
            start, busy = time.perf_counter(), time.process_time()
            grey = to_grey(data, self.height, self.width, "bgr8")
            self.spent["decode"] = time.perf_counter() - start
            self.odometry.push(grey, 0.1 * self._pushed)
            total = time.perf_counter() - start
            processor += time.process_time() - busy
            self.spent["refine"] -= self.spent["inner"]
            self.spent["compose"] = total - sum(self.spent[part] for part in PARTS[:-1])
            times["total"].append(1e3 * total)
            for part in PARTS:
                times[part].append(1e3 * self.spent[part])
            self._pushed += 1
        return {"ms": times, "processor_ms": 1e3 * processor / count, "memory_mb": memory()}

    def _raw(self, count: int) -> Iterator[bytes]:
        """The next frames; only one is in memory, as in a node."""
        size = 3 * self.height * self.width
        with self._frames.open("rb") as file:
            frames = self._frames.stat().st_size // size
            for index in range(self._pushed, self._pushed + count):
                file.seek(size * to_and_fro(index, frames))
                yield file.read(size)

    def _watch(self) -> None:
        """Let the parts inside `push` note what they spend."""
        frontend, engine = self.odometry.frontend, self.odometry.engine
        assert frontend is not None
        if engine is None:
            frontend.compare = self._timed("step", frontend.compare)  # type: ignore[method-assign]
            return
        if isinstance(frontend, RefinedFrontend):
            inner = frontend.inner
            inner.compare = self._timed("inner", inner.compare)  # type: ignore[method-assign]
            frontend.compare = self._timed("refine", frontend.compare)  # type: ignore[method-assign]
            frontend = inner
        assert isinstance(frontend, NetworkFrontend)
        engine.step = self._timed("step", engine.step)  # type: ignore[method-assign]
        frontend.warps.update({name: self._timed("warp", warp) for name, warp in frontend.warps.items()})  # type: ignore[misc]

    def _timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            result = call(*args, **named)
            self.spent[part] += time.perf_counter() - start
            return result

        return timed


class Process:
    """A contender in a process of its own, which runs `serve`."""

    def __init__(self, task: Task) -> None:
        self.task = task
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(task.threads))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "ros2_vodistill.contender"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **limits},
        )
        self.about = self.ask(asdict(task))

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, what: Any) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            print(json.dumps(what), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise VodistillError(
                f"the process that timed '{self.task.model}' on engine '{self.task.engine}' ended",
                "Its messages are above. Run that model alone: vodistill run --model ... --engine ...",
            )
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise VodistillError(answer["problem"], answer["remedy"])
        return answer


def to_and_fro(index: int, count: int) -> int:
    """0, 1, ..., count - 1, count - 2, ..., 1, 0, 1, ..."""
    place = index % (2 * count - 2)
    return min(place, 2 * count - 2 - place)


def memory() -> dict[str, float]:
    """Resident memory of this process in MB (10^6 bytes): now, and the most it ever was."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    statm = Path("/proc/self/statm")
    now = int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else peak
    return {"now": now / 1e6, "peak": peak / 1e6}


def serve() -> None:
    """Answer the lines of the input until it ends; nothing but answers goes to the output."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    contender: Contender | None = None
    for line in sys.stdin:
        try:
            if contender is None:
                contender = Contender(Task(**json.loads(line)))
                answer = contender.describe()
            else:
                answer = contender.run(json.loads(line))
        except VodistillError as error:
            answer = {"problem": error.problem, "remedy": error.remedy}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve()
