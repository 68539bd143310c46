"""Exported models: the graph against torch, the card, lower precisions, and refusals."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.measured import prepared
from ros2_vodistill.model import Model
from ros2_vodistill.sources import open_source
from ros2_vodistill.view import Warp
from tests.training.toy import VIEW, ShiftStream, network
from training import export, networks
from training.config import Shipping
from training.export import Origin, check_graph, first_frames, write_graph
from training.measure import Motions, on_clips
from training.networks import Network
from training.networks.layers import frame_mean
from training.quantize import FRAMES, Calibration, quantize
from training.steps import OnnxSteps, TorchSteps
from training.trained import clips_seen, load_network

ROOT = Path(__file__).parents[2]

SWIFT = {
    "name": "swift-s",
    "views": {"image": dataclasses.replace(VIEW, width=64, height=64, cy=31.5)},
    "encoder": [8, 8],
    "match": [8, 8],
    "decoder": [8, 8, 8],
    "vector": 16,
    "memory": 8,
    "hint": 16,
    "head": 8,
}


class Noise(ShiftStream):
    """Clips of noise at the size of any view."""

    def __init__(self, network: Network, frames: int = 8) -> None:
        super().__init__(batch_size=2, frames=frames)
        self.views = network.views

    def batch(self, index: int, rank: int = 0, ranks: int = 1):  # type: ignore[no-untyped-def]  # noqa: ANN201
        from training.data.batch import Batch

        random = torch.Generator().manual_seed(index)
        views = {
            name: torch.randint(0, 256, (2, self.frames, v.height, v.width), generator=random, dtype=torch.uint8)
            for name, v in self.views.items()
        }
        return Batch(views, torch.randn(2, self.frames - 1, 6, generator=random).abs())


def swift() -> Network:
    torch.manual_seed(0)
    return networks.build(SWIFT)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    learnt = swift()
    stream = Noise(learnt)
    origin = Origin("toy-s", samples=123, teacher="toy-t", d_rate=0.9)
    shipping = Shipping(description="a toy", min_translation=0.1, quantile=1.0)
    motions = on_clips(learnt, stream, 4)
    out = tmp_path_factory.mktemp("models")
    measured = [{"data": "noise", "command": "none", "rpe_t_m": 1.0}]
    return export.export(learnt, origin, shipping, motions, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0), measured, stream, out)


@pytest.fixture(scope="module")
def lower(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The model at each lower precision."""
    out, learnt = tmp_path_factory.mktemp("lower"), swift()
    return {p: quantize(model, p, out, Noise(learnt), Noise(learnt), 2) for p in ("fp16", "int8")}


@pytest.mark.parametrize("make", [swift, network], ids=["swift", "flownet"])
def test_the_graph_steps_as_torch_does_over_100_steps(make: type, tmp_path: Path) -> None:
    learnt = make().train()
    before = {k: v.clone() for k, v in learnt.state_dict().items()}
    step = write_graph(learnt, tmp_path / "model.onnx")
    assert learnt.training
    assert all(torch.equal(v, before[k]) for k, v in learnt.state_dict().items())
    assert check_graph(tmp_path / "model.onnx", step, Noise(learnt)) < 1e-6
    graph, reference = OnnxSteps(tmp_path / "model.onnx", learnt.views, learnt.unit), TorchSteps(learnt)
    for frame in first_frames(Noise(learnt), 100):
        (motion, variance), (expected, expected_variance) = graph.step(frame), reference.step(frame)
    assert motion == pytest.approx(expected, abs=1e-6)
    assert variance == pytest.approx(expected_variance, abs=1e-4)
    for state, expected_state in zip(graph.states.values(), reference.states, strict=True):
        assert np.abs(state - expected_state.numpy()).max() < 1e-4


def test_a_graph_of_another_network_is_refused(model: Path) -> None:
    torch.manual_seed(1)
    other = networks.StepModule(networks.build(SWIFT))
    with pytest.raises(VodistillError, match="differ from torch's"):
        check_graph(model / "model.onnx", other, Noise(other.network))
    with pytest.raises(VodistillError, match="inputs"):
        check_graph(model / "model.onnx", networks.StepModule(network()), Noise(network()))


@pytest.mark.parametrize("make", [swift, network], ids=["swift", "flownet"])
def test_where_a_network_magnifies_rounding_the_graph_is_as_exact_as_torch(make: type, tmp_path: Path) -> None:
    """Motions a thousand times as large: more than 1e-6 of them is rounding, of torch's too."""
    learnt = make()
    learnt.motion_scale.mul_(1e3)
    step = write_graph(learnt, tmp_path / "model.onnx")
    assert 1e-6 < check_graph(tmp_path / "model.onnx", step, Noise(learnt)) < 1e-3
    with torch.no_grad():
        next(step.network.head.parameters()).mul_(1 + 3e-5)
    with pytest.raises(VodistillError, match="double precision"):
        check_graph(tmp_path / "model.onnx", step, Noise(learnt))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_the_mean_of_a_frame_keeps_its_digits_in_the_graph(tmp_path: Path) -> None:
    """Added up one after the other, so many equal numbers come out wrong by 3e-5: each sum is rounded the same way."""
    frame = torch.full((1, 1, 96, 320), 1.3)
    program = torch.onnx.export(FrameMean().eval(), (frame,), dynamo=True, input_names=["frame"], verbose=False)
    assert program is not None
    program.save(tmp_path / "mean.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several would begin several sums
    session = onnxruntime.InferenceSession(tmp_path / "mean.onnx", options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"frame": frame.numpy()})
    np.testing.assert_allclose(found, [[[[1.3]]]], rtol=2e-6)


