"""What decides how generated worlds are distributed. The docstrings are the help."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ros2_vodistill.view import View

Range = tuple[float, float]


@dataclass(frozen=True)
class Places:
    """How often each kind of place comes up (weights), and what varies in all of them.

    Attributes:
        street: between houses, with pavements and parked cars.
        motorway: wide curved roads between vegetation, with guard rails.
        field: scattered objects on open ground.
        corridor: walls close on both sides, under a ceiling.
        resized: share of worlds whose objects are all scaled by one factor, so that only the ground tells scale.
        resize: bounds of that factor, log-uniform.
    """

    street: float = 0.55
    motorway: float = 0.2
    field: float = 0.15
    corridor: float = 0.1
    resized: float = 0.4
    resize: Range = (0.5, 2.0)


@dataclass(frozen=True)
class Rig:
    """The camera and what is known about it only nearly.

    Attributes:
        car: share of cameras on cars, at `car_height` metres above the ground; the others are uniform in `height`.
        car_height: mean and standard deviation, metres.
        height: bounds, metres.
        pitch_error_deg: standard deviation of the mount's true pitch around the assumed one.
        roll_error_deg: the same for roll.
        focal_error: standard deviation of the true focal length around the calibrated one, as a share.
        centre_error: standard deviation of the true principal point, as a share of the focal length.
        narrow: share of cameras whose image does not cover the view: its borders are black.
    """

    car: float = 0.6
    car_height: Range = (1.6, 0.12)
    height: Range = (0.2, 2.5)
    pitch_error_deg: float = 1.0
    roll_error_deg: float = 0.7
    focal_error: float = 0.01
    centre_error: float = 0.004
    narrow: float = 0.15


@dataclass(frozen=True)
class Driving:
    """How the camera moves.

    Attributes:
        fps: frame rates to choose from, frames per second.
        speed: bounds of a car's speed, m/s; weighted towards the lower half.
        reach: the longest step, in camera heights: low cameras are on slow robots.
        still: share of clips that stand still.
        reverse: share of clips that go backwards.
        turn: share of street clips that turn at a junction.
    """

    fps: tuple[float, ...] = (10.0, 10.0, 10.0, 7.5, 15.0, 20.0, 30.0)
    speed: Range = (0.0, 33.0)
    reach: float = 2.2
    still: float = 0.04
    reverse: float = 0.05
    turn: float = 0.45


@dataclass(frozen=True)
class Photometry:
    """What lens, sensor and exposure do.

    Attributes:
        noise: bounds of the pixel noise's standard deviation, grey levels, log-uniform.
        gamma: bounds of the response's exponent, log-uniform.
        flicker: standard deviation of the exposure's change from frame to frame, in logarithm.
        vignetting: greatest loss of light in the corners, as a share.
        blur: bounds of the shutter's time as a share of the frame's time.
    """

    noise: Range = (0.3, 4.0)
    gamma: Range = (0.6, 1.1)
    flicker: float = 0.02
    vignetting: float = 0.35
    blur: Range = (0.0, 0.3)


@dataclass(frozen=True)
class WorldConfig:
    """The generated world.

    Attributes:
        frames: in a clip.
        view: the canonical view that `Clip.images` shows.
        samples: rays per pixel; each also has its own moment within the exposure.
        places: which worlds.
        rig: which cameras.
        driving: which motions.
        photometry: what the images suffer.
    """

    frames: int = 4
    view: View = field(default_factory=lambda: View(320, 96, 185.0, 185.0, 159.5, 47.5))
    samples: int = 4
    places: Places = field(default_factory=Places)
    rig: Rig = field(default_factory=Rig)
    driving: Driving = field(default_factory=Driving)
    photometry: Photometry = field(default_factory=Photometry)

    @staticmethod
    def from_dict(values: Mapping[str, object]) -> WorldConfig:
        """From plain values, as in a YAML file."""
        from training import config  # noqa: PLC0415

        return config.build(WorldConfig, values, "data.world")
