"""The tables as Markdown, JSON and plots."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib

from training import checkpoint
from training.cells import ABLATION, BLENDING, sharing, title
from training.config import Table
from training.settings import build

matplotlib.use("Agg")
from matplotlib import pyplot

ERRORS = ("rpe_t", "rpe_r_deg", "ate")


def write(collected: dict[str, Any], out: Path) -> None:
    """Write tables.json, tables.md and the plots into a folder."""
    out.mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(out / "tables.json", json.dumps(collected, indent=1) + "\n")
    table = collected["experiment"]["table"]
    parts = [_head(collected)]
    for label in table["networks"]:
        parts.append(_comparison(collected, label, table["methods"]))
    if table["ablation"]:
        parts.append(_ablation(collected, table["ablation"]))
    if table["blending"]:
        parts.append(_blending(collected, table["blending"], out))
    if table["blending"] and table["alphas"]:
        parts.append(_sharing(collected))
    if table["rates"]:
        parts.append(_rates(collected, table["rate_method"], out))
    parts.append(_convergence(collected, out))
    checkpoint.write_text(out / "tables.md", "\n\n".join(parts) + "\n")


def _head(collected: dict[str, Any]) -> str:
    experiment, code = collected["experiment"], collected["code"]
    data = experiment["data"]
    if data["kind"] == "world":
        seen = f"{data['clips']} clips" if data["clips"] else "endless clips"
        table = experiment["table"]
        source = f"the generated world, {seen}; measured on {table['sequences']} sequences of {table['length']} frames"
        unit = "camera heights"
    else:
        source, unit = (
            f"{data['kind']}, trained on {', '.join(data['train'])}, measured on {', '.join(data['test'])}",
            "m",
        )
    version = (
        f" at commit {code['commit'][:12]}{' with changes' if code['changed'] else ''}" if code.get("commit") else ""
    )
    seeds = len(experiment["table"]["seeds"])
    return (
        f"# {experiment['name']}\n\nMade by `{collected['command']}`{version}. Data: {source}. Lengths are in {unit}, "
        f"RPE r in degrees; ATE after Sim(3) alignment. Mean ± standard deviation over {seeds} seed(s); the teacher is "
        f"one for all."
    )


def _comparison(collected: dict[str, Any], label: str, methods: Iterable[str]) -> str:
    size = collected["sizes"][label]
    lines = [["Supervised T", *(f"{collected['teacher'][name]:.4f}" for name in ERRORS)]]
    found = {method: row for method in methods if (row := _row(collected, label, method))}
    best = {name: min((row[name]["mean"] for row in found.values()), default=0.0) for name in ERRORS}
    for method, row in found.items():
        marked = (f"**{_pm(row[name])}**" if row[name]["mean"] == best[name] else _pm(row[name]) for name in ERRORS)
        lines.append([title(method), *marked])
    return "\n\n".join(
        [
            f"## {label}: {size['parameters']:,} parameters, d_rate {100 * size['d_rate']:.2f} %",
            markdown(["", "RPE t", "RPE r", "ATE"], lines),
            _verdict(found),
        ]
    )


def _verdict(found: dict[str, dict[str, Any]]) -> str:
    """What the numbers say of the paper's method, whatever that is."""
    if not {"supervised", "aht_ail"} <= set(found):
        return ""
    words = []
    for name, what in zip(ERRORS, ("RPE t", "RPE r", "ATE"), strict=True):
        ours, base = found["aht_ail"][name], found["supervised"][name]
        if not base["mean"]:
            continue
        change = 100 * (ours["mean"] / base["mean"] - 1)
        noise = max(ours["spread"] or 0.0, base["spread"] or 0.0)
        sure = (
            ""
            if ours["spread"] is None
            else (", within the spread" if abs(ours["mean"] - base["mean"]) < noise else "")
        )
        rank = 1 + sum(row[name]["mean"] < ours["mean"] for row in found.values())
        words.append(f"{what} {change:+.1f} % (rank {rank} of {len(found)}{sure})")
    return f"AHT + AIL beside the supervised student: {'; '.join(words)}."


def _ablation(collected: dict[str, Any], labels: Iterable[str]) -> str:
    lines = []
    for label in labels:
        for method, (hint, objective) in ABLATION.items():
            if row := _row(collected, label, method):
                error = _pm(row["hint_error"], 5) if "hint_error" in row else "–"
                lines.append([label, hint, objective, error, _pm(row["ate"]), _pm(row["rpe_t"]), _pm(row["rpe_r_deg"])])
    return "## Hint and objective\n\n" + markdown(
        ["network", "hint", "objective", "reconstruction error", "ATE", "RPE t", "RPE r"], lines
    )


