"""Every encoding against colours put into bytes by hand."""

from __future__ import annotations

import array
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.image import ImageError, decode_compressed, grey, to_grey

H, W = 6, 8
COLOURS = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)  # red, green, blue
GREYS = np.random.default_rng(1).integers(0, 256, (H, W), dtype=np.uint8)


def luma(colours: np.ndarray) -> np.ndarray:
    return colours.astype(float) @ [0.299, 0.587, 0.114]


def assert_luma(actual: np.ndarray, expected: np.ndarray) -> None:
    """OpenCV's weights have 14 or 15 bits: half a level of rounding and a little."""
    assert actual.dtype == np.uint8
    assert np.abs(actual - expected).max() <= 0.51


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
def test_grey_is_left_alone(encoding: str) -> None:
    assert_array_equal(to_grey(GREYS.tobytes(), H, W, encoding), GREYS)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_unpadded_grey_is_not_copied(kind: Callable[[bytes], object]) -> None:
    data = kind(GREYS.tobytes())
    assert np.shares_memory(to_grey(data, H, W, "mono8"), np.frombuffer(data, np.uint8))  # type: ignore[call-overload]


ORDERS = {"rgb": [0, 1, 2], "bgr": [2, 1, 0]}


@pytest.mark.parametrize(("encoding", "order"), [("rgb8", "rgb"), ("bgr8", "bgr"), ("8UC3", "bgr")])
def test_three_channels(encoding: str, order: str) -> None:
    assert_luma(to_grey(COLOURS[..., ORDERS[order]].tobytes(), H, W, encoding), luma(COLOURS))


@pytest.mark.parametrize(("encoding", "order"), [("rgba8", "rgb"), ("bgra8", "bgr"), ("8UC4", "bgr")])
def test_alpha_is_ignored(encoding: str, order: str) -> None:
    pixels = np.concatenate([COLOURS[..., ORDERS[order]], GREYS[..., None]], axis=-1)
    assert_luma(to_grey(pixels.tobytes(), H, W, encoding), luma(COLOURS))


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize(
    ("encoding", "order"),
    [("rgb16", "rgb"), ("bgr16", "bgr"), ("rgba16", "rgb"), ("bgra16", "bgr"), ("16UC3", "bgr"), ("16UC4", "bgr")],
)
def test_colours_of_16_bits(encoding: str, order: str, big: bool) -> None:
    wide = COLOURS.astype(np.uint16) * 257
    alpha = 1 if "a" in encoding or encoding.endswith("4") else 0
    pixels = np.concatenate([wide[..., ORDERS[order]], wide[..., :alpha]], axis=-1)
    data = pixels.astype(">u2" if big else "<u2").tobytes()
    actual = to_grey(data, H, W, encoding, big_endian=big)
    assert (np.abs(actual - np.floor(luma(wide) / 256)) <= 1).all()


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
@pytest.mark.parametrize("big", [False, True])
def test_full_16_bits_give_their_high_byte(encoding: str, big: bool) -> None:
    low = GREYS[::-1].astype(np.uint16)
    wide = GREYS.astype(np.uint16) * 256 + low
    data = wide.astype(">u2" if big else "<u2").tobytes()
    assert_array_equal(to_grey(data, H, W, encoding, big_endian=big), GREYS)


def test_12_bits_in_16_are_not_black() -> None:
    wide = GREYS.astype("<u2") * 16 + 5
    assert wide.max() <= 4095
    assert_array_equal(to_grey(wide.tobytes(), H, W, "mono16"), GREYS)
    wide[0, 0] = 4096  # one more and it is a dark image of the full range
    assert to_grey(wide.tobytes(), H, W, "mono16").max() == 16


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy"])
def test_uyvy(encoding: str) -> None:
    chroma = np.full_like(GREYS, 77)
    data = np.stack([chroma, GREYS], axis=-1)
    assert_array_equal(to_grey(data.tobytes(), H, W, encoding), GREYS)
    assert_array_equal(GREYS, cv2.cvtColor(data, cv2.COLOR_YUV2GRAY_UYVY))


@pytest.mark.parametrize("encoding", ["yuv422_yuy2", "yuyv"])
def test_yuyv(encoding: str) -> None:
    chroma = np.full_like(GREYS, 77)
    data = np.stack([GREYS, chroma], axis=-1)
    assert_array_equal(to_grey(data.tobytes(), H, W, encoding), GREYS)
    assert_array_equal(GREYS, cv2.cvtColor(data, cv2.COLOR_YUV2GRAY_YUY2))


