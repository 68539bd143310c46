"""How the generated world looks: light, shadows, haze, paint, exposure and shutter, against what is computed here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ros2_vodistill import geometry
from tests.training.worlds import CLEAN, SMALL, box, config, only, straight
from training.world import photometry, render
from training.world.build import build
from training.world.cast import GROUND, Caster, Stage
from training.world.config import Motion, Photometry
from training.world.grid import grid
from training.world.ground import Lines
from training.world.scene import Road
from training.world.textures import load
from training.world.trace import Eyes

CPU = torch.device("cpu")
ALBEDO, DIRECT, AMBIENT = 0.2, 1.0, 0.1
UP = np.array([0.0, -1.5, 0.0])
"""Where the camera is."""


def numbers(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def plain(sun: tuple[float, float, float] = (0.0, -1.0, 0.0)) -> Stage:
    """Level ground of one tone under a sun towards `sun`, without anything on it."""
    stage = build(config(places=replace(only("field"), hilly=0.0)), torch.tensor([1]), load("cpu"), 0, 1).stage
    none, one = torch.zeros(1), torch.ones(1)
    zones = replace(stage.ground.zones, tone=torch.full((1, 4, 2), ALBEDO), stain=torch.zeros(1, 4))
    ground = replace(
        stage.ground, road=Road(torch.zeros(1, 2), none, none), width=1e3 * one, cross_width=-1e4 * one, kerb=none,
        zones=zones, lines=lines(0.0, 0.0), detail=stage.ground.detail * numbers(1.0, 1.0, 0.0),
        dapple=stage.ground.dapple * numbers(1.0, 1.0, 1.0, 0.0), sheen=none,
    )  # fmt: skip
    toward = torch.nn.functional.normalize(numbers(*sun))
    light = replace(stage.light, sun=toward, direct=DIRECT * one, ambient=AMBIENT * one, fog=numbers(0.0, 0.0),
                    lamp=numbers(0.0, 1.0))  # fmt: skip
    nothing = box(half=torch.zeros(1, 1, 3))
    return replace(stage, boxes=nothing, rounds=nothing, ground=ground, light=light)


def lines(at: float, half: float, period: float = 0.0, share: float = 1.0) -> Lines:
    """One line, of albedo 0.8."""
    return Lines(*(numbers(v) for v in (at, 0.0, half, period, share, 0.8, 0.0)))


def eyes() -> Eyes:
    return Eyes(torch.tensor(UP).float().view(1, 1, 1, 3), torch.eye(3).view(1, 1, 1, 3, 3), torch.zeros(1, 1, 1))


def seen(stage: Stage) -> np.ndarray:
    """(H, W) brightness from 1.5 m above the origin, looking ahead."""
    return Caster(grid(SMALL, 1, CPU), load("cpu"), 1 << 20).brightness(stage, eyes())[0].numpy().astype(float)


def ground() -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) where level ground is seen, and (H, W) whether it is, nearer than 25 m."""
    rays = SMALL.rays()
    depth = 1.5 / np.maximum(rays[..., 1], 1e-6)
    return UP + rays * depth[..., None], depth < 25


def met(start: np.ndarray, ray: np.ndarray, margin: float) -> np.ndarray:
    """Whether rays meet the box of 2 x 2 x 2 m that stands 10 m ahead, made larger by a margin."""
    low, high = np.array([-1.0, -2.0, 9.0]) - margin, np.array([1.0, 0.0, 11.0]) + margin
    with np.errstate(divide="ignore"):
        a, b = (low - start) / ray, (high - start) / ray
    near, far = np.minimum(a, b).max(-1), np.maximum(a, b).min(-1)
    return (near < far) & (far > 0)


def test_a_box_casts_its_shadow_away_from_the_sun() -> None:
    sun = np.array([-0.6, -0.5, 0.2])
    found = seen(replace(plain(tuple(sun)), boxes=box()))
    place, near = ground()
    rays = np.broadcast_to(sun, place.shape)
    free = near & ~met(np.broadcast_to(UP, place.shape), place - UP, 0.1)
    dark, lit = free & met(place, rays, -0.1), free & ~met(place, rays, 0.1)
    assert dark.sum() > 50 and lit.sum() > 1000
    assert found[dark].max() <= ALBEDO * AMBIENT * 1.001
    assert found[lit].min() > ALBEDO * DIRECT * 0.99 * 0.5 / np.linalg.norm(sun)


