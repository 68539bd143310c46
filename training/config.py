"""What an experiment is, as typed values read from YAML. The docstrings are the help: `python -m training explain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from training.limits import Amount, Count, Limited, Limits, Name, Number, Positive, Share, is_plain
from training.settings import SettingError, build, overridden, read
from training.stages import Run, Training

TAKEN = "teacher", "tables", "report"
"""Folders beside those of the students."""


@dataclass(frozen=True)
class Measure(Limited):
    """A real sequence that is measured while training, and never trained on.

    Attributes:
        path: a folder in KITTI's form: images, calib.txt, poses.txt.
        height: of the camera above the ground, metres; without it the translation is scaled step by step to the truth.
        pitch_deg: the camera looks down by this much.
        roll_deg: the camera's right side is lower by this much.
        frames: at most so many frames are read; 0 reads all.
    """

    path: str
    height: Annotated[float | None, Limits(0, above=True)] = None
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    frames: Count = 0


@dataclass(frozen=True)
class Augmentation(Limited):
    """Changes of recorded windows and of reused clips, the same for all frames; fresh clips have the world's own.

    Attributes:
        gain: the brightness is multiplied by up to 1 + gain, or divided by it.
        gamma: the exponent of the response, up to 1 + gamma, or its inverse.
        noise: standard deviation of the pixel noise, in grey levels; drawn anew for every frame.
        flicker: like gain, but drawn anew for every frame.
        mirror: probability that a clip is mirrored left to right, its motion with it; reused clips only.
        reverse: probability that a clip is shown backwards, its motion with it; reused clips only.
        blur: largest standard deviation of a blur, in pixels; reused clips only.
    """

    gain: Amount = 0.0
    gamma: Amount = 0.0
    noise: Amount = 0.0
    flicker: Amount = 0.0
    mirror: Share = 0.0
    reverse: Share = 0.0
    blur: Amount = 0.0


@dataclass(frozen=True)
class Data(Limited):
    """Where the frames come from.

    Attributes:
        kind: `world` (generated, endless), `kitti` (odometry) or `malaga` (urban; no truth, so it measures only).
        root: the data set's folder, for kitti and malaga.
        colour: KITTI's colour camera (image_2) and not its grey one (image_0).
        train: names of the sequences to train on; the paper's by default.
        test: names of the sequences to measure on; the paper's by default.
        validation: names of the sequences by which training is watched, and stopped (`patience`); `test` where empty.
        height: of the camera above the ground in recorded data, metres.
        frames: length of a clip or window.
        stride: frames between the starts of two windows of a recording.
        skips: a window of a recording takes every k-th frame, k drawn from this list.
        clips: the generated world as a finite set of so many clips, rendered once; 0 never shows a clip twice.
        cache: folder in which such a set is kept.
        reuse: show each clip of the generated world about so many times, changed by `augmentation` each time, before
            going on.
        world: settings of the generated world (training/world).
        augmentation: photometric changes of recorded windows.
        workers: processes that prepare batches; 0 prepares them in the training process.
        held_out: generated clips, or windows of the test sequences, in an evaluation.
    """

    kind: Literal["world", "kitti", "malaga"] = "world"
    root: str = ""
    colour: bool = False
    train: tuple[str, ...] = ("00", "01", "02", "03", "04", "05", "06", "07", "08")
    test: tuple[str, ...] = ("09", "10")
    validation: tuple[str, ...] = ()
    height: Positive = 1.65
    frames: Annotated[int, Limits(2)] = 2
    stride: Number = 1
    skips: tuple[int, ...] = (1,)
    clips: Count = 0
    cache: str = "runs/clips"
    reuse: Number = 1
    world: dict[str, Any] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    workers: Count = 0
    held_out: Number = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.skips or min(self.skips) < 1:
            raise SettingError(f"skips are {list(self.skips)}", "they must be at least 1, as [1]")


@dataclass(frozen=True)
class Confidence(Limited):
    """How far the teacher is trusted, sample by sample: the paper's Phi and eta.

    Attributes:
        samples: clips over which eta is computed in the endless world, from a seed of their own; a recorded data set is
            used whole.
        rotation_weight: w of the scaled vector [t, sqrt(w) r] in which every squared distance is measured.
        clamp: keep Phi in [0, 1]; the paper's formula does not.
        source: `error` is the paper's; `uncertainty` takes the teacher's own variance in place of its squared error.
    """

    samples: Number = 512
    rotation_weight: Positive = 100.0
    clamp: bool = False
    source: Literal["error", "uncertainty"] = "error"


@dataclass(frozen=True)
class Table(Limited):
    """What `tables` trains and compares.

    Attributes:
        networks: students by label -> network.
        methods: recipes compared on each of these networks; NAME@0.25 blends with that share of the truth.
        ablation: labels of networks on which the hint and the objective are ablated.
        blending: label of the network on which the pose losses are compared; empty for none.
        alphas: shares of the truth, with which the blending network is trained by `rate_method`.
        rates: further networks by label, trained by `rate_method` for the curve of accuracy, size and time over d_rate.
        rate_method: the recipe of that curve, and of the alphas.
        seeds: each cell is trained once for each of these.
        start_from_teacher: as a run's, for methods that compare no feature maps.
        freeze: as a run's, for the same methods.
        sequences: generated sequences on which trajectories are measured.
        length: of such a sequence, frames.
    """

    networks: dict[str, str | dict[str, Any]] = field(default_factory=dict)
    methods: tuple[str, ...] = ()
    ablation: tuple[str, ...] = ()
    blending: str = ""
    alphas: tuple[float, ...] = ()
    rates: dict[str, str | dict[str, Any]] = field(default_factory=dict)
    rate_method: str = "aht_ail"
    seeds: tuple[int, ...] = (0,)
    start_from_teacher: bool = False
    freeze: tuple[str, ...] = ()
    sequences: Number = 8
    length: Annotated[int, Limits(2)] = 40


@dataclass(frozen=True)
class Shipping(Limited):
    """What `export` writes on the card beside what it measures.

    Attributes:
        family: of the network; its class's name where empty.
        description: one sentence for people.
        data: what it was trained on; that which data.kind says where empty.
        licence: of that, likewise.
        min_translation: shortest step that is worth a new reference frame, in the network's unit.
        min_rotation: smallest rotation that is worth one, radians.
        max_interval: longest time between two frames, seconds.
        quantile: of the held-out motions, which gives the largest translation and rotation that it was trained for.
    """

    family: str = ""
    description: str = ""
    data: str = ""
    licence: str = ""
    min_translation: Amount = 0.03
    min_rotation: Amount = 0.004
    max_interval: Positive = 0.5
    quantile: Share = 0.99


@dataclass(frozen=True)
class Experiment(Limited):
    """A file in training/configs. `base: other.yaml` starts from another file, whose values this one overrides.

    Attributes:
        name: of the folder under runs/.
        seed: of weights, order and clips; the same seed trains the same network.
        data: where the frames come from.
        training: how it is optimised, unless a run or a stage says otherwise.
        confidence: how Phi and eta are computed.
        teacher: trained by `teacher`, or by `distill` where it is not finished.
        students: trained by `distill`.
        table: trained by `tables`.
        shipping: what `export` writes on a card.
        measure: real sequences that are measured while training.
    """

    name: Name
    seed: Count = 0
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)
    confidence: Confidence = field(default_factory=Confidence)
    teacher: Run = field(default_factory=Run)
    students: dict[str, Run] = field(default_factory=dict)
    table: Table = field(default_factory=Table)
    shipping: Shipping = field(default_factory=Shipping)
    measure: tuple[Measure, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for student in self.students:
            if not is_plain(student) or student in TAKEN:
                raise SettingError(f"students.{student} is no name for a folder", "give it a plain one of its own")


def load(path: str | Path, overrides: list[str] | None = None) -> Experiment:
    """Read an experiment; `overrides` are `training.rate=1e-3` pairs that win over the file."""
    return build(Experiment, overridden(read(Path(path)), overrides), str(path))
