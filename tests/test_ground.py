"""The length of a step, read from the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from ros2_vodistill import geometry
from ros2_vodistill.blocks import GroundView, Level, flow, normalised
from ros2_vodistill.camera import Camera, Mount
from ros2_vodistill.epipolar import Epipolar
from ros2_vodistill.ground import Ground, GroundFit, Prior
from ros2_vodistill.road import Road, plane_normal
from ros2_vodistill.view import View
from tests.street import Street, motion

Array = NDArray[np.float64]
CAMERA = Camera(480, 200, "pinhole", 300, 300, 239.5, 80)
HEIGHT = 1.5
SCHEDULE = ((1, 4), (0, 4))


def prior(step: Array, length: float, variance: float = 0.01, road: Array | None = None) -> Prior:
    """What epipolar geometry would know of a step in metres, and a guess of its length in camera heights."""
    direction = step[:3, 3] / np.linalg.norm(step[:3, 3])
    covariance = np.diag([3e-4**2] * 3 + [5e-3**2] * 2)
    known = Epipolar(step[:3, :3], direction, covariance, 1e-4, np.ones(1))
    slopes, doubt = Road.unknown().seen
    return Prior(known, length, variance, slopes if road is None else road, doubt)


def measured(
    step: Array, start: float, *, tilt: Array | None = None, street: Street | None = None, noise: float = 1.0
) -> GroundFit:
    """The fit of a step in metres from a guess of the length in camera heights; `tilt` is how the mount is off."""
    tilt, street = np.eye(4) if tilt is None else tilt, street or Street(HEIGHT)
    ground = Ground(CAMERA, Mount())
    first, second = (street(CAMERA, pose, noise, seed) for seed, pose in enumerate((tilt, step_of(tilt, step))))
    seen = np.linalg.inv(tilt) @ step @ tilt
    return ground.fit(ground.views(first), ground.views(second), prior(seen, start), SCHEDULE)


def step_of(tilt: Array, step: Array) -> Array:
    return step @ tilt


@pytest.mark.parametrize("step", [motion(0.6), motion(1.2, 0.05), motion(0.15), motion(-0.5), motion(0.2, side=0.3)])
def test_the_length_is_right_to_a_percent(step: Array) -> None:
    true = float(np.linalg.norm(step[:3, 3])) / HEIGHT
    fit = measured(step, 0.9 * true)
    assert np.linalg.norm(fit.translation) == pytest.approx(true, rel=0.015, abs=0.002)
    assert geometry.angle(fit.rotation.T @ step[:3, :3]) < 1e-3
    assert fit.score > 0.8
    assert fit.support > 0.7
    assert fit.strain < 3


@pytest.mark.parametrize(("pitch", "roll"), [(0.02, 0.0), (-0.02, 0.0), (0.0, 0.03)])
def test_a_mount_that_is_off_is_found_out(pitch: float, roll: float) -> None:
    tilt = geometry.make(Mount(pitch=pitch, roll=roll).level_from_camera, np.zeros(3))
    fit = measured(motion(0.6), 0.4, tilt=tilt)
    assert np.linalg.norm(fit.translation) == pytest.approx(0.4, rel=0.02)
    assert fit.road[1] == pytest.approx(np.tan(pitch), abs=0.008)
    assert fit.road[0] == pytest.approx(np.tan(roll), abs=0.01)


def test_without_slopes_a_mount_that_is_off_is_a_wrong_length() -> None:
    """That is what the slopes are for: two hundredths of a radian are a tenth of the length."""
    tilt, step, street = geometry.make(Mount(pitch=0.02).level_from_camera, np.zeros(3)), motion(0.6), Street(HEIGHT)
    ground = Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose)) for pose in (tilt, step_of(tilt, step))]
    stiff = prior(np.linalg.inv(tilt) @ step @ tilt, 0.4)
    stiff = Prior(stiff.epipolar, stiff.length, stiff.length_variance, stiff.road, np.eye(3) * 1e-12)
    assert np.linalg.norm(ground.fit(*views, stiff, SCHEDULE).translation) > 0.42


def test_the_search_finds_a_step_that_nobody_foretold() -> None:
    step, street, ground = motion(2.1, 0.02), Street(HEIGHT), Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose, 1.0)) for pose in (np.eye(4), step)]
    found = ground.search(*views, prior(step, 0.0))
    assert found.length == pytest.approx(1.4, abs=1.5 * ground.pace)
    measured = ground.measure(*views, prior(step, 0.0, variance=np.inf), SCHEDULE)
    assert measured is not None
    assert np.linalg.norm(measured.translation) == pytest.approx(1.4, rel=0.02)


def test_the_search_goes_as_far_as_the_step_may_be() -> None:
    """A camera that sees the ground at its feet, on a vehicle that drives fast."""
    camera, step, street = Camera(480, 320, "pinhole", 240, 240, 239.5, 90), motion(2.4), Street(HEIGHT)
    ground = Ground(camera, Mount())
    views = [ground.views(street(camera, pose, 1.0, seed)) for seed, pose in enumerate((np.eye(4), step))]
    for expected in (1.3, 1.5, 1.75):
        fit = ground.measure(*views, prior(step, expected, variance=0.15**2), SCHEDULE)
        assert fit is not None
        assert np.linalg.norm(fit.translation) == pytest.approx(1.6, rel=0.02)
    unexpected = ground.search(*views, prior(step, 0.2, variance=0.15**2))
    assert unexpected.length < 0.8 * 1.05 * 240 / 229.5  # of the nearest road


def test_the_edge_of_what_the_camera_sees_is_no_texture() -> None:
    """A portrait image is narrower than the road that is looked at; its sides stay in their place."""
    camera, street = Camera(200, 320, "pinhole", 160, 160, 99.5, 80), Street(HEIGHT, width=None, contrast=0.5)
    ground, step = Ground(camera, Mount()), motion(0.6)
    views = [ground.views(street(camera, pose, 3.0, seed)) for seed, pose in enumerate((np.eye(4), step))]
    assert abs(ground.fit(*views, prior(step, 0.4), SCHEDULE).static) < 0.1


def test_a_ground_that_corners_would_lie_below_must_be_sure() -> None:
    step, street, ground = motion(0.6), Street(HEIGHT, contrast=4.0), Ground(CAMERA, Mount())
    clear, vague = (
        [ground.views(street(CAMERA, pose, noise, seed)) for seed, pose in enumerate((np.eye(4), step))]
        for noise in (0.3, 4.0)
    )
    free = prior(step, 0.4)
    bound = replace(free, longest=0.3)
    assert ground.measure(*vague, free, SCHEDULE) is not None
    assert ground.measure(*vague, bound, SCHEDULE) is None
    assert ground.measure(*vague, replace(free, longest=0.5), SCHEDULE) is not None
    assert ground.measure(*clear, bound, SCHEDULE) is not None
    assert ground.search(*clear, bound).length < 0.3


def test_the_covariance_says_how_faint_the_ground_is() -> None:
    rich, faint = (measured(motion(0.6), 0.4, street=Street(HEIGHT, contrast=c), noise=3.0) for c in (30.0, 2.0))
    rich_sd, faint_sd = (float(np.sqrt(fit.covariance[2, 2])) for fit in (rich, faint))
    assert 1e-4 < rich_sd < faint_sd
    assert abs(np.linalg.norm(faint.translation) - 0.4) < 5 * faint_sd + 0.01


def test_the_length_of_the_pixels_is_free_of_the_one_that_was_foretold() -> None:
    step, street, ground = motion(0.6), Street(HEIGHT, contrast=4.0), Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose, 3.0, seed)) for seed, pose in enumerate((np.eye(4), step))]
    told = [ground.fit(*views, prior(step, start, variance=0.01**2), SCHEDULE) for start in (0.36, 0.44)]
    drawn = np.diff([np.linalg.norm(fit.translation) for fit in told])[0]
    own = np.diff([fit.length.value for fit in told])[0]
    assert abs(own) < 0.5 * drawn
    for fit in told:
        assert fit.length.variance > fit.covariance[2, 2]
        assert abs(fit.length.value - 0.4) < 4 * np.sqrt(fit.length.variance)


def test_another_scene_is_not_believed() -> None:
    ground, step = Ground(CAMERA, Mount()), motion(0.6)
    one, other = (ground.views(Street(HEIGHT, seed=s)(CAMERA, np.eye(4))) for s in (0, 1))
    assert ground.fit(one, other, prior(step, 0.4), SCHEDULE).score < 0.4
    assert ground.measure(one, other, prior(step, 0.4), SCHEDULE) is None


def test_black_ground_leaves_the_prior() -> None:
    ground, black = Ground(CAMERA, Mount()), np.zeros((CAMERA.height, CAMERA.width), np.uint8)
    fit = ground.fit(ground.views(black), ground.views(black), prior(motion(0.6), 0.37), SCHEDULE)
    assert np.linalg.norm(fit.translation) == pytest.approx(0.37, abs=1e-6)
    assert np.sqrt(fit.covariance[2, 2]) == pytest.approx(0.1, rel=0.05)
    assert fit.score < 0.1


def foggy(pose: Array, seed: int) -> NDArray[np.uint8]:
    """A road without texture in the camera's own light: whatever the motion, it looks the same."""
    rows, columns = np.mgrid[: CAMERA.height, : CAMERA.width]
    light = 90 + 60 * np.exp(-(((rows - 140) / 25) ** 2) - ((columns - 240) / 90) ** 2) - 0.2 * rows
    return (light + np.random.default_rng(seed).normal(0, 0.5, light.shape)).round().astype(np.uint8)


