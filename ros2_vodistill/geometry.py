"""Rigid motions in three dimensions: SO(3) and SE(3), batched over leading axes, float64.

Rotations are 3x3 and poses 4x4 matrices. A tangent is `xi = (rho, phi)`, translation first, and perturbs from the
right: `T @ exp(xi)`. A motion is six numbers, translation then rotation vector, *not* coupled by the exponential.
Everything holds to rounding error from no rotation at all up to half a turn.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

SMALL_ANGLE = 1e-2  # radians; below it a series replaces a difference of nearly equal numbers
_TINY = 1e-300  # stands for no angle at all, so that its sine can be divided by it
_IDENTITY = np.eye(3)


def _crosses() -> Array:
    """(3,9): vectors times this are their cross-product matrices, row by row."""
    table = np.zeros((3, 9))
    table[[2, 1, 2, 0, 1, 0], [1, 2, 3, 5, 6, 7]] = [-1, 1, 1, -1, -1, 1]
    return table


def _products() -> Array:
    """(9,16): a rotation's entries, row by row, times this, plus 1 on the diagonal, are 4 q q^T of its quaternion."""
    table = np.zeros((3, 3, 4, 4))
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        table[i, i] = np.diag([1.0 if m in (i, 3) else -1.0 for m in range(4)])
        for one, other, sign in ((i, j, -1), (j, i, 1)):
            table[one, other, i, j] = table[one, other, j, i] = 1
            table[one, other, k, 3] = table[one, other, 3, k] = sign
    return table.reshape(9, 16)


_CROSSES, _PRODUCTS, _DIAGONAL = _crosses(), _products(), np.eye(4).ravel()


def hat(v: ArrayLike) -> Array:
    """The cross-product matrices (..., 3, 3) of the vectors (..., 3): `hat(v) @ u == cross(v, u)`."""
    v = np.asarray(v, np.float64)
    return (v @ _CROSSES).reshape(*v.shape, 3)


def so3_exp(phi: ArrayLike) -> Array:
    """Rotation vectors (..., 3), radians, to matrices (..., 3, 3)."""
    phi = np.asarray(phi, np.float64)
    theta, k = _length(phi)[..., None], hat(phi)
    return _IDENTITY + np.sin(theta) / theta * k + 2 * (np.sin(0.5 * theta) / theta) ** 2 * (k @ k)


def so3_exp_single(phi: Array) -> Array:
    """One rotation vector (3,) to a rotation (3, 3); much faster than `so3_exp`."""
    return np.asarray(cv2.Rodrigues(phi)[0], np.float64)


def so3_log(rotation: ArrayLike) -> Array:
    """Matrices (..., 3, 3) to rotation vectors (..., 3) of at most half a turn."""
    q = to_quaternion(rotation)
    sine = _length(q[..., :3])
    return q[..., :3] * (2 * np.arctan2(sine, q[..., 3:]) / sine)


def _length(v: Array) -> Array:
    """(..., 1) of vectors; never zero."""
    return np.maximum(np.sqrt((v * v).sum(axis=-1, keepdims=True)), _TINY)


def angle(rotation: ArrayLike) -> Array:
    """The angle, 0 to pi radians, that rotations (..., 3, 3) or poses (..., 4, 4) turn by."""
    r = np.asarray(rotation, np.float64)[..., :3, :3]
    flat = r.reshape(*r.shape[:-2], 9)
    axis = flat @ _CROSSES.T  # times twice the sine
    return np.arctan2(np.sqrt((axis * axis).sum(axis=-1)), flat[..., ::4].sum(axis=-1) - 1.0)


def so3_left_jacobian(phi: ArrayLike) -> Array:
    """J (..., 3, 3) with `so3_exp(phi + d) ~ so3_exp(J d) @ so3_exp(phi)`; its transpose is the right Jacobian."""
    phi = np.asarray(phi, np.float64)
    theta = np.linalg.norm(phi, axis=-1)[..., None, None]
    safe = np.where(theta > SMALL_ANGLE, theta, 1.0)
    series = 1 / 6 - theta**2 / 120
    c = np.where(theta > SMALL_ANGLE, (safe - np.sin(safe)) / safe**3, series)
    k = hat(phi)
    return np.eye(3) + 0.5 * np.sinc(theta / (2 * np.pi)) ** 2 * k + c * (k @ k)


