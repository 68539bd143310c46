"""What an experiment is, as typed values read from YAML. The docstrings are the help: `python -m training explain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.settings import build, overridden, read
from training.stages import Run, Training


@dataclass(frozen=True)
class Measure:
    """A real sequence that is measured while training, and never trained on.

    Attributes:
        path: a folder in KITTI's form: images, calib.txt, poses.txt.
        height: of the camera above the ground, metres; without it the translation is scaled step by step to the truth.
        pitch_deg: the camera looks down by this much.
        roll_deg: the camera's right side is lower by this much.
        frames: at most so many frames are read; 0 reads all.
    """

    path: str
    height: float | None = None
    pitch_deg: float = 0.0
    roll_deg: float = 0.0
    frames: int = 0


@dataclass(frozen=True)
class Augmentation:
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

    gain: float = 0.0
    gamma: float = 0.0
    noise: float = 0.0
    flicker: float = 0.0
    mirror: float = 0.0
    reverse: float = 0.0
    blur: float = 0.0


@dataclass(frozen=True)
class Data:
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
    height: float = 1.65
    frames: int = 2
    stride: int = 1
    skips: tuple[int, ...] = (1,)
    clips: int = 0
    cache: str = "runs/clips"
    reuse: int = 1
    world: dict[str, Any] = field(default_factory=dict)
    augmentation: Augmentation = field(default_factory=Augmentation)
    workers: int = 0
    held_out: int = 64


@dataclass(frozen=True)
class Confidence:
    """How far the teacher is trusted, sample by sample: the paper's Phi and eta.

    Attributes:
        samples: clips over which eta is computed in the endless world, from a seed of their own; a recorded data set is
            used whole.
        rotation_weight: w of the scaled vector [t, sqrt(w) r] in which every squared distance is measured.
        clamp: keep Phi in [0, 1]; the paper's formula does not.
        source: `error` is the paper's; `uncertainty` takes the teacher's own variance in place of its squared error.
    """

    samples: int = 512
    rotation_weight: float = 100.0
    clamp: bool = False
    source: Literal["error", "uncertainty"] = "error"


@dataclass(frozen=True)
class Table:
    """What `tables` trains and compares.

    Attributes:
        networks: students by label -> network.
        methods: recipes compared on each of these networks.
        ablation: labels of networks on which the hint and the objective are ablated.
        blending: label of the network on which the pose losses are compared; empty for none.
        rates: further networks by label, trained by `rate_method` for the curve of accuracy, size and time over d_rate.
        rate_method: the recipe of that curve.
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
    rates: dict[str, str | dict[str, Any]] = field(default_factory=dict)
    rate_method: str = "aht_ail"
    seeds: tuple[int, ...] = (0,)
    start_from_teacher: bool = False
    freeze: tuple[str, ...] = ()
    sequences: int = 8
    length: int = 40


@dataclass(frozen=True)
class Shipping:
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
    min_translation: float = 0.03
    min_rotation: float = 0.004
    max_interval: float = 0.5
    quantile: float = 0.99


@dataclass(frozen=True)
class Experiment:
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

    name: str
    seed: int = 0
    data: Data = field(default_factory=Data)
    training: Training = field(default_factory=Training)
    confidence: Confidence = field(default_factory=Confidence)
    teacher: Run = field(default_factory=Run)
    students: dict[str, Run] = field(default_factory=dict)
    table: Table = field(default_factory=Table)
    shipping: Shipping = field(default_factory=Shipping)
    measure: tuple[Measure, ...] = ()


def load(path: str | Path, overrides: list[str] | None = None) -> Experiment:
    """Read an experiment; `overrides` are `training.rate=1e-3` pairs that win over the file."""
    return build(Experiment, overridden(read(Path(path)), overrides), str(path))
