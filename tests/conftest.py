"""Fixtures that every room shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the real sequences, or a skip with the reason."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("VODISTILL_DATA", default))
    if not folder.is_dir():
        pytest.skip(f"real sequences not found at {folder}; set VODISTILL_DATA to their folder")
    return folder