class FrameMean(torch.nn.Module):
    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        return frame_mean(frame)


def test_the_package_loads_the_model_and_its_card(model: Path) -> None:
    loaded = Model.load(model)
    card = loaded.card
    learnt = swift()
    assert (card.name, card.family, card.precision, card.teacher, card.d_rate) == (
        "toy-s",
        "swift",
        "fp32",
        "toy-t",
        0.9,
    )
    assert card.parameters == learnt.parameter_count()
    assert card.views == dict(learnt.views)
    assert card.states == {f"state_{k}": tuple(v) for k, v in learnt.state_shapes.items()}
    assert card.covariance_scale == (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)
    assert card.data["samples"] == 123
    assert card.range.min_translation == 0.1
    truth = on_clips(learnt, Noise(learnt), 4).truth
    assert card.range.max_translation == pytest.approx(np.linalg.norm(truth[:, :3], axis=1).max(), rel=5e-3)
    assert card.opset <= 20


def test_the_packages_engine_runs_it(model: Path) -> None:
    from ros2_vodistill.engines.onnx import OnnxEngine

    engine, reference = OnnxEngine(Model.load(model)), TorchSteps(swift())
    for frame in first_frames(Noise(swift()), 10):
        engine.inputs["image"][...] = frame["image"]
        motion, _ = engine.step()
        assert motion == pytest.approx(reference.step(frame)[0], abs=1e-6)
        engine.advance()


def test_what_ships_is_the_network_that_was_trained() -> None:
    """Over the demo's recording, frame by frame, from the image that the camera took."""
    odometry = prepared(ROOT / "models/swift-s", ROOT / "demo/bag", None, refine=False)[1]
    engine, source = odometry.engine, open_source(ROOT / "demo/bag")
    assert engine is not None
    reference = TorchSteps(load_network(ROOT / "training/weights/swift-s-distilled.safetensors"))
    warp = Warp(source.require_camera(), engine.model.card.views["image"], odometry.mount.level_from_camera)
    for _, image in source:
        warp(image, out=engine.inputs["image"])
        expected = reference.step({"image": engine.inputs["image"]})[0]
        motion, _ = engine.step()
        engine.advance()
        assert motion == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "weights"),
    [
        ("swift-s", "swift-s-distilled"),
        ("swift-road", "swift-polish"),
        ("swift-road-xs", "swift-road-xs"),
        ("flownet-3-3", "flownet-3-3"),
    ],
)
def test_cards_weights_and_pages_say_alike_on_how_many_clips_what_ships_was_trained(model: str, weights: str) -> None:
    clips = clips_seen(ROOT / f"training/weights/{weights}.safetensors")
    assert Model.load(ROOT / "models" / model).card.data["samples"] == clips
    pages = "".join((ROOT / "docs" / page).read_text() for page in ("accuracy.md", "experiments.md"))
    assert re.search(rf"[^\d,]{clips:,} clips", pages)


def test_graphs_do_not_say_where_they_were_made(model: Path) -> None:
    for graph in (model / "model.onnx", *ROOT.glob("models/*/model.onnx")):
        assert b'.py", line' not in graph.read_bytes(), graph