def _blending(collected: dict[str, Any], label: str, out: Path) -> str:
    found = {method: row for method in BLENDING if (row := _row(collected, label, method))}
    names = ["baseline" if method == "supervised" else title(method) for method in found]
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6))
    for axis, key, text in zip(axes, ("rpe_r_deg", "rpe_t", "ate"), ("RPE r (°)", "RPE t", "ATE"), strict=True):
        values = [row[key] for row in found.values()]
        axis.bar(names, [v["mean"] for v in values], yerr=[v["spread"] or 0.0 for v in values])
        axis.set_title(text)
        axis.tick_params(axis="x", rotation=60)
    _save(figure, out / "blending.png")
    keys = ("rpe_r_deg", "rpe_t", "median", "p90", "max")
    lines = [[name, *(_pm(row[key]) for key in keys)] for name, row in zip(names, found.values(), strict=True)]
    heads = ["loss", "RPE r", "RPE t", "abs. error: median", "90 %", "max"]
    return f"## Blending truth and teacher ({label})\n\n{markdown(heads, lines)}\n\n![blending](blending.png)"


def _sharing(collected: dict[str, Any]) -> str:
    table = build(Table, collected["experiment"]["table"], "the table")
    rows = {alpha: _row(collected, table.blending, method) for alpha, method in sharing(table).items()}
    lines = [[f"{alpha:g}", *(_pm(row[name]) for name in ERRORS)] for alpha, row in rows.items() if row]
    head = f"## Share of the truth ({title(table.rate_method)}, {table.blending})"
    return f"{head}\n\n{markdown(['alpha', 'RPE t', 'RPE r', 'ATE'], lines)}"


def _rates(collected: dict[str, Any], method: str, out: Path) -> str:
    points = [
        (label, size, row)
        for label, size in collected["sizes"].items()
        if label != "T" and (row := _row(collected, label, method))
    ]
    points.sort(key=lambda point: point[1]["d_rate"])
    rates = [100 * size["d_rate"] for _, size, _ in points]
    figure, axes = pyplot.subplots(1, 3, figsize=(12, 3.6))
    for axis, key, text in zip(axes, ("rpe_t", "rpe_r_deg"), ("RPE t", "RPE r (°)"), strict=False):
        spread = [row[key]["spread"] or 0.0 for *_, row in points]
        axis.errorbar(rates, [row[key]["mean"] for *_, row in points], spread, marker="o")
        axis.axhline(collected["teacher"][key], linestyle="--", color="grey")
        axis.set(title=text, xlabel="d_rate (%)")
    axes[2].plot(rates, [size["ms"] for _, size, _ in points], marker="o")
    axes[2].axhline(collected["sizes"]["T"]["ms"], linestyle="--", color="grey")
    axes[2].set(title="ms per frame, one CPU thread", xlabel="d_rate (%)")
    _save(figure, out / "rates.png")
    whole = collected["sizes"]["T"]
    lines = [
        [
            "T",
            f"{whole['parameters']:,}",
            "0",
            f"{whole['ms']:.2f}",
            *(f"{collected['teacher'][k]:.4f}" for k in ERRORS),
        ]
    ]
    for label, size, row in points:
        numbers = [f"{size['parameters']:,}", f"{100 * size['d_rate']:.2f} %", f"{size['ms']:.2f}"]
        lines.append([label, *numbers, *(_pm(row[k]) for k in ERRORS)])
    heads = ["network", "parameters", "d_rate", "ms", "RPE t", "RPE r", "ATE"]
    return f"## Accuracy, size and time ({title(method)})\n\n{markdown(heads, lines)}\n\n![rates](rates.png)"


def _convergence(collected: dict[str, Any], out: Path) -> str:
    figure, axis = pyplot.subplots(figsize=(6, 4))
    for name, curve in collected["curves"].items():
        if curve:
            axis.plot(*zip(*curve, strict=True), marker=".", label=name)
    axis.set(xlabel="step", ylabel="error on held-out clips", yscale="log")
    axis.legend(fontsize="small")
    _save(figure, out / "convergence.png")
    return "## Convergence\n\n![convergence](convergence.png)"


def _row(collected: dict[str, Any], label: str, method: str) -> dict[str, Any] | None:
    return next((row for row in collected["rows"] if (row["network"], row["method"]) == (label, method)), None)


def _pm(value: dict[str, Any], digits: int = 4) -> str:
    spread = "" if value["spread"] is None else f" ± {value['spread']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{spread}"


def markdown(heads: list[str], lines: list[list[str]]) -> str:
    """A table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _save(figure: Any, path: Path) -> None:
    figure.tight_layout()
    temporary = path.with_name(f".{path.name}")
    figure.savefig(temporary, format="png", dpi=120)
    pyplot.close(figure)
    temporary.replace(path)
