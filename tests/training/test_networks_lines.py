"""Lines of matches and what is fitted to them, against numpy and differences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from ros2_vodistill import geometry
from tests.training.matched import MOTION, VIEWS, errors, joined, tracks
from training.networks import floor, starts
from training.networks.algebra import cross, rotation, skew, solved, unit
from training.networks.lines import Cells, Courses, Lines, along, doubt, fit


def cells(seen: dict[str, Tensor], counts: float = 0.3) -> Cells:
    rays = torch.cat([torch.from_numpy(view.rays()[::8, ::8]).flatten(0, 1) for view in VIEWS.values()]).T
    counted = torch.tensor([seen[name][0, 0].numel() for name in VIEWS])
    focal = torch.tensor([[view.fx, view.fy, view.fy] for view in VIEWS.values()]).repeat_interleave(counted, 0).T
    told = joined(seen).double()
    place = rays[:2] + told[:, :2] / focal[:2]
    return Cells.of(rays, place, told[:, 2:5] / focal, counts * torch.ones_like(told[:, :1]))


def course(motion: NDArray[np.float64]) -> Courses:
    way, turn = torch.from_numpy(motion).view(1, 1, 6).split(3, 2)
    return Courses(turn, unit(way))


def motion(courses: Courses, length: float) -> NDArray[np.float64]:
    return torch.cat([length * courses.way, courses.turn], 2)[0, 0].numpy()


SIDEWAYS = np.array([0.3, 0.02, -0.02, 0.004, -0.006, 0.003])
OFF = np.array([0.02, 0.03, -0.02, 0.01, -0.006, 0.008])
WORTH = torch.tensor([0.004] * 3 + [0.06] * 3).double().expand(1, 1, 6)


@pytest.mark.parametrize("truth", [MOTION, SIDEWAYS, -MOTION])
def test_true_matches_lie_on_the_lines_of_the_true_course(truth: NDArray[np.float64]) -> None:
    lines = Lines.of(course(truth), cells(tracks(truth)))
    assert float(lines.off[:, :, 6].abs().max()) < 1e-6
    assert float(Lines.of(course(truth + OFF), cells(tracks(truth))).off[:, :, 6].abs().max()) > 1e-3


def test_distances_are_those_to_the_epipolar_lines() -> None:
    seen, guess = cells(tracks(MOTION)), MOTION + OFF
    lines = Lines.of(course(guess), seen)
    rotated = geometry.from_motion(guess)[:3, :3] @ seen.rays.numpy()
    line = np.cross(guess[:3], rotated.T)
    place = np.c_[seen.place[0, 0].numpy().T, np.ones(seen.rays.shape[1])]
    length = np.linalg.norm(line[:, :2], axis=1)
    expected = (line * place).sum(1) / length
    clear = length > 0.3 * np.linalg.norm(guess[:3])  # of the epipole
    np.testing.assert_allclose(lines.off[0, 0, 6, clear].numpy(), expected[clear], rtol=5e-3, atol=1e-7)
    np.testing.assert_allclose(
        lines.across[0, 0, :, clear].numpy().T, (line[:, :2] / length[:, None])[clear], atol=5e-3
    )


def test_the_changes_are_those_of_a_small_step() -> None:
    """In directions that leave the way's length; of matches that lie on their lines."""
    seen, here = cells(tracks(MOTION)), course(MOTION)
    slope = Lines.of(here, seen).off[0, 0, :6].T
    for i in range(6):
        step = torch.zeros(1, 1, 6).double()
        step[..., i] = 1e-5
        step[..., 3:] -= here.way * (here.way * step[..., 3:]).sum()
        there, back = (Lines.of(here.moved(s), seen).off[0, 0, 6] for s in (step, -step))
        torch.testing.assert_close((there - back) / 2, slope @ step[0, 0], rtol=5e-3, atol=1e-9)


def test_a_step_leads_from_one_course_to_the_other() -> None:
    here, step = course(MOTION), 1e-3 * torch.randn(1, 1, 6, generator=torch.Generator().manual_seed(0)).double()
    step[..., 3:] -= here.way * (here.way * step[..., 3:]).sum()
    torch.testing.assert_close(here.moved(step).since(here), step, rtol=0, atol=1e-6)
    turned = geometry.so3_exp(step[0, 0, :3].numpy()) @ geometry.so3_exp(here.turn[0, 0].numpy())
    torch.testing.assert_close(
        here.moved(step).turn[0, 0], torch.from_numpy(geometry.so3_log(turned)), rtol=0, atol=1e-6
    )