def so3_left_jacobian_inverse(phi: ArrayLike) -> Array:
    """Inverse of `so3_left_jacobian`, for rotation vectors shorter than a full turn."""
    phi = np.asarray(phi, np.float64)
    theta = np.linalg.norm(phi, axis=-1)[..., None, None]
    safe = np.where(theta > SMALL_ANGLE, theta, 1.0)
    series = 1 / 12 + theta**2 / 720
    c = np.where(theta > SMALL_ANGLE, (1 - 0.5 * safe / np.tan(0.5 * safe)) / safe**2, series)
    k = hat(phi)
    return np.eye(3) - 0.5 * k + c * (k @ k)


def to_quaternion(rotation: ArrayLike) -> Array:
    """Matrices (..., 3, 3) to unit quaternions (..., 4): x, y, z, w with w >= 0."""
    r = np.asarray(rotation, np.float64)
    # Each row of the outer product is q times one of its components; the largest loses no digits.
    outer = r.reshape(-1, 9) @ _PRODUCTS + _DIAGONAL
    largest = outer[:, ::5].argmax(axis=1)
    q = outer.reshape(-1, 4, 4)[np.arange(len(outer)), largest].reshape(*r.shape[:-2], 4)
    q = q / np.sqrt((q * q).sum(axis=-1, keepdims=True))
    return np.where(q[..., 3:] < 0, -q, q)


def from_quaternion(quaternion: ArrayLike) -> Array:
    """Quaternions (..., 4), x, y, z, w of any length but zero, to rotation matrices (..., 3, 3)."""
    q = np.asarray(quaternion, np.float64)
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    k = hat(q[..., :3])
    return np.eye(3) + 2 * q[..., 3, None, None] * k + 2 * (k @ k)


def make(rotation: ArrayLike, translation: ArrayLike) -> Array:
    """Poses (..., 4, 4) from rotations (..., 3, 3) and translations (..., 3)."""
    rotation, translation = np.asarray(rotation, np.float64), np.asarray(translation, np.float64)
    pose = np.zeros((*np.broadcast_shapes(rotation.shape[:-2], translation.shape[:-1]), 4, 4))
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = translation
    pose[..., 3, 3] = 1.0
    return pose


def invert(pose: ArrayLike) -> Array:
    """Inverse of poses (..., 4, 4)."""
    pose = np.asarray(pose, np.float64)
    transposed = np.swapaxes(pose[..., :3, :3], -1, -2)
    return make(transposed, -(transposed @ pose[..., :3, 3:])[..., 0])


def turned(motion: ArrayLike, axes: ArrayLike) -> Array:
    """Motions (..., 4, 4) in other axes, to which the rotation `axes` (3, 3) takes vectors."""
    motion, axes = np.asarray(motion, np.float64), np.asarray(axes, np.float64)
    return make(axes @ motion[..., :3, :3] @ axes.T, motion[..., :3, 3] @ axes.T)


def exp(xi: ArrayLike) -> Array:
    """Tangents (..., 6) to poses (..., 4, 4)."""
    xi = np.asarray(xi, np.float64)
    rho, phi = xi[..., :3], xi[..., 3:]
    return make(so3_exp(phi), (so3_left_jacobian(phi) @ rho[..., None])[..., 0])


def log(pose: ArrayLike) -> Array:
    """Poses (..., 4, 4) to tangents (..., 6)."""
    pose = np.asarray(pose, np.float64)
    phi = so3_log(pose[..., :3, :3])
    rho = (so3_left_jacobian_inverse(phi) @ pose[..., :3, 3:])[..., 0]
    return np.concatenate([rho, phi], axis=-1)


def adjoint(pose: ArrayLike) -> Array:
    """Ad (..., 6, 6) with `pose @ exp(xi) == exp(Ad @ xi) @ pose`."""
    pose = np.asarray(pose, np.float64)
    rotation = pose[..., :3, :3]
    result = np.zeros((*pose.shape[:-2], 6, 6))
    result[..., :3, :3] = result[..., 3:, 3:] = rotation
    result[..., :3, 3:] = hat(pose[..., :3, 3]) @ rotation
    return result


