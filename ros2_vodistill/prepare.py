"""`vodistill engine`: what a user types to have engines ready before a robot starts."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ros2_vodistill.console import OUT, note, progress_bar
from ros2_vodistill.model import DEFAULT

app = typer.Typer(help="Prepare engines for this machine.", no_args_is_help=True)


@app.callback()
def engine() -> None:
    """Prepare engines for this machine."""


@app.command()
def build(
    model: Annotated[str, typer.Argument(help="Name or folder of a model.")] = DEFAULT,
    precision: Annotated[
        str | None, typer.Option("--precision", help="fp32, fp16 or int8: takes that variant of the model.")
    ] = None,
) -> None:
    """Build TensorRT's plan of a model for this GPU, into the user's cache, so that no start has to wait for it.

    Example: `vodistill engine build swift-s --precision int8`
    """
    from ros2_vodistill.engines import tensorrt
    from ros2_vodistill.model import Model

    chosen = Model.load(model).variant(precision)
    with progress_bar() as progress:
        tasks: dict[str, Any] = {}

        def show(phase: str, step: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = progress.add_task(phase, total=total)
            progress.update(tasks[phase], completed=step)

        path = tensorrt.prepare(chosen, note, show)
    OUT.print(f"{chosen.card.name}: {path}", soft_wrap=True)
