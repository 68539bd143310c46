"""A learner: which losses a stage has, and which parameters they reach."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.toy import VIEW, ShiftStream, big, description, network, teacher
from training import config, networks
from training.data.batch import Batch
from training.data.blank import blanked
from training.learner import Learner
from training.losses import Confidence, Features, Poses, build_features, build_pose
from training.recipes import RECIPES, recipe, spelled_out
from training.stages import Feature, Pose, Run, Stage, Training
from training.teacher import Lesson, Teacher


def gradients(learner: Learner) -> dict[str, float]:
    """Sum of the absolute gradient of every parameter that got one."""
    learner.train()
    learner(ShiftStream().batch(0), 0)["loss"].backward()
    return {n: float(p.grad.abs().sum()) for n, p in learner.named_parameters() if p.grad is not None}


def test_stage_one_reaches_the_trunk_and_stage_two_the_head() -> None:
    hint, pose = recipe("aht_ail")
    taught = teacher()
    trunk_names = {f"network.{n}" for n, _ in network().named_parameters() if not n.startswith("head")}
    first = gradients(Learner(network(), description(), hint, teacher=taught))
    assert set(first) <= trunk_names
    assert all(value > 0 for value in first.values())
    second = gradients(Learner(network(), description(), pose, teacher=taught))
    assert second
    assert not set(second) & trunk_names


def test_frozen_parameters_get_no_gradient() -> None:
    stage = Stage(pose=(Pose("baseline"),), freeze=("encoder*",))
    reached = gradients(Learner(network(), description(), stage))
    assert reached
    assert not any("encoder" in name for name in reached)
    with pytest.raises(VodistillError, match="matches no parameter"):
        Learner(network(), description(), Stage(pose=(Pose("baseline"),), freeze=("nothing*",)))
    with pytest.raises(VodistillError, match="no parameter learns"):
        Learner(network(), description(), Stage(pose=(Pose("baseline"),), freeze=("*",)))


def two_views(clips: int = 6) -> Batch:
    random = torch.Generator().manual_seed(0)
    image, road = torch.randint(1, 256, (2, clips, 3, 32, 64), dtype=torch.uint8, generator=random)
    flow = torch.zeros(clips, 2, 2, 4, 8)
    return Batch(
        {"image": image, "view_road": road}, torch.zeros(clips, 2, 6), None, {"image": flow, "view_road": flow}
    )


def test_a_share_of_the_clips_is_blank() -> None:
    batch = two_views(200)
    found = blanked(batch, 0.25)
    black = (found.views["image"] == 0).flatten(1).all(1)
    assert 30 < int(black.sum()) < 70
    assert torch.equal(found.views["image"][~black], batch.views["image"][~black])
    assert torch.equal(found.views["view_road"], batch.views["view_road"])
    assert torch.equal(found.flow["image"].isnan().flatten(1).all(1), black)
    assert torch.equal(found.flow["view_road"], batch.flow["view_road"])


def test_a_blank_clip_is_shown_to_the_student_alone() -> None:
    road = networks.build({"name": "swift-xxs", "views": {"image": VIEW, "view_road": VIEW}})
    seen: list[Batch] = []

    class Watched(Teacher):
        def explain(self, batch: Batch, features: bool) -> Lesson:
            seen.append(batch)
            return Lesson(batch.motions, batch.motions, {}, torch.ones(batch.motions.shape[:2]))

    watched = Watched(road, config.Confidence(), Confidence(0.0, 1.0))
    stage, batch = Stage(pose=(Pose("ail"),)), two_views()
    hidden = {**batch.views, "image": torch.zeros_like(batch.views["image"])}
    learners = [Learner(road, {}, stage, teacher=watched, blank=share) for share in (0.0, 1.0)]
    plain, blank = (float(learner(batch, 0)["loss"].detach()) for learner in learners)
    assert all(torch.equal(told.views["image"], batch.views["image"]) for told in seen)
    assert blank == pytest.approx(float(learners[0](dataclasses.replace(batch, views=hidden), 0)["loss"].detach()))
    assert blank != pytest.approx(plain)
    with pytest.raises(VodistillError, match="only view"):
        Learner(network(), description(), stage, teacher=watched, blank=0.5)


def test_objects_are_those_of_the_newer_frames() -> None:
    seen: list[torch.Tensor | None] = []

    class Watched(torch.nn.Module):
        def forward(self, batch: Features) -> torch.Tensor:
            seen.append(batch.objects)
            return torch.zeros(())

    learner = Learner(network(), description(), recipe("fgd")[0], teacher=teacher())
    learner.features[0] = Watched()
    masks = torch.rand(4, 3, VIEW.height, VIEW.width) < 0.5
    learner(dataclasses.replace(ShiftStream().batch(0), masks=masks), 0)
    assert seen[0] is not None
    assert torch.equal(seen[0], masks[:, 1:].flatten(0, 1))


@pytest.mark.parametrize("loss", ["md", "cad", "cwd"])
def test_features_are_compared_in_full_where_others_are_halved(loss: str) -> None:
    """A student that is nearly its teacher: in half precision, a divergence would come out below zero."""
    taught, student = teacher(), big()
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.mul_(1 + 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0)))
    learner = Learner(student.eval(), {}, Stage(features=(Feature(loss, "level2", "level2"),)), teacher=taught)
    batch = ShiftStream().batch(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = learner(batch, 0)["loss"]
        halves = [n(batch.views, features=True).features["level2"].flatten(0, 1) for n in (student, taught.network)]
    assert halves[0].dtype == torch.bfloat16
    ours, theirs = (half.float() for half in halves)
    width = student.level_channels["level2"]
    expected = build_features(loss, [width], [width])(Features((ours,), (theirs,)))
    assert float(found.detach()) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert float(found.detach()) > 0


def test_losses_are_weighted_summed_and_ramped() -> None:
    taught = teacher()
    stage = Stage(
        pose=(Pose("baseline", 2.0), Pose("ail", 3.0, {"alpha": 0.25})), features=(Feature("aht", weight=4.0, ramp=10),)
    )
    learner = Learner(network(dropout=0.0), description(dropout=0.0), stage, rotation_weight=7.0, teacher=taught)
    learner.eval()
    batch = ShiftStream().batch(0)
    with torch.no_grad():
        losses, whole = ({k: float(v) for k, v in learner(batch, step).items()} for step in (4, 1000))
        lesson = taught.explain(batch, True)
        output = learner.network(batch.views)
    flat = [x.flatten(0, 1) for x in (output.motion, batch.motions, lesson.motion)]
    poses = Poses(*flat, confidence=lesson.confidence.flatten())
    assert losses["baseline"] == pytest.approx(2 * float(build_pose("baseline", rotation_weight=7.0)(poses)), rel=1e-5)
    expected = 3 * float(build_pose("ail", rotation_weight=7.0, alpha=0.25)(poses))
    assert losses["ail"] == pytest.approx(expected, rel=1e-5)
    assert losses["aht"] == pytest.approx(0.5 * whole["aht"], rel=1e-5)
    assert losses["loss"] == pytest.approx(losses["baseline"] + losses["ail"] + losses["aht"], rel=1e-6)


def test_what_needs_a_teacher_says_so() -> None:
    with pytest.raises(VodistillError, match="teacher"):
        Learner(network(), description(), Stage(features=(Feature("ht"),)))
    with pytest.raises(VodistillError, match="teacher"):
        Learner(network(), description(), Stage(pose=(Pose("kd"),)))(ShiftStream().batch(0), 0)
    with pytest.raises(VodistillError, match="level9"):
        stage = Stage(pose=(Pose("baseline"),), features=(Feature("md", "level9", "level0"),))
        Learner(network(), description(), stage, teacher=teacher())


def test_recipes_follow_the_papers() -> None:
    """Weights and adaptation layers that the companions and the baselines publish."""
    (lad,), (cad,), (review,), (chen,) = (recipe(name) for name in ("lad", "cad", "review", "chen"))
    assert [stage.features[0].weight for stage in (lad, cad, review)] == [3.0, 3.0, 1.0]
    (rising,) = spelled_out(Run(method="review", training={"steps": 240}), Training(steps=60)).stages
    assert rising.features[0].ramp == 20
    assert spelled_out(Run(method="lad"), Training(steps=240)).stages == (lad,)
    learner = Learner(network(), description(), chen, teacher=teacher())
    assert any(name.startswith("features") for name, _ in learner.named_parameters())
    hint, rest = recipe("fitnets")
    assert (hint.train, hint.features[0].loss) == ("to_hint", "ht")
    assert (rest.train, rest.pose[0].loss) == ("all", "additional")
    hint, rest = recipe("aht_ail")
    assert (hint.train, hint.features[0].loss, hint.pose) == ("to_hint", "aht", ())
    assert (rest.train, rest.pose[0].loss, rest.features) == ("after_hint", "ail", ())


def test_the_share_of_the_truth_is_told_with_the_method() -> None:
    (known, second), (plain, first) = recipe("aht_ail@0.25"), recipe("aht_ail")
    assert known == plain and second == dataclasses.replace(first, pose=(Pose("ail", options={"alpha": 0.25}),))
    assert recipe("kd@0")[0].pose == (Pose("additional", options={"alpha": 0.0}),)
    for method, told in (("supervised@0.5", "blends no"), ("ail@half", "alpha is 'half'"), ("ail@2", "alpha is 2")):
        with pytest.raises(VodistillError, match=told):
            recipe(method)


@pytest.mark.parametrize("method", [m for m in RECIPES if m != "fgd"])
def test_every_recipe_trains_a_step(method: str) -> None:
    """On a student and a teacher of different widths; FGD needs masks and is tested on the generated world."""
    taught = teacher()
    for stage in recipe(method):
        learner = Learner(network(), description(), stage, teacher=taught)
        reached = gradients(learner)
        assert all(math.isfinite(value) for value in reached.values())
        assert any(value > 0 for value in reached.values())
