"""The generated world: geometry, labels, reproducibility."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ros2_vodistill import geometry
from ros2_vodistill.camera import Camera
from ros2_vodistill.view import Patch, View
from tests.training.worlds import EXACT, SMALL, config, only, straight
from training.world import WorldConfig, render
from training.world.build import KINDS, PART
from training.world.cast import FAR
from training.world.clip import Renderer
from training.world.config import Motion, Photometry, Places, Rig


def pixels() -> tuple[np.ndarray, np.ndarray]:
    return np.meshgrid(np.arange(SMALL.width, dtype=float), np.arange(SMALL.height, dtype=float))


def lift(depth: np.ndarray) -> np.ndarray:
    """(H, W) depths to (H, W, 3) points in the view's frame."""
    u, v = pixels()
    return np.stack([(u - SMALL.cx) / SMALL.fx * depth, (v - SMALL.cy) / SMALL.fy * depth, depth], -1)


@pytest.mark.parametrize("back", [False, True])
def test_flow_agrees_with_depth_and_pose_where_nothing_moves(back: bool) -> None:
    clip = render(config(), range(12), labels=True)
    flow = clip.flow_back if back else clip.flow
    assert flow is not None and clip.depth is not None and clip.moving is not None
    u, v = pixels()
    checked = 0
    for b in range(12):
        for t in range(2):
            here, there = (t + 1, t) if back else (t, t + 1)
            motion = np.linalg.inv(clip.poses[b, there].numpy()) @ clip.poses[b, here].numpy()
            points = lift(clip.depth[b, here].numpy().astype(float)) @ motion[:3, :3].T + motion[:3, 3]
            fine = (points[..., 2] > 0.3) & ~clip.moving[b, here].numpy() & (clip.depth[b, here].numpy() < FAR / 2)
            expected = points[..., :2] / points[..., 2:] * [SMALL.fx, SMALL.fy] + [SMALL.cx, SMALL.cy]
            found = np.stack([u, v], -1) + np.moveaxis(flow[b, t].numpy(), 0, -1)
            error = np.abs(found - expected)[fine]
            checked += error.size
            assert np.percentile(error, 99) < 0.02 and error.max() < 1.0
    assert checked > 50_000


def test_what_moves_flows_back_to_where_it_came_from() -> None:
    """There and back again, by flow, and by flow back where it leads to: most pixels return, moving ones too."""
    clip = render(config(places=only("street")), range(8), labels=True)
    assert clip.flow is not None and clip.flow_back is not None and clip.moving is not None
    u, v = pixels()
    returned: dict[bool, list[float]] = {False: [], True: []}
    for b in range(8):
        there = np.stack([u, v], -1) + np.moveaxis(clip.flow[b, 0].numpy(), 0, -1)
        x, y = np.rint(there[..., 0]).astype(int), np.rint(there[..., 1]).astype(int)
        inside = (x >= 0) & (x < SMALL.width) & (y >= 0) & (y < SMALL.height)
        back = np.moveaxis(clip.flow_back[b, 0].numpy(), 0, -1)[y.clip(0, SMALL.height - 1), x.clip(0, SMALL.width - 1)]
        home = np.abs(np.stack([x, y], -1) + back - np.stack([u, v], -1)).max(-1) < 1.5
        for moves in (False, True):
            returned[moves] += home[inside & (clip.moving[b, 0].numpy() == moves)].tolist()
    assert np.mean(returned[False]) > 0.85
    assert len(returned[True]) > 100 and np.mean(returned[True]) > 0.6


def test_labels_of_another_view_are_those_of_its_pixels() -> None:
    """Every fourth pixel is a coarser view's; leaves, which thin out with the pixels' size, may differ."""
    coarse = View(40, 12, *(value / 4 for value in (SMALL.fx, SMALL.fy, SMALL.cx, SMALL.cy)))
    fine, own = (render(config(places=only("street")), range(4), labels=labels) for labels in (True, coarse))
    assert torch.equal(fine.images, own.images)
    assert fine.flow_back is not None and own.flow_back is not None and fine.depth is not None and own.depth is not None
    assert own.depth.shape == (4, 3, 12, 40)
    assert ((own.depth / fine.depth[..., ::4, ::4] - 1).abs() < 1e-4).float().mean() > 0.99
    assert ((4 * own.flow_back - fine.flow_back[..., ::4, ::4]).abs() < 1e-2).float().mean() > 0.99


