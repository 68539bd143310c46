"""The canonical views that networks see, and the warp that takes a camera's frames there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from numbers import Integral, Real
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError

OUTSIDE = -1e4
"""In a map: the camera does not see this pixel of the view."""

_MOST_SAMPLES = 4


@dataclass(frozen=True)
class CanonicalView(ABC):
    """A grid of directions in the level frame (y is gravity, z level and ahead).

    Attributes:
        width, height: of the grid.
    """

    kind: ClassVar[str]
    width: int
    height: int

    @abstractmethod
    def rays_at(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """(...,2) pixels of the view (x, y; integers at the centres) to (...,3) directions in the level frame."""

    def rays(self) -> NDArray[np.float64]:
        """(H,W,3) directions of the pixels' centres in the level frame."""
        return self.rays_at(np.stack(np.meshgrid(np.arange(self.width), np.arange(self.height)), axis=-1))

    def to_dict(self) -> dict[str, Any]:
        """For a card: the fields and the kind."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(spec: Mapping[str, Any]) -> View | Patch:
        """What `to_dict` wrote."""
        kinds: dict[str, type[View] | type[Patch]] = {View.kind: View, Patch.kind: Patch}
        given = {name: value for name, value in spec.items() if name != "kind"}
        kind = kinds.get(spec.get("kind", ""))
        if kind is None:
            raise VodistillError(f"unknown kind of view {spec.get('kind')!r}", f"Known: {', '.join(kinds)}.")
        try:
            return kind(**given)
        except TypeError as error:
            raise VodistillError(
                f"a view of kind '{kind.kind}' with {', '.join(given)}",
                f"Its fields: {', '.join(field.name for field in fields(kind))}.",
            ) from error

    def _check(self, *positive: str) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            kind = Integral if field.name in ("width", "height") else Real
            if not isinstance(value, kind) or not math.isfinite(value):
                raise VodistillError(
                    f"a view's {field.name} is {value!r}", "It must be a finite number, whole for width and height."
                )
        for name in ("width", "height", *positive):
            if not getattr(self, name) > 0:
                raise VodistillError(f"a view's {name} is {getattr(self, name)}", "It must be more than zero.")


@dataclass(frozen=True)
class View(CanonicalView):
    """A level pinhole camera.

    Attributes:
        width, height: in pixels.
        fx, fy, cx, cy: focal lengths and principal point, in pixels, integer coordinates at pixel centres.
    """

    kind = "level"
    fx: float
    fy: float
    cx: float
    cy: float

    def __post_init__(self) -> None:
        self._check("fx", "fy")

    def rays_at(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Directions with z = 1."""
        pixels = np.asarray(pixels, float)
        plane = (pixels - [self.cx, self.cy]) / [self.fx, self.fy]
        return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1)