def from_motion(motion: ArrayLike) -> Array:
    """Motions (..., 6), translation then rotation vector, to poses (..., 4, 4)."""
    motion = np.asarray(motion, np.float64)
    return make(so3_exp(motion[..., 3:]), motion[..., :3])


def to_motion(pose: ArrayLike) -> Array:
    """Poses (..., 4, 4) to motions (..., 6), translation then rotation vector."""
    pose = np.asarray(pose, np.float64)
    return np.concatenate([pose[..., :3, 3], so3_log(pose[..., :3, :3])], axis=-1)


def motion_covariance_to_tangent(motion: ArrayLike, covariance: ArrayLike) -> Array:
    """Covariances (..., 6, 6) of the six numbers of motions (..., 6), as those of their right perturbation."""
    phi = np.asarray(motion, np.float64)[..., 3:]
    jacobian = np.zeros((*phi.shape[:-1], 6, 6))
    jacobian[..., :3, :3] = so3_exp(-phi)
    jacobian[..., 3:, 3:] = so3_left_jacobian(-phi)
    return jacobian @ np.asarray(covariance, np.float64) @ np.swapaxes(jacobian, -1, -2)


def rescaled(covariance: ArrayLike, factor: float) -> Array:
    """Covariances (..., 6, 6), translation first, of the same where translations are that many times as long."""
    factors = np.array([factor] * 3 + [1.0] * 3)
    return np.asarray(covariance, np.float64) * (factors * factors[:, None])


def direction(vector: Array, otherwise: Array) -> Array:
    """Unit (3,) along a vector; `otherwise` where that is none."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else otherwise


def interpolate(start: ArrayLike, end: ArrayLike, fraction: ArrayLike) -> Array:
    """Poses (..., 4, 4) on the way from `start` (fraction 0) to `end` (1) at constant twist; fraction (...)."""
    start = np.asarray(start, np.float64)
    return start @ exp(np.asarray(fraction, np.float64)[..., None] * log(invert(start) @ np.asarray(end, np.float64)))


def relative(poses: ArrayLike) -> Array:
    """Motions (..., N-1, 4, 4) between consecutive poses (..., N, 4, 4), each in the axes of the earlier one."""
    poses = np.asarray(poses, np.float64)
    return invert(poses[..., :-1, :, :]) @ poses[..., 1:, :, :]


def accumulate(motions: ArrayLike, start: ArrayLike | None = None) -> Array:
    """Poses (..., N, 4, 4) that begin at `start` (the identity) and follow motions (..., N-1, 4, 4)."""
    motions = np.asarray(motions, np.float64)
    count = motions.shape[-3]
    poses = np.empty((*motions.shape[:-3], count + 1, 4, 4))
    poses[..., 0, :, :] = np.eye(4) if start is None else start
    for i in range(count):
        poses[..., i + 1, :, :] = poses[..., i, :, :] @ motions[..., i, :, :]
    return poses


def umeyama(source: ArrayLike, target: ArrayLike, with_scale: bool = False) -> tuple[Array, Array, Array]:
    """Scale s (...), rotation R (..., 3, 3), translation t (..., 3) that bring `s R source + t` closest to `target`.

    Both are matched points (..., N, 3); closest in the least squares sense (Umeyama 1991). Without `with_scale`, or
    where all source points coincide, s is 1. Points on one line leave the turn about it arbitrary.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    mean_source, mean_target = source.mean(axis=-2), target.mean(axis=-2)
    centred_source, centred_target = source - mean_source[..., None, :], target - mean_target[..., None, :]
    u, d, vt = np.linalg.svd(np.swapaxes(centred_target, -1, -2) @ centred_source)
    signs = np.ones_like(d)
    signs[..., 2] = np.where(np.linalg.det(u) * np.linalg.det(vt) < 0, -1.0, 1.0)
    rotation = (u * signs[..., None, :]) @ vt
    scale = np.ones(source.shape[:-2])
    if with_scale:
        spread = (centred_source**2).sum(axis=(-2, -1))
        scale = np.where(spread > 0, (d * signs).sum(axis=-1) / np.where(spread > 0, spread, 1.0), 1.0)
    translation = mean_target - scale[..., None] * (rotation @ mean_source[..., None])[..., 0]
    return scale, rotation, translation
