"""The parts of the generated world: draws, textures, paths, roads, tracing, photometry."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.worlds import CLEAN, SMALL, box, straight
from training.settings import build as from_plain
from training.settings import plain
from training.world import WorldConfig, photometry
from training.world.config import Motion, Photometry
from training.world.draw import Draw
from training.world.grid import NONE, candidates, grid, groups
from training.world.motion import STEPS, Route, rotation, travel
from training.world.scene import Hill, Road, Solids
from training.world.textures import SIZE, load
from training.world.trace import Eyes, first

SEEDS = torch.arange(64)


def test_draws_are_uniform_independent_and_named() -> None:
    d = Draw(SEEDS)
    u = d.unit("a", (2000,))
    assert abs(float(u.mean()) - 0.5) < 0.003 and abs(float(u.std()) - math.sqrt(1 / 12)) < 0.003
    assert float(u.min()) > 0 and float(u.max()) < 1
    others = [d.unit("b", (2000,)), d.within("x").unit("a", (2000,)), u.roll(1, 0), u.roll(1, 1)]
    for other in others:
        assert abs(float(torch.corrcoef(torch.stack([u.flatten(), other.flatten()]))[0, 1])) < 0.01
    assert torch.equal(Draw(SEEDS[5:6]).unit("a", (2000,))[0], u[5])
    assert torch.equal(d.unit("a", (7,)), u[:, :7])


def test_draws_of_places_belong_to_the_places() -> None:
    d = Draw(SEEDS[:2])
    here, there = d.at(torch.tensor([[3, 4, 5]] * 2)), d.at(torch.tensor([[-1, 5, 3]] * 2))
    a, b = here.unit("x", (4,)), there.unit("x", (4,))
    assert torch.equal(a[:, 0], b[:, 2]) and torch.equal(a[:, 2], b[:, 1]) and not torch.equal(a[:, 1], b[:, 0])


@pytest.mark.parametrize("at_places", [False, True])
def test_draws_do_not_depend_on_what_is_drawn_before_or_with_them(at_places: bool) -> None:
    places = torch.arange(12).view(4, 3)

    def draw() -> Draw:
        return Draw(SEEDS[:4], "scope.").at(places) if at_places else Draw(SEEDS[:4], "scope.")

    asked = [("a", ()), ("b", (3,)), ("inner.c", (2, 2)), ("a", (2,))]
    for names in (asked, asked[::-1], asked):
        d = draw()
        for name, shape in names:
            counters = torch.arange(math.prod(shape)).view(1, *shape)
            if at_places:
                counters = places.view(4, 3, *[1] * len(shape)) * 2**20 + counters
            found = d.within("inner").unit("c", shape) if name == "inner.c" else d.unit(name, shape)
            assert torch.equal(found, (d.bits(name, counters).float() + 0.5) / 2**24)


def test_the_greatest_draw_is_below_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no index leaves its family."""
    d = Draw(SEEDS[:2])
    monkeypatch.setattr("training.world.draw._bits", lambda base, counters: torch.full_like(base + counters, 0xFFFFFF))
    assert 1 - 1e-7 < float(d.unit("greatest")[0]) < 1
    for count in range(1, 40):
        assert int((d.unit("greatest") * count).floor()[0]) == count - 1
        assert int(d.choice("greatest", [1.0] * count)[0]) == count - 1


def test_other_distributions() -> None:
    d = Draw(SEEDS)
    n = d.normal("n", 2.0, (4000,))
    assert abs(float(n.std()) - 2.0) < 0.03 and abs(float(n.mean())) < 0.03 and float(n.abs().max()) <= 7.0
    log = d.log_uniform("l", 0.1, 10.0, (4000,)).log10()
    assert abs(float(log.mean())) < 0.02 and float(log.min()) >= -1.001 and float(log.max()) <= 1.001
    share = torch.bincount(d.choice("c", [1.0, 0.0, 3.0], (4000,)).flatten(), minlength=3) / (64 * 4000)
    assert share.tolist() == pytest.approx([0.25, 0.0, 0.75], abs=0.01)


def test_textures_repeat_average_and_interpolate() -> None:
    textures = load("cpu")
    index = torch.full((500,), float(textures.families["bricks"][0]))
    u, v = torch.rand(2, 500, generator=torch.Generator().manual_seed(1))
    fine = textures.sample(index, u, v, torch.full_like(u, 0.5 / SIZE), 0.0)
    assert torch.allclose(fine, textures.sample(index, u + 3, v - 2, torch.full_like(u, 0.5 / SIZE), 0.0), atol=2e-3)
    assert float(fine.std()) > 0.02
    whole = textures.sample(index, u, v, torch.ones_like(u), 1.0)
    assert float(whole.std()) < 1e-6 and float(whole[0]) == pytest.approx(float(fine.mean()), abs=0.03)
    # Between the centres of two texels lies their mean.
    at = torch.tensor([10.5, 11.0, 11.5]) / SIZE
    row = textures.sample(index[:3], at, torch.full((3,), 20.5 / SIZE), torch.full((3,), 1e-4), 0.0)
    assert float(row[1]) == pytest.approx(float(row[0] + row[2]) / 2, abs=1e-3)