def test_what_stays_where_it_is_in_the_picture_is_no_measure_of_a_motion() -> None:
    ground, step = Ground(CAMERA, Mount()), motion(0.6)
    views = [ground.views(foggy(pose, seed)) for seed, pose in enumerate((np.eye(4), step))]
    fit = ground.fit(*views, prior(step, 0.0), SCHEDULE)
    assert fit.believed  # by its own lights: the two views fit together as they are
    assert np.linalg.norm(fit.translation) < 0.05
    assert not fit.clear
    assert ground.measure(*views, prior(step, 0.4), SCHEDULE) is None


@pytest.mark.parametrize("ahead", [0.01, 0.05, 0.6])
def test_a_road_that_moves_is_a_measure_however_slowly(ahead: float) -> None:
    step, street, ground = motion(ahead), Street(HEIGHT), Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose, 1.0, seed)) for seed, pose in enumerate((np.eye(4), step))]
    fit = ground.measure(*views, prior(step, ahead / HEIGHT), SCHEDULE)
    assert fit is not None
    assert np.linalg.norm(fit.translation) == pytest.approx(ahead / HEIGHT, rel=0.02, abs=0.002)


def test_flow_agrees_with_differences() -> None:
    rays = np.array([[-0.4, 0.2, 1.0], [0.0, 0.3, 1.0], [0.3, 0.1, 1.0]])
    rotation, translation = geometry.so3_exp([0.01, 0.05, -0.02]), np.array([0.1, 0.02, 0.5])
    road = np.array([0.02, -0.03, 0.0])
    jacobian = np.moveaxis(flow(rays, rotation, translation, road), -1, 0)
    before = rotation + np.outer(translation, plane_normal(road))

    def moved(change: Array) -> Array:
        """Where the points are now that were seen at the rays before: in this view's plane."""
        turned = geometry.so3_exp(change[3:6]) @ rotation
        after = turned + np.outer(translation + change[:3], plane_normal(road + [change[6], change[7], 0]))
        seen = rays @ after.T @ np.linalg.inv(before).T
        return seen[:, :2] / seen[:, 2:]

    for k, change in enumerate(1e-6 * np.eye(8)):
        np.testing.assert_allclose((moved(change) - rays[:, :2]) / 1e-6, jacobian[:, :, k], atol=1e-5)
    # a road that falls away by c z^2 / 2 looks like ground that much nearer or farther: minus its flow by height
    by_height = np.einsum("nij,j->ni", jacobian[:, :, :3], translation)
    ahead = rays[:, 2] / rays[:, 1]
    np.testing.assert_allclose(jacobian[:, :, 8], by_height * (ahead**2 / 2)[:, None], atol=1e-12)


