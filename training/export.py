"""A trained network as what the robot loads: `model.onnx`, a step function, and its `card.json`."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import logging
import re
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from ros2_vodistill.engines.onnx import OnnxEngine
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model
from ros2_vodistill.view import View
from training import checkpoint
from training.config import Shipping
from training.data.batch import Stream
from training.measure import Motions
from training.networks import Network, StepModule
from training.steps import OnnxSteps, Steps, TorchSteps

OPSET = 18
"""What torch's exporter writes itself; TensorRT on JetPack 6 reads up to 20."""
IR_VERSION = 10
CHECKED_STEPS = 100
SAME = 1e-6
"""By how much each motion of the graph may differ from torch's, in the motion's unit and radians."""
AS_EXACT = 10.0
"""Where a network magnifies rounding beyond that: how many times as far as torch's motions the graph's may be from
those in double precision."""
GRAPH, CARD = "model.onnx", "card.json"


@dataclass(frozen=True)
class Origin:
    """What a card says of a network beside its graph.

    Attributes:
        name: of the model and its folder.
        samples: clips that it was trained on.
        teacher: its name, if there was one.
        d_rate: share of the teacher's parameters that it does without.
    """

    name: str
    samples: int
    teacher: str | None = None
    d_rate: float | None = None


def export(
    network: Network,
    origin: Origin,
    shipping: Shipping,
    motions: Motions,
    scale: tuple[float, ...],
    measured: list[dict[str, Any]],
    frames: Stream,
    out: Path,
    *,
    overwrite: bool = False,
) -> Path:
    """Write out/NAME with the graph, checked against torch on the clips of `frames`, and the card.

    Args:
        motions: on held-out clips; their truth says what range the network was trained for.
        scale: factors of exp(log_variance), from calibration.
        measured: errors for the card.
        overwrite: a model that is there already.
    """
    with folder_replacing(place(out, origin.name, overwrite=overwrite)) as folder:
        step = write_graph(network, folder / GRAPH)
        difference = check_graph(folder / GRAPH, step, frames)
        card = {
            "format": 1,
            "name": origin.name,
            "family": shipping.family or type(network).__name__.lower(),
            "description": shipping.description,
            "views": {name: view.to_dict() for name, view in network.views.items()},
            "states": {f"state_{name}": list(shape) for name, shape in network.state_shapes.items()},
            "unit": network.unit,
            "range": _range(motions, shipping),
            "covariance_scale": [float(f"{x:.6g}") for x in scale],
            "parameters": network.parameter_count(),
            "d_rate": origin.d_rate,
            "teacher": origin.teacher,
            "precision": "fp32",
            "data": {"name": shipping.data, "licence": shipping.licence, "samples": origin.samples},
            "measured": [*measured, {"data": f"{CHECKED_STEPS} steps", "against": "torch", "motion": difference}],
        }
        write_card(folder, card)
    return out / origin.name


def write_graph(network: Network, path: Path) -> StepModule:
    """The step function as ONNX; returns the torch module that it was made of."""
    step = StepModule(copy.deepcopy(network).cpu().float()).eval()
    for chatty in ("torch.onnx", "onnx_ir", "onnxscript"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            step,
            step.example(),
            dynamo=True,
            opset_version=OPSET,
            input_names=step.input_names,
            output_names=step.output_names,
            verbose=False,
        )
    if program is None:
        raise VodistillError(f"{path}: torch exported nothing", "look at its messages")
    model = _plain(program.model_proto)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    onnx.save_model(model, str(path))
    return step


