"""`vodistill`: what a user types. Every command is a thin wrapper around a module."""

from __future__ import annotations

import json
from math import radians
from operator import length_hint
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ros2_vodistill import __version__, prepare
from ros2_vodistill.console import OUT, emit, note, progress_bar, sheet, show, table_of, without_traceback
from ros2_vodistill.errors import VodistillError
from ros2_vodistill.model import DEFAULT

app = typer.Typer(
    help="Metric visual odometry from one camera.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def version(
    show: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Metric visual odometry from one camera."""
    if show:
        OUT.print(__version__)
        raise typer.Exit


@app.command()
def run(
    source: Annotated[Path, typer.Argument(help="A rosbag (2 or 1), KITTI, EuRoC or TUM sequence, images or a video.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    model: Annotated[str, typer.Option("--model", help="Name or folder of a model, or 'classical'.")] = DEFAULT,
    engine: Annotated[str, typer.Option("--engine", help="auto, onnxruntime, ...")] = "auto",
    camera_height: Annotated[
        float | None, typer.Option("--camera-height", help="Metres above the ground: makes the output metric.")
    ] = None,
    camera_pitch: Annotated[float | None, typer.Option("--camera-pitch", help="Degrees, positive looks down.")] = None,
    camera_roll: Annotated[
        float | None, typer.Option("--camera-roll", help="Degrees, positive when the right side is lower.")
    ] = None,
    calib: Annotated[
        Path | None, typer.Option("--calib", help="Calibration: KITTI, EuRoC, Kalibr or ROS camera_info YAML.")
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option("--mask", help="Image of the frames' size: white where they show the world, black elsewhere."),
    ] = None,
    topic: Annotated[str | None, typer.Option("--topic", help="Image topic of a bag that has several.")] = None,
    gt: Annotated[Path | None, typer.Option("--gt", help="True trajectory: TUM, or KITTI poses.")] = None,
    gt_topic: Annotated[str | None, typer.Option("--gt-topic", help="Topic of a bag that holds the truth.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Frames per second of a folder without times.")] = None,
    refine: Annotated[
        bool | None,
        typer.Option("--refine/--no-refine", help="Polish the network's motion with tracked corners; on by default."),
    ] = None,
    threads: Annotated[int, typer.Option("--threads", min=1, max=64, help="CPU threads of the engine.")] = 1,
    rerun: Annotated[Path | None, typer.Option("--rerun", help="Also write a recording for the Rerun viewer.")] = None,
) -> None:
    """Estimate the trajectory of a recording; with the truth, measure it.

    Example: `vodistill run my_bag --camera-height 0.32 --out result`
    """
    from ros2_vodistill import report, viewer
    from ros2_vodistill.camera import Mount
    from ros2_vodistill.files import require_folder
    from ros2_vodistill.odometry import VisualOdometry
    from ros2_vodistill.run import replay, write
    from ros2_vodistill.sources import open_source

    require_folder(out)
    if rerun is not None:
        viewer.require(rerun)
    frames = open_source(source, topic=topic, calibration=calib, truth=gt, truth_topic=gt_topic, rate=rate)
    angles = (None if given is None else radians(given) for given in (camera_pitch, camera_roll))
    odometry = VisualOdometry(
        model,
        engine=engine,
        camera=frames.require_camera(),
        mount=(frames.mount or Mount()).overruled(camera_height, *angles),
        mask=mask,
        refine=refine,
        threads=threads,
    )
    for passed in odometry.passed_over:
        note(f"passed over {passed}")
    count, truth = length_hint(frames) or None, frames.truth
    with progress_bar() as progress:
        task = progress.add_task(f"{odometry.name} on {frames.name}", total=count)
        result = replay(
            frames,
            odometry,
            truth=truth,
            fitting=False,
            notes=frames.notes,
            options={"source": str(source)},
            length=count,
            each=lambda: progress.advance(task),
        )
    write(result, out)
    report.write_html(result, out / "report.html")
    if rerun is not None:
        viewer.write_rerun(result, frames.require_camera(), rerun)
    for line in result.notes:
        note(f"note: {line}")
    show(table_of(result.metrics))
    OUT.print(f"report: {out / 'report.html'}", soft_wrap=True)
    if truth is not None and result.truth is None and (gt or gt_topic):
        raise VodistillError("nothing was measured: the truth does not fit, see the note", f"All else is in {out}.")


@app.command(name="eval")
def evaluate(
    estimate: Annotated[Path, typer.Argument(help="TUM or KITTI trajectory.")],
    truth: Annotated[Path, typer.Argument(help="TUM or KITTI trajectory.")],
    times: Annotated[Path | None, typer.Option("--times", help="times.txt of KITTI files.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare two trajectories.

    Example: `vodistill eval result/trajectory.tum truth.tum`
    """
    from ros2_vodistill import metrics, trajectory

    stamps = None if times is None else trajectory.read_times(times)
    path = trajectory.load(estimate, stamps)
    figures = metrics.evaluate(path, trajectory.load(truth, stamps))
    if part := metrics.part(figures, path):
        note(part)
    emit(figures, as_json)


@app.command()
def models(
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Open every model, check its hash, graph and card, and recompute its figures."),
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            exists=True,
            file_okay=False,
            help="Folder of the recordings that cards name, for --verify: with all of them it takes some five minutes.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the models that can be called by name.

    Example: `vodistill models --verify --data ~/recordings`
    """
    from ros2_vodistill import catalogue

    rows = catalogue.rows(verify, data)
    if as_json:
        OUT.print_json(json.dumps(rows))
    else:
        show(catalogue.table(rows))
        for line in catalogue.verdicts(rows):
            OUT.print(line, highlight=False, soft_wrap=True)
    if not catalogue.sound(rows):
        raise typer.Exit(1)


@app.command()
def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what this machine can run, and why not the rest.

    Example: `vodistill doctor`
    """
    from ros2_vodistill import doctor as examination

    findings = examination.examine()
    if as_json:
        OUT.print_json(json.dumps([vars(finding) for finding in findings]))
        return
    table = sheet("", "what", "found", "remedy", folds=["found", "remedy"])
    for finding in findings:
        mark = Text("yes", "green") if finding.works else Text("no", "yellow")
        table.add_row(mark, finding.what, finding.found, finding.remedy)
    show(table)


app.add_typer(prepare.app, name="engine")


@app.command()
def bench(
    model: Annotated[
        list[str] | None, typer.Option("--model", help="Repeat for several; default: all that ship and 'classical'.")
    ] = None,
    teacher: Annotated[
        list[str] | None, typer.Option("--teacher", help="Folder of a teacher's export, to compare with; repeat.")
    ] = None,
    engine: Annotated[list[str] | None, typer.Option("--engine", help="Repeat for several; default: auto.")] = None,
    threads: Annotated[
        list[int] | None, typer.Option("--threads", min=1, max=64, help="Repeat for several; default: 1 and 2.")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", help="Recording that `run` takes without options; default: generated frames."),
    ] = None,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Interleaved repetitions.")] = 5,
    out: Annotated[
        Path | None, typer.Option("--json", help="File for the figures; a table in Markdown goes beside it.")
    ] = None,
) -> None:
    """Time models, engines and the classical baseline side by side in one run.

    Example: `vodistill bench --model swift-s --model classical --json bench.json`
    """
    from ros2_vodistill import bench as benchmark
    from ros2_vodistill import timings

    if out is not None:
        benchmark.require_file(out)
    with progress_bar() as progress:
        task = progress.add_task("timing", total=None)
        figures = benchmark.compare(
            model or benchmark.default_models(),
            engine or ["auto"],
            threads or [1, 2],
            source,
            rounds,
            lambda done, total: progress.update(task, completed=done, total=total),
            teacher or [],
        )
    show(timings.table(figures))
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        benchmark.write(figures, out)


def main() -> None:
    """Run a command."""
    with without_traceback():
        app()


if __name__ == "__main__":
    main()