def test_the_sides_towards_the_sun_are_lit() -> None:
    turned = replace(box(tone=torch.full((1, 1, 2), 0.5)), yaw=torch.tensor([[np.pi / 4]]).float())
    left, right = slice(70, 79), slice(81, 90)
    from_left = seen(replace(plain((-1.0, -0.2, -0.3)), boxes=turned))[24:30]
    from_right = seen(replace(plain((1.0, -0.2, -0.3)), boxes=turned))[24:30]
    assert from_left[:, left].min() > 2 * from_left[:, right].max()
    assert from_right[:, right].min() > 2 * from_right[:, left].max()


def test_haze_takes_over_with_the_distance() -> None:
    clear = plain()
    foggy = seen(replace(clear, light=replace(clear.light, fog=numbers(0.05, 0.9))))
    place, near = ground()
    left = np.exp(-0.05 * np.linalg.norm(place - UP, axis=-1))
    expected = ALBEDO * (DIRECT + AMBIENT) * left + 0.9 * (1 - left)
    np.testing.assert_allclose(foggy[near], expected[near], rtol=1e-3)


@pytest.mark.parametrize("dashed", [False, True])
def test_lines_are_painted_along_the_road(dashed: bool) -> None:
    stage = plain()
    line = lines(1.0, 0.6, 4.0, 0.5) if dashed else lines(1.0, 0.6)
    found = seen(replace(stage, ground=replace(stage.ground, lines=line))) / (DIRECT + AMBIENT)
    place, near = ground()
    off, phase = np.abs(place[..., 0] - 1.0), place[..., 2] % 4.0
    near &= place[..., 2] < 9
    on = near & (off < 0.3) & ((phase > 0.1) & (phase < 1.9) if dashed else True)
    bare = near & ((off > 1.0) | (dashed & (phase > 2.1) & (phase < 3.9)))
    assert on.sum() > 10 and bare.sum() > 300
    np.testing.assert_allclose(found[on], 0.8, rtol=1e-3)
    np.testing.assert_allclose(found[bare], ALBEDO, rtol=1e-3)


def develop(light: torch.Tensor, outside: bool = False, **values: object) -> torch.Tensor:
    """Images of constant light (B, T), as float."""
    flat = light[..., None, None].expand(*light.shape, 32, 48).clone()
    settings: Photometry = replace(CLEAN, **values)  # type: ignore[arg-type]
    clips = torch.arange(len(light))
    return photometry.Development(clips, settings)(flat, torch.full((len(light),), outside)).float()


def test_the_exposure_follows_the_light() -> None:
    light = torch.tensor([[0.4, 0.1, 0.1]]).expand(6, 3)
    never, half, at_once = (
        develop(light, adapt=(a, a), gamma=(1.0, 1.0), exposure=(0.4, 0.4)).mean((2, 3)) / 255 for a in (0.0, 0.5, 1.0)
    )
    assert torch.allclose(never, torch.tensor([0.4, 0.1, 0.1]).expand(6, 3), atol=3e-3)
    assert torch.allclose(at_once, torch.full((6, 3), 0.4), atol=3e-3)
    assert torch.allclose(half, torch.tensor([0.4, 0.4 * 0.1 / 0.25, 0.4 * 0.1 / 0.175]).expand(6, 3), atol=3e-3)


def test_corners_are_darker_dust_stays_and_rain_falls_outside() -> None:
    light = torch.full((12, 2), 0.4)
    clean, vignetted = develop(light), develop(light, vignetting=1.0)
    corners = vignetted[..., [0, 0, -1, -1], [0, -1, 0, -1]].mean(-1)
    assert float((corners - vignetted[..., 16, 24]).max()) < 0
    dusty = develop(light, dust=1.0)
    assert torch.equal(dusty[:, 0], dusty[:, 1]) and float((dusty - clean).amin((2, 3)).max()) < 0
    assert torch.equal(develop(light, rain=1.0), clean)
    rainy = develop(light, outside=True, rain=1.0)
    assert float((rainy - clean).amin()) >= 0 and not torch.equal(rainy[:, 0], rainy[:, 1])


