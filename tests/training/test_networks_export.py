"""`step` becomes a plain graph that onnxruntime computes alike, frame after frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ros2_vodistill.view import Patch, View
from training import networks
from training.networks import StepModule

VIEW = View(96, 64, 60.0, 60.0, 47.5, 31.5)
ROAD = View(64, 32, 80.0, 80.0, 31.5, -6.0)


@pytest.mark.parametrize(
    "spec",
    [
        {"name": "swift-s"},
        {"name": "swift-xs", "views": {"image": VIEW, "view_ground": Patch(64, 32, 1.0, 5.0, 3.0)}},
        {"name": "swift-xs", "views": {"image": VIEW, "view_road": ROAD}, "polish": 3},
        {"name": "swift-xs", "views": {"image": VIEW, "view_road": ROAD}, "polish": 1, "shared": True},
        {"name": "swift-xs", "views": {"image": VIEW}, "encoder_blocks": (0, 1), "separable": True},
        {"name": "flownet-t", "views": {"image": VIEW}, "width": 0.05, "lstm": (16, 8)},
    ],
    ids=["swift", "swift with two views", "swift that polishes", "swift with one encoder", "separable", "flownet"],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@torch.no_grad()
def test_onnxruntime_computes_the_same(spec: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(3)
    network = networks.build(spec).eval()
    torch.nn.init.normal_(getattr(network.head, "outputs", network.head)[-1].weight)  # motions of a size that shows
    module = StepModule(network)
    file = tmp_path / "model.onnx"
    exported = torch.onnx.export(
        module,
        module.example(),
        dynamo=True,
        opset_version=20,
        input_names=module.input_names,
        output_names=module.output_names,
        verbose=False,
    )
    assert exported is not None
    exported.save(file)
    operators = {node.op_type for node in onnx.load(file).graph.node}
    assert not operators & {"Loop", "If", "Scan", "GatherND", "ScatterND", "LSTM", "GRU"}

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    assert [i.name for i in session.get_inputs()] == module.input_names
    assert [o.name for o in session.get_outputs()] == module.output_names
    states = network.initial_states()
    arrays = [state.numpy() for state in states]
    generator = np.random.default_rng(0)
    for _ in range(5):
        images = {
            name: generator.integers(0, 256, (1, 1, view.height, view.width), dtype=np.uint8)
            for name, view in network.views.items()
        }
        motion, log_variance, states = network.step({n: torch.from_numpy(i) for n, i in images.items()}, states)
        feeds = dict(zip(module.input_names, [*images.values(), *arrays], strict=True))
        found_motion, found_log_variance, *arrays = session.run(None, feeds)
        np.testing.assert_allclose(found_motion, motion.numpy(), atol=1e-5)
        np.testing.assert_allclose(found_log_variance, log_variance.numpy(), atol=1e-4)
    assert np.abs(found_motion).max() > 1e-3
