"""The sequences that recordings are made of, and bags of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ros2_vodistill.sources import Source, open_source
from tests.sources.bags import Make
from tests.sources.recordings import Ros, Sequence, make_sequence


@pytest.fixture(scope="session")
def sequence() -> Sequence:
    return make_sequence(8)


@pytest.fixture(scope="session")
def long_sequence() -> Sequence:
    """Long enough for several chunks of a bag."""
    return make_sequence(90, 200, 160)


@pytest.fixture
def make(tmp_path: Path, sequence: Sequence) -> Make:
    """A bag with images on the topics, and what `more(ros, index, time, pose)` adds at every frame, opened."""

    def build(
        topics: tuple[str, ...] = ("/cam/image_raw",), more: Callable[..., None] | None = None, **options: Any
    ) -> Source:
        path = tmp_path / f"bag{len(list(tmp_path.iterdir()))}"
        with Ros(path) as ros:
            for index, (stamp, frame) in enumerate(zip(sequence.stamps, sequence.frames, strict=True)):
                time = round(stamp * 1e9)
                for topic in topics:
                    ros.write(topic, ros.image(frame, time), time)
                if more:
                    more(ros, index, time, sequence.poses[index])
        return open_source(path, **options)

    return build