def test_leaves_are_open_as_often_as_asked() -> None:
    u, v = torch.rand(2, 20000, generator=torch.Generator().manual_seed(1)) * 7
    for share in (0.0, 0.2, 0.7):
        assert float(load("cpu").leaves.open(u, v, torch.full_like(u, share)).float().mean()) == pytest.approx(
            share, abs=0.03
        )


@settings(deadline=None, max_examples=50)
@given(st.floats(-0.03, 0.03), st.floats(-3, 3), st.floats(-40, 80), st.floats(-12, 12))
def test_places_on_a_road_are_found_again(curvature: float, heading: float, s: float, d: float) -> None:
    one = lambda x: torch.tensor([x], dtype=torch.float64)  # noqa: E731
    road = Road(torch.tensor([[3.0, -2.0]], dtype=torch.float64), one(heading), one(curvature))
    place, ahead = road.place(one(s)[None], one(d)[None])
    found = road.locate(place[..., 0], place[..., 1])
    assert float(found[0]) == pytest.approx(s, abs=1e-5) and float(found[1]) == pytest.approx(d, abs=1e-5)
    # A little further on lies in the direction of the heading there.
    step = road.place(one(s + 1e-4)[None], one(0.0)[None])[0] - road.place(one(s)[None], one(0.0)[None])[0]
    assert math.atan2(float(step[0, 0, 0]), float(step[0, 0, 1])) == pytest.approx(
        math.remainder(float(ahead), 2 * math.pi), abs=1e-5
    )


def test_a_hill_is_met_where_it_is() -> None:
    hill = Hill(torch.tensor([[0.0, 1.0]] * 3), torch.tensor([10.0] * 3), torch.tensor([0.2, -0.2, 0.0]))
    origin = torch.tensor([0.0, -1.5, 0.0])[:, None].expand(3, 3, 1)
    ray = torch.tensor([[0.0, 0.1, 1.0], [0.0, 0.4, 1.0], [0.1, -0.05, 1.0], [0.0, 0.12, 1.0]]).T.expand(3, 3, 4)
    w = hill.meet(origin, ray)
    point = origin + ray / w.clamp_min(1e-6)[:, None]
    hit = w > 0
    up = hill.up(point[:, 0], point[:, 2])
    assert torch.allclose(-point[:, 1][hit], up[hit], atol=1e-4)
    assert hit.tolist() == [[True] * 4, [False, True, False, False], [True, True, False, True]]


def test_rotation_follows_the_mounts_convention() -> None:
    zero = torch.zeros(1, dtype=torch.float64)
    right = rotation(zero + 0.3, zero, zero)[0] @ torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    down = rotation(zero, zero + 0.3, zero)[0] @ torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
    low = rotation(zero, zero, zero + 0.3)[0] @ torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert right[0] > 0.2 and down[1] > 0.2 and low[1] > 0.2


def route(n: int, follow: float = 0.0, curvature: float = 0.0, angle: float = 0.0) -> Route:
    full = lambda x: torch.full((n,), x, dtype=torch.float64)  # noqa: E731
    return Route(full(follow), full(curvature), full(0.0), full(8.0), full(angle))


