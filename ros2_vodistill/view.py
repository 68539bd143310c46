"""The canonical views that networks see, and the warp that takes a camera's frames there.

A frame becomes a view in three steps, of which the first and the last are left out where they would do nothing:

1. every `reduce` block of pixels in the needed `region` of the image becomes its mean,
2. one bilinear remap, with `samples` samples to each pixel of the view,
3. every block of `samples` becomes its mean.

`reduce * samples` follows the shrink at each place of the view, so that nothing aliases.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ros2_vodistill.camera import Camera
from ros2_vodistill.errors import VodistillError

OUTSIDE = -1e4
"""In a map: the camera does not see this pixel of the view."""


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
        fields = {name: value for name, value in spec.items() if name != "kind"}
        kind = kinds.get(spec.get("kind", ""))
        if kind is None:
            raise VodistillError(f"unknown kind of view {spec.get('kind')!r}", f"Known: {', '.join(kinds)}.")
        try:
            return kind(**fields)
        except TypeError as error:
            raise VodistillError(
                f"a view of kind '{kind.kind}' with {sorted(fields)}", f"Its fields: {sorted(kind.__annotations__)}."
            ) from error

    def _check(self, **positive: float) -> None:
        for name, value in {"width": self.width, "height": self.height, **positive}.items():
            if not (np.isfinite(value) and value > 0):
                raise VodistillError(f"a view's {name} is {value}", "It must be a finite number, more than zero.")


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
        self._check(fx=self.fx, fy=self.fy)

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
        self._check(near=self.near, far=self.far, half_width=self.half_width)
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

    Attributes:
        camera, view, level_from_camera: as given.
        map_x, map_y: (H,W) float32 pixel of the image at the centre of each pixel of the view; `OUTSIDE` where the
            camera sees nothing.
        coverage: share of the view that the image covers.
    """

    def __init__(self, camera: Camera, view: CanonicalView, level_from_camera: ArrayLike) -> None:
        self.camera, self.view = camera, view
        self.level_from_camera = np.asarray(level_from_camera, float)
        self.map_x, self.map_y = self._maps(1, 1)
        self.coverage = float((self.map_x != OUTSIDE).mean())

    def __call__(self, image: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """The view of a grey frame, (H,W) uint8, in `out` if given."""
        return cv2.remap(image, self.map_x, self.map_y, cv2.INTER_LINEAR, dst=out)

    def _maps(self, across: int, down: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Pixels of the image at across x down samples in each pixel of the view."""
        columns = (np.arange(self.view.width * across) + 0.5) / across - 0.5
        rows = (np.arange(self.view.height * down) + 0.5) / down - 0.5
        rays = self.view.rays_at(np.stack(np.meshgrid(columns, rows), axis=-1))
        pixels = self.camera.project(rays @ self.level_from_camera)
        edge = np.array([self.camera.width, self.camera.height]) - 0.5
        seen = ((pixels >= -0.5) & (pixels <= edge)).all(axis=-1, keepdims=True)
        pixels = np.where(seen, np.clip(pixels, 0.0, edge - 0.5), OUTSIDE).astype(np.float32)
        return np.ascontiguousarray(pixels[..., 0]), np.ascontiguousarray(pixels[..., 1])
