"""The sequences that recordings are made of."""

from __future__ import annotations

import pytest

from tests.sources.recordings import Sequence, make_sequence


@pytest.fixture(scope="session")
def sequence() -> Sequence:
    return make_sequence(8)


@pytest.fixture(scope="session")
def long_sequence() -> Sequence:
    """Long enough for several chunks of a bag."""
    return make_sequence(90, 200, 160)
