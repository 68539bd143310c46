"""Sensor noise in dark images, which makes false corners and biases the tracking of true ones.

It is measured where the image is plainest, to tell it from texture, and judged relative to the contrast.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import robust

Image = NDArray[np.uint8]

_KERNEL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)  # blind to planes and edges along the axes
_GAIN = 6.0  # of the kernel, for noise
_PLAINEST, _QUANTILE = 0.25, 0.3186  # share of the pixels, and the same of a normal distribution's absolute values
_UNCUT = 4, 250  # grey levels that noise is not cut at
_FEWEST = 100  # pixels
_MUCH = 0.05  # of the contrast
_BLUR = 1.2  # pixels


def noise(image: Image) -> tuple[float, float]:
    """Standard deviations, in grey levels, of the noise in the middle of an image and of all of it there."""
    height, width = image.shape
    part = image[height // 4 : height - height // 4, width // 4 : width - width // 4]
    response = np.abs(cv2.filter2D(part, cv2.CV_16S, _KERNEL)[1:-1:2, 1:-1:2])
    sample = part[1:-1:2, 1:-1:2]
    uncut = (sample > _UNCUT[0]) & (sample < _UNCUT[1])
    if np.count_nonzero(uncut) < _FEWEST:
        return 0.0, 0.0
    plain = robust.quantile(response[uncut], _PLAINEST)
    _, contrast = cv2.meanStdDev(sample, mask=uncut.view(np.uint8))
    return plain / (_GAIN * _QUANTILE), float(contrast[0, 0])


def smoothed(image: Image) -> tuple[Image, float]:
    """Blurred a little if there is much noise in it, and the noise; the same object, and 0, where there is not."""
    grain, contrast = noise(image)
    if grain <= _MUCH * contrast:
        return image, 0.0
    return blurred(image), grain


def blurred(image: Image, times: int = 1) -> Image:
    """Blurred against noise, in an image that is so many times as large as the one in which the noise was measured.

    The blur grows with the root of that: between a constant blur in pixels and one in angle.
    """
    return np.asarray(cv2.GaussianBlur(image, (0, 0), _BLUR * np.sqrt(times)), np.uint8)
