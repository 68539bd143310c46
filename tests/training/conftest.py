"""Fixtures of the tests of training."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch is not installed: pip install '.[train]'; the tests of training need it")

from tests.training.toy import ShiftStream
from training.data import streams


@pytest.fixture
def shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments see shifted textures instead of the generated world."""
    monkeypatch.setattr(streams, "training", lambda data, observer, size, seed, *_, **__: ShiftStream(size, 3, seed))
    monkeypatch.setattr(streams, "held_out", lambda *_: ShiftStream(4, 3, seed=99))
    monkeypatch.setattr(streams, "confidence", lambda *_: (ShiftStream(4, 3, seed=98), 8))
