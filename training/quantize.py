"""An exported model at lower precision: fp16, or int8 convolutions calibrated on generated clips.

Precision lives in the graph: fp16 tensors, or Q/DQ nodes that onnxruntime, OpenVINO and TensorRT all read (symmetric,
signed, no quantised biases, everything but the convolutions in floating point).
"""

from __future__ import annotations

import itertools
import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from onnxruntime.transformers.onnx_model import OnnxModel

from ros2_vodistill.errors import VodistillError
from training import checkpoint
from training.data.batch import Stream
from training.export import CARD, GRAPH, each_clip, folder_replacing, open_model, place, write_card
from training.measure import clip_errors, on_frames
from training.steps import OnnxSteps

PRECISIONS = ("fp16", "int8")
FRAMES = 128
"""On which int8 is calibrated."""


def quantize(
    model: Path,
    precision: str,
    out: Path,
    calibration: Stream,
    held_out: Stream,
    clips: int,
    *,
    rotation_weight: float = 100.0,
    data: str = "held out",
    command: str = "",
    overwrite: bool = False,
) -> Path:
    """Write out/NAME-PRECISION beside the fp32 model that it is made of; its card says what that costs in accuracy.

    Args:
        model: fp32, exported.
        precision: one of `PRECISIONS`.
        out: folder of the models.
        calibration: what int8 is calibrated on.
        held_out: what both are measured on; so many `clips` of it.
        rotation_weight: of rotations in the error.
        data, command: for the card.
        overwrite: a model that is there already.
    """
    if precision not in PRECISIONS:
        raise VodistillError(f"precision {precision!r}", f"it can be {', '.join(PRECISIONS)}")
    source, card = open_model(model), checkpoint.read_json(model / CARD)
    if card["precision"] != "fp32":
        raise VodistillError(f"{model}: is {card['precision']} already", "give the fp32 model")
    name = f"{card['name']}-{precision}"
    with folder_replacing(place(out, name, overwrite=overwrite)) as folder:
        if precision == "fp16":
            onnx.save_model(_halved(onnx.load(str(model / GRAPH))), str(folder / GRAPH))
        else:
            _static(model / GRAPH, folder / GRAPH, source, calibration)
        onnx.checker.check_model(str(folder / GRAPH), full_check=True)
        pairs = {"fp32": source, precision: OnnxSteps(folder / GRAPH, source.views, source.unit)}
        errors = {p: clip_errors(on_frames(steps, held_out, clips), rotation_weight) for p, steps in pairs.items()}
        write_card(
            folder, {**card, "name": name, "precision": precision, "measured": [_row(data, command, precision, errors)]}
        )
    return out / name


def _row(data: str, command: str, precision: str, errors: dict[str, dict[str, float]]) -> dict[str, Any]:
    drop = {key: errors[precision][key] / errors["fp32"][key] - 1 for key in ("error", "r_deg")}
    return {"data": data, "command": command, **errors[precision], "fp32": errors["fp32"], "drop": drop}


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's preparation speaks through the root logger."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def _halved(model: onnx.ModelProto) -> onnx.ModelProto:
    """In fp16, but for what comes in and out. The conversion wants every output to be made by a node."""
    outputs = {output.name for output in model.graph.output}
    for constant in (known for known in model.graph.initializer if known.name in outputs):
        name, constant.name = constant.name, f"{constant.name}_constant"
        model.graph.node.insert(0, onnx.helper.make_node("Identity", [constant.name], [name], name=f"make_{name}"))
    half = OnnxModel(convert_float_to_float16(model, keep_io_types=True))
    half.topological_sort()
    return half.model


def _static(source: Path, target: Path, steps: OnnxSteps, calibration: Stream) -> None:
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / GRAPH
        with _quiet():
            quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Calibration(steps, calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            extra_options={"ActivationSymmetric": True, "WeightSymmetric": True, "QuantizeBias": False},
        )


class Calibration(CalibrationDataReader):
    """The inputs, states included, of the steps over generated clips."""

    def __init__(self, steps: OnnxSteps, stream: Stream) -> None:
        self.all = itertools.islice(self._run(steps, stream), FRAMES)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self.all, None)

    @staticmethod
    def _run(steps: OnnxSteps, stream: Stream) -> Iterator[dict[str, NDArray[Any]]]:
        for clip in each_clip(stream):
            steps.reset()
            for frame in clip:
                yield steps.inputs(frame)
                steps.step(frame)