def test_reprojection_lands_on_the_same_depth() -> None:
    """A point seen in one frame has, where the next frame sees it too, the depth that the next frame says."""
    clip = render(config(places=only("street")), range(6), labels=True)
    assert clip.flow is not None and clip.depth is not None and clip.moving is not None
    u, v = pixels()
    agreeing = []
    for b in range(6):
        motion = np.linalg.inv(clip.poses[b, 1].numpy()) @ clip.poses[b, 0].numpy()
        points = lift(clip.depth[b, 0].numpy().astype(float)) @ motion[:3, :3].T + motion[:3, 3]
        place = np.stack([u, v], -1) + np.moveaxis(clip.flow[b, 0].numpy(), 0, -1)
        x, y = np.rint(place[..., 0]).astype(int), np.rint(place[..., 1]).astype(int)
        inside = (x >= 0) & (x < SMALL.width) & (y >= 0) & (y < SMALL.height) & ~clip.moving[b, 0].numpy()
        inside &= clip.depth[b, 0].numpy() < 60
        there = clip.depth[b, 1].numpy()[y.clip(0, SMALL.height - 1), x.clip(0, SMALL.width - 1)]
        agreeing.append((np.abs(there / points[..., 2] - 1) < 0.05)[inside].mean())
    assert np.median(agreeing) > 0.85


def test_warping_by_the_flow_matches_the_next_image() -> None:
    """Photometric: the next frame, read where the flow points, looks like this one much more than unwarped."""
    clip = render(config(places=only("street")), range(16), labels=True)
    assert clip.flow is not None and clip.depth is not None
    gains = []
    for b in range(16):
        flow = clip.flow[b, 0]
        u, v = (torch.from_numpy(p).float() for p in pixels())
        x, y = u + flow[0], v + flow[1]
        grid = torch.stack([2 * x / (SMALL.width - 1) - 1, 2 * y / (SMALL.height - 1) - 1], -1)[None]
        images = clip.images[b].float()
        warped = torch.nn.functional.grid_sample(images[1][None, None], grid, align_corners=True)[0, 0]
        inside = (grid[0].abs() < 1).all(-1) & (clip.depth[b, 0] < 50)
        if float(flow.abs().mean()) < 0.5:
            continue
        unwarped = (images[1] - images[0]).abs()[inside].mean()
        gains.append(float(unwarped / ((warped - images[0]).abs()[inside].mean() + 1e-3)))
    assert len(gains) > 4 and np.median(gains) > 1.5


def test_moving_objects_flow_with_their_own_motion() -> None:
    """With a camera that stands still, what moves flows and all else does not."""
    still = config(motion=Motion(still=1.0, turn=0.0), places=only("street"))
    clip = render(still, range(40, 72), labels=True)
    assert clip.flow is not None and clip.moving is not None and clip.objects is not None
    moving = clip.moving[:, :-1]
    assert moving.sum() > 100
    length = clip.flow.norm(dim=2)
    assert float(length[~moving].max()) < 1e-3
    assert float(length[moving].mean()) > 0.2
    assert bool(((clip.objects > 0) | ~clip.moving).all())


