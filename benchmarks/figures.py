"""The file of a benchmark: its figures, with the command and the machine that made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ros2_vodistill.files import replacing
from ros2_vodistill.machine import machine


def keep(file: Path | None, module: str, **figures: Any) -> None:
    """Write the figures of `python -m benchmarks.MODULE` where a file is named."""
    if file is None:
        return
    result = {"command": " ".join([f"python -m benchmarks.{module}", *sys.argv[1:]]), "machine": machine(), **figures}
    with replacing(file) as path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