def test_doubt_is_the_covariance_along_a_direction() -> None:
    a, b, c = 0.02, 0.05, -0.03
    root, toward = np.array([[a, 0.0], [c, b]]), np.array([0.6, -0.8])
    place, spread = torch.zeros(1, 2, 1).double(), torch.tensor([[[a], [b], [c]]]).double()
    cell = Cells.of(torch.zeros(3, 1).double(), place, spread, torch.ones(1, 1, 1).double())
    found = doubt(torch.from_numpy(toward).view(1, 1, 2, 1), cell)
    assert float(found) == pytest.approx(toward @ root @ root.T @ toward, rel=1e-3)


def test_along_is_across_turned_by_a_quarter() -> None:
    across, onward = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, -1.0], [1.0, 0.0]])
    torch.testing.assert_close(along(across.view(1, 1, 2, 2)), onward.view(1, 1, 2, 2))


@pytest.mark.parametrize("truth", [MOTION, SIDEWAYS])
def test_a_fit_that_believes_nothing_ends_at_the_truth(truth: NDArray[np.float64]) -> None:
    seen, first = cells(tracks(truth)), course(truth + 2 * OFF)
    worth, courses = torch.ones(1, 1, 6).double(), first
    for _ in range(8):
        courses, surely, agreeing = fit(courses, first, worth, True, seen)
    turn, way = errors(motion(courses, 1.0), truth)
    assert turn < 1e-2 and way < 0.1
    assert surely.shape == (1, 1, 6, 6) and (surely.diagonal(dim1=2, dim2=3)[..., :3] > 1e3).all()
    assert 0.25 < float(agreeing) < 0.5


def test_a_fit_of_the_truth_stays_there_however_far_the_guess_is() -> None:
    """What is believed of the way must not shorten it."""
    seen, here, first = cells(tracks(SIDEWAYS)), course(SIDEWAYS), course(MOTION)
    courses = here
    for _ in range(4):
        courses, _, _ = fit(courses, first, WORTH, True, seen)
    turn, way = errors(motion(courses, 1.0), SIDEWAYS)
    assert turn < 0.05 and way < 0.3


@pytest.mark.parametrize("truth", [SIDEWAYS, -SIDEWAYS, SIDEWAYS[[1, 0, 2, 3, 4, 5]], -MOTION])
def test_the_best_beginning_is_near_the_truth(truth: NDArray[np.float64]) -> None:
    guess = np.array([0.0, 0.0, 0.3, *(truth[3:] + [0.01, -0.01, 0.01])])
    turn, way = errors(motion(starts.best(course(guess), WORTH, cells(tracks(truth))), 1.0), truth)
    assert turn < 0.2 and way < 5.0


def test_a_guess_that_is_right_is_begun_with() -> None:
    guess = MOTION + [0.01, -0.01, 0.01, 0.002, -0.002, 0.001]
    begun = starts.best(course(guess), WORTH, cells(tracks(MOTION)))
    turn, way = errors(motion(begun, 1.0), MOTION)
    assert turn < 0.02 and way < 0.5


def test_where_cells_tell_nothing_the_guess_is_begun_with() -> None:
    begun = starts.best(course(MOTION), WORTH, cells(tracks(SIDEWAYS, pixels=1e4)))
    torch.testing.assert_close(begun.turn, course(MOTION).turn, atol=1e-4, rtol=0)
    torch.testing.assert_close(begun.way, course(MOTION).way, atol=1e-3, rtol=0)


FAR = float(np.linalg.norm(MOTION[:3]))


def strode(guessed: NDArray[np.float64], share: float, sure: float, rise: float = 0.0) -> floor.Stride:
    """What the ground says of MOTION, of whose way this much is known and whose length is guessed."""
    told = tracks(MOTION, ground=1.0, rise=rise)
    ground = replace(cells(told), counts=joined(told).double()[:, None, 5:])
    first, worth = torch.tensor([[[share * FAR]]]), torch.tensor([[[0.06] * 3 + [0.3 * FAR, 0.015]]])
    known = sure * torch.eye(3).double()[None, None]
    return floor.stride(course(guessed), first.double(), worth.double(), known, ground)