def test_objects_are_told_apart() -> None:
    """Each is in one place, its parts are one, and a street has many."""
    settings = replace(config(places=only("street")), samples=1)
    clip = render(settings, range(4), frames=1, labels=True)
    assert clip.objects is not None and clip.depth is not None
    for seen, depth in zip(clip.objects[:, 0], clip.depth[:, 0], strict=True):
        spans = [depth[seen == number] for number in seen.unique() if number]
        assert len(spans) > 3
        assert max(float(span.max() - span.min()) for span in spans) < 15
    alone = render(settings, [3], frames=1, labels=True)
    assert alone.objects is not None and torch.equal(clip.objects[3:], alone.objects)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_place_renders(kind: str) -> None:
    clip = render(config(Rig(), Photometry(), places=only(kind)), range(100, 106), labels=True)
    assert clip.images.dtype == torch.uint8 and clip.images.shape == (6, 3, 48, 160)
    assert clip.depth is not None and clip.flow is not None
    for tensor in (clip.depth, clip.flow, clip.poses):
        assert bool(torch.isfinite(tensor).all())
    assert float(clip.depth.min()) > 0.02
    assert float(clip.images.float().std(dim=(1, 2, 3)).median()) > 8
    turn = clip.poses[..., :3, :3]
    assert torch.allclose(turn @ turn.transpose(-1, -2), torch.eye(3, dtype=torch.float64).expand_as(turn), atol=1e-12)


def test_a_seed_renders_the_same_in_any_company() -> None:
    settings = config(Rig(), Photometry())
    together = render(settings, [3, 8, 5, 3], labels=True)
    alone = render(settings, [5], labels=True)
    assert torch.equal(together.images[2], alone.images[0]) and torch.equal(together.poses[2], alone.poses[0])
    assert torch.equal(together.images[0], together.images[3])
    assert not torch.equal(together.images[0], together.images[1])


def test_a_world_whose_windscreen_is_the_greatest_draw_renders() -> None:
    assert render(replace(config(), samples=1), [6029958], frames=1).images.shape == (1, 1, 48, 160)


def test_a_longer_clip_begins_like_a_shorter_one() -> None:
    settings = config(Rig(), Photometry(), places=only("field"))
    short, long = render(settings, [1, 2], frames=2), render(settings, [1, 2], frames=5)
    assert torch.equal(short.poses, long.poses[:, :2]) and torch.equal(short.stamps, long.stamps[:, :2])


def test_long_clips_go_on_without_a_break() -> None:
    """Every few frames another part of the world is built: what both parts show is the same."""
    settings = config(places=only("street"), motion=Motion(still=0.0, reverse=0.0))
    clip = render(settings, [4, 11, 12, 19], frames=PART + 3, labels=True)
    assert clip.flow is not None and clip.flow.shape[:2] == (4, PART + 2) and clip.depth is not None
    assert clip.flow_back is not None and clip.flow_back.shape == clip.flow.shape
    assert clip.moving is not None
    u, v = pixels()
    for b in range(4):
        shares = []
        for t in (PART - 3, PART - 2, PART - 1, PART):
            depth, still = clip.depth[b, t].numpy(), ~clip.moving[b, t].numpy()
            motion = np.linalg.inv(clip.poses[b, t + 1].numpy()) @ clip.poses[b, t].numpy()
            expected = (lift(depth.astype(float)) @ motion[:3, :3].T + motion[:3, 3])[..., 2]
            place = np.stack([u, v], -1) + np.moveaxis(clip.flow[b, t].numpy(), 0, -1)
            x, y = np.rint(place[..., 0]).astype(int), np.rint(place[..., 1]).astype(int)
            inside = (x >= 0) & (x < SMALL.width) & (y >= 0) & (y < SMALL.height) & still & (depth < 40)
            found = clip.depth[b, t + 1].numpy()[y.clip(0, SMALL.height - 1), x.clip(0, SMALL.width - 1)]
            shares.append((np.abs(found / expected - 1) < 0.05)[inside].mean())
        assert shares[2] > min(shares[0], shares[1], shares[3]) - 0.05