@pytest.mark.parametrize("encoding", ["nv12", "nv21"])
def test_planes_of_chroma_are_left_out(encoding: str) -> None:
    data = np.concatenate([GREYS, np.full((H // 2, W), 77, np.uint8)])
    assert_array_equal(to_grey(data.tobytes(), H, W, encoding), GREYS)


@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("bits", "big"), [(8, False), (16, False), (16, True)])
def test_a_mosaic_of_one_colour_is_its_grey(order: str, bits: int, big: bool) -> None:
    """Bilinear demosaicing of an even colour gives that colour back; a wrong order swaps red and blue, or worse."""
    colour = {"r": 200, "g": 90, "b": 20}
    tile = np.array([colour[name] for name in order]).reshape(2, 2)
    mosaic = np.tile(tile, (H // 2, W // 2))
    data = (mosaic if bits == 8 else mosaic * 257).astype("u1" if bits == 8 else ">u2" if big else "<u2").tobytes()
    actual = to_grey(data, H, W, f"bayer_{order}{bits}", big_endian=big)
    assert np.abs(actual - luma(np.array([200, 90, 20]))).max() <= 1


@pytest.mark.parametrize("order", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_mosaic_is_interpolated_between_neighbours(order: str) -> None:
    """In a mosaic of random values, by hand: at a green pixel, red and blue are means of two neighbours."""
    row, column = next((r, c) for r in (2, 3) for c in (2, 3) if order[r % 2 * 2 + c % 2] == "g")
    beside = order[row % 2 * 2 + (column + 1) % 2]
    across = (int(GREYS[row, column - 1]) + int(GREYS[row, column + 1])) / 2
    along = (int(GREYS[row - 1, column]) + int(GREYS[row + 1, column])) / 2
    red, blue = (across, along) if beside == "r" else (along, across)
    actual = to_grey(GREYS.tobytes(), H, W, f"bayer_{order}8")
    assert abs(actual[row, column] - luma(np.array([red, GREYS[row, column], blue]))) <= 1


@pytest.mark.parametrize(
    ("encoding", "size"),
    [("mono8", 1), ("mono16", 2), ("rgb8", 3), ("bgra8", 4), ("yuv422", 2), ("bayer_gbrg8", 1), ("bayer_rggb16", 2)],
)
def test_padding_of_rows_changes_nothing(encoding: str, size: int) -> None:
    rng = np.random.default_rng(2)
    rows = rng.integers(0, 256, (H, W * size), dtype=np.uint8)
    padded = np.concatenate([rows, rng.integers(0, 256, (H, 5), dtype=np.uint8)], axis=1)
    actual = to_grey(padded.tobytes(), H, W, encoding, step=W * size + 5)
    assert_array_equal(actual, to_grey(rows.tobytes(), H, W, encoding))
    assert actual.flags.c_contiguous


def test_endianness_says_nothing_about_8_bits() -> None:
    data = COLOURS.tobytes()
    assert_array_equal(to_grey(data, H, W, "rgb8", big_endian=True), to_grey(data, H, W, "rgb8"))


@pytest.mark.parametrize(
    ("size", "height", "width", "encoding", "step", "problem"),
    [
        (H * W - 1, H, W, "mono8", None, "47 bytes for 8 x 6 mono8 pixels with a step of 8: must be 48"),
        (H * W + 1, H, W, "mono8", None, "must be 48"),
        (0, H, W, "mono8", None, "0 bytes"),
        (H * W, H, W, "rgb8", None, "must be 144"),
        (H * W, H, W, "mono8", 10, "must be 60"),
        (H * W, H, W, "nv12", None, "must be 72"),
        (H * W, H, W, "mono16", 8, "step is 8 bytes, but a row of 8 mono16 pixels takes 16"),
        (0, 0, W, "mono8", None, "8 x 0 pixels"),
        (0, H, 0, "rgb8", None, "0 x 6 pixels"),
        (4, 2, 2, "bayer_rggb8", None, "mosaic of 2 x 2"),
    ],
)
def test_buffers_that_do_not_fit_are_refused(
    size: int, height: int, width: int, encoding: str, step: int | None, problem: str
) -> None:
    with pytest.raises(ImageError) as caught:
        to_grey(bytes(size), height, width, encoding, step=step)
    assert problem in caught.value.problem
    assert caught.value.remedy


@pytest.mark.parametrize("encoding", ["32FC1", "rgb", ""])
def test_an_unknown_encoding_is_answered_with_the_known(encoding: str) -> None:
    with pytest.raises(VodistillError) as caught:
        to_grey(bytes(W * H), H, W, encoding)
    assert f"'{encoding}'" in caught.value.problem
    for known in ("mono8", "bayer_grbg16", "yuv422_yuy2", "bgra8", "nv21"):
        assert known in caught.value.remedy


def encoded(image: np.ndarray, kind: str) -> bytes:
    return cv2.imencode(kind, image)[1].tobytes()


@pytest.mark.parametrize("kind", [".png", ".bmp", ".tiff"])
def test_lossless_files(kind: str) -> None:
    assert_array_equal(decode_compressed(encoded(GREYS, kind)), GREYS)
    assert_luma(decode_compressed(encoded(COLOURS[..., ::-1], kind)), luma(COLOURS))


def test_png_of_16_bits_and_with_alpha() -> None:
    wide = GREYS.astype(np.uint16) * 256 + GREYS[::-1]
    assert_array_equal(decode_compressed(encoded(wide, ".png")), GREYS)
    pixels = np.concatenate([COLOURS[..., ::-1], GREYS[..., None]], axis=-1)
    assert_luma(decode_compressed(encoded(pixels, ".png")), luma(COLOURS))


def test_jpeg_gives_the_grey_of_its_colours() -> None:
    smooth = cv2.resize(COLOURS // 2 + 64, (64, 48), interpolation=cv2.INTER_CUBIC)
    data = cv2.imencode(".jpg", smooth, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    expected = cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2GRAY)
    assert np.abs(decode_compressed(data).astype(int) - expected).max() <= 1
    for padding in (bytes(100), np.random.default_rng(0).bytes(100)):  # drivers pad, or leave what was there before
        assert_array_equal(decode_compressed(data + padding), decode_compressed(data))


def test_the_end_of_a_thumbnail_is_not_the_end_of_a_jpeg() -> None:
    data, small = encoded(COLOURS, ".jpg"), encoded(COLOURS[:8, :8], ".jpg")
    data = data[:2] + b"\xff\xe1" + (len(small) + 2).to_bytes(2, "big") + small + data[2:]
    assert decode_compressed(data).shape == COLOURS.shape[:2]
    with pytest.raises(ImageError, match="without its end"):
        decode_compressed(data[:-10])


def test_orientation_in_exif_is_left_alone() -> None:
    data = cv2.imencode(".jpg", np.zeros((H, W), np.uint8))[1].tobytes()
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"  # orientation 6: turned by 90 degrees
    segment = b"Exif\0\0" + tiff
    data = data[:2] + b"\xff\xe1" + (len(segment) + 2).to_bytes(2, "big") + segment + data[2:]
    turned = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert turned.shape == (W, H), "or this file says nothing"
    assert decode_compressed(data).shape == (H, W)


@pytest.mark.parametrize("kind", [".png", ".jpg"])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_cut_files_are_refused(kind: str, share: float, capfd: pytest.CaptureFixture[str]) -> None:
    data = encoded(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), kind)
    with pytest.raises(ImageError) as caught:
        decode_compressed(data[: int(len(data) * share)])
    assert "compressed image of" in caught.value.problem
    assert caught.value.remedy


def test_damaged_files_are_refused(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(encoded(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8), ".png"))
    data[len(data) // 2] ^= 0xFF
    for bad in (bytes(data), b"\xff\xd8\xff\xd9", b"no image at all", bytes(300)):
        with pytest.raises(ImageError):
            decode_compressed(bad)


def test_arrays_of_users() -> None:
    assert grey(GREYS) is GREYS
    assert_array_equal(grey(GREYS[..., None]), GREYS)
    assert_array_equal(grey(GREYS.astype(np.uint16) * 257), GREYS)
    assert_luma(grey(COLOURS[..., ::-1]), luma(COLOURS))
    assert_luma(grey(np.concatenate([COLOURS[..., ::-1], GREYS[..., None]], axis=-1)), luma(COLOURS))


@pytest.mark.parametrize(
    ("array", "problem", "remedy"),
    [
        (GREYS / 255.0, "float64", "255 * image"),
        (GREYS > 5, "bool", "uint8"),
        (GREYS.astype(np.int32), "int32", "uint8"),
        (np.zeros((0, 5), np.uint8), "empty image (0 x 5)", "made"),
        (np.zeros(5, np.uint8), "shape 5", "H x W"),
        (np.zeros((4, 4, 2), np.uint8), "4 x 4 x 2", "BGR"),
        (np.zeros((1, 1, 4, 4), np.uint8), "1 x 1 x 4 x 4", "BGR"),
    ],
)
def test_other_arrays_are_refused(array: np.ndarray, problem: str, remedy: str) -> None:
    with pytest.raises(ImageError) as caught:
        grey(array)
    assert problem in caught.value.problem
    assert remedy in caught.value.remedy
