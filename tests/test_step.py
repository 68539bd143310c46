"""What a step hands on: how well the scale is known after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ros2_vodistill import geometry, rays, step
from ros2_vodistill.depths import Depths
from ros2_vodistill.ground import GroundFit
from ros2_vodistill.lengths import Gauge, Length
from ros2_vodistill.road import Road
from ros2_vodistill.step import Carried, Sight
from tests.test_anchor import ASIDE, fitted, wall

LENGTH = float(np.linalg.norm(ASIDE[:3, 3]))
PACE = Length(LENGTH, (0.5 * LENGTH) ** 2)


def deviation(before: Carried, sight: Sight) -> float:
    """Relative, of the scale after the length was foretold."""
    known = step.foretold(before, sight, PACE, None)
    assert known is not None
    assert known.length.value == pytest.approx(LENGTH, rel=0.2)
    return float(np.sqrt(known.gauge.variance))


def test_the_scale_is_as_vague_as_what_carries_it() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    sight, before = Sight((first, second), fit, fit), Carried(depths, gauge=Gauge(variance=0.02**2))
    assert deviation(before, sight) < 0.05
    assert deviation(replace(before, depths=Depths.unknown(len(first))), sight) == pytest.approx(0.5, rel=0.01)


def test_a_scale_that_is_a_guess_is_told() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    sight = Sight((first, second), fit, fit)

    def reasons(variance: float) -> tuple[str, ...]:
        before = Carried(depths, gauge=Gauge(variance=variance))
        return step.concluded(before, sight, step.foretold(before, sight, PACE, None), None).reasons

    assert reasons(0.02**2) == ()
    assert "guess" in reasons(0.25)[0]
    assert "unknown" in reasons(np.inf)[0]


def street(grounded: float, buried: float = 0.0, slope: float = 0.0) -> tuple[Carried, Sight]:
    """What was known of, and is seen from, a step ahead along a street that rises: shares of its corners lie on the
    road, three camera heights below the camera as reflections do, and else on walls."""
    random = np.random.default_rng(0)
    rising = geometry.so3_exp(np.array([slope, 0.0, 0.0]))
    ahead = geometry.make(np.eye(3), rising @ [0.0, 0.0, 0.5])
    x, z = random.uniform(-4, 4, 300), random.uniform(3, 12, 300)
    kind, place = random.permutation(300) / 300, random.uniform(-2, 0.8, 300)
    down = np.where(kind < grounded, 1.0, np.where(kind < grounded + buried, 3.0, place))
    points = np.stack([x, down, z], axis=1) @ rising.T
    first, second = (seen / np.linalg.norm(seen, axis=1, keepdims=True) for seen in (points, points - ahead[:3, 3]))
    fit = fitted(first, second, ahead)
    road = replace(Road.unknown(), state=np.array([0.0, np.tan(slope), 0.0, 0.0, 0.0]))
    return Carried(Depths.unknown(300), road), Sight((first, second), fit, fit)


def longest(before: Carried, sight: Sight) -> float:
    """In terms of the true length."""
    return step.prior(before, sight, None).longest / 0.5


@pytest.mark.parametrize("slope", [-0.15, 0.0, 0.15])
def test_no_step_is_so_long_that_the_corners_lie_deep_below_the_ground(slope: float) -> None:
    assert longest(*street(0.2, slope=slope)) == pytest.approx(2.0, rel=0.02)
    assert longest(*street(0.2, buried=0.05, slope=slope)) == pytest.approx(2.0, rel=0.02)
    assert longest(*street(0.2, buried=0.2, slope=slope)) == pytest.approx(2 / 3, rel=0.02)


def test_where_no_corner_is_on_the_ground_a_step_may_be_longer() -> None:
    assert longest(*street(0.0)) > 2.2


def told(before: Carried, sight: Sight, claim: float | None = 1.1, pace: float | None = None) -> float:
    """The length foretold of a step of 0.5, of which others say what they think."""
    lengths = [None if length is None else Length(length, (0.2 * length) ** 2) for length in (pace, claim)]
    known = step.foretold(before, sight, *lengths)
    assert known is not None
    return known.length.value


@pytest.mark.parametrize("slope", [-0.15, 0.0, 0.15])
def test_corners_on_the_ground_tell_a_scale_that_nobody_knows(slope: float) -> None:
    before, sight = street(0.2, slope=slope)
    assert told(before, sight) == pytest.approx(0.5, rel=0.02)
    lost = replace(before, gauge=Gauge(variance=4.0))
    assert told(lost, sight, pace=0.1) == pytest.approx(0.5, rel=0.1)


def test_they_are_not_asked_where_the_scale_is_known_or_means_nothing() -> None:
    before, sight = street(0.2)
    near = rays.nearness(np.eye(3), sight.seen.direction, *sight.rays)[0] / 0.4
    known = Carried(Depths(near, (0.001 * near) ** 2), before.road, Gauge(variance=0.02**2))
    assert told(known, sight, claim=None) == pytest.approx(0.4, rel=0.01)
    vague = replace(known, gauge=Gauge(variance=0.3**2))
    assert told(vague, sight, claim=None) == pytest.approx(0.5, rel=0.02)
    assert told(before, replace(sight, grounded=False)) == pytest.approx(1.1)


def test_a_claim_is_listened_to_where_no_corner_is_on_the_ground() -> None:
    before, sight = street(0.0)
    assert told(before, sight) == pytest.approx(1.1)


def test_a_claim_by_which_corners_lie_deep_below_the_ground_is_not_listened_to_if_anything_else_tells() -> None:
    before, sight = street(0.2)
    sight = replace(sight, grounded=False)
    lost = replace(before, gauge=Gauge(variance=4.0))
    assert told(lost, sight, claim=0.9, pace=0.5) == pytest.approx(0.9, rel=0.1)
    assert told(lost, sight, claim=1.1, pace=0.5) == told(lost, sight, claim=None, pace=0.5) == pytest.approx(0.5)
    assert told(before, sight, claim=1.1) == pytest.approx(1.1)


def test_corners_that_tell_no_distance_do_not_limit_a_step() -> None:
    before, sight = street(0.2)
    few, vague = np.arange(300) < 19, replace(sight.seen, sigma=0.1)
    some = replace(sight.seen, weights=sight.seen.weights * few)
    turns = replace(sight.seen, turns_only=True)
    assert [longest(before, replace(sight, seen=seen)) for seen in (some, vague, turns)] == [np.inf] * 3


def looked(translation: np.ndarray) -> GroundFit:
    """A ground that is sure of this way."""
    length = float(np.linalg.norm(translation))
    return GroundFit(
        rotation=ASIDE[:3, :3], translation=translation, road=np.zeros(3), covariance=1e-6 * np.eye(9), score=0.9,
        static=0.0, support=0.9, strain=0.1, length=Length(length, (0.02 * length) ** 2),
    )  # fmt: skip


@pytest.mark.parametrize(("share", "follows"), [(-1.0, True), (-0.1, False)])
def test_corners_that_have_the_way_back_to_front_yield_to_a_ground_that_moves(share: float, follows: bool) -> None:
    motion = ASIDE.copy()
    motion[:3, 3] *= 4
    first, second, depths = wall(motion)
    fit = fitted(first, second, motion)
    sight, pace = Sight((first, second), fit, fit), Length(4 * LENGTH, (2 * LENGTH) ** 2)
    before = Carried(depths, gauge=Gauge(variance=0.02**2))
    ground = looked(share * motion[:3, 3])
    found = step.concluded(before, sight, step.foretold(before, sight, pace, None), ground).motion[:3, 3]
    assert (found @ ground.translation > 0) == follows


def test_a_scale_that_is_a_guess_is_told_where_a_ground_did_not_set_it_too() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    sight = Sight((first, second), fit, fit)
    before = Carried(depths, gauge=Gauge(variance=1.0))
    vague = replace(looked(ASIDE[:3, 3]), length=Length(LENGTH, LENGTH**2))
    reasons = step.concluded(before, sight, step.foretold(before, sight, PACE, None), vague).reasons
    assert any("guess" in reason for reason in reasons)


def test_a_scale_in_which_all_is_too_near_to_be_true_is_not_believed() -> None:
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    near = Carried(replace(depths, nearness=1000 * depths.nearness), gauge=Gauge(variance=0.02**2))
    known = step.foretold(near, Sight((first, second), fit, fit), None, None)
    assert known is not None
    assert known.gauge.variance > 0.9


def test_what_may_be_camber_is_no_turn() -> None:
    """The turn, and how well it is known, beside a joint solution for the motion and the camber."""
    rng = np.random.default_rng(4)
    first, second, depths = wall(ASIDE)
    fit = fitted(first, second, ASIDE)
    root = rng.normal(size=(5, 5)) * 4e-4
    fit = replace(fit, covariance=root @ root.T)
    told = step.prior(Carried(depths), Sight((first, second), fit, fit), None)
    camber = told.epipolar.covariance - fit.covariance
    assert (np.diag(camber)[:3] > 0).all()
    assert (camber[3:] == 0).all()
    # the ground tells (translation, turn + camber, road) with this information; the prior of all but the turn is vague
    root = rng.normal(size=(9, 9)) * 3e3
    information, seen = root @ root.T, 1e-4 * rng.normal(size=9)
    vague = np.diag([1.0] * 3 + [0.0] * 3 + [1.0] * 3)

    def known(turns: np.ndarray) -> np.ndarray:
        prior = vague.copy()
        prior[3:6, 3:6] = np.linalg.inv(turns)
        return prior

    alone = np.linalg.inv(information + known(told.epipolar.covariance[:3, :3]))
    mean = alone @ information @ seen
    ground = GroundFit(
        rotation=geometry.so3_exp(mean[3:6]) @ fit.rotation, translation=ASIDE[:3, 3], road=np.zeros(3),
        covariance=alone, score=1.0, static=0.0, support=1.0, strain=0.0, length=PACE,
    )  # fmt: skip
    sight = Sight((first, second), fit, fit)
    before = Carried(depths, gauge=Gauge(variance=0.02**2))
    taken = step.concluded(before, sight, step.foretold(before, sight, PACE, None), ground)

    by = np.hstack([np.eye(9), np.vstack([np.zeros((3, 3)), np.eye(3), np.zeros((3, 3))])])  # of (motion, road, camber)
    prior = np.zeros((12, 12))
    prior[:9, :9] = known(fit.covariance[:3, :3])
    prior[9:, 9:] = np.linalg.inv(camber[:3, :3])
    joint = np.linalg.inv(by.T @ information @ by + prior)
    turn = (joint @ by.T @ information @ seen)[3:6]
    np.testing.assert_allclose(geometry.so3_log(taken.motion[:3, :3] @ fit.rotation.T), turn, atol=1e-8)
    np.testing.assert_allclose(taken.covariance[3:, 3:], joint[3:6, 3:6], rtol=1e-6, atol=1e-14)