GRID = View(167, 96, 30.0, 52.0, 82.3, -10.4)


def level(seen: NDArray[np.bool_] | None = None) -> Level:
    return Level(GRID, np.ones((96, 167), bool) if seen is None else seen, 1.0, 4.0, 8)


def test_a_blocks_ray_is_that_of_its_middle_and_blocks_tile_the_road() -> None:
    blocks = level()
    pixels = np.stack(np.meshgrid(np.arange(167.0), np.arange(96.0)), axis=-1)
    tiled = blocks.crop(pixels)
    rows, columns = tiled.shape[0] // 8, tiled.shape[1] // 8
    assert tiled.shape == (8 * rows, 8 * columns, 2)
    middles = tiled.reshape(rows, 8, columns, 8, 2).mean(axis=(1, 3))
    rays = GRID.rays_at(middles)
    on_road = np.abs(rays[..., 0]) <= 2 * rays[..., 1]
    np.testing.assert_allclose(blocks.rays, rays[on_road])
    assert tiled[-1, 0, 1] == 95  # from the nearest ground on
    assert 0 <= tiled[0, 0, 1] - (52.0 / 4.0 - 10.4) < 8  # as far as was asked for
    assert columns == 2 * 2 * 30 // 8  # from two camera heights at the left, where that is one ahead, to the right


