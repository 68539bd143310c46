"""A model: a folder with `model.onnx`, a step function, and `card.json`, all that the robot must know about it.

A model whose file does not have the hash on its card is refused here; one whose graph does not have the inputs, outputs
and shapes on its card is refused by the engine that opens it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import Patch, View

DEFAULT = "swift-s"
_ELSEWHERE = b"\x0a\x08location\x12"  # begins a tensor's external_data in ONNX: the key and its value's tag
UNITS = ("metre", "camera_height", "none")

_TYPES: dict[type, tuple[str, ...]] = {
    str: ("name", "family", "description", "unit", "precision", "sha256"),
    int: ("parameters", "opset"),
    dict: ("data",),
}


@dataclass(frozen=True)
class Range:
    """The motions per step that a model was trained for.

    Attributes:
        min_translation, max_translation: length, in the card's unit.
        min_rotation, max_rotation: angle, in radians.
        max_interval: seconds between two frames.
    """

    min_translation: float
    max_translation: float
    min_rotation: float
    max_rotation: float
    max_interval: float

    def __post_init__(self) -> None:
        steps = 0 <= self.min_translation < self.max_translation and 0 <= self.min_rotation < self.max_rotation
        if not (steps and max(self.max_translation, self.max_rotation) < math.inf and self.max_interval > 0):
            raise ValueError(f"range is {self}")


@dataclass(frozen=True)
class Card:
    """What a model is; the fields of `card.json`.

    Attributes:
        name, family, description: for people.
        views: the canonical views it sees, by input name; the first is 'image'.
        states: shape of each state tensor by name, 'state_...'.
        unit: of the translation: 'metre', 'camera_height' or 'none'.
        range: of motion per step.
        covariance_scale: factors of exp(log_variance), from calibration on held-out data.
        parameters: count.
        d_rate: share of the teacher's parameters that it does without, or None.
        teacher: name, or None.
        precision: 'fp32', 'fp16' or 'int8'.
        data: what it was trained on, with the licence and the number of samples.
        measured: errors, each with the data and the command that made it.
        sha256: of model.onnx.
        opset: of model.onnx.
    """

    name: str
    family: str
    description: str
    views: Mapping[str, View | Patch]
    states: Mapping[str, tuple[int, ...]]
    unit: str
    range: Range
    covariance_scale: tuple[float, ...]
    parameters: int
    precision: str
    data: Mapping[str, Any]
    sha256: str
    opset: int
    d_rate: float | None = None
    teacher: str | None = None
    measured: tuple[Mapping[str, Any], ...] = field(default=())

    @staticmethod
    def from_dict(spec: Mapping[str, Any]) -> Card:
        """Read what a card holds; ValueError, KeyError or TypeError say what does not fit."""
        fields = dict(spec)
        if fields.pop("format", None) != 1:
            raise ValueError(f"format is {spec.get('format')!r}; this version reads 1")
        views = {name: View.from_dict(view) for name, view in fields.pop("views").items()}
        if next(iter(views), None) != "image":
            raise ValueError(f"views are {list(views)}; the first must be 'image'")
        card = Card(
            views=views,
            states={name: tuple(map(int, shape)) for name, shape in fields.pop("states").items()},
            range=Range(**fields.pop("range")),
            covariance_scale=tuple(float(x) for x in fields.pop("covariance_scale")),
            measured=tuple(fields.pop("measured", ())),
            **fields,
        )
        for kind, names in _TYPES.items():
            for name in names:
                if not isinstance(getattr(card, name), kind):
                    raise ValueError(f"{name} is {getattr(card, name)!r}; it must be of type {kind.__name__}")
        for name in ("parameters", "opset"):
            if getattr(card, name) < 1:
                raise ValueError(f"{name} is {getattr(card, name)}; it must be at least 1")
        if not all(size >= 1 for shape in card.states.values() for size in shape):
            raise ValueError(f"states are {dict(card.states)}; every size must be at least 1")
        if card.unit not in UNITS:
            raise ValueError(f"unit is {card.unit!r}; known are {', '.join(UNITS)}")
        if len(card.covariance_scale) != 6 or not all(0 < x < float("inf") for x in card.covariance_scale):
            raise ValueError(f"covariance_scale is {card.covariance_scale}; it must be six numbers more than zero")
        return card


@dataclass(frozen=True)
class Model:
    """A model on disk.

    Attributes:
        card: what it is.
        path: of its ONNX file.
    """

    card: Card
    path: Path

    @staticmethod
    def load(name: str | Path) -> Model:
        """Find a model by name among those that ship, or by the path of its folder, and check its hash."""
        folder = _find(name)
        path, card = folder / "model.onnx", read_card(folder / "card.json")
        try:
            graph = path.read_bytes()
        except OSError as error:
            raise VodistillError(f"{path} cannot be read: {error.strerror}", "Export the model again.") from error
        digest = hashlib.sha256(graph).hexdigest()
        if _ELSEWHERE in graph:
            raise VodistillError(
                f"{path} keeps weights in another file, which its hash does not cover",
                "Export it as one file: torch.onnx.export(..., external_data=False), or onnx.save as it is.",
            )
        if digest != card.sha256:
            raise VodistillError(
                f"{path} has sha256 {digest[:12]}..., its card says {card.sha256[:12]}...",
                "The file was changed or cut short after its export: fetch or export the model again.",
            )
        return Model(card, path)

    def variant(self, precision: str | None) -> Model:
        """This model at that precision: itself, or NAME-PRECISION beside it or among those that ship."""
        if precision in (None, self.card.precision):
            return self
        base = self.card.name.removesuffix(f"-{self.card.precision}")
        beside = self.path.parent.with_name(base if precision == "fp32" else f"{base}-{precision}")
        try:
            return Model.load(beside if beside.is_dir() else beside.name)
        except VodistillError as error:
            raise VodistillError(
                f"there is no {precision} variant of '{self.card.name}': {error.problem}",
                f"Precision lives in the model: python -m training quantize --precision {precision}. {error.remedy}",
            ) from error


def read_card(path: Path) -> Card:
    """Read one card.json."""
    try:
        return Card.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise VodistillError(f"{path} cannot be read: {error.strerror}", "A model needs its card.") from error
    except (ValueError, TypeError, KeyError, AttributeError, VodistillError) as error:
        detail = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise VodistillError(f"{path} is not a model card: {detail}", "Export the model again.") from error


def shipped() -> Iterator[Path]:
    """Folders of the models that can be called by name, the first of a name wins."""
    seen: set[str] = set()
    for root in _roots():
        for card in sorted(root.glob("*/card.json")):
            if card.parent.name not in seen:
                seen.add(card.parent.name)
                yield card.parent


def homes() -> Iterator[Path]:
    """Where what comes with this package may lie: the checkout, share/ of the prefix that holds the package."""
    package = Path(__file__).resolve().parent
    yield package.parent
    yield from (parent / "share" / "ros2_vodistill" for parent in package.parents)


def _roots() -> Iterator[Path]:
    """Where models are looked for: $VODISTILL_MODELS, and what comes with this package."""
    if named := os.environ.get("VODISTILL_MODELS"):
        yield Path(named)
    yield from (home / "models" for home in homes())


def _find(name: str | Path) -> Path:
    given = Path(name)
    with suppress(RuntimeError):  # of a user that is not there
        given = given.expanduser()
    if given.is_file():
        given = given.parent
    if given.is_dir() and (given / "card.json").is_file():
        return given
    known = {folder.name: folder for folder in shipped()}
    if str(name) in known:
        return known[str(name)]
    raise VodistillError(
        f"there is no model '{name}'",
        f"Name one of: {', '.join(known) or 'none found'}; or the folder of a model.onnx with its card.json.",
    )
