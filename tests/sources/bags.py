"""What is written to bags, and expected of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ros2_vodistill import geometry
from ros2_vodistill.sources import Source
from tests.sources import recordings
from tests.sources.recordings import FLU, Array, Ros, Sequence

CAMERA_ON_BASE = geometry.make(FLU, [0.3, 0.1, 0.5])
Make = Callable[..., Source]


def assert_true(source: Source, sequence: Sequence, world: Array) -> None:
    """The truth is the camera's, in the recorded world."""
    assert source.truth is not None
    np.testing.assert_allclose(source.truth.poses, world @ sequence.poses, atol=1e-9)
    np.testing.assert_allclose(source.truth.stamps, sequence.stamps, atol=1e-9)


def info(ros: Ros, index: int, time: int, _pose: Array, topic: str = "/cam/camera_info") -> None:
    ros.write(topic, ros.info(recordings.make_sequence(8).camera, time), time)


def static(*transforms: tuple[str, str, Array]) -> Callable[..., None]:
    def write(ros: Ros, index: int, time: int, _pose: Array) -> None:
        if index == 0:
            ros.write("/tf_static", ros.transforms(*(ros.transform(*t, time) for t in transforms)), time)

    return write
