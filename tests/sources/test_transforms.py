"""The tree of rigid frames, against products of matrices; the mount, against the convention's own formula."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill import geometry
from ros2_vodistill.camera import Mount
from ros2_vodistill.sources.transforms import FLU_FROM_OPTICAL, Transforms, mount_of, tilted
from tests.sources.recordings import some_pose


def test_flu_from_optical() -> None:
    """Right is minus left, down is minus up, forward stays."""
    right, down, forward = np.eye(3)
    np.testing.assert_array_equal(FLU_FROM_OPTICAL @ right, [0, -1, 0])
    np.testing.assert_array_equal(FLU_FROM_OPTICAL @ down, [0, 0, -1])
    np.testing.assert_array_equal(FLU_FROM_OPTICAL @ forward, [1, 0, 0])


def test_lookup_up_down_and_across() -> None:
    a, b, c = (some_pose(seed) for seed in range(3))
    tree = Transforms()
    tree.add("root", "/arm", a)
    tree.add("arm", "hand", b)
    tree.add("/root", "head", c)
    expected = {
        ("root", "hand"): a @ b,
        ("hand", "root"): np.linalg.inv(a @ b),
        ("head", "hand"): np.linalg.inv(c) @ a @ b,
    }
    for (target, source), pose in expected.items():
        got = tree.lookup(target, source)
        assert got is not None
        np.testing.assert_allclose(got, pose, atol=1e-12)
    np.testing.assert_array_equal(tree.lookup("arm", "arm"), np.eye(4))
    assert tree.lookup("root", "elsewhere") is None


def test_a_loop_ends() -> None:
    tree = Transforms()
    tree.add("a", "b", some_pose(0))
    tree.add("b", "a", some_pose(1))
    assert tree.lookup("c", "a") is None
    assert tree.lookup("b", "a") is not None


@settings(deadline=None, max_examples=50)
@given(
    height=st.floats(0.01, 5),
    pitch=st.floats(-1.2, 1.2),
    roll=st.floats(-3, 3),
    yaw=st.floats(-math.pi, math.pi),
)
def test_mount_is_found_whatever_the_yaw(height: float, pitch: float, roll: float, yaw: float) -> None:
    turn = np.array([[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]])
    rotation = turn @ FLU_FROM_OPTICAL @ Mount(height, pitch, roll).level_from_camera
    tree = Transforms()
    tree.add("base_link", "camera", geometry.make(rotation, [0.3, -0.2, height]))
    mount, _ = mount_of(tree, "camera")
    assert mount is not None
    np.testing.assert_allclose([mount.height, mount.pitch, mount.roll], [height, pitch, roll], atol=1e-9)


@settings(deadline=None, max_examples=50)
@given(angles=st.tuples(*[st.floats(-1.2, 1.2)] * 4), yaw=st.floats(-math.pi, math.pi))
def test_a_pose_is_tilted_as_another_mount_and_keeps_its_yaw(angles: tuple[float, ...], yaw: float) -> None:
    def at(mount: Mount) -> np.ndarray:
        turn = geometry.so3_exp([0, 0, yaw]) @ FLU_FROM_OPTICAL @ mount.level_from_camera
        return geometry.make(turn, [0.3, -0.2, 0.5])

    told, mount = Mount(None, *angles[:2]), Mount(None, *angles[2:])
    np.testing.assert_allclose(tilted(at(told), told, mount), at(mount), atol=1e-12)


def test_the_mount_is_above_the_base_that_is_asked_for() -> None:
    tree = Transforms()
    tree.add("robot/chassis", "camera", geometry.make(FLU_FROM_OPTICAL, [0.2, 0.0, 0.5]))
    tree.add("robot/chassis", "base_link", geometry.make(np.eye(3), [0.0, 0.0, 0.2]))
    for bases, height in ((("base_footprint", "robot/chassis"), 0.5), (("base_footprint", "base_link"), 0.3)):
        mount, _ = mount_of(tree, "camera", bases)
        assert mount is not None and mount.height is not None
        assert math.isclose(mount.height, height)
    tree.add("base_footprint", "robot/chassis", geometry.make(np.eye(3), [0.0, 0.0, 0.1]))
    mount, _ = mount_of(tree, "camera", ("base_footprint", "robot/chassis"))
    assert mount is not None and mount.height is not None and math.isclose(mount.height, 0.6)