@pytest.mark.parametrize(("kind", "seeds"), [("street", (1011, 1013)), ("tunnel", (1011, 1021))])
def test_nothing_shows_up_out_of_nowhere_where_a_part_begins(kind: str, seeds: tuple[int, ...]) -> None:
    """Looking backwards: where a frame shows something near, the one before did not look past it."""
    clip = render(replace(config(places=only(kind)), samples=1), seeds, frames=PART + 2, labels=True)
    assert clip.flow_back is not None and clip.depth is not None and clip.moving is not None
    u, v = pixels()
    for b in range(len(seeds)):
        shares = []
        for t in range(PART - 3, PART + 1):
            depth, still = clip.depth[b, t + 1].numpy(), ~clip.moving[b, t + 1].numpy()
            motion = np.linalg.inv(clip.poses[b, t].numpy()) @ clip.poses[b, t + 1].numpy()
            before = (lift(depth.astype(float)) @ motion[:3, :3].T + motion[:3, 3])[..., 2]
            place = np.stack([u, v], -1) + np.moveaxis(clip.flow_back[b, t].numpy(), 0, -1)
            x, y = np.rint(place[..., 0]).astype(int), np.rint(place[..., 1]).astype(int)
            inside = (x >= 0) & (x < SMALL.width) & (y >= 0) & (y < SMALL.height) & still & (depth < 60)
            seen = clip.depth[b, t].numpy()[y.clip(0, SMALL.height - 1), x.clip(0, SMALL.width - 1)]
            shares.append((seen > 1.15 * before)[inside].mean())
        assert shares[2] < max(shares[0], shares[1], shares[3]) + 0.02


def test_long_clips_are_the_same_in_any_company() -> None:
    """How much of a world is built beyond its first frames depends on the world alone."""
    settings = replace(config(), samples=1)
    together = render(settings, [20, 21, 22], frames=PART + 1)
    assert torch.equal(together.images[1:2], render(settings, [21], frames=PART + 1).images)


def test_a_still_camera_without_noise_sees_the_same() -> None:
    settings = config(motion=Motion(still=1.0), places=replace(Places(), **{k: float(k == "corridor") for k in KINDS}))
    clip = render(settings, range(6), labels=True)
    assert clip.moving is not None
    calm = ~clip.moving.any(1)
    change = (clip.images[:, 1:].int() - clip.images[:, :-1].int()).abs().amax(1)
    assert int((change[calm] > 1).sum()) <= 0.002 * change.numel()
    assert torch.equal(clip.poses[:, 0], clip.poses[:, 2])


def test_the_ground_has_the_depth_of_a_plane() -> None:
    motion = Motion({"only": straight(speed=(1.0, 1.0), height=(1.3, 1.3))}, still=0.0, reverse=0.0, spot=0.0)
    flat = replace(only("field"), hilly=0.0)
    clip = render(config(motion=motion, places=flat), range(8), labels=True)
    assert clip.depth is not None and torch.allclose(clip.height, torch.tensor(1.3, dtype=torch.float64))
    _, v = pixels()
    plane = np.where(v > SMALL.cy + 2, 1.3 * SMALL.fy / np.maximum(v - SMALL.cy, 1e-3), np.inf)
    depth = clip.depth.numpy()
    on_ground = np.abs(depth / plane - 1) < 1e-3
    below = np.broadcast_to(v > SMALL.cy + 4, depth.shape)
    assert on_ground[below].mean() > 0.5
    assert (depth[below] <= np.broadcast_to(plane, depth.shape)[below] * 1.001).all()


@pytest.mark.parametrize("carrier", ["legged", "drone", "hand"])
def test_the_height_is_that_of_the_first_frame(carrier: str) -> None:
    """Over level ground at y = 0, however the camera shakes."""
    motion = replace(Motion(), platforms={carrier: Motion().platforms[carrier]})
    clip = render(replace(config(motion=motion, places=replace(only("field"), hilly=0.0)), samples=1), range(12))
    assert torch.equal(clip.height, -clip.poses[:, 0, 1, 3])
    assert float((clip.poses[:, -1, 1, 3] + clip.height).abs().max()) > 1e-3


