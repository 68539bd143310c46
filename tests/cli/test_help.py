"""What a user sees first."""

from __future__ import annotations

import pytest

from tests.cli.recordings import Vodistill


@pytest.mark.parametrize("command", ["", "run", "eval", "models", "doctor", "bench", "engine build"])
def test_help_has_an_example(vodistill: Vodistill, command: str) -> None:
    code, out, _ = vodistill(*command.split(), "--help")
    assert code == 0
    assert "Example" in out or not command


def test_version(vodistill: Vodistill) -> None:
    assert vodistill("--version")[1].strip()[0].isdigit()