def drive(motion: Motion, frames: int, n: int = 16, **kwargs: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Time step, and position and heading at the frames."""
    platform = torch.zeros(n, dtype=torch.long)
    path = travel(
        Draw(torch.arange(n)), motion, platform, frames, torch.full((n,), 1.5), route(n, **kwargs), torch.tensor(50.0)
    )
    at = STEPS * (torch.arange(frames) + 1)
    return path.dt * STEPS, path.position[:, at], path.heading[:, at]


def test_speed_is_what_the_platform_does() -> None:
    motion = Motion({"only": straight(speed=(0.0, 10.0))}, still=0.0, reverse=0.0, spot=0.0, fps=(10.0,), reach=100.0)
    dt, position, _ = drive(motion, 40, 64)
    speed = torch.diff(position, dim=1).norm(dim=-1) / dt[:, None]
    assert float(speed.max()) < 14 and float(speed.std(dim=1).max()) > 0.2
    assert float(speed.mean(1).max()) > 8 and float(speed.mean(1).min()) < 2
    slow = Motion({"only": straight(speed=(0.0, 10.0))}, still=0.0, reverse=0.0, spot=0.0, fps=(10.0,), reach=0.2)
    assert float(torch.diff(drive(slow, 10, 64)[1], dim=1).norm(dim=-1).max()) < 0.3 * 1.5 * 1.5


def test_frame_rates_are_drawn_from_those_that_are_given() -> None:
    count = 200
    path = travel(
        Draw(torch.arange(count)), Motion({"only": straight()}), torch.zeros(count, dtype=torch.long), 1,
        torch.ones(count), route(count), torch.tensor(50.0),
    )  # fmt: skip
    rates = (1 / (path.dt * STEPS)).round(decimals=6).tolist()
    assert set(rates) == {5.0, 7.5, 10.0, 15.0, 20.0, 30.0}
    assert rates.count(10.0) > 2 * max(rates.count(rate) for rate in {*rates} - {10.0})


def test_a_bend_turns_by_its_angle_and_the_lever_swings_the_camera() -> None:
    calm = {"speed": (5.0, 5.0), "grip": 1e9}
    bend = {"follow": 1.0, "angle": math.pi / 2}
    still = {"still": 0.0, "reverse": 0.0, "spot": 0.0, "fps": (10.0,)}
    _, position, heading = drive(Motion({"only": straight(**calm)}, **still), 80, **bend)  # type: ignore[arg-type]
    end = heading[:, -1]
    assert float((end - math.pi / 2).abs().max()) < 0.02
    _, ahead, _ = drive(Motion({"only": straight(**calm, lever=(2.0, 2.0))}, **still), 80, **bend)  # type: ignore[arg-type]
    difference = ahead[:, -1] - position[:, -1]
    expected = torch.stack([2 * end.sin(), 0 * end, 2 * end.cos() - 2], -1)
    assert torch.allclose(difference, expected, atol=1e-6)


def empty() -> Solids:
    return box(half=torch.zeros(1, 1, 3))


def look(solids: dict[str, Solids]) -> torch.Tensor:
    """(H, W) depth of what stands in the world, 0 where nothing does, from 1.5 m above the origin."""
    eyes = Eyes(torch.tensor([0.0, -1.5, 0.0]).view(1, 1, 1, 3), torch.eye(3).view(1, 1, 1, 3, 3), torch.zeros(1, 1, 1))
    through = grid(SMALL, 1, torch.device("cpu"))
    boxes, rounds = solids.get("boxes", empty()), solids.get("rounds", empty())
    inverse, index = first(through, boxes, rounds, eyes, load("cpu").leaves, 1 << 20)
    assert torch.equal(index >= 0, inverse > 0)
    return through.image(torch.where(inverse > 0, 1 / inverse.clamp_min(1e-6), 0.0)[:, 0])[0]


def rays() -> np.ndarray:
    return SMALL.rays()


def test_a_box_is_met_at_its_faces() -> None:
    depth = look({"boxes": box()}).numpy()
    x, y, _ = np.moveaxis(rays(), -1, 0)
    front = (np.abs(x * 9) < 1) & (y * 9 - 1.5 > -2) & (y * 9 - 1.5 < 0)
    assert np.allclose(depth[front], 9.0, atol=1e-4)
    nothing = (np.abs(x * 9) > 1) | (y * 9 - 1.5 < -2) | (y * 9 - 1.5 > 0)
    assert (depth[nothing] == 0).all() and front.sum() > 100


def test_a_leaning_box_is_narrower_at_its_top() -> None:
    depth = look({"boxes": box(taper=torch.tensor([[[0.5, 0.0]]]))}).numpy() > 0
    rows = np.flatnonzero(depth.any(1))
    top, bottom = depth[rows[1]].sum(), depth[rows[-2]].sum()
    assert bottom / top == pytest.approx(1.5 / 0.5, rel=0.25)


def test_a_ball_is_met_where_algebra_says() -> None:
    depth = look({"rounds": box()}).numpy()
    d = rays()
    offset = np.array([0.0, 0.5, 10.0])  # from the eye to the centre
    a, b, c = (d * d).sum(-1), d @ offset, offset @ offset - 1
    root = b * b - a * c
    expected = np.where(root > 0, (b - np.sqrt(np.maximum(root, 0))) / a, 0)
    assert np.allclose(depth[root > 1e-2], expected[root > 1e-2], rtol=2e-3)
    assert (depth[root < -1e-2] == 0).all() and (root > 1e-2).sum() > 50


def test_a_cylinder_ends_at_its_top_and_shows_it_from_above() -> None:
    upright = box(
        straight=torch.ones(1, 1), centre=torch.tensor([[[0.0, -0.5, 4.0]]]), half=torch.tensor([[[1.0, 0.5, 1.0]]])
    )
    depth = look({"rounds": upright}).numpy()
    column = depth[:, 80]  # nearly straight ahead
    y = rays()[:, 80, 1]
    side = (y * 3 > 0.5) & (y * 3 < 1.5)
    assert np.allclose(column[side], 3.0, atol=0.01)
    top = (y * 3 < 0.49) & (y * 5 > 0.51)
    assert top.sum() > 2 and np.allclose(column[top] * y[top], 0.5, atol=0.01)
    assert (column[y * 5 < 0.48] == 0).all()


def test_culling_loses_nothing() -> None:
    """What a tile is not asked about does not appear in it."""
    generator = torch.Generator().manual_seed(3)
    n = 40
    draw = lambda *shape: torch.rand(1, n, *shape, generator=generator)  # noqa: E731
    centre = torch.stack([(draw() - 0.5) * 30, -draw() * 3, 2 + draw() * 30], -1)
    zero, three = torch.zeros(1, n), torch.zeros(1, n, 3)
    many = Solids(centre, draw() * 6, 0.3 + draw(3), draw(2) * 0.5, zero, zero, three, three, three, zero,
                  torch.zeros(1, n, 2), zero.long(), torch.arange(n)[None])  # fmt: skip
    for kind in ("boxes", "rounds"):
        together = look({kind: many})
        single = [look({kind: many.without(torch.arange(n)[None] != i)}) for i in range(n)]
        nearest = torch.stack([torch.where(d > 0, d, 1e9) for d in single]).amin(0)
        assert torch.allclose(together, torch.where(nearest < 1e9, nearest, 0.0), rtol=1e-3, atol=1e-3)


def test_groups_cover_every_tile_with_all_its_candidates() -> None:
    through = grid(SMALL, 1, torch.device("cpu"))
    points = torch.randn(2, 30, 8, 3, generator=torch.Generator().manual_seed(0)) + torch.tensor([0.0, 0.0, 4.0])
    found, count = candidates(through, points, torch.ones(2, 30, dtype=torch.bool))
    seen = torch.zeros(count.numel(), dtype=torch.long)
    for group, chosen in groups(found, count, 64, 100):
        seen[group] += 1
        assert torch.equal((chosen != NONE).sum(1), count.flatten()[group])
    assert torch.equal(seen, (count.flatten() > 0).long())


def test_exposure_noise_and_focus_do_what_they_say() -> None:
    seeds, outside = torch.arange(8), torch.zeros(8, dtype=torch.bool)
    light = torch.full((8, 3, 32, 48), 0.4)
    light[..., 24:] = 0.2
    clean = photometry.Development(seeds, CLEAN)(light.clone(), outside).float()
    assert torch.equal(clean[:, 0], clean[:, 1]) and float((clean[..., :24] - clean[..., 24:]).min()) > 5
    noisy = photometry.Development(seeds, replace(CLEAN, noise=(3.0, 3.0)))(light.clone(), outside).float()
    assert float((noisy - clean).std()) == pytest.approx(3.0, rel=0.35)
    assert not torch.equal(noisy[:, 0], noisy[:, 1])
    soft = photometry.Development(seeds, replace(CLEAN, blur=(0.8, 0.8)))(light.clone(), outside).float()
    edge = lambda image: torch.diff(image, dim=-1).abs().amax(-1)  # noqa: E731
    assert float((edge(soft) / edge(clean)).max()) < 0.7
    flicker = photometry.Development(seeds, replace(CLEAN, flicker=0.2))(light.clone(), outside).float()
    assert float(flicker.mean((2, 3)).std(1).mean()) > 3


def test_images_of_many_pixels_are_developed() -> None:
    """More than twice as many as there are different numbers for their noise."""
    light = torch.full((1, 1, 2049, 2048), 0.4)
    noisy = photometry.Development(SEEDS[:1], replace(CLEAN, noise=(3.0, 3.0)))(light, torch.zeros(1, dtype=torch.bool))
    assert noisy.numel() > 2 * photometry.NORMALS
    assert float(noisy[0, 0, 0].float().std()) == pytest.approx(float(noisy[0, 0, -1].float().std()), rel=0.1)


def test_compression_leaves_the_mean_of_blocks_nearly_alone() -> None:
    seeds, outside = torch.arange(4), torch.zeros(4, dtype=torch.bool)
    light = torch.rand(4, 1, 32, 48, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.2
    clean = photometry.Development(seeds, CLEAN)(light.clone(), outside).float()
    packed = photometry.Development(seeds, replace(CLEAN, jpeg=1.0))(light.clone(), outside).float()
    blocks = torch.nn.functional.avg_pool2d(packed - clean, 8)
    assert float(blocks.abs().max()) < 2 and 0.2 < float((packed - clean).std()) < 10


def test_configuration_survives_plain_values() -> None:
    config = WorldConfig(photometry=Photometry(rain=0.5))
    again = from_plain(WorldConfig, plain(config), "test")
    assert again == config
    assert WorldConfig.from_dict({"samples": 2, "places": {"street": 3}}).places.street == 3.0
