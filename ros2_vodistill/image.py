"""Every encoding to grey, in one place, so that the node, the command line and Python see the same pixels.

Colours become grey by OpenCV's weights (0.299 R + 0.587 G + 0.114 B); YUV gives its Y as it is.

16 bits become 8 by the high byte, as ROS means mono16: full range. Many sensors of 10 or 12 bits leave the high bits
empty instead, and would come out black: an image without a pixel above 4095 is taken as 12 bits. The rule looks at one
image alone; a full-range camera meets it only where an image has no pixel above 6 % of its range.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ros2_vodistill.errors import VodistillError

Grey = NDArray[np.uint8]


class ImageError(VodistillError):
    """An image that cannot be decoded."""


@dataclass(frozen=True)
class _Layout:
    """How a pixel lies in memory.

    Attributes:
        type: of a channel.
        channels: per pixel.
        code: OpenCV's conversion to grey.
        channel: the one that is grey already, where there is no code.
        chroma: rows below the image, as a share of its height.
    """

    type: type[np.uint8] | type[np.uint16]
    channels: int = 1
    code: int | None = None
    channel: int = 0
    chroma: float = 0.0


def _layouts() -> dict[str, _Layout]:
    layouts = {
        "8UC3": _Layout(np.uint8, 3, cv2.COLOR_BGR2GRAY),
        "8UC4": _Layout(np.uint8, 4, cv2.COLOR_BGRA2GRAY),
        "16UC3": _Layout(np.uint16, 3, cv2.COLOR_BGR2GRAY),
        "16UC4": _Layout(np.uint16, 4, cv2.COLOR_BGRA2GRAY),
        **dict.fromkeys(("yuv422", "uyvy"), _Layout(np.uint8, 2, channel=1)),
        **dict.fromkeys(("yuv422_yuy2", "yuyv"), _Layout(np.uint8, 2, channel=0)),
        **dict.fromkeys(("nv12", "nv21"), _Layout(np.uint8, chroma=0.5)),
    }
    channels = {"bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}
    # OpenCV names a mosaic by the second and third pixel of its second row; ROS by the first two of each row.
    mosaics = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}
    for bits, kind in ((8, np.uint8), (16, np.uint16)):
        layouts |= dict.fromkeys((f"mono{bits}", f"{bits}UC1"), _Layout(kind))
        for order, count in channels.items():
            layouts[f"{order}{bits}"] = _Layout(kind, count, getattr(cv2, f"COLOR_{order.upper()}2GRAY"))
        for order, name in mosaics.items():
            layouts[f"bayer_{order}{bits}"] = _Layout(kind, 1, getattr(cv2, f"COLOR_Bayer{name}2GRAY"))
    return layouts


_LAYOUTS = _layouts()


def to_grey(
    data: Any, height: int, width: int, encoding: str, step: int | None = None, big_endian: bool = False
) -> Grey:
    """A raw image, such as a sensor_msgs/Image holds, to (H,W) uint8.

    Args:
        data: the bytes, in anything that has the buffer protocol. A mono8 image without padding shares them.
        height, width: in pixels.
        encoding: by its name in ROS.
        step: bytes from row to row; None where the rows have no padding.
        big_endian: of 16-bit values.
    """
    layout = _LAYOUTS.get(encoding)
    if layout is None:
        raise ImageError(f"unknown image encoding '{encoding}'", f"Known: {', '.join(sorted(_LAYOUTS))}.")
    if height < 1 or width < 1:
        raise ImageError(f"an image of {width} x {height} pixels", "Check the driver: it publishes empty images.")
    row = width * layout.channels * np.dtype(layout.type).itemsize
    step = row if step is None else step
    if step < row:
        raise ImageError(
            f"step is {step} bytes, but a row of {width} {encoding} pixels takes {row}", "Check the driver's encoding."
        )
    buffer = np.frombuffer(data, np.uint8)
    expected = step * (height + int(height * layout.chroma))
    if len(buffer) != expected:
        raise ImageError(
            f"{len(buffer)} bytes for {width} x {height} {encoding} pixels with a step of {step}: must be {expected}",
            "The message was cut, or its encoding or size is wrong: check the driver or the recording.",
        )
    rows = buffer[: step * height].reshape(height, step)[:, :row]
    pixels = np.ascontiguousarray(rows).view(np.dtype(layout.type).newbyteorder(">" if big_endian else "<"))
    pixels = pixels.astype(layout.type, copy=False).reshape(height, width, layout.channels)
    if layout.code is None:
        return _narrow(np.ascontiguousarray(pixels[..., layout.channel]))
    if encoding.startswith("bayer") and min(height, width) < 3:
        raise ImageError(f"a mosaic of {width} x {height} pixels", "At least 3 x 3 are needed.")
    return _narrow(cv2.cvtColor(pixels, layout.code))


def decode_compressed(data: Any) -> Grey:
    """A JPEG, PNG or other image file's bytes to (H,W) uint8.

    A JPEG gives its own luma: what OpenCV makes of its colours but for rounding, in two thirds of the time. The
    orientation in its EXIF data is left alone: the calibration is for the pixels as the sensor gave them. A JPEG
    that is damaged but whole decodes with the damage in it; a PNG knows.
    """
    data = bytes(data)
    jpeg, png = data.startswith(b"\xff\xd8"), data.startswith(b"\x89PNG")
    jpeg_ends = b"\xff\xd9" in data[data.rfind(b"\xff\xda") :]  # after the last scan: a thumbnail has an end, too
    if not data or (jpeg and not jpeg_ends) or (png and b"IEND" not in data.rstrip(b"\0")[-16:]):
        raise ImageError(
            f"a compressed image of {len(data)} bytes, without its end", "It was cut: record or copy it again."
        )
    mode = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION if jpeg else cv2.IMREAD_UNCHANGED
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), mode)
    except cv2.error as error:
        image, reason = None, f" ({error.err})"
    else:
        reason = ""
    if image is None:
        raise ImageError(
            f"a compressed image of {len(data)} bytes cannot be decoded{reason}",
            "It is damaged, or of a format that OpenCV does not read: use JPEG or PNG.",
        )
    return grey(image)


def grey(image: NDArray[Any]) -> Grey:
    """(H,W), (H,W,1), (H,W,3) BGR or (H,W,4) BGRA of uint8 or uint16 to (H,W) uint8; what is that already is shared."""
    shape = " x ".join(map(str, image.shape))
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"an image of {image.dtype}",
            "Give uint8 or uint16: for floats between 0 and 1, (255 * image).round().astype('uint8').",
        )
    if image.size == 0:
        raise ImageError(f"an empty image ({shape})", "Check what made it.")
    if image.ndim == 2:
        return _narrow(image)
    channels = image.shape[2] if image.ndim == 3 else 0
    if channels == 1:
        return _narrow(image[..., 0])
    if channels not in (3, 4):
        raise ImageError(f"an array of shape {shape} as an image", "Give H x W, H x W x 3 (BGR) or H x W x 4 (BGRA).")
    return _narrow(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY if channels == 3 else cv2.COLOR_BGRA2GRAY))


def _narrow(image: NDArray[Any]) -> Grey:
    """16 bits to 8, as the head of this file says."""
    if image.dtype == np.uint8:
        return image
    return (image >> (8 if image.max() > 0xFFF else 4)).astype(np.uint8)
