"""Vectors and small linear systems in as few operations as possible: in a graph each costs a call, however small it is.

There may be any number of leading axes.
"""

from __future__ import annotations

import torch
from torch import Tensor

_ROUNDED = 1e-6  # share that is lost of what hundreds of cells add up to, in single precision


def eye(size: int, like: Tensor) -> Tensor:
    """The unit matrix, made where it is needed: a GPU that records its work takes nothing from outside."""
    return torch.eye(size, device=like.device, dtype=like.dtype)


def crosses(like: Tensor) -> Tensor:
    """(3, 3, 3) the matrices that multiply with x, y and z as the cross product from the left."""
    one = eye(3, like).expand(3, 3, 3)
    return torch.linalg.cross(one.transpose(0, 1), one).mT


def skew(vectors: Tensor) -> Tensor:
    """The matrices (..., 3, 3) that multiply with vectors (..., 3) as the cross product from the left."""
    return (vectors @ crosses(vectors).flatten(1)).unflatten(-1, (3, 3))


def cross(a: Tensor, b: Tensor) -> Tensor:
    """The cross product of vectors (..., 3)."""
    return (skew(a) @ b[..., None])[..., 0]


def unit(ways: Tensor) -> Tensor:
    """Vectors (..., D) of length 1."""
    return ways * (ways.square().sum(-1, keepdim=True) + 1e-20).rsqrt()


def rotation(turn: Tensor) -> Tensor:
    """Matrices (..., 3, 3) of rotation vectors (..., 3), for turns of less than half a radian."""
    squared = turn.square().sum(-1, keepdim=True)[..., None]
    once = skew(turn)
    sine = 1 + squared * (-1 / 6 + squared / 120)
    cosine = 1 / 2 + squared * (-1 / 24 + squared / 720)
    return eye(3, turn) + sine * once + cosine * (once @ once)


def solved(matrix: Tensor, vector: Tensor) -> Tensor:
    """x (..., D) of matrix (..., D, D) @ x = vector (..., D), for positive definite matrices, by plain elimination.

    Their diagonals are brought to 1, for what is known a million times as well as the rest must not be lost beside a 1;
    and a little more, for what next to nothing is known of must not seem to be known less than not at all.
    """
    size = vector.shape[-1]
    one, scale = eye(size, matrix), matrix.diagonal(dim1=-2, dim2=-1).rsqrt()
    alike = matrix * scale[..., None] * scale[..., None, :] + _ROUNDED * one
    both = torch.cat([alike, (vector * scale)[..., None]], -1)
    for i in range(size):
        row = both[..., i : i + 1, :]
        row = row / row[..., i : i + 1]
        both = both - (both[..., i : i + 1] - one[:, i : i + 1]) * row
    return both[..., -1] * scale
