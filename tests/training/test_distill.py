"""Learners, teachers and their confidence, and runs through their stages."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import pytest
import torch

from ros2_vodistill.errors import VodistillError
from tests.training.toy import SPEC, TEACHER, VIEW, ShiftStream, description, network
from training import checkpoint, config, networks, runs
from training.budget import Budget
from training.config import Data, Experiment
from training.data.batch import Batch
from training.data.blank import blanked
from training.distill import train_teacher
from training.learner import Learner
from training.losses import Confidence, Features, Poses, build_features, build_pose
from training.processes import make_accelerator
from training.recipes import RECIPES, recipe, spelled_out
from training.runs import Place
from training.settings import build, read
from training.stages import Feature, Pose, Run, Stage, Training
from training.teacher import Lesson, Teacher, confidence
from training.trained import clips_seen, finished, load_network


def big(seed: int = 1) -> networks.Network:
    torch.manual_seed(seed)
    return networks.build(TEACHER)


def teacher(settings: config.Confidence | None = None) -> Teacher:
    settings = settings or config.Confidence()
    learnt = big()
    return Teacher(learnt, settings, confidence(learnt, ShiftStream(), 16, settings))


def gradients(learner: Learner) -> dict[str, float]:
    """Sum of the absolute gradient of every parameter that got one."""
    learner.train()
    learner(ShiftStream().batch(0), 0)["loss"].backward()
    return {n: float(p.grad.abs().sum()) for n, p in learner.named_parameters() if p.grad is not None}


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
    gradients(learner)
    assert all(p.grad is None for p in taught.network.parameters())
    assert all(torch.equal(v, before[k]) for k, v in taught.network.state_dict().items())
    lessons = [taught.explain(ShiftStream().batch(0), False).motion for _ in range(2)]
    assert torch.equal(*lessons)


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


@pytest.mark.parametrize("method", [m for m in RECIPES if m != "fgd"])
def test_every_recipe_trains_a_step(method: str) -> None:
    """On a student and a teacher of different widths; FGD needs masks and is tested on the generated world."""
    taught = teacher()
    for stage in recipe(method):
        learner = Learner(network(), description(), stage, teacher=taught)
        reached = gradients(learner)
        assert all(math.isfinite(value) for value in reached.values())
        assert any(value > 0 for value in reached.values())


def experiment(**settings: object) -> Experiment:
    training = Training(steps=4, batch_size=4, rate=1e-3, warmup=1, log_steps=2, evaluate_steps=2)
    return Experiment("toy", data=Data(held_out=4), training=training, **settings)  # type: ignore[arg-type]


def place(folder: Path) -> Place:
    return Place(folder, make_accelerator(Training()), big(), say=lambda _: None, quiet=True)


def test_a_run_goes_through_its_stages(tmp_path: Path, shifts: None) -> None:
    run = Run(network=SPEC, method="aht_ail")
    assert not runs.train(experiment(), run, place(tmp_path), Budget(steps=3))
    assert not (tmp_path / "pose").exists()
    assert not runs.train(experiment(), run, place(tmp_path), Budget(steps=3))
    assert finished(tmp_path / "hint")
    assert runs.train(experiment(), run, place(tmp_path), Budget())
    hint, pose, final = (
        checkpoint.load_tensors(tmp_path / name)[0]
        for name in ("hint/network.safetensors", "pose/network.safetensors", "network.safetensors")
    )
    trunk = [k for k in hint if not k.startswith("head")]
    assert all(torch.equal(hint[k], pose[k]) for k in trunk)
    assert any(not torch.equal(hint[k], pose[k]) for k in hint if k not in trunk)
    assert all(torch.equal(final[k], pose[k]) for k in pose)
    assert clips_seen(tmp_path) == clips_seen(tmp_path / "network.safetensors") == 2 * 4 * 4
    assert (tmp_path / "code.json").exists()
    told = build(Experiment, read(tmp_path / "config.yaml")["experiment"], "config.yaml")
    assert told == experiment()
    loaded = load_network(tmp_path)
    batch = ShiftStream().batch(0)
    assert torch.isfinite(loaded(batch.views).motion).all()


def test_a_teacher_that_is_never_trusted_is_told(tmp_path: Path, shifts: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    taught = dataclasses.replace(place(tmp_path), say=told.append)
    for largest, doubts in ((9.0, 0), (1.5, 1)):
        monkeypatch.setattr(runs, "confidence", lambda *_, most=largest: Confidence(1.0, most))
        runs.train(experiment(), Run(network=SPEC, method="ail"), taught, Budget(steps=1))
        assert sum("nothing that it says is trusted" in line for line in told) == doubts


def test_a_finished_teacher_is_said_to_be(tmp_path: Path, shifts: None) -> None:
    told: list[str] = []
    toy = experiment(teacher=Run(network=SPEC, method="supervised"))
    assert not train_teacher(toy, tmp_path, Budget(steps=3), told.append)
    assert not any(line.endswith(": finished") for line in told)
    for _ in range(2):
        assert train_teacher(toy, tmp_path, Budget(), told.append)
        assert told.pop() == f"{tmp_path / 'teacher' / 'network.safetensors'}: finished"


def test_pieces_of_a_run_are_the_run(tmp_path: Path, shifts: None) -> None:
    run = Run(network=SPEC, method="aht_ail")
    runs.train(experiment(), run, place(tmp_path / "whole"), Budget())
    while not runs.train(experiment(), run, place(tmp_path / "pieces"), Budget(steps=3)):
        pass
    one, other = (checkpoint.load_tensors(tmp_path / n / "network.safetensors")[0] for n in ("whole", "pieces"))
    assert all(torch.equal(one[k], other[k]) for k in one)


def test_an_open_ended_run_can_be_ended_and_still_goes_on(tmp_path: Path, shifts: None) -> None:
    open_ended = dataclasses.replace(experiment().training, steps=0, schedule="stable")
    endless = dataclasses.replace(experiment(), training=open_ended)
    run = Run(network=SPEC, method="supervised")
    with pytest.raises(VodistillError, match="nothing is trained"):
        runs.train(endless, run, place(tmp_path), Budget(decay=2))
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    assert runs.train(endless, run, place(tmp_path), Budget(decay=2))
    ended = checkpoint.load_tensors(tmp_path / "network.safetensors")
    assert ended[1]["step"] == "6"
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    newest = checkpoint.latest(tmp_path / "pose" / "checkpoints")
    assert newest is not None
    assert newest.name == "step-000000008"
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "6"
    assert runs.train(endless, run, place(tmp_path), Budget(decay=3))
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "11"


def test_an_ending_begins_though_a_kill_left_half_a_copy(tmp_path: Path, shifts: None) -> None:
    """Half of the checkpoint that it goes on from is copied."""
    open_ended = dataclasses.replace(experiment().training, steps=0, schedule="stable")
    endless = dataclasses.replace(experiment(), training=open_ended)
    run = Run(network=SPEC, method="supervised")
    assert not runs.train(endless, run, place(tmp_path), Budget(steps=4))
    half = tmp_path / "pose-final" / "checkpoints" / ".step-000000004"
    half.mkdir(parents=True)
    (half / "state.json").write_text("{")
    assert runs.train(endless, run, place(tmp_path), Budget(decay=2))
    assert checkpoint.load_tensors(tmp_path / "network.safetensors")[1]["step"] == "6"


def test_a_student_starts_with_the_teachers_encoder(tmp_path: Path, shifts: None) -> None:
    alike = {**SPEC, "layers": [32, 16, 16, 8]}
    torch.manual_seed(5)
    known = networks.build(alike)
    taught = Place(tmp_path, make_accelerator(Training()), known, say=lambda _: None, quiet=True)
    run = Run(network=SPEC, method="aht_ail", start_from_teacher=True, freeze=("encoder*",))
    assert runs.train(experiment(), run, taught, Budget())
    student, original = load_network(tmp_path).state_dict(), known.state_dict()
    encoder = [k for k in student if k.startswith("encoder")]
    assert encoder
    assert all(torch.equal(student[k], original[k]) for k in encoder)


def test_a_stage_begins_with_what_it_adopts(tmp_path: Path, shifts: None) -> None:
    """After a first stage that knows nothing of it; taken up again, it goes on with what it learned itself."""
    torch.manual_seed(5)
    known = networks.build(SPEC)
    taught = Place(tmp_path, make_accelerator(Training()), known, say=lambda _: None, quiet=True)
    first = Stage("first", pose=(Pose("baseline"),))
    second = Stage("second", pose=(Pose("baseline"),), train="after_hint", adopt=("head.*",))
    still = dataclasses.replace(second, training={"rate": 1e-30, "weight_decay": 0.0})
    assert runs.train(experiment(), Run(network=SPEC, stages=(first, still)), taught, Budget())
    student, original = load_network(tmp_path).state_dict(), known.state_dict()
    head = [k for k in student if k.startswith("head.")]
    assert head
    assert all(torch.allclose(student[k], original[k], atol=1e-6) for k in head)
    assert not any(
        torch.allclose(student[k], original[k]) for k in student if k.startswith("encoder") and "weight" in k
    )

    whole, pieces = (dataclasses.replace(taught, folder=tmp_path / name) for name in ("whole", "pieces"))
    learning = Run(network=SPEC, stages=(first, second))
    assert runs.train(experiment(), learning, whole, Budget())
    assert not runs.train(experiment(), learning, pieces, Budget(steps=experiment().training.steps + 2))
    assert runs.train(experiment(), learning, pieces, Budget())
    once, twice = (load_network(place.folder).state_dict() for place in (whole, pieces))
    assert all(torch.equal(once[k], twice[k]) for k in once)
    assert not any(torch.allclose(once[k], original[k]) for k in head)

    alone = dataclasses.replace(taught, folder=tmp_path / "alone", teacher=None)
    with pytest.raises(VodistillError, match="without a teacher"):
        runs.train(experiment(), Run(network=SPEC, stages=(still,)), alone, Budget())
    strange = dataclasses.replace(still, name="strange", adopt=("polish.*",))
    elsewhere = dataclasses.replace(taught, folder=tmp_path / "elsewhere")
    with pytest.raises(VodistillError, match=r"adopt 'polish\.\*' matches nothing"):
        runs.train(experiment(), Run(network=SPEC, stages=(strange,)), elsewhere, Budget())


def test_a_run_goes_on_from_trained_weights_and_counts_their_clips(tmp_path: Path, shifts: None) -> None:
    """At a rate of nothing it ends with what it started from; the clips of both count."""
    first, second = Run(network=SPEC, method="supervised"), tmp_path / "second"
    assert runs.train(experiment(), first, place(tmp_path / "first"), Budget())
    seen = clips_seen(tmp_path / "first")
    assert seen > 0
    idle = dataclasses.replace(first, start=str(tmp_path / "first"), training={"rate": 1e-30, "weight_decay": 0.0})
    assert runs.train(experiment(), idle, place(second), Budget())
    assert clips_seen(second) == 2 * seen
    before, after = (load_network(folder).state_dict() for folder in (tmp_path / "first", second))
    assert all(torch.allclose(before[k], after[k], atol=1e-6) for k in dict(load_network(second).named_parameters()))
    other = dataclasses.replace(idle, network={**SPEC, "layers": [8, 8, 16, 8]})
    with pytest.raises(VodistillError, match="do not fit"):
        runs.train(experiment(), other, place(tmp_path / "third"), Budget())


def test_files_that_are_no_networks_are_refused(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="not there"):
        load_network(tmp_path)
    checkpoint.save_tensors(tmp_path / "network.safetensors", {"a": torch.zeros(1)})
    with pytest.raises(VodistillError, match="which network"):
        load_network(tmp_path)
    told = {"network": json.dumps(description())}
    checkpoint.save_tensors(tmp_path / "network.safetensors", {"a": torch.zeros(1)}, told)
    with pytest.raises(VodistillError, match="do not fit"):
        load_network(tmp_path)
