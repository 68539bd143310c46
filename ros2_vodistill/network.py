"""The frontend that asks a network for the motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ros2_vodistill import geometry, still
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.engines import Engine
from ros2_vodistill.frontend import Relative
from ros2_vodistill.mask import Fill, Seen
from ros2_vodistill.view import CanonicalView, Warp

_OUTSIDE = 1.2  # a motion this many times what the model was trained for is reported
_SENSELESS = 100.0  # times that, or a log-variance beyond it: numbers that mean nothing
_COVERED, _GLIMPSED = 0.6, 0.25  # share of a view that the camera must see; and where the motion is refined


class NetworkFrontend:
    """Warps each frame into the model's views, runs a step and turns its motion into the camera's axes.

    The network's motion is one of the level view; the camera is turned against it by the mount.

    Args:
        engine, camera, mount: what computes, and on which images.
        mask: (H,W) pixels of the camera's images that show the world; None for all. The others are filled.
        alone: its motion is not refined: a camera that stands is told, and one that does not see most of a view.

    Attributes:
        warps: from the camera to each view.
    """

    def __init__(
        self, engine: Engine, camera: Camera, mount: Mount, mask: Seen | None = None, *, alone: bool = True
    ) -> None:
        card = engine.model.card
        self.name, self.unit, self.range = card.name, card.unit, card.range
        self.min_translation, self.min_rotation = card.range.min_translation, card.range.min_rotation
        self.max_interval = card.range.max_interval
        self._engine, self._alone = engine, alone
        self._scale = np.asarray(card.covariance_scale)
        self._level_from_camera = mount.level_from_camera
        self._turn = np.kron(np.eye(2), self._level_from_camera)  # (translation, rotation vector) to level axes
        self.warps = {name: Warp(camera, view, self._level_from_camera) for name, view in card.views.items()}
        self._fills = {} if mask is None else {name: _fill(warp, mask) for name, warp in self.warps.items()}
        self._hidden = self._at_rest(card.views["image"], mount)
        self._reference: NDArray[np.uint8] | None = None
        self._newest = np.empty_like(engine.inputs["image"])
        least = _COVERED if alone else _GLIMPSED
        low = {name: warp.coverage for name, warp in self.warps.items() if warp.coverage < least}
        self._always = tuple(
            f"the camera sees only {share:.0%} of {name}: is its calibration for {camera.width}x{camera.height}, "
            "and is the mount's pitch right?"
            for name, share in low.items()
        )
        engine.reset()

    def reset(self) -> None:
        self._reference = None
        self._engine.reset()

    def compare(self, image: NDArray[np.uint8], seconds: float = 0.0) -> Relative | None:
        for name, warp in self.warps.items():
            warp(image, out=self._engine.inputs[name])
        for name, fill in self._fills.items():
            fill(self._engine.inputs[name])
        self._newest[...] = self._engine.inputs["image"]
        motion, log_variance = self._engine.step()
        if self._reference is None:
            return None
        if not self._sensible(motion, log_variance):
            return Relative(np.eye(4), np.diag(self._widest() ** 2), (f"{self.name} gave numbers that mean nothing",))
        variance = np.exp(log_variance.astype(float)) * self._scale
        stands = self._alone and still.shift(self._reference, self._newest) < still.LIMIT
        return self._in_camera(motion.astype(float), self._hidden if stands else np.diag(variance), stands)

    def advance(self) -> None:
        if self._reference is None:
            self._reference = np.empty_like(self._newest)
        self._reference[...] = self._newest
        self._engine.advance()

    def _in_camera(self, motion: NDArray[np.float64], covariance: NDArray[np.float64], stands: bool) -> Relative:
        in_camera = self._turn.T @ motion
        reasons = list(self._always)
        distance, angle = float(np.linalg.norm(motion[:3])), float(np.linalg.norm(motion[3:]))
        if distance > _OUTSIDE * self.range.max_translation or angle > _OUTSIDE * self.range.max_rotation:
            reasons.append(
                f"a step of {distance:.2f} {self.unit} and {np.degrees(angle):.1f} deg: beyond what {self.name} learned"
            )
        return Relative(
            geometry.from_motion(in_camera),
            self._turn.T @ covariance @ self._turn,
            tuple(reasons),
            still=stands,
        )

    def _at_rest(self, view: CanonicalView, mount: Mount) -> NDArray[np.float64]:
        """Covariance (6,6), level axes, of what a camera that seems to stand on level ground may do."""
        rays = view.rays()
        rays = rays / np.linalg.norm(rays, axis=2, keepdims=True)
        pixel = float(np.linalg.norm(np.diff(rays, axis=1), axis=2).mean())
        rays = rays[::8, ::8].reshape(-1, 3)
        hidden = still.hidden(rays, np.maximum(rays[:, 1], 1 / still.TYPICAL_DEPTH), still.LIMIT * pixel)
        unit = mount.height if self.unit == "metre" and mount.height is not None else 1.0
        return geometry.rescaled(hidden, unit)

    def _sensible(self, motion: NDArray[np.float32], log_variance: NDArray[np.float32]) -> bool:
        """Not so for what is not finite."""
        return bool((np.abs(motion) < _SENSELESS * self._widest()).all() and (np.abs(log_variance) < _SENSELESS).all())

    def _widest(self) -> NDArray[np.float64]:
        return np.repeat([self.range.max_translation, self.range.max_rotation], 3)


def _fill(warp: Warp, mask: Seen) -> Fill:
    """Of the pixels of a view that the camera sees, but the mask hides."""
    return Fill(warp(np.where(mask, 255, 0).astype(np.uint8)) == 255, warp.map_x >= 0)
