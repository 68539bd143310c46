"""What benchmarks are told, and the file of their figures, with the command and the machine that made them."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing, require_folder
from ros2_vodistill.machine import machine
from ros2_vodistill.measured import with_height


def command(text: str | None) -> argparse.ArgumentParser:
    """The arguments of a benchmark whose help is that text."""
    return argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)


def add_file(parser: argparse.ArgumentParser) -> None:
    """The option that names the file; where it could not be written, that is said before the work."""
    parser.add_argument("--json", type=_writable, help="file for the figures")


def add_sequences(parser: argparse.ArgumentParser) -> None:
    """The recordings, as pairs of a name and the height of the camera in metres or None; and where they lie."""
    parser.add_argument("sequences", nargs="+", type=_sequence, metavar="NAME[@HEIGHT]", help="recordings")
    parser.add_argument("--data", type=Path, default=Path(), help="folder of the sequences")


def keep(file: Path | None, module: str, **figures: Any) -> None:
    """Write the figures of `python -m benchmarks.MODULE` where a file is named."""
    if file is None:
        return
    result = {"command": " ".join([f"python -m benchmarks.{module}", *sys.argv[1:]]), "machine": machine(), **figures}
    write(file, json.dumps(result, indent=1))


def write(file: Path, text: str) -> None:
    """The text and a line's end; folders that are missing are made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as path:
        path.write_text(text + "\n", encoding="utf-8")


def _sequence(text: str) -> tuple[str, float | None]:
    try:
        return with_height(text)
    except VodistillError as error:
        raise argparse.ArgumentTypeError(error.line) from error


def _writable(name: str) -> Path:
    path = Path(name)
    try:
        require_folder(path.parent)
    except VodistillError as error:
        raise argparse.ArgumentTypeError(error.line) from error
    return path
