"""`python -m training ...`: everything that happens offline. For several processes: `torchrun -m training ...`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from ros2_vodistill.errors import VodistillError
from training import config as configuration

app = typer.Typer(
    help="Train, distil, measure and export networks for ros2_vodistill.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
console = Console(stderr=True, highlight=False, soft_wrap=True)

ConfigFile = Annotated[Path, typer.Option("--config", "-c", help="an experiment: a YAML file as in training/configs")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="KEY=VALUE that wins over the file; repeatable")]
Runs = Annotated[Path, typer.Option("--runs", help="folder of the runs")]
Minutes = Annotated[float, typer.Option(help="stop cleanly after this time; the same command goes on later")]
Steps = Annotated[int, typer.Option(help="stop cleanly after so many steps; the same command goes on later")]
Decay = Annotated[int, typer.Option(help="end an open-ended training: let the rate fall to zero over so many steps")]
MeasureOn = Annotated[
    list[str] | None,
    typer.Option("--measure", help="FOLDER[@HEIGHT]: a real sequence in KITTI's form to measure on; repeatable"),
]


def _experiment(config: Path, overrides: list[str] | None, measure: list[str] | None) -> configuration.Experiment:
    experiment = configuration.load(config, overrides)
    extra = tuple(_measure(text) for text in measure or [])
    return replace(experiment, measure=experiment.measure + extra)


def _measure(text: str) -> configuration.Measure:
    path, _, height = text.partition("@")
    try:
        return configuration.Measure(path, float(height) if height else None)
    except ValueError:
        raise VodistillError(f"--measure {text}: {height!r} is no height", "write FOLDER@1.65, in metres") from None


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
    """Train the experiment's teacher, in pieces of any length."""
    from training import distill
    from training.runs import Budget

    experiment = _experiment(config, overrides, measure)
    distill.train_teacher(experiment, runs / experiment.name, Budget(minutes, steps, decay), console.print)


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
    """Train the experiment's students, and before them its teacher where it is not finished; compare all of them."""
    from training import distill
    from training.runs import Budget

    experiment = _experiment(config, overrides, measure)
    distill.distill(experiment, runs / experiment.name, Budget(minutes, steps, decay), student, console.print)


@app.command()
def explain() -> None:
    """Every setting of an experiment, its default and its meaning."""
    table = Table("key", "default", "meaning", show_lines=False)
    for row in configuration.explain(configuration.Experiment):
        table.add_row(*row)
    Console(highlight=False).print(table)


def main() -> None:
    """The commands; problems that a user can mend are told without a traceback."""
    try:
        app()
    except VodistillError as error:
        console.print(f"error: {error}", style="red")
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
