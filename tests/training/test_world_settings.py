"""Settings of the generated world: what cannot be is told with its key, its value and what to do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import yaml

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.view import View
from tests.training.worlds import CLEAN, config
from training.world import WorldConfig, render
from training.world.build import KINDS
from training.world.config import Motion, Photometry, Places

NOWHERE = dict.fromkeys(KINDS, 0.0)


@pytest.mark.parametrize(
    ("values", "problem", "remedy"),
    [
        ("photometry: {noise: [0, 3]}", "photometry.noise is [0.0, 3.0]", "more than 0, or both 0 for none"),
        ("photometry: {gamma: [0, 1]}", "photometry.gamma is [0.0, 1.0]", "more than 0"),
        ("photometry: {exposure: [0.6, 0.3]}", "photometry.exposure is [0.6, 0.3]", "lower bound first"),
        ("photometry: {adapt: [0.5, 1.5]}", "photometry.adapt is [0.5, 1.5]", "at most 1"),
        ("photometry: {blur: [.nan, 1]}", "photometry.blur is [nan, 1.0]", "at least 0"),
        ("places: {resize: [0, 2]}", "places.resize is [0.0, 2.0]", "more than 0"),
        ("places: {street: -1}", "places.street is -1.0", "at least 0"),
        ("places: {hilly: 2}", "places.hilly is 2.0", "at most 1"),
        ("rig: {pitch_error_deg: -1}", "rig.pitch_error_deg is -1.0", "at least 0"),
        ("motion: {fps: []}", "motion.fps is []", "more than 0"),
        ("motion: {fps: [10, 0]}", "motion.fps is [10.0, 0.0]", "more than 0"),
        ("motion: {reach: 0}", "motion.reach is 0.0", "more than 0"),
        ("motion: {platforms: {}}", "motion.platforms are none", "a share above 0"),
        ("motion: {platforms: {a: {share: 0}}}", "motion.platforms are a", "a share above 0"),
        (
            "motion: {platforms: {a: {height: [1, 0.5]}}}",
            "motion.platforms.a.height is [1.0, 0.5]",
            "lower bound first",
        ),
        (
            "motion: {platforms: {a: {road: false}}}",
            "places.motorway is 0.16",
            "places.motorway and places.tunnel to 0",
        ),
        ("motion: {platforms: {a: {road: true, inside: false}}}", "places.corridor is 0.07", "inside to true"),
        ("samples: 3", "samples is 3", "1, 2, 4, 8"),
        ("frames: 0", "frames is 0", "at least 1"),
        ("view: {width: 1, height: 9, fx: 9, fy: 9, cx: 0, cy: 4}", "view.width is 1", "at least 2"),
    ],
)
def test_what_cannot_be_is_told(values: str, problem: str, remedy: str) -> None:
    with pytest.raises(VodistillError) as caught:
        WorldConfig.from_dict(yaml.safe_load(values))
    assert problem in caught.value.problem and "data.world" in caught.value.problem
    assert remedy in caught.value.remedy


def test_a_world_without_places_is_told() -> None:
    with pytest.raises(VodistillError, match="no weight above 0"):
        WorldConfig(places=replace(Places(), **NOWHERE))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_a_platform_is_asked_for_where_it_is_needed(kind: str) -> None:
    """One that neither goes inside nor keeps to a road is enough for four kinds of places."""
    robot = replace(Motion().platforms["robot"], inside=False)
    values: dict[str, Any] = {
        "places": replace(Places(), **{**NOWHERE, kind: 1.0}),
        "motion": Motion(platforms={"robot": robot}),
    }
    if kind in ("street", "country", "park", "field"):
        assert render(replace(config(**values), samples=1), [1], frames=1).images.float().std() > 1
    else:
        with pytest.raises(VodistillError, match=rf"places\.{kind} is 1.0"):
            config(**values)


def test_noise_may_be_none() -> None:
    settings = replace(config(photometry=replace(CLEAN, noise=(0.0, 0.0)), motion=Motion(still=1.0)), samples=1)
    none, least = render(settings, [3]), render(replace(settings, photometry=CLEAN), [3])
    assert torch.equal(none.images, least.images)
    assert Photometry(noise=(0.0, 0.0)).noise == (0.0, 0.0)


def test_views_of_two_columns_render() -> None:
    assert render(config(), [3], frames=1, view=View(2, 1, 2.0, 2.0, 0.5, 0.0)).images.shape == (1, 1, 1, 2)
