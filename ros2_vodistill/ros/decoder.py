"""From image messages to grey arrays, by cv_bridge where it can, else by this package's own decoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.image import decode_compressed, grey, to_grey

_BY_CV_BRIDGE = {"mono8": 1, "8UC1": 1, "mono16": 2, "16UC1": 2, "bgr8": 3, "8UC3": 3, "bgra8": 4, "8UC4": 4}
"""Bytes of a pixel in the encodings that cv_bridge gives as what `image.grey` takes, without a conversion.

Its conversions are compiled: built for numpy 1, as Humble's are, they import with numpy 2 and then end the process. It
takes padded rows for whole pixels, which shears the image where they are none, and swaps bytes with a method that
numpy 2 has no more. All of that is left to the own decoder.
"""


class Decoder:
    """Both decoders give equal arrays; which one was used is told.

    Args:
        bridge: whether to try cv_bridge at all.

    Attributes:
        told: which decoder is used for the last image's encoding, and why not cv_bridge.
    """

    def __init__(self, bridge: bool = True) -> None:
        self._bridge, self._broken = _cv_bridge() if bridge else (None, "cv_bridge is not asked for")
        self.told = "cv_bridge" if self._bridge else f"own ({self._broken})"

    def later(self, message: Any) -> Callable[[], NDArray[np.uint8]]:
        """What turns this Image or CompressedImage into grey, when called."""
        if not hasattr(message, "encoding"):
            self.told = "own (compressed images)"
            return lambda: decode_compressed(message.data)
        size = _BY_CV_BRIDGE.get(message.encoding, 0)
        dense = len(message.data) == message.step * message.height > 0 and message.step == message.width * size
        bridge = self._bridge
        if bridge is not None and dense and not message.is_bigendian:
            self.told = f"cv_bridge for {message.encoding}"
            return lambda: grey(bridge.imgmsg_to_cv2(message, desired_encoding="passthrough"))
        self.told = f"own for {message.encoding}" + (f" ({self._broken})" if self._broken else "")
        return lambda: to_grey(
            message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
        )


def _cv_bridge() -> tuple[Any | None, str]:
    """Its converter where it works here, else the reason why not."""
    try:
        from cv_bridge import CvBridge

        bridge = CvBridge()
        bridge.cv2_to_imgmsg(np.zeros((2, 2), np.uint8), "mono8")
    except Exception as error:  # built for another numpy or OpenCV, it fails in many ways
        return None, f"cv_bridge does not work here: {type(error).__name__}: {error}"
    return bridge, ""
