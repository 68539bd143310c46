"""SE(3) against scipy, finite differences and its own laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from ros2_vodistill import geometry

Array = NDArray[np.float64]

ANGLES = [0.0, 1e-300, 1e-160, 1e-12, 1e-8, 1e-4, 9.99e-3, 1.001e-2, 0.1, 1.0, 3.0, np.pi - 1e-6, np.pi - 1e-12]
some = settings(deadline=None, max_examples=50)


@st.composite
def rotation_vectors(draw: st.DrawFn) -> Array:
    axis = draw(arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 1e-3))
    angle = draw(st.one_of(st.sampled_from(ANGLES), st.floats(0, np.pi - 1e-9)))
    return angle * axis / np.linalg.norm(axis)


def vectors(bound: float = 100.0) -> st.SearchStrategy[Array]:
    return arrays(np.float64, 3, elements=st.floats(-bound, bound))


@st.composite
def tangents(draw: st.DrawFn) -> Array:
    return np.concatenate([draw(vectors()), draw(rotation_vectors())])


def twist_matrix(xi: Array) -> Array:
    matrix = np.zeros((4, 4))
    matrix[:3, :3] = geometry.hat(xi[3:])
    matrix[:3, 3] = xi[:3]
    return matrix


@given(vectors(), vectors())
@some
def test_hat_is_the_cross_product(v: Array, u: Array) -> None:
    np.testing.assert_allclose(geometry.hat(v) @ u, np.cross(v, u), atol=1e-10)


@given(rotation_vectors())
@some
def test_so3_exp_agrees_with_scipy(phi: Array) -> None:
    np.testing.assert_allclose(geometry.so3_exp(phi), Rotation.from_rotvec(phi).as_matrix(), atol=1e-14)
    np.testing.assert_allclose(geometry.so3_exp_single(phi), geometry.so3_exp(phi), atol=1e-14)


@given(rotation_vectors())
@some
def test_so3_log_undoes_so3_exp(phi: Array) -> None:
    rotation = geometry.so3_exp(phi)
    np.testing.assert_allclose(geometry.so3_log(rotation), phi, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(geometry.angle(rotation), np.linalg.norm(phi), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("axis", [*np.eye(3), [0.6, 0.0, -0.8], [-1 / 3, 2 / 3, 2 / 3]])
def test_half_a_turn_is_found(axis: list[float]) -> None:
    rotation = 2 * np.outer(axis, axis) - np.eye(3)
    phi = geometry.so3_log(rotation)
    np.testing.assert_allclose(np.linalg.norm(phi), np.pi, rtol=1e-15)
    np.testing.assert_allclose(np.abs(phi), np.pi * np.abs(axis), atol=1e-14)
    np.testing.assert_allclose(geometry.so3_exp(phi), rotation, atol=1e-14)


@given(tangents())
@some
def test_exp_agrees_with_the_matrix_exponential(xi: Array) -> None:
    np.testing.assert_allclose(geometry.exp(xi), expm(twist_matrix(xi)), atol=1e-12)


@given(tangents())
@some
def test_log_undoes_exp(xi: Array) -> None:
    np.testing.assert_allclose(geometry.log(geometry.exp(xi)), xi, rtol=1e-12, atol=1e-11)


@given(tangents())
@some
def test_motion_round_trip_is_uncoupled(motion: Array) -> None:
    pose = geometry.from_motion(motion)
    np.testing.assert_array_equal(pose[:3, 3], motion[:3])
    np.testing.assert_allclose(geometry.to_motion(pose), motion, rtol=1e-12, atol=1e-13)


@given(rotation_vectors())
@some
def test_quaternions_agree_with_scipy(phi: Array) -> None:
    reference = Rotation.from_rotvec(phi)
    quaternion = geometry.to_quaternion(reference.as_matrix())
    assert quaternion[3] >= 0
    np.testing.assert_allclose(quaternion, reference.as_quat(canonical=True), atol=1e-14)
    np.testing.assert_allclose(geometry.from_quaternion(-3.0 * quaternion), reference.as_matrix(), atol=1e-14)


@pytest.mark.parametrize("angle", ANGLES)
@pytest.mark.parametrize("axis", [[0.0, 0.0, -1.0], [-1 / 3, 2 / 3, 2 / 3]])
def test_left_jacobian_is_the_mean_rotation_on_the_way(axis: list[float], angle: float) -> None:
    phi = angle * np.array(axis)
    nodes, weights = np.polynomial.legendre.leggauss(20)
    rotations = Rotation.from_rotvec(np.outer(0.5 * (nodes + 1), phi)).as_matrix()
    mean = np.einsum("n,nij->ij", 0.5 * weights, rotations)
    np.testing.assert_allclose(geometry.so3_left_jacobian(phi), mean, atol=1e-14)
    np.testing.assert_allclose(geometry.so3_left_jacobian_inverse(phi) @ mean, np.eye(3), atol=1e-14)


@given(tangents(), tangents())
@some
def test_adjoint_moves_a_tangent_across(start: Array, xi: Array) -> None:
    pose = geometry.exp(start)
    moved = geometry.exp(geometry.adjoint(pose) @ xi)
    np.testing.assert_allclose(moved, pose @ geometry.exp(xi) @ np.linalg.inv(pose), atol=1e-9)


@given(tangents())
@some
def test_invert(xi: Array) -> None:
    pose = geometry.exp(xi)
    np.testing.assert_allclose(geometry.invert(pose), np.linalg.inv(pose), atol=1e-11)
    np.testing.assert_allclose(geometry.invert(pose), geometry.exp(-xi), atol=1e-11)


@given(tangents(), tangents(), st.floats(0, 1))
@some
def test_interpolation_follows_a_constant_twist(first: Array, xi: Array, fraction: float) -> None:
    start = geometry.exp(first)
    end = start @ geometry.exp(xi)
    np.testing.assert_allclose(geometry.interpolate(start, end, 0.0), start, atol=1e-12)
    np.testing.assert_allclose(geometry.interpolate(start, end, 1.0), end, atol=1e-10)
    expected = start @ expm(fraction * twist_matrix(xi))
    np.testing.assert_allclose(geometry.interpolate(start, end, fraction), expected, atol=1e-10)


def test_interpolation_between_a_quarter_turn() -> None:
    end = geometry.exp([0, 0, 0, 0, 0, np.pi / 2])
    end[:3, 3] = [1, 1, 0]  # a quarter of the circle about (0, 1)
    half = geometry.interpolate(np.eye(4), end, 0.5)
    np.testing.assert_allclose(half[:3, 3], [np.sqrt(0.5), 1 - np.sqrt(0.5), 0], atol=1e-15)
    np.testing.assert_allclose(geometry.so3_log(half[:3, :3]), [0, 0, np.pi / 4], atol=1e-15)


def test_relative_and_accumulate_undo_each_other() -> None:
    rng = np.random.default_rng(1)
    motions = geometry.from_motion(rng.normal(size=(2, 30, 6)))
    start = geometry.from_motion(rng.normal(size=(2, 6)))
    poses = geometry.accumulate(motions, start)
    assert poses.shape == (2, 31, 4, 4)
    np.testing.assert_array_equal(poses[:, 0], start)
    np.testing.assert_allclose(poses[1, 3], start[1] @ motions[1, 0] @ motions[1, 1] @ motions[1, 2], atol=1e-12)
    np.testing.assert_allclose(geometry.relative(poses), motions, atol=1e-12)
    np.testing.assert_array_equal(geometry.accumulate(motions[0, :0]), np.eye(4)[None])


def test_everything_is_batched_and_float64() -> None:
    rng = np.random.default_rng(2)
    xi = rng.normal(size=(2, 3, 6)).astype(np.float32)
    poses = geometry.exp(xi)
    covariances = np.broadcast_to(np.diag(rng.uniform(1, 2, 6)), (2, 3, 6, 6))
    batched: dict[Callable[[Any], Array], Any] = {
        geometry.so3_exp: xi[..., 3:],
        geometry.so3_log: poses[..., :3, :3],
        geometry.angle: poses,
        geometry.so3_left_jacobian: xi[..., 3:],
        geometry.so3_left_jacobian_inverse: xi[..., 3:],
        geometry.to_quaternion: poses[..., :3, :3],
        geometry.from_quaternion: rng.normal(size=(2, 3, 4)),
        geometry.invert: poses,
        geometry.exp: xi,
        geometry.log: poses,
        geometry.adjoint: poses,
        geometry.from_motion: xi,
        geometry.to_motion: poses,
    }
    for function, values in batched.items():
        result = function(values)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result[1, 2], function(values[1, 2]), atol=1e-15)
        assert function(values[:0]).shape == (0, *result.shape[1:])
    tangent = geometry.motion_covariance_to_tangent(xi, covariances)
    np.testing.assert_allclose(
        tangent[1, 2], geometry.motion_covariance_to_tangent(xi[1, 2], covariances[1, 2]), atol=1e-15
    )
    between = geometry.interpolate(poses[0], poses[1], np.array([0.0, 0.5, 1.0]))
    np.testing.assert_allclose(between[1], geometry.interpolate(poses[0, 1], poses[1, 1], 0.5), atol=1e-15)


@given(tangents(), st.integers(0, 2**32 - 1))
@some
def test_motion_covariance_to_tangent_is_the_first_order_change(motion: Array, seed: int) -> None:
    step = 1e-6
    backward = geometry.invert(geometry.from_motion(motion))
    jacobian = np.empty((6, 6))
    for i in range(6):
        ends = (geometry.from_motion(motion + sign * step * np.eye(6)[i]) for sign in (1, -1))
        plus, minus = (geometry.log(backward @ end) for end in ends)
        jacobian[:, i] = (plus - minus) / (2 * step)
    root = np.random.default_rng(seed).normal(size=(6, 6))
    covariance = root @ root.T
    expected = jacobian @ covariance @ jacobian.T
    # motions of up to 100 m lose digits in the differences
    np.testing.assert_allclose(geometry.motion_covariance_to_tangent(motion, covariance), expected, atol=1e-5)


@given(tangents(), st.floats(0.01, 100.0), st.integers(0, 2**32 - 1))
@some
def test_umeyama_recovers_a_similarity(xi: Array, scale: float, seed: int) -> None:
    pose = geometry.exp(xi)
    source = np.random.default_rng(seed).normal(size=(20, 3))
    target = scale * source @ pose[:3, :3].T + pose[:3, 3]
    s, rotation, translation = geometry.umeyama(source, target, with_scale=True)
    np.testing.assert_allclose(s, scale, rtol=1e-10)
    np.testing.assert_allclose(rotation, pose[:3, :3], atol=1e-10)
    np.testing.assert_allclose(translation, pose[:3, 3], atol=1e-9)


def test_umeyama_agrees_with_scipy_on_noisy_points() -> None:
    rng = np.random.default_rng(3)
    source = rng.normal(size=(50, 3))
    target = source @ Rotation.from_rotvec([1, -2, 0.5]).as_matrix().T + rng.normal(size=(50, 3))
    scale, rotation, translation = geometry.umeyama(source, target)
    reference, distance = Rotation.align_vectors(target - target.mean(0), source - source.mean(0))
    np.testing.assert_allclose(rotation, reference.as_matrix(), atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(source @ rotation.T + translation - target), distance, rtol=1e-12)
    assert scale == 1.0


@given(st.integers(0, 2**32 - 1))
@some
def test_umeyama_is_a_minimum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    source, target = rng.normal(size=(2, 10, 3))
    s, rotation, translation = geometry.umeyama(source, target, with_scale=True)
    best = np.sum((s * source @ rotation.T + translation - target) ** 2)
    for change in np.vstack([np.eye(7), -np.eye(7)]) * 1e-3:
        moved = (s + change[6]) * source @ (rotation @ geometry.so3_exp(change[3:6])).T + translation + change[:3]
        assert np.sum((moved - target) ** 2) >= best


def test_umeyama_never_mirrors() -> None:
    source = np.random.default_rng(4).normal(size=(5, 20, 3))
    _, rotation, _ = geometry.umeyama(source, source * [1, 1, -1], with_scale=True)
    np.testing.assert_allclose(np.linalg.det(rotation), np.ones(5), rtol=1e-12)


def test_umeyama_of_points_that_span_no_space() -> None:
    line = np.outer(np.arange(5.0), [1, 0, 0])
    s, rotation, translation = geometry.umeyama(line, 2 * line[:, [1, 0, 2]] + 1, with_scale=True)
    np.testing.assert_allclose(s * line @ rotation.T + translation, 2 * line[:, [1, 0, 2]] + 1, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)
    s, rotation, translation = geometry.umeyama(np.ones((4, 3)), line[:4], with_scale=True)
    assert s == 1.0
    np.testing.assert_allclose(rotation @ np.ones(3) + translation, line[:4].mean(axis=0), atol=1e-12)


def test_a_direction_is_unit_and_what_one_says_where_there_is_none() -> None:
    ahead = np.array([0.0, 0.0, 1.0])
    np.testing.assert_array_equal(geometry.direction(np.array([3.0, 0.0, 4.0]), ahead), [0.6, 0.0, 0.8])
    assert geometry.direction(np.array([0.0, 1e-7, 0.0]), ahead) is ahead


def test_a_rescaled_covariance_is_that_of_longer_translations() -> None:
    root = np.random.default_rng(0).normal(size=(3, 6, 6))
    scaling = np.diag([2.5] * 3 + [1.0] * 3)
    covariances = root @ root.swapaxes(1, 2)
    np.testing.assert_allclose(geometry.rescaled(covariances, 2.5), scaling @ covariances @ scaling)


def test_a_motion_in_other_axes_moves_the_same_points_alike() -> None:
    motion, axes = geometry.from_motion([0.3, -0.2, 1.0, 0.1, -0.4, 0.2]), geometry.so3_exp([0.3, 0.1, -0.2])
    point = np.array([2.0, -1.0, 5.0])
    moved = motion[:3, :3] @ point + motion[:3, 3]
    there = geometry.turned(motion, axes)
    np.testing.assert_allclose(there[:3, :3] @ (axes @ point) + there[:3, 3], axes @ moved, atol=1e-12)