@pytest.mark.parametrize("share", [0.6, 1.0, 1.4])
def test_the_ground_tells_length_and_rise(share: float) -> None:
    found = strode(MOTION, share, sure=1e6, rise=0.01)
    assert found.found[0, 0].tolist() == pytest.approx([FAR, 0.01], abs=3e-3)
    assert (found.known[..., 3:] > 3).all() and float(found.agreeing) > 0
    torch.testing.assert_close(found.way, course(MOTION).way, atol=1e-4, rtol=0)


@pytest.mark.parametrize("dip", [-0.02, 0.02])
@pytest.mark.parametrize("share", [0.8, 1.2])
def test_the_ground_tells_a_way_that_dips_from_another_length(dip: float, share: float) -> None:
    guessed = MOTION + [0, dip * FAR, 0, 0, 0, 0]
    believed, found = strode(guessed, share, sure=1e6), strode(guessed, share, sure=1.0)
    assert float(found.found[..., 0]) == pytest.approx(FAR, rel=0.02)
    assert abs(float(believed.found[..., 0]) / FAR - 1) > 0.03
    turned = torch.linalg.vector_norm(found.way - course(MOTION).way)
    assert float(turned) < 0.2 * abs(dip)


def test_without_ground_what_was_believed_of_way_and_length_stays() -> None:
    first, worth = torch.tensor([[[0.3]]]).double(), torch.full((1, 1, 5), 0.1).double()
    none = cells(tracks(MOTION), counts=0.0)
    found = floor.stride(course(MOTION), first, worth, torch.eye(3).double()[None, None], none)
    torch.testing.assert_close(found.found, torch.tensor([[[0.3, 0.0]]]).double())
    torch.testing.assert_close(found.way, course(MOTION).way)


@pytest.mark.parametrize("angle", [0.0, 1e-4, 0.1, 0.5])
def test_rotation_is_that_of_the_vector(angle: float) -> None:
    turn = angle * np.array([0.6, -0.64, 0.48])
    expected = geometry.from_motion(np.concatenate([np.zeros(3), turn]))[:3, :3]
    np.testing.assert_allclose(rotation(torch.from_numpy(turn)[None])[0].numpy(), expected, atol=1e-5)


def test_cross_and_skew_are_the_cross_product() -> None:
    a, b = torch.randn(4, 5, 3), torch.randn(4, 5, 3)
    torch.testing.assert_close(cross(a, b), torch.linalg.cross(a, b))
    torch.testing.assert_close((skew(a[:, 0]) @ b[:, 0, :, None])[..., 0], torch.linalg.cross(a[:, 0], b[:, 0]))


def test_solved_is_torchs_solution() -> None:
    torch.manual_seed(0)
    root, vector = torch.randn(5, 6, 6), torch.randn(5, 6)
    matrix = root @ root.mT + 0.1 * torch.eye(6)
    torch.testing.assert_close(solved(matrix, vector), torch.linalg.solve(matrix, vector), rtol=1e-3, atol=1e-4)


def test_what_is_known_far_better_than_the_rest_is_not_lost() -> None:
    known = torch.tensor([1e9, 1.0, 1e-3, 1e6, 1e4, 1e12])
    torch.testing.assert_close(solved(torch.diag(known), known), torch.ones(6), rtol=1e-5, atol=0)


def test_what_rounding_makes_singular_is_solved_as_far_as_it_is_known() -> None:
    """Of six numbers only the sum is known, a thousand million times as well as the rest, which rounding loses."""
    matrix = 1e9 * torch.ones(2, 6, 6) + torch.eye(6)
    assert (matrix == 1e9).all()
    torch.manual_seed(0)
    found = solved(matrix, torch.stack([torch.full((6,), 6e9), 1e3 * torch.randn(6)]))
    torch.testing.assert_close(found[0].sum(), torch.tensor(6.0), rtol=1e-3, atol=0)
    assert found.abs().max() < 3
