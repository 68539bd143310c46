"""A teacher: how far it is trusted, and what it says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from tests.training.toy import ShiftStream, big, description, network, teacher
from training import config
from training.learner import Learner
from training.losses import Confidence
from training.stages import Feature, Pose, Stage
from training.teacher import Teacher, confidence


def test_confidence_is_the_papers_formula_over_the_whole_set() -> None:
    learnt, settings = big(), config.Confidence(rotation_weight=50.0)
    errors = []
    with torch.no_grad():
        for i in range(3):
            batch = ShiftStream().batch(i)
            error = (learnt.eval()(batch.views).motion - batch.motions) ** 2
            errors.append(error[..., :3].sum(-1) + 50.0 * error[..., 3:].sum(-1))
    every = torch.cat(errors)
    found = confidence(learnt, ShiftStream(), 12, settings)
    assert found.eta == pytest.approx(float(every.max() - every.min()), rel=1e-5)
    lesson = Teacher(learnt, settings, found).explain(ShiftStream().batch(2), features=False)
    assert torch.allclose(lesson.confidence, 1 - errors[2] / (every.max() - every.min()), atol=1e-5)


def test_the_least_trusted_sample_is_clamped_only_when_asked() -> None:
    learnt = big()
    plain, clamped = (config.Confidence(clamp=clamp) for clamp in (False, True))
    spread = confidence(learnt, ShiftStream(), 16, plain)
    batches = [ShiftStream().batch(i) for i in range(4)]
    least = min(float(Teacher(learnt, plain, spread).explain(b, False).confidence.min()) for b in batches)
    assert least == pytest.approx(-spread.least / spread.eta, abs=1e-6)
    assert least < 0
    kept = Teacher(learnt, clamped, dataclasses.replace(spread, clamp=True))
    assert min(float(kept.explain(b, False).confidence.min()) for b in batches) == 0.0


def test_uncertainty_may_stand_in_for_the_error() -> None:
    settings = config.Confidence(source="uncertainty", rotation_weight=1.0)
    learnt = big()
    found = Teacher(learnt, settings, confidence(learnt, ShiftStream(), 8, settings))
    lesson = found.explain(ShiftStream().batch(0), False)
    expected = 1 - lesson.log_variance.exp().sum(-1) / found.confidence.eta
    assert torch.allclose(lesson.confidence, expected, atol=1e-6)


def test_eta_is_cached_under_all_that_it_depends_on(tmp_path: Path) -> None:
    cache = tmp_path / "confidence.json"
    learnt = big()
    first = confidence(learnt, ShiftStream(), 8, config.Confidence(), cache)
    told = json.loads(cache.read_text())
    cache.write_text(json.dumps({**told, "least": 0.0, "largest": 9.0}))
    assert confidence(learnt, ShiftStream(), 8, config.Confidence(), cache) == Confidence(0.0, 9.0)
    assert confidence(learnt, ShiftStream(seed=1), 8, config.Confidence(), cache) != first
    cache.write_text(json.dumps({**told, "least": 0.0, "largest": 9.0}))
    assert confidence(big(2), ShiftStream(), 8, config.Confidence(), cache).largest != 9.0
    for settings in (config.Confidence(rotation_weight=3.0), config.Confidence(source="uncertainty")):
        cache.write_text(json.dumps({**told, "least": 0.0, "largest": 9.0}))
        assert confidence(learnt, ShiftStream(), 8, settings, cache).largest != 9.0
    cache.write_text(json.dumps({**told, "least": 0.0, "largest": 9.0}))
    assert confidence(learnt, ShiftStream(), 12, config.Confidence(), cache).largest != 9.0


def test_eta_does_not_depend_on_how_many_clips_are_looked_at_together() -> None:
    learnt = big()
    found = [confidence(learnt, ShiftStream(size), 6, config.Confidence()) for size in (1, 2, 4, 5)]
    assert [f.least for f in found] == pytest.approx([found[0].least] * 4, rel=1e-4)
    assert [f.largest for f in found] == pytest.approx([found[0].largest] * 4, rel=1e-4)


def test_a_teacher_neither_learns_nor_drops_out() -> None:
    taught = teacher()
    before = {k: v.clone() for k, v in taught.network.state_dict().items()}
    learner = Learner(network(), description(), Stage(pose=(Pose("ail"),), features=(Feature("aht"),)), teacher=taught)
    assert not any(name.startswith("teacher") for name, _ in learner.named_parameters())
    learner.train()
    learner(ShiftStream().batch(0), 0)["loss"].backward()
    assert all(p.grad is None for p in taught.network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in taught.network.state_dict().items())
    lessons = [taught.explain(ShiftStream().batch(0), False).motion for _ in range(2)]
    assert torch.equal(*lessons)