def turning(frames: int = 2, **values: object) -> tuple[np.ndarray, np.ndarray]:
    """Images of cameras that turn on the spot, and their turns, radians, positive to the right."""
    motion = Motion({"only": straight(speed=(1.0, 1.0))}, still=0.0, reverse=0.0, spot=1.0, fps=(5.0,))
    settings = config(photometry=replace(CLEAN, **values), motion=motion, places=only("room"))  # type: ignore[arg-type]
    clip = render(settings, range(16), frames=frames)
    turns = geometry.to_motion(geometry.relative(clip.poses.numpy()))[:, 0, 4]
    return clip.images[:, 0].numpy().astype(float), turns


def test_a_long_exposure_blurs_what_turns_by() -> None:
    (sharp, turns), (blurred, _) = turning(), turning(shutter=(1.0, 1.0))
    edges = lambda images: np.abs(np.diff(images, axis=-1)).mean((1, 2))  # noqa: E731
    fast = np.abs(turns) > 0.05
    assert fast.sum() > 4 and edges(blurred)[fast].mean() < 0.9 * edges(sharp)[fast].mean()
    np.testing.assert_allclose(edges(blurred)[turns == 0], edges(sharp)[turns == 0])


def test_a_rolling_shutter_sees_lower_rows_later() -> None:
    """To the right turns the camera, to the left goes what it sees: further at the bottom than at the top."""
    (plain_images, turns), (rolled, _) = turning(), turning(rolling=1.0)
    slope = np.gradient(plain_images, axis=-1)
    shifts = []
    for rows in (slice(0, 12), slice(36, 48)):
        change, by = (rolled - plain_images)[:, rows], slope[:, rows]
        shifts.append(-(change * by).sum((1, 2)) / (by * by).sum((1, 2)))
    fast = np.abs(turns) > 0.02
    assert fast.sum() > 6
    assert np.mean(np.sign(shifts[1] - shifts[0])[fast] == -np.sign(turns)[fast]) > 0.9


def test_soft_shadows_take_the_sun_and_wet_roads_mirror_it() -> None:
    sun = np.array([0.0, -0.4, 1.0]) / np.hypot(0.4, 1.0)
    stage = plain(tuple(sun))
    _, near = ground()
    shaded = replace(stage.ground, dapple=stage.ground.dapple + numbers(0.0, 0.0, 2.0, 1.0))
    np.testing.assert_allclose(seen(replace(stage, ground=shaded))[near], ALBEDO * AMBIENT, rtol=1e-3)
    shiny = seen(replace(stage, ground=replace(stage.ground, sheen=torch.full((1,), 0.5)))) - seen(stage)
    ray = SMALL.rays() / np.linalg.norm(SMALL.rays(), axis=-1, keepdims=True)
    mirrored = ray * [1.0, -1.0, 1.0] @ sun
    np.testing.assert_allclose(shiny[near], (0.5 * DIRECT * mirrored**12 * (1 - ray[..., 1]) ** 4)[near], rtol=1e-3)


def test_pavements_are_raised_behind_a_kerb() -> None:
    stage = plain()
    raised = replace(stage.ground, width=torch.full((1,), 2.0), kerb=torch.full((1,), 0.15))
    caster = Caster(grid(SMALL, 1, CPU), load("cpu"), 1 << 20)
    hits = caster.hits(replace(stage, ground=raised), eyes())
    x, y, z = hits.points[:, :3].unbind(1)
    near, face = (hits.index[:, 0] == GROUND) & (z < 25), hits.kerb[:, 0]
    for level, there in ((0.0, near & ~face & (x.abs() < 2)), (-0.15, near & ~face & (x.abs() > 2))):
        assert there.sum() > 300 and float((y[there] - level).abs().max()) < 1e-4
    assert face.sum() > 50 and float((x[near & face].abs() - 2).abs().max()) < 0.02
    assert bool(((y[face] < 1e-4) & (y[face] > -0.15 - 1e-4)).all())