def _plain(model: onnx.ModelProto) -> onnx.ModelProto:
    """Without what the exporter noted beside the graph, in place: the lines of code that each node came from, with this
    machine's paths."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output):
        del noted.metadata_props[:]
    for node in graph.node:
        node.doc_string = ""
    del graph.value_info[:]
    return model


def open_model(folder: Path) -> OnnxSteps:
    """An exported model, ready to step."""
    if not (folder / CARD).is_file():
        raise VodistillError(
            f"{folder} is no model: there is no {folder / CARD}",
            f"give the folder of an exported model; it is looked for from {Path.cwd()}",
        )
    card = checkpoint.read_json(folder / CARD)
    return OnnxSteps(folder / GRAPH, {k: View.from_dict(v) for k, v in card["views"].items()}, card["unit"])


def check_graph(path: Path, step: StepModule, frames: Stream) -> float:
    """The largest difference of a motion between the graph and torch, over many steps; refused if it is more than
    `SAME`, and the graph's rounding is not like torch's."""
    graph = OnnxSteps(path, step.network.views, step.network.unit)
    _check_names(path, graph, step)
    found, expected = _motions(graph, frames), _motions(TorchSteps(step.network), frames)
    difference = float(np.abs(found - expected).max())
    if not difference <= SAME:
        exact = _motions(TorchSteps(copy.deepcopy(step.network).double()), frames)
        error, rounding = (float(np.abs(motions - exact).max()) for motions in (found, expected))
        if not error <= AS_EXACT * rounding:
            raise VodistillError(
                f"{path}: its motions differ from torch's by up to {difference:.2g} in {CHECKED_STEPS} steps, and from "
                f"those in double precision by {error:.2g}, torch's by {rounding:.2g}",
                "that is more than rounding: the export is wrong for this network",
            )
    return difference


def each_clip(stream: Stream) -> Iterator[list[dict[str, Any]]]:
    """The frames of each of a stream's clips."""
    for index in itertools.count():
        views = {name: view.cpu().numpy() for name, view in stream.batch(index).views.items()}
        count, length = next(iter(views.values())).shape[:2]
        for clip in range(count):
            yield [{name: np.ascontiguousarray(view[clip, t]) for name, view in views.items()} for t in range(length)]


def first_frames(stream: Stream, count: int) -> Iterator[dict[str, Any]]:
    """So many frames of a stream's clips, one clip after the other."""
    return itertools.islice(itertools.chain.from_iterable(each_clip(stream)), count)


def write_card(folder: Path, card: dict[str, Any]) -> None:
    """card.json beside model.onnx, with the graph's hash and opset; refused where the robot would refuse it."""
    graph = folder / GRAPH
    opsets = {entry.domain: entry.version for entry in onnx.load(str(graph), load_external_data=False).opset_import}
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    whole = {**card, "sha256": digest, "opset": opsets[""]}
    checkpoint.write_text(folder / CARD, json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    OnnxEngine(Model.load(folder))


def place(out: Path, name: str, *, overwrite: bool) -> Path:
    """out/NAME, for a model to be written; refused where it would lie elsewhere, or something is there already."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise VodistillError(f"{name!r} is no name for a model", "use letters, digits, and . _ - between them")
    folder = out / name
    if folder.exists() and not (folder / CARD).is_file():
        raise VodistillError(f"{folder} exists already, and is no model", "remove it, or choose another name")
    if folder.exists() and not overwrite:
        raise VodistillError(f"{folder} exists already", "remove it, choose another name, or give --overwrite")
    return folder


@contextmanager
def folder_replacing(path: Path) -> Iterator[Path]:
    """A folder to fill, which takes the place of `path` when that succeeded."""
    temporary = path.with_name(f".{path.name}.new")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if path.exists():
            shutil.rmtree(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _range(motions: Motions, shipping: Shipping) -> dict[str, float]:
    length, angle = (
        float(np.quantile(np.linalg.norm(part, axis=1), shipping.quantile))
        for part in (motions.truth[:, :3], motions.truth[:, 3:])
    )
    return {
        "min_translation": shipping.min_translation,
        "max_translation": float(f"{max(length, 2 * shipping.min_translation):.3g}"),
        "min_rotation": shipping.min_rotation,
        "max_rotation": float(f"{max(angle, 2 * shipping.min_rotation):.3g}"),
        "max_interval": shipping.max_interval,
    }


def _motions(steps: Steps, frames: Stream) -> NDArray[np.float64]:
    """(CHECKED_STEPS + 1, 6), that of the first frame included, which means nothing."""
    steps.reset()
    return np.stack([steps.step(frame)[0] for frame in first_frames(frames, CHECKED_STEPS + 1)])


def _check_names(path: Path, graph: OnnxSteps, step: StepModule) -> None:
    inputs = {i.name: tuple(i.shape) for i in graph.session.get_inputs()}
    outputs = {o.name: tuple(o.shape) for o in graph.session.get_outputs()}
    states = {f"state_{name}": shape for name, shape in step.network.state_shapes.items()}
    views = {name: (1, 1, view.height, view.width) for name, view in step.network.views.items()}
    motion = {"motion": (1, 6), "log_variance": (1, 6)}
    if inputs != {**views, **states} or outputs != {**motion, **{f"next_{k}": v for k, v in states.items()}}:
        raise VodistillError(f"{path}: has inputs {inputs} and outputs {outputs}", "the export lost or renamed some")
