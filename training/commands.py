"""What a user types after `python -m training`."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ros2_vodistill import measured
from ros2_vodistill.errors import VodistillError
from training import config as configuration
from training.render import render

app = typer.Typer(
    help="Train, distil, measure and export networks for ros2_vodistill.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False, soft_wrap=True)

app.command()(render)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="an experiment: a YAML file as in training/configs")]
OwnConfig = Annotated[Path | None, typer.Option("--config", "-c", help="an experiment; the network's own by default")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE that wins over the file; repeatable")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the runs")]
Minutes = Annotated[float, typer.Option(min=0.0, help="stop cleanly after this time; the same command goes on later")]
Steps = Annotated[int, typer.Option(min=0, help="stop cleanly after so many steps; the same command goes on later")]
Decay = Annotated[
    int, typer.Option(min=0, help="end an open-ended training: let the rate fall to zero over so many steps")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="replace a model of that name in that folder")]
MeasureOn = Annotated[
    list[str] | None,
    typer.Option(
        "--measure", help="FOLDER or FOLDER@HEIGHT: a recording in KITTI's form, or an extract of Malaga; repeatable"
    ),
]


def _experiment(config: Path, overrides: list[str] | None, measure: list[str] | None) -> configuration.Experiment:
    experiment = configuration.load(config, overrides)
    return replace(experiment, measure=_measures(experiment, measure))


def _measures(experiment: configuration.Experiment, further: list[str] | None) -> tuple[configuration.Measure, ...]:
    """The recordings that the experiment and the user name."""
    return (*experiment.measure, *(configuration.Measure(*measured.with_height(text)) for text in further or []))


@app.command()
def teacher(
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    minutes: Minutes = 0.0,
    steps: Steps = 0,
    decay: Decay = 0,
    measure: MeasureOn = None,
) -> None:
    """Train the experiment's teacher, in pieces of any length.

    Example: `python -m training teacher --config training/configs/small.yaml --minutes 30`
    """
    from training import distill
    from training.budget import Budget
    from training.processes import leave

    experiment = _experiment(config, overrides, measure)
    distill.train_teacher(experiment, runs / experiment.name, Budget(minutes, steps, decay), console.print)
    leave()


@app.command("distill")
def distill_command(
    config: ConfigFile,
    student: Annotated[list[str] | None, typer.Option(help="train only this one; repeatable")] = None,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    minutes: Minutes = 0.0,
    steps: Steps = 0,
    decay: Decay = 0,
    measure: MeasureOn = None,
) -> None:
    """Train the experiment's students, and before them its teacher where it is not finished; compare all of them.

    Example: `python -m training distill --config training/configs/small.yaml`
    """
    from training import distill
    from training.budget import Budget
    from training.processes import leave

    experiment = _experiment(config, overrides, measure)
    distill.distill(experiment, runs / experiment.name, Budget(minutes, steps, decay), student, console.print)
    leave()


@app.command()
def evaluate(
    network: Annotated[Path, typer.Argument(help="a run's folder, a safetensors file or an exported model's folder")],
    config: OwnConfig = None,
    overrides: Overrides = None,
    measure: MeasureOn = None,
    without: Annotated[list[str] | None, typer.Option(help="a view that is black; may be given several times")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file; printed without it")] = None,
) -> None:
    """Measure a network on held-out clips and on real sequences.

    Example: `python -m training evaluate runs/small/supervised --measure DATA/kitti00@1.65`
    """
    from training import checkpoint
    from training import evaluate as evaluation

    experiment = evaluation.find_experiment(network, config, overrides)
    measures = _measures(experiment, measure)
    found = {"command": _command(), **evaluation.evaluate(network, experiment, measures, without or ())}
    text = json.dumps(found, indent=1)
    if out is None:
        print(text)
    else:
        checkpoint.write_text(out, text + "\n")


@app.command()
def export(
    network: Annotated[Path, typer.Argument(help="a run's folder or a safetensors file")],
    name: Annotated[str, typer.Option(help="of the model")],
    out: Annotated[Path, typer.Option(help="folder of the models")] = Path("models"),
    teacher: Annotated[Path | None, typer.Option(help="its teacher, a run or an exported model, for the card")] = None,
    config: OwnConfig = None,
    overrides: Overrides = None,
    measure: MeasureOn = None,
    overwrite: Overwrite = False,
) -> None:
    """Write a network as a model that the robot loads: ONNX, checked against torch, and its card.

    Example: `python -m training export runs/small/aht-ail --name mine --out my_models`
    """
    from training import evaluate as evaluation
    from training import ship

    experiment = evaluation.find_experiment(network, config, overrides)
    measures = _measures(experiment, measure)
    written = ship.ship(network, name, experiment, measures, teacher, out, _command(), overwrite=overwrite)
    console.print(str(written))


@app.command()
def quantize(
    model: Annotated[Path, typer.Argument(help="an exported fp32 model's folder")],
    config: ConfigFile,
    precision: Annotated[str, typer.Option(help="fp16 or int8")] = "int8",
    out: Annotated[Path | None, typer.Option(help="folder of the models; beside the fp32 one by default")] = None,
    overrides: Overrides = None,
    overwrite: Overwrite = False,
) -> None:
    """Make a lower precision of an exported model; int8 is calibrated on the experiment's clips.

    Example: `python -m training quantize my_models/mine --config training/configs/small.yaml`
    """
    from training import ship

    experiment = configuration.load(config, overrides)
    written = ship.lower(model, precision, experiment, out or model.parent, _command(), overwrite=overwrite)
    console.print(str(written))


@app.command()
def card(
    model: Annotated[Path, typer.Argument(help="an exported model's folder")],
    recordings: Annotated[list[str], typer.Argument(help="NAME or NAME@HEIGHT of recordings with their truth")],
    data: Annotated[Path | None, typer.Option(help="folder of the recordings; the checkout has demo/bag")] = None,
) -> None:
    """Measure a model on recordings, as `vodistill run` does, and write the errors onto its card.

    Example: python -m training card models/swift-s demo/bag kitti00@1.65 --data DATA
    """
    rows = []
    for name, height in map(measured.with_height, recordings):
        path = measured.find(name, data)
        if path is None:
            raise VodistillError(f"{name}: no such recording", "name the folder that it is in: --data FOLDER")
        for refine in (False, True):
            figures = measured.measure(model, path, height, refine=refine)
            rows.append({"recording": name, "command": "vodistill models --verify --data DATA", **figures})
    measured.keep(model, rows)


@app.command()
def tables(
    config: ConfigFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    out: Annotated[Path | None, typer.Option(help="folder of the tables; runs/NAME/report by default")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="trainings at the same time")] = 1,
) -> None:
    """Train and compare all methods of the experiment's `table`; a finished cell is never trained again.

    Example: `python -m training tables --config training/configs/small.yaml --jobs 2`
    """
    from training import tables as comparison

    experiment = configuration.load(config, overrides)
    folder = runs / experiment.name
    place = out or folder / "report"
    comparison.tables(experiment, folder, place, jobs, _command(), console.print)
    console.print(f"{place / 'tables.md'}")


@app.command()
def explain() -> None:
    """Every setting of an experiment, its default and its meaning.

    Example: `python -m training explain | less`
    """
    from training import explain as explanation

    for key, default, meaning in explanation.rows():
        print(f"{key}{f' = {default}' if default else ''}\n    {meaning}")


def _command() -> str:
    """This call, for those who want to repeat it."""
    return shlex.join(["python", "-m", "training", *sys.argv[1:]])
