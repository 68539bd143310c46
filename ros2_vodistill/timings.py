"""What `bench` measured, as tables: for the terminal and in Markdown."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from ros2_vodistill.console import sheet
from ros2_vodistill.contender import PARTS

Figures = dict[str, Any]

_MIXED = "Models differ in precision: of int8 beside fp32, a ratio is the network's and the precision's together."


def table(figures: Figures) -> Table:
    """For the terminal: totals only."""
    baselines = _baselines(figures)
    shown = sheet("model", "engine", "threads", "frame", "ms", "p99", "frames/s", "MB", *(f"x {b}" for b in baselines))
    for row in figures["rows"]:
        total, ratios = row["ms"]["total"], (row["times_as_fast"].get(name) for name in baselines)
        rate, memory = f"{row['frames_per_s']:.1f}", f"{row['memory_mb']['now']:.0f}"
        cells = [*_named(row), f"{total['p50']:.2f}", f"{total['p99']:.2f}", rate, memory]
        shown.add_row(*cells, *(f"{ratio['total']:.2f}" if ratio else "-" for ratio in ratios))
    return shown


def markdown(figures: Figures) -> str:
    """A table with all parts, the command and the machine."""
    baselines = _baselines(figures)
    whole = ["raw frame to pose", "p99", "rounds", "frames/s"]
    head = ["model", "engine", "threads", "frame", *whole, *PARTS, "CPU", "MB"]
    lines = [head + [f"x {name}" for name in baselines], ["---"] * 2 + ["---:"] * (len(head) + len(baselines) - 2)]
    for row in figures["rows"]:
        ms, ratios = row["ms"], (row["times_as_fast"].get(name) for name in baselines)
        lines.append(
            [
                *_named(row),
                f"{ms['total']['p50']:.2f}",
                f"{ms['total']['p99']:.2f}",
                f"{ms['total']['least']:.2f}-{ms['total']['greatest']:.2f}",
                f"{row['frames_per_s']:.1f}",
                *(f"{ms[part]['p50']:.2f}" for part in PARTS),
                f"{row['processor_ms']:.2f}",
                f"{row['memory_mb']['now']:.0f}",
                *(
                    " / ".join(f"{ratio[part]:.2f}" for part in ("total", "step", "processor")) if ratio else "-"
                    for ratio in ratios
                ),
            ]
        )
    body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    where = ", ".join(str(value) for value in figures["machine"].values() if value)
    used = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    return "\n".join(
        [
            f"{body}\n",
            "Milliseconds per frame, medians over all rounds; rounds: the least and the greatest median of one.",
            "frames/s: by the mean of all frames, from raw frame to pose.",
            "CPU: processor time of all threads, in milliseconds per frame. MB: resident memory of the process.",
            "x: how many times as fast, from raw frame to pose / the step alone / by processor time.",
            *([_MIXED] if len({row["precision"] for row in figures["rows"]} - {None}) > 1 else []),
            "",
            f"- `{figures['command']}`, {figures['date']}",
            f"- {where}",
            f"- {used}",
            f"- {figures['rounds']} interleaved rounds of {figures['frames_per_round']} frames",
            *(f"- Note: {note}." for note in figures["notes"]),
            "",
        ]
    )


def _baselines(figures: Figures) -> list[str]:
    return sorted({name for row in figures["rows"] for name in row["times_as_fast"]})


def _named(row: Figures) -> list[str]:
    name = f"{row['model']}, refined" if row["refine"] else row["model"]
    return [name, row["engine"] or "-", str(row["threads"]), row["size"]]