@dataclass(frozen=True)
class Patch(CanonicalView):
    """The level ground ahead, seen from above; lengths in camera heights.

    Attributes:
        width, height: in cells. Row 0 is far, column 0 is left; all cells have the same size.
        near, far: the edges of the patch, ahead of the camera.
        half_width: the edges of the patch, to the left and right.
    """

    kind = "ground"
    near: float
    far: float
    half_width: float

    def __post_init__(self) -> None:
        self._check("near", "far", "half_width")
        if not self.near < self.far:
            raise VodistillError(f"a view from {self.near} to {self.far}", "near must be less than far.")

    def rays_at(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Points of the ground in camera heights: y = 1."""
        pixels = np.asarray(pixels, float)
        share = (pixels + 0.5) / [self.width, self.height]
        right = (2 * share[..., 0] - 1) * self.half_width
        ahead = self.far + share[..., 1] * (self.near - self.far)
        return np.stack([right, np.ones_like(right), ahead], axis=-1)


class Warp:
    """Takes a camera's frames to a view: undistortion, levelling, crop and resize in one remap.

    Where the view shrinks the image, the image is low-passed first, or motion of less than a pixel could not be
    measured for aliasing: a `region` of it is halved `halvings` times (mean of 2x2 pixels), blurred with a `box`, and
    remapped (bilinear). The box follows the least shrink in the view, so that nothing is blurred needlessly; where the
    shrink varies beyond that, as on the ground, each pixel of the view is the mean of `samples` in it.

    Keeps its buffers from frame to frame: one warp for one thread.

    Attributes:
        camera, view, level_from_camera: as given.
        map_x, map_y: (H,W) float32: the pixel of the image at the centre of each pixel of the view; `OUTSIDE` where the
            camera sees nothing.
        coverage: share of the view that the image covers.
        region: left, top, right, bottom of what is needed of the image.
        halvings: how often the region is halved.
        box: width and height, in pixels of the halved region.
        samples: across and down, in each pixel of the view.
    """

    def __init__(self, camera: Camera, view: CanonicalView, level_from_camera: ArrayLike) -> None:
        self.camera, self.view = camera, view
        self.level_from_camera = np.asarray(level_from_camera, float)
        centres = self._clipped(self._project())
        seen = ~np.isnan(centres[..., 0])
        self.coverage = float(seen.mean())
        if not seen.any():
            raise VodistillError(
                "the camera sees nothing of the view that the model needs",
                "Check the mount's pitch and roll, or the transform to the camera's optical frame. One that really "
                "looks down, or up, so steeply needs the model 'classical', which has no such view.",
            )
        self.map_x, self.map_y = _split(np.where(seen[..., None], centres, OUTSIDE))
        self.halvings, self.box, self.samples = self._low_pass(seen)

        block, (across, down) = 2**self.halvings, self.samples
        centres, seen = (np.repeat(np.repeat(array, down, axis=0), across, axis=1) for array in (centres, seen))
        pixels = self._clipped(self._project((across, down)))
        pixels = np.where(np.isnan(pixels), centres, pixels)
        margin = (np.array(self.box) // 2 + 1) * block
        first = np.maximum(np.nanmin(pixels, axis=(0, 1)) - margin, 0).astype(int)
        last = np.minimum(np.nanmax(pixels, axis=(0, 1)) + margin + 2, [camera.width, camera.height]).astype(int)
        size = (last - first) // block
        self.region = (*first.tolist(), *(first + size * block).tolist())
        pixels = np.clip((pixels - first + 0.5) / block - 0.5, 0, size - 1)
        self._maps = cv2.convertMaps(*_split(np.where(seen[..., None], pixels, OUTSIDE)), cv2.CV_16SC2)
        self._halves = [np.empty(size[::-1] * 2**n, np.uint8) for n in reversed(range(self.halvings))]
        self._blurred = np.empty(size[::-1], np.uint8)
        self._sampled = np.empty(seen.shape, np.uint8)

    def __call__(self, image: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The view of a grey frame; 0 where the camera sees nothing.

        Args:
            image: (H,W) uint8, of the camera's size.
            out: (H,W) uint8, of the view's size and contiguous, to be written to and returned; None makes a new one.
        """
        if image.shape != (self.camera.height, self.camera.width) or image.dtype != np.uint8:
            size = " x ".join(str(length) for length in image.shape[1::-1] + image.shape[2:])
            raise VodistillError(
                f"a {image.dtype} image of {size} pixels, but the camera is calibrated for uint8 images "
                f"of {self.camera.width} x {self.camera.height}",
                "Give the calibration of these images, or Camera.scaled() if they were resized as a whole.",
            )
        if out is None:
            out = np.empty((self.view.height, self.view.width), np.uint8)
        elif out.shape != (self.view.height, self.view.width) or out.dtype != np.uint8 or not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous uint8 of {self.view.height} rows and {self.view.width} columns")
        left, top, right, bottom = self.region
        image = image[top:bottom, left:right]
        for half in self._halves:
            cv2.resize(image, half.shape[::-1], dst=half, interpolation=cv2.INTER_AREA)
            image = half
        if self.box != (1, 1):
            cv2.blur(image, self.box, dst=self._blurred, borderType=cv2.BORDER_REPLICATE)
            image = self._blurred
        if self.samples == (1, 1):
            cv2.remap(image, *self._maps, cv2.INTER_LINEAR, dst=out)
        else:
            cv2.remap(image, *self._maps, cv2.INTER_LINEAR, dst=self._sampled)
            cv2.resize(self._sampled, out.shape[::-1], dst=out, interpolation=cv2.INTER_AREA)
        return out

    def _project(
        self, samples: tuple[int, int] = (1, 1), shift: NDArray[np.float64] | float = 0.0
    ) -> NDArray[np.float64]:
        """(H,W,2) pixels of the image at evenly spread samples of the view's pixels, shifted by pixels of the view."""
        columns, rows = (
            (np.arange(size * count) + 0.5) / count - 0.5
            for size, count in zip((self.view.width, self.view.height), samples, strict=True)
        )
        grid = np.stack(np.meshgrid(columns, rows), axis=-1) + shift
        return self.camera.project(self.view.rays_at(grid) @ self.level_from_camera)

    def _clipped(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        """NaN outside the image; its outermost half pixel is moved onto the centres."""
        last = np.array([self.camera.width, self.camera.height]) - 1.0
        seen = ((pixels >= -0.5) & (pixels <= last + 0.5)).all(axis=-1, keepdims=True)
        return np.where(seen, np.clip(pixels, 0.0, last), np.nan)

    def _low_pass(self, seen: NDArray[np.bool_]) -> tuple[int, tuple[int, int], tuple[int, int]]:
        """Halvings, box and samples for how far one pixel of the view reaches in the image, wherever it is seen."""
        reaches = np.stack(
            [self._project(shift=half) - self._project(shift=-half) for half in 0.5 * np.eye(2)], axis=-2
        )
        reaches = reaches[seen & np.isfinite(reaches).all(axis=(-2, -1))]  # of (view's axis, image's axis)
        shrink = np.linalg.norm(reaches, axis=-2).min(axis=0, initial=self.camera.width)
        halvings = 0
        while (shrink >= 3).all() and min(self.camera.width, self.camera.height) >> halvings >= 4:
            halvings += 1
            shrink = shrink / 2
        box = 2 * (0.75 * shrink).astype(int) + 1
        steps = np.linalg.norm(reaches / ((box + 0.5) * 2**halvings), axis=-1).max(axis=0, initial=0.0)
        samples = np.clip(np.ceil(steps), 1, _MOST_SAMPLES).astype(int)
        return halvings, (int(box[0]), int(box[1])), (int(samples[0]), int(samples[1]))


def _split(pixels: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The two maps of (...,2) pixels."""
    return np.ascontiguousarray(pixels[..., 0], np.float32), np.ascontiguousarray(pixels[..., 1], np.float32)