def test_a_failed_export_leaves_the_old_model(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (model / "card.json").read_bytes()

    def fail(*_: object) -> float:
        raise VodistillError("no")

    monkeypatch.setattr(export, "write_graph", fail)
    learnt = swift()
    motions = Motions(np.zeros((2, 6)), np.ones((2, 6)), np.zeros((2, 6)))
    with pytest.raises(VodistillError):
        export.export(
            learnt, Origin("toy-s", 1), Shipping(), motions, (1.0,) * 6, [], Noise(learnt), model.parent, overwrite=True
        )
    assert (model / "card.json").read_bytes() == before
    assert [p.name for p in model.parent.iterdir() if p.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["../x", "a/b", "/tmp/x", "", ".", "..", ".hidden", "a b", "-x"])
def test_a_model_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(VodistillError, match="is no name for a model"):
        export.place(tmp_path, name, overwrite=True)


def test_a_model_is_overwritten_where_that_is_asked_for(model: Path, lower: dict[str, Path], tmp_path: Path) -> None:
    learnt = swift()
    with pytest.raises(VodistillError, match=f"{model} exists already") as error:
        export.place(model.parent, model.name, overwrite=False)
    assert "--overwrite" in error.value.remedy
    assert export.place(model.parent, model.name, overwrite=True) == model
    with pytest.raises(VodistillError, match="toy-s-fp16 exists already"):
        quantize(model, "fp16", lower["fp16"].parent, Noise(learnt), Noise(learnt), 2)
    (tmp_path / "notes").mkdir()
    with pytest.raises(VodistillError, match="is no model"):
        export.place(tmp_path, "notes", overwrite=True)


def test_what_is_no_model_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(
        VodistillError, match=f"{tmp_path / 'nix'} is no model: there is no {tmp_path / 'nix'}/card.json"
    ):
        quantize(tmp_path / "nix", "int8", tmp_path, Noise(swift()), Noise(swift()), 2)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_lower_precisions_stay_near_and_say_what_they_cost(
    lower: dict[str, Path], tmp_path: Path, precision: str
) -> None:
    learnt, folder = swift(), lower[precision]
    card = Model.load(folder).card
    assert (card.name, card.precision) == (f"toy-s-{precision}", precision)
    (row,) = card.measured
    assert row["drop"]["error"] == pytest.approx(row["error"] / row["fp32"]["error"] - 1)
    steps, reference = OnnxSteps(folder / "model.onnx", learnt.views, learnt.unit), TorchSteps(learnt)
    pairs = [(steps.step(f)[0], reference.step(f)[0]) for f in first_frames(Noise(learnt), 8)]
    motions, expected = (np.stack(x) for x in zip(*pairs, strict=True))
    assert np.abs(motions - expected).max() < 0.2 * np.abs(expected).max()
    with pytest.raises(VodistillError, match="already"):
        quantize(folder, precision, tmp_path, Noise(learnt), Noise(learnt), 2)


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_variance_that_is_a_constant_stays_one(tmp_path: Path, precision: str) -> None:
    """As that of the paper's students: no node computes it."""
    learnt = network(uncertainty=False)
    motions = on_clips(learnt, Noise(learnt), 4)
    whole = export.export(learnt, Origin("toy", 1), Shipping(), motions, (1.0,) * 6, [], Noise(learnt), tmp_path)
    made_by = {o for n in onnx.load(str(whole / "model.onnx")).graph.node for o in n.output}
    assert "log_variance" not in made_by
    lower = quantize(whole, precision, tmp_path, Noise(learnt), Noise(learnt), 2)
    frame = next(first_frames(Noise(learnt), 1))
    found, expected = (OnnxSteps(f / "model.onnx", learnt.views, learnt.unit).step(frame) for f in (lower, whole))
    assert found[1] == pytest.approx(expected[1], abs=1e-2)
    assert found[0] == pytest.approx(expected[0], abs=0.2)


def test_a_lower_precision_that_does_not_fit_its_card_is_not_kept(model: Path, tmp_path: Path) -> None:
    shutil.copytree(model, tmp_path / "toy-s")
    card = json.loads((model / "card.json").read_text())
    card["states"]["state_memory"] = [1, 9]
    (tmp_path / "toy-s" / "card.json").write_text(json.dumps(card))
    with pytest.raises(VodistillError, match="does not fit its card"):
        quantize(tmp_path / "toy-s", "fp16", tmp_path, Noise(swift()), Noise(swift()), 2)
    assert not (tmp_path / "toy-s-fp16").exists()


def test_int8_quantises_convolutions_symmetrically_and_nothing_else(model: Path, lower: dict[str, Path]) -> None:
    graph = onnx.load(str(lower["int8"] / "model.onnx")).graph
    values = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    made_by = {o: n for n in graph.node for o in n.output}
    kinds = Counter(n.op_type for n in graph.node)
    plain = Counter(n.op_type for n in onnx.load(str(model / "model.onnx")).graph.node)
    assert kinds["Conv"] == plain["Conv"] > 5
    for convolution in (n for n in graph.node if n.op_type == "Conv"):
        assert made_by[convolution.input[0]].op_type == "DequantizeLinear"
        assert made_by[convolution.input[1]].op_type == "DequantizeLinear"
        for bias in convolution.input[2:]:
            assert bias not in made_by
            assert values[bias].dtype == np.float32
    for node in graph.node:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            zero = values[node.input[2]]
            assert zero.dtype == np.int8
            assert not zero.any()
    for product in (n for n in graph.node if n.op_type in ("Gemm", "MatMul")):
        assert all(made_by[i].op_type != "DequantizeLinear" for i in product.input if i in made_by)


def test_int8_is_calibrated_on_motions_within_clips(model: Path) -> None:
    """From the end of one clip to the beginning of the next nothing moves as a camera does."""
    learnt = swift()
    asked = Calibration(OnnxSteps(model / "model.onnx", learnt.views, learnt.unit), Noise(learnt, frames=3))
    begins = []
    while (inputs := asked.get_next()) is not None:
        states = [value for name, value in inputs.items() if name not in learnt.views]
        begins.append(not any(state.any() for state in states))
    assert begins == ([True, False, False] * FRAMES)[:FRAMES]


def test_an_unknown_precision_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="int4"):
        quantize(model, "int4", tmp_path, Noise(swift()), Noise(swift()), 2)


def test_the_card_is_plain_json(model: Path) -> None:
    card = json.loads((model / "card.json").read_text())
    assert card["format"] == 1
    assert card["measured"][0] == {"data": "noise", "command": "none", "rpe_t_m": 1.0}