def test_blocks_that_the_camera_does_not_see_wholly_are_none() -> None:
    seen = np.ones((96, 167), bool)
    seen[90, 80] = False
    assert len(level(seen).rays) == len(level().rays) - 1


def test_blocks_say_how_far_they_are_off() -> None:
    down, across = np.mgrid[:96, :167].astype(float)

    def waves(x: float, y: float) -> NDArray[np.uint8]:
        u, v = across - x, down - y
        image = 120 + 25 * np.sin(u / 2.5) + 25 * np.sin(v / 2.2) + 25 * np.sin((u + v) / 3.1)
        return image.round().astype(np.uint8)

    blocks, visible = level(), np.ones(len(level().rays), bool)
    here, moved = (GroundView(waves(*by), blocks) for by in ((0, 0), (0.3, -0.2)))
    shifts = blocks.shifts(moved.picture, here.picture, visible)
    np.testing.assert_allclose(np.median(shifts.offset, axis=1), [0.3, -0.2], atol=0.03)
    np.testing.assert_allclose(blocks.pulled(here, np.eye(3)), here.picture, atol=1e-3)
    assert blocks.visible(np.eye(3)).all()
    assert blocks.correlation(here.picture, here.picture, visible) == pytest.approx(1.0, abs=1e-4)
    assert blocks.correlation(here.picture, -here.picture, visible) == pytest.approx(-1.0, abs=1e-4)
    few = np.arange(len(visible)) < 3
    assert blocks.correlation(here.picture, here.picture, few) == -1.0


def test_what_the_last_view_did_not_show_is_not_visible() -> None:
    seen = np.ones((96, 167), bool)
    seen[:, :83] = False
    blocks = level(seen)
    step = np.eye(3)
    step[0, 1] = 0.5  # half a camera height to the right: where the ground was seen, in the last view
    places = GRID.fx * (blocks.rays[:, 0] + 0.5 * blocks.rays[:, 1]) + GRID.cx
    np.testing.assert_array_equal(blocks.visible(step), np.round(places) < 167)
    step[0, 1] = -0.5
    places = GRID.fx * (blocks.rays[:, 0] - 0.5 * blocks.rays[:, 1]) + GRID.cx
    np.testing.assert_array_equal(blocks.visible(step), np.round(places) >= 83)
    behind = np.eye(3)
    behind[2, 1] = -10.0
    assert not blocks.visible(behind).any()


def test_light_and_contrast_hardly_matter() -> None:
    image = Street(HEIGHT)(CAMERA, np.eye(4))
    dim = (0.5 * image + 20).astype(np.uint8)
    one, other = (
        normalised(each, np.empty(each.shape, np.float32), np.empty((2, *each.shape), np.float32))[20:-20, 20:-20]
        for each in (image, dim)
    )
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.99
    assert one.std() == pytest.approx(other.std(), rel=0.1)