def test_going_ahead_is_plus_z_and_turning_right_is_positive_about_y() -> None:
    ahead = Motion({"only": straight(speed=(2.0, 2.0))}, still=0.0, reverse=0.0, spot=0.0)
    motions = geometry.to_motion(
        geometry.relative(render(config(motion=ahead, places=only("room")), range(4)).poses.numpy())
    )
    assert (motions[..., 2] > 0.01).all() and np.abs(motions[..., [0, 1, 3, 4, 5]]).max() < 1e-6
    spot = replace(ahead, spot=1.0)
    clip = render(config(motion=spot, places=only("room")), range(12), labels=True)
    motions = geometry.to_motion(geometry.relative(clip.poses.numpy()))
    assert np.abs(motions[..., :3]).max() < 1e-9
    assert clip.flow is not None
    yaw, sideways = motions[:, 0, 4], clip.flow[:, 0, 0].mean((1, 2)).numpy()
    turning = np.abs(yaw) > 1e-3
    assert turning.sum() > 6 and (np.sign(yaw[turning]) == -np.sign(sideways[turning])).all()


def test_a_mount_that_is_off_tilts_the_axes_of_the_motion() -> None:
    ahead = Motion({"only": straight(speed=(2.0, 2.0))}, still=0.0, reverse=0.0, spot=0.0)
    off = render(
        config(replace(EXACT, pitch_error_deg=2.0), motion=ahead, places=only("field")), range(16), labels=True
    )
    motions = geometry.to_motion(geometry.relative(off.poses.numpy()))
    pitch = np.arctan2(-motions[:, 0, 1], motions[:, 0, 2])  # the way seems to climb where the view looks down
    assert pitch.std() > 0.01
    # The horizon is where the way leads to: rows of the far ground rise as the view looks down.
    assert off.depth is not None and off.objects is not None
    far = (off.depth[:, 0] > 60) & (off.depth[:, 0] < FAR / 2) & (off.objects[:, 0] == 0)
    top = [np.flatnonzero(image.any(1)) for image in far.numpy()]
    rows = np.array([r[0] if len(r) else np.nan for r in top], float)
    seen = np.isfinite(rows)
    assert np.corrcoef(rows[seen], pitch[seen])[0, 1] < -0.8


def test_flow_follows_the_true_lens() -> None:
    """The images, and so the flow, come through a lens that is off; poses do not."""
    settings = config(replace(EXACT, focal_error=0.05, centre_error=0.02), places=only("street"))
    other, exact = render(settings, range(4), labels=True), render(config(places=only("street")), range(4), labels=True)
    assert torch.equal(other.poses, exact.poses)
    assert not torch.equal(other.images, exact.images)


def test_other_views_and_lenses() -> None:
    settings = config()
    patch = render(settings, [2], view=Patch(64, 48, 2.0, 8.0, 3.0))
    assert patch.images.shape == (1, 3, 48, 64) and patch.images.float().std() > 1
    lens = Camera(160, 96, "plumb_bob", 95.0, 95.0, 80.0, 48.0, (-0.25, 0.05, 0.0, 0.0))
    raw = render(settings, [2], view=lens, labels=True)
    assert raw.images.shape == (1, 3, 96, 160) and raw.flow is None and raw.depth is not None
    large = render(settings, [2], view=View(640, 192, 370.0, 370.0, 319.5, 95.5))
    small = render(settings, [2])
    shrunk = torch.nn.functional.avg_pool2d(large.images.float(), 4)
    assert float((shrunk - small.images.float()).abs().mean()) < 6


class Operations(TorchDispatchMode):
    """Counts the operations of torch."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def test_more_clips_take_no_more_operations() -> None:
    """With a GPU's budget: there every operation costs the same time, up to a size."""

    def operations(clips: int) -> int:
        renderer = Renderer(replace(WorldConfig(), view=SMALL, samples=1), torch.device("cpu"), SMALL)
        renderer.budget = 1 << 24
        with Operations() as found:
            renderer.clip(torch.arange(clips), 2, labels=False)
        return found.count

    operations(2)  # names of draws become known
    assert operations(24) < 1.2 * operations(12) < 30_000
