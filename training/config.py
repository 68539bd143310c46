"""What an experiment is, as typed values read from YAML. The docstrings are the help: `python -m training explain`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from training.settings import build, explain, overridden, override, plain, read

__all__ = ["Experiment", "build", "explain", "load", "overridden", "override", "plain", "read"]


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
        height: of the camera above the ground in recorded data, metres.
        frames: length of a clip or window.
        stride: frames between the starts of two windows of a recording.
        skips: a window of a recording takes every k-th frame, k drawn from this list.
        clips: the generated world as a finite set of so many clips, rendered once; 0 never shows a clip twice.
        cache: folder in which such a set is kept.
        reuse: show each clip of the endless world about so many times, changed by `augmentation` each time.
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
class Training:
    """How a stage is optimised.

    Attributes:
        steps: of the whole stage; 0 goes on until stopped (only with the schedule `stable`).
        batch_size: clips in a step, over all processes together.
        rate: the highest learning rate.
        schedule: `cosine` and `one_cycle` end at zero after `steps`; `stable` stays at `rate` after the warm-up, to be
            ended by `--decay N`, whenever that is; `constant` never changes.
        warmup: steps of linear rise at the start (cosine, stable); one_cycle rises over the first 30 %.
        optimiser: `adamw` or `adam` (the paper's).
        weight_decay: of adamw; not on vectors (biases, norms).
        clip: largest norm of the gradient; 0 leaves it as it is.
        ema: decay of the averaged weights, which are the ones evaluated and kept; 0 keeps the last weights.
        precision: `auto` is bf16 on a GPU and fp32 on a CPU.
        channels_last: memory layout of the convolutions.
        threads: of torch in the training process; 0 leaves torch's choice.
        checkpoint_minutes: time between two checkpoints.
        evaluate_minutes: time between two evaluations when `evaluate_steps` is 0.
        evaluate_steps: steps between two evaluations, for runs that must be exactly repeatable.
        patience: stop after so many evaluations without a better one; 0 never does.
        log_steps: steps between two lines of metrics.jsonl.
    """

    steps: int = 0
    batch_size: int = 16
    rate: float = 1e-4
    schedule: Literal["cosine", "one_cycle", "stable", "constant"] = "cosine"
    warmup: int = 100
    optimiser: Literal["adamw", "adam"] = "adamw"
    weight_decay: float = 1e-4
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = False
    threads: int = 0
    checkpoint_minutes: float = 3.0
    evaluate_minutes: float = 10.0
    evaluate_steps: int = 0
    patience: int = 0
    log_steps: int = 20


@dataclass(frozen=True)
class Pose:
    """The loss on motions.

    Attributes:
        loss: a name from training/losses.
        weight: its factor in the sum.
        options: the loss's own settings, such as alpha; its rotation weight is the experiment's unless given here.
    """

    loss: str
    weight: float = 1.0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature:
    """A loss between a feature of the teacher and one of the student.

    Attributes:
        loss: a name from training/losses.
        student: name of the student's feature, or a list of them from shallow to deep (knowledge review).
        teacher: name of the teacher's feature, or a list of them.
        weight: its factor in the sum.
        ramp: steps over which the weight rises from nothing.
        options: the loss's own settings.
    """

    loss: str
    student: str | tuple[str, ...] = "hint"
    teacher: str | tuple[str, ...] = "hint"
    weight: float = 1.0
    ramp: int = 0
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Stage:
    """One part of a training: what is learnt, from what, by which parameters.

    Attributes:
        name: of its folder.
        pose: the losses on motions.
        features: the losses on features: hints and feature distillation.
        matching: weight of the loss on the matches that a network with local correlations finds; needs the optical flow
            that the generated world knows. 0 leaves it out.
        train: `all`; `to_hint` only what the student's hint depends on; `after_hint` only the rest.
        freeze: parameters whose names match one of these patterns (as in a shell) do not learn.
        training: settings that differ from the experiment's.
    """

    name: str = "train"
    pose: tuple[Pose, ...] = ()
    features: tuple[Feature, ...] = ()
    matching: float = 0.0
    train: Literal["all", "to_hint", "after_hint"] = "all"
    freeze: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def losses(self) -> set[str]:
        """Names of all its losses."""
        return {pose.loss for pose in self.pose} | {feature.loss for feature in self.features}


@dataclass(frozen=True)
class Run:
    """One network and how it learns.

    Attributes:
        network: a registered name, or a description of a network.
        path: a trained network instead (a run's folder or a safetensors file), for a teacher.
        start: a trained network of the same description, whose weights the first stage starts from.
        method: a recipe from training/recipes.py, instead of stages.
        stages: one after the other, each starting where the last ended.
        start_from_teacher: the encoder starts with those of the teacher's layers that it has too.
        freeze: as a stage's, in all stages.
        training: settings that differ from the experiment's, in every stage.
    """

    network: str | dict[str, Any] = ""
    path: str = ""
    start: str = ""
    method: str = ""
    stages: tuple[Stage, ...] = ()
    start_from_teacher: bool = False
    freeze: tuple[str, ...] = ()
    training: dict[str, Any] = field(default_factory=dict)


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
        data: what it was trained on.
        licence: of that.
        min_translation: shortest step that is worth a new reference frame, in the network's unit.
        min_rotation: smallest rotation that is worth one, radians.
        max_interval: longest time between two frames, seconds.
        quantile: of the held-out motions, which gives the largest translation and rotation that it was trained for.
    """

    family: str = ""
    description: str = ""
    data: str = "generated world"
    licence: str = "Apache-2.0"
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
