"""Small models for tests: a step function whose numbers can be worked out by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from ros2_vodistill.engines import Engine, UnavailableError, make
from ros2_vodistill.model import Model

WIDTH, HEIGHT = 64, 32


def brightness_model(folder: Path, **changes: Any) -> Path:
    """A model that takes the growth of the mean brightness, in hundreds of grey levels, for forward motion.

    `changes` overrule fields of its card (before the hash is made).
    """
    folder.mkdir(parents=True, exist_ok=True)
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 1, HEIGHT, WIDTH])
    state = helper.make_tensor_value_info("state_mean", TensorProto.FLOAT, [1, 1])
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("motion", [1, 6]), ("log_variance", [1, 6]), ("next_state_mean", [1, 1]))
    ]
    constants = [
        helper.make_tensor("forward", TensorProto.FLOAT, [1, 6], [0, 0, 0.01, 0, 0, 0]),
        helper.make_tensor("nothing", TensorProto.FLOAT, [1, 6], [0.0] * 6),
        helper.make_tensor("confidence", TensorProto.FLOAT, [1, 6], [-6.0] * 6),
    ]
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["mean4"], axes=[2, 3], keepdims=0),
        helper.make_node("Identity", ["mean4"], ["next_state_mean"]),
        helper.make_node("Sub", ["mean4", "state_mean"], ["growth"]),
        helper.make_node("Mul", ["growth", "forward"], ["motion"]),
        helper.make_node("Add", ["nothing", "confidence"], ["log_variance"]),
    ]
    graph = helper.make_graph(nodes, "brightness", [image, state], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    card: dict[str, Any] = {
        "format": 1,
        "name": folder.name,
        "family": "test",
        "description": "Brightness for motion.",
        "views": {
            "image": {"kind": "level", "width": WIDTH, "height": HEIGHT, "fx": 40, "fy": 40, "cx": 31.5, "cy": 15.5}
        },
        "states": {"state_mean": [1, 1]},
        "unit": "camera_height",
        "range": {
            "min_translation": 0.01,
            "max_translation": 2.0,
            "min_rotation": 0.001,
            "max_rotation": 0.2,
            "max_interval": 1.0,
        },
        "covariance_scale": [1.0, 1.0, 2.0, 1.0, 1.0, 1.0],
        "parameters": 6,
        "precision": "fp32",
        "data": {"name": "none", "licence": "Apache-2.0", "samples": 0},
        "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
        "opset": 17,
        **changes,
    }
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def opened(folder: Path, engine: str, threads: int = 1) -> Engine:
    """The model on that engine, or a skip with the reason why this machine cannot run it."""
    try:
        return make(Model.load(folder), engine, threads)[0]
    except UnavailableError as error:
        pytest.skip(error.problem)


def spoil(folder: Path, operator: str, domain: str = "") -> Path:
    """Rename the kind of the node that makes 'growth'; the card gets the new hash."""
    graph = onnx.load(folder / "model.onnx")
    node = next(node for node in graph.graph.node if node.output[0] == "growth")
    node.op_type, node.domain, node.name = operator, domain, "the_growth"
    if domain:
        graph.opset_import.append(helper.make_opsetid(domain, 1))
    onnx.save(graph, folder / "model.onnx")
    return rehashed(folder)


def rehashed(folder: Path) -> Path:
    """The card gets the hash of the graph as it is now."""
    card = json.loads((folder / "card.json").read_text())
    card["sha256"] = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    return folder
