"""One self-contained HTML page: settings, errors, time per frame, and sample frames."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import __version__, plots
from ros2_vodistill.console import text
from ros2_vodistill.files import replacing
from ros2_vodistill.run import Run

_LABELS = {
    "frames": "Frames",
    "path_length_m": "Path length (m)",
    "rpe_t_m": "RPE, translation (m)",
    "rpe_r_deg": "RPE, rotation (deg)",
    "rpe_t_scaled_m": "RPE, translation at the true lengths (m)",
    "direction_deg": "Direction of translation (deg)",
    "ate_unaligned_m": "ATE, unaligned (m)",
    "ate_se3_m": "ATE, SE(3) (m)",
    "ate_m": "ATE, Sim(3) (m)",
    "scale": "Scale (Sim(3))",
    "kitti_t_percent": "KITTI segments, translation (%)",
    "kitti_r_deg_per_100m": "KITTI segments, rotation (deg/100 m)",
    "nees": "NEES of the pose, per degree of freedom",
    "nees_step": "NEES of a step",
    "scale_from": "Scale comes from",
    "frames_per_s": "Frames per second",
}

_WIDEST = 480  # pixels of a picture

_STYLE = """
:root { color-scheme: light; font: 15px/1.5 system-ui, sans-serif; color: #111827; background: #f9fafb; }
body { max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 500px), 1fr)); gap: 16px; }
section { background: #fff; border: 1px solid #e5e7eb; border-radius: 8px; padding: 16px; min-width: 0; }
section.wide { grid-column: 1 / -1; }
table { border-collapse: collapse; width: 100%; } td { padding: 3px 8px 3px 0; border-bottom: 1px solid #f3f4f6; }
td:last-child { text-align: right; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
svg { width: 100%; height: auto; } .muted { color: #6b7280; }
figure { margin: 0; } figcaption { color: #6b7280; font-size: .85rem; }
.samples { display: grid; grid-template-columns: repeat(auto-fit, minmax(300px, 1fr)); gap: 12px; }
.samples img { width: 100%; display: block; margin-bottom: 4px; }
li { overflow-wrap: anywhere; }
"""


def write_html(run: Run, path: Path) -> None:
    """Write the page, whole or not at all."""
    figures = [
        ("From above", plots.from_above(run)),
        ("Over time", plots.over_time(run)),
        ("Error of each step", plots.errors(run)),
        ("Speed", plots.speed(run)),
        ("Time per frame", plots.latency(run)),
    ]
    sections = [
        _section("Figures", _table({_LABELS[name]: run.metrics[name] for name in _LABELS if name in run.metrics})),
        *(_section(title, svg) for title, svg in figures if svg),
        _section("Status", _status(run)),
        _section("Settings", _table(run.options)),
        _section("Frames, and what the network saw of them", _samples(run), wide=True),
    ]
    title = f"{run.options['model']} on {Path(str(run.options.get('source', 'frames'))).absolute().name}"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="muted">ros2_vodistill {__version__}</p>'
        f'<div class="grid">{"".join(sections)}</div></body></html>\n'
    )
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _section(title: str, body: str, wide: bool = False) -> str:
    return f"<section{' class=wide' if wide else ''}><h2>{escape(title)}</h2>{body}</section>"


def _table(rows: dict[str, Any]) -> str:
    cells = (f"<tr><td>{escape(str(name))}</td><td>{escape(text(value))}</td></tr>" for name, value in rows.items())
    return f"<table>{''.join(cells)}</table>"


def _status(run: Run) -> str:
    lines = [f"{count} frames: {status}" for status, count in run.counts.most_common()]
    lines += [f"{count} × {reason}" for reason, count in run.reasons.most_common(10)]
    lines += [f"note: {note}" for note in run.notes]
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"


def _samples(run: Run) -> str:
    start = run.estimate.stamps[0]
    figures = []
    for stamp, image, view in run.samples:
        pictures = _image(image, "frame") + (_image(view, "canonical view") if view is not None else "")
        figures.append(f"<figure>{pictures}<figcaption>{stamp - start:.2f} s</figcaption></figure>")
    return f'<div class="samples">{"".join(figures)}</div>'


def _image(image: NDArray[np.uint8], alt: str) -> str:
    shown: cv2.typing.MatLike = image
    if image.shape[1] > _WIDEST:
        height = round(image.shape[0] * _WIDEST / image.shape[1])
        shown = cv2.resize(image, (_WIDEST, height), interpolation=cv2.INTER_AREA)
    encoded = base64.b64encode(cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()).decode()
    return f'<img alt="{alt}" src="data:image/jpeg;base64,{encoded}">'
