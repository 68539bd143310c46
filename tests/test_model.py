"""Models: found, read, and refused when anything about them does not fit."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from ros2_vodistill.engines import ENGINES, make
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import Model, read_card, shipped
from tests.models import brightness_model, opened, rehashed


def test_a_model_is_found_by_its_folder_by_its_file_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = brightness_model(tmp_path / "bright")
    assert Model.load(folder).path == folder / "model.onnx"
    assert Model.load(folder / "model.onnx").card.name == "bright"
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    assert folder in list(shipped())
    assert Model.load("bright").card.covariance_scale == (1, 1, 2, 1, 1, 1)


def test_an_unknown_name_lists_the_known_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brightness_model(tmp_path / "bright")
    monkeypatch.setenv("VODISTILL_MODELS", str(tmp_path))
    with pytest.raises(VodistillError, match=r"no model 'dark'(.|\n)*bright"):
        Model.load("dark")


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    folder = brightness_model(tmp_path / "bright")
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(VodistillError, match="its card says"):
        Model.load(folder)


def test_a_missing_graph_is_refused(tmp_path: Path) -> None:
    folder = brightness_model(tmp_path / "bright")
    (folder / "model.onnx").unlink()
    with pytest.raises(VodistillError, match="cannot be read"):
        Model.load(folder)


def test_a_user_that_is_not_there_has_no_model() -> None:
    with pytest.raises(VodistillError, match="no model '~nobody-of-that-name/swift-s'"):
        Model.load("~nobody-of-that-name/swift-s")


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    """Its hash would say nothing of them, nor would a plan that was built of them."""
    folder = brightness_model(tmp_path / "bright")
    graph = onnx.load(folder / "model.onnx")
    for tensor in graph.graph.initializer:
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), tensor.name))
    onnx.save(graph, folder / "model.onnx", save_as_external_data=True, size_threshold=0)
    with pytest.raises(VodistillError, match="weights in another file"):
        Model.load(rehashed(folder))


RANGE = {"min_translation": 0.1, "max_translation": 1, "min_rotation": 0, "max_rotation": 1, "max_interval": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format is 2"),
        ({"unit": "furlong"}, "furlong"),
        ({"covariance_scale": [1, 1, 1]}, "six numbers"),
        ({"covariance_scale": [1, 1, 1, 1, 1, 0]}, "more than zero"),
        ({"views": {}}, "must be 'image'"),
        ({"views": {"image": {"kind": "level", "width": 64}}}, "fields"),
        ({"views": {"image": {"kind": "spherical"}}}, "spherical"),
        ({"colour": "red"}, "colour"),
        ({"sha256": 5}, "sha256 is 5"),
        ({"name": None}, "name is None"),
        ({"opset": "new"}, "opset is 'new'"),
        ({"parameters": 0}, "parameters is 0"),
        ({"data": "streets"}, "data is 'streets'"),
        ({"states": {"state_mean": ["x"]}}, "x"),
        ({"states": {"state_mean": [1, -1]}}, "-1"),
        ({"range": {**RANGE, "max_interval": 0}}, "range"),
        ({"range": {**RANGE, "max_interval": None}}, "None"),
        ({"range": {**RANGE, "max_translation": float("inf")}}, "inf"),
        (
            {
                "range": {
                    "min_translation": 1,
                    "max_translation": 0.5,
                    "min_rotation": 0,
                    "max_rotation": 1,
                    "max_interval": 1,
                }
            },
            "range",
        ),
    ],
)
def test_a_card_that_makes_no_sense_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    folder = brightness_model(tmp_path / "bright", **change)
    with pytest.raises(VodistillError, match=message) as caught:
        Model.load(folder)
    assert "card.json" in caught.value.problem


def test_a_card_without_a_field_names_it(tmp_path: Path) -> None:
    folder = brightness_model(tmp_path / "bright")
    card = json.loads((folder / "card.json").read_text())
    del card["views"]
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(VodistillError, match="lacks 'views'"):
        read_card(folder / "card.json")


def test_a_card_that_is_no_json_is_refused(tmp_path: Path) -> None:
    folder = brightness_model(tmp_path / "bright")
    (folder / "card.json").write_text('{"format": 1,')
    with pytest.raises(VodistillError, match="not a model card"):
        Model.load(folder)


@pytest.mark.parametrize("engine", list(ENGINES))
@pytest.mark.parametrize(
    "change",
    [
        {"states": {}},
        {"states": {"state_mean": [1, 2]}},
        {"states": {"state_mean": [1, 10**15]}},
        {"states": {"state_mean": [1, 1], "state_more": [1, 1]}},
        {"views": {"image": {"kind": "level", "width": 32, "height": 32, "fx": 40, "fy": 40, "cx": 15, "cy": 15}}},
    ],
)
def test_a_graph_that_does_not_fit_its_card_is_refused(tmp_path: Path, engine: str, change: dict[str, object]) -> None:
    folder = brightness_model(tmp_path / "bright", **change)
    with pytest.raises(VodistillError, match="does not fit its card"):
        opened(folder, engine)


def test_a_file_that_is_no_graph_is_refused(tmp_path: Path) -> None:
    import hashlib

    folder = brightness_model(tmp_path / "bright")
    (folder / "model.onnx").write_bytes(b"no graph")
    card = json.loads((folder / "card.json").read_text())
    card["sha256"] = hashlib.sha256(b"no graph").hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(VodistillError, match="cannot load"):
        make(Model.load(folder), "onnxruntime")


def test_an_unknown_engine_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match=r"no engine 'abacus'(.|\n)*onnxruntime"):
        make(Model.load(brightness_model(tmp_path / "bright")), "abacus")


def test_a_variant_is_the_model_beside_it_at_that_precision(tmp_path: Path) -> None:
    full = Model.load(brightness_model(tmp_path / "bright"))
    brightness_model(tmp_path / "bright-fp16", precision="fp16")
    half = full.variant("fp16")
    assert (half.card.name, half.card.precision) == ("bright-fp16", "fp16")
    assert half.variant("fp32").card.name == "bright"
    assert full.variant(None) is full.variant("fp32") is full
    with pytest.raises(VodistillError, match=r"no int8 variant of 'bright'(.|\n)*training quantize"):
        full.variant("int8")