@pytest.mark.parametrize("camera", [
    CAMERA,
    Camera(640, 480, "plumb_bob", 400, 400, 319.5, 239.5, (-0.3, 0.1, 0.001, -0.001, 0.0)),
    Camera(640, 480, "equidistant", 200, 200, 319.5, 239.5, (0.01, -0.005, 0.002, 0.0)),
    Camera(1241, 376, "pinhole", 718.856, 718.856, 607.1928, 185.2157),
])  # fmt: skip
@pytest.mark.parametrize("pitch", [0.0, 0.4])
def test_the_levels_look_at_ground_that_the_camera_sees(camera: Camera, pitch: float) -> None:
    mount = Mount(pitch=pitch)
    ground = Ground(camera, mount)
    assert len(ground.levels) >= 2
    views = ground.views(np.full((camera.height, camera.width), 77, np.uint8))
    for level, view in zip(ground.levels, (each.image for each in views), strict=True):
        assert view.shape == (level.view.height, level.view.width)
        assert (level.rays[:, 1] > 0).all()
        pixels = camera.project(level.rays @ mount.level_from_camera)
        assert (pixels > -1).all()
        assert (pixels < [camera.width, camera.height]).all()
        assert level.visible(np.eye(3)).all()
        assert (
            level.crop(view)[level.block // 2 :: level.block, level.block // 2 :: level.block][level.used] == 77
        ).all()
    assert ground.levels[0].size[0] * ground.levels[0].size[1] < 180_000


def test_a_camera_that_looks_up_has_no_ground() -> None:
    ground = Ground(CAMERA, Mount(pitch=-0.5))
    assert ground.levels == []
    assert ground.views(np.zeros((CAMERA.height, CAMERA.width), np.uint8)) == []
    assert ground.measure([], [], prior(motion(0.6), 0.4), SCHEDULE) is None


@pytest.mark.parametrize(
    ("width", "height", "focal", "degrees"), [(80, 60, 88.0, -12.0), (64, 64, 80.0, -15.0), (640, 480, 640.0, 79.0)]
)
def test_a_camera_that_hardly_sees_ground_is_none_that_is_refused(
    width: int, height: int, focal: float, degrees: float
) -> None:
    camera = Camera(width, height, "pinhole", focal, focal, (width - 1) / 2, (height - 1) / 2)
    assert Ground(camera, Mount(1.0, np.radians(degrees))).levels == []


def test_what_a_search_finds_is_known_to_its_steps_and_slopes_are_searched_where_they_are_in_doubt() -> None:
    tilt = geometry.make(Mount(pitch=0.03).level_from_camera, np.zeros(3))
    step, street, ground = motion(2.1), Street(HEIGHT), Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose, 1.0)) for pose in (tilt, step_of(tilt, step))]
    unknown = prior(np.linalg.inv(tilt) @ step @ tilt, 0.0, variance=np.inf)
    found = ground.search(*views, unknown)
    assert found.length == pytest.approx(1.4, abs=2 * ground.pace)
    assert ground.pace < np.sqrt(found.length_variance) < 4 * ground.pace
    assert found.road[1] == pytest.approx(0.03, abs=0.01)
    sure = Prior(unknown.epipolar, 0.0, np.inf, unknown.road, 1e-8 * np.eye(3))
    np.testing.assert_array_equal(ground.search(*views, sure).road, unknown.road)


def test_what_fails_for_long_is_searched_seldom_until_it_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    ground, step, searched = Ground(CAMERA, Mount()), motion(0.6), []
    black = ground.views(np.zeros((CAMERA.height, CAMERA.width), np.uint8))

    def search(last: list[object], this: list[object], prior: Prior) -> Prior:
        searched.append(len(searched))
        return prior

    monkeypatch.setattr(ground, "search", search)
    counts = []
    for _ in range(2):
        for _ in range(15):
            assert ground.measure(black, black, prior(step, 0.4, np.inf), SCHEDULE) is None
        counts.append(len(searched))
        ground.reset()
    assert 0 < counts[0] < 8
    assert counts[1] == 2 * counts[0]


def test_a_ground_that_contradicts_the_corners_must_be_the_better_by_far() -> None:
    """A fit that fits both ways is no measure; nor is one by half of the road only."""
    good = measured(motion(0.6), 0.4)
    assert good.believed and good.clear and not good.overrules
    bent = replace(good, strain=30.0)
    assert not bent.believed
    assert replace(bent, score=0.97, support=0.97).overrules
    assert not replace(bent, score=0.97, support=0.7).overrules
    assert not replace(bent, score=0.7, support=0.97).overrules
    assert not replace(good, support=0.5).believed
    assert not replace(good, score=0.8, static=0.75).clear


def test_corners_that_are_off_yield_to_a_ground_that_is_the_better_by_far() -> None:
    step, street, ground = motion(0.6), Street(HEIGHT), Ground(CAMERA, Mount())
    views = [ground.views(street(CAMERA, pose, 0.5, seed)) for seed, pose in enumerate((np.eye(4), step))]
    off = step.copy()
    off[:3, :3] = geometry.so3_exp([0.0, 0.004, 0.0]) @ off[:3, :3]
    told = prior(off, 0.4)
    alone, found = ground.fit(*views, told, SCHEDULE), ground.measure(*views, told, SCHEDULE)
    assert alone.overrules
    assert found is not None
    assert geometry.angle(found.rotation) < 0.75 * geometry.angle(alone.rotation)
