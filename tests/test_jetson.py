"""The script that times a Jetson, with a stand-in for what it calls."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "jetson.sh"
STAND_IN = """#!/bin/bash
case $1 in
  engine) exit {built} ;;
  doctor) echo '[{{"what": "engine tensorrt", "works": true}}, {{"what": "engine onnxruntime", "works": true}}]' ;;
  bench) echo "$@" > called; for file; do :; done; echo "| row |" > "${{file%.json}}.md" ;;
esac
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
@pytest.mark.parametrize("built", [0, 2])
def test_what_has_no_plan_is_not_timed(tmp_path: Path, built: int) -> None:
    """doctor counts on a plan that may be built."""
    script, command = tmp_path / "benchmarks" / "jetson.sh", tmp_path / ".venv" / "bin" / "vodistill"
    for path in (script, command):
        path.parent.mkdir(parents=True)
    shutil.copy(SCRIPT, script)
    command.write_text(STAND_IN.format(built=built))
    command.chmod(0o755)
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("| row |\n- board: ")
    called = (tmp_path / "called").read_text()
    assert ("--engine tensorrt" in called) == (built == 0)
    assert "--engine onnxruntime" in called
