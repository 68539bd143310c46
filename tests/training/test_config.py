"""Experiments from YAML: values, errors that name the place, and the help that comes from docstrings."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ros2_vodistill.errors import VodistillError
from training import config, explain, networks
from training.cells import cells
from training.config import Experiment
from training.data.generated import WorldStream
from training.losses import POSE, build_pose, check_features
from training.recipes import RECIPES, recipe
from training.settings import build, meanings_of, override, plain
from training.stages import Training

CONFIGS = sorted((Path(config.__file__).parent / "configs").glob("*.yaml"))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_shipped_experiments_load_and_name_what_exists(path: Path) -> None:
    from training import networks
    from training.world import WorldConfig

    experiment = config.load(path)
    WorldConfig.from_dict(experiment.data.world)
    for run in (experiment.teacher, *experiment.students.values()):
        if run.network:
            networks.configure(run.network)
        assert run.stages or not run.method or recipe(run.method)
    for network in (*experiment.table.networks.values(), *experiment.table.rates.values()):
        networks.configure(network)
    cells(experiment.table)


def test_an_unknown_key_is_named_with_its_file_and_its_like(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "name: a\ntraining: {bach_size: 3}\n")
    with pytest.raises(VodistillError) as caught:
        config.load(file)
    assert str(file) in caught.value.problem
    assert "training.bach_size" in caught.value.problem
    assert "batch_size" in caught.value.remedy


@pytest.mark.parametrize(
    ("text", "key", "remedy"),
    [
        ("name: a\ntraining: {steps: many}", "training.steps is 'many'", "whole number"),
        ("name: a\ntraining: {steps: 1.5}", "training.steps is 1.5", "whole number"),
        ("name: a\ntraining: {steps: true}", "training.steps is True", "whole number"),
        ("name: a\ntraining: {rate: fast}", "training.rate is 'fast'", "a number"),
        ("name: a\ntraining: {schedule: square}", "training.schedule is 'square'", "cosine"),
        ("name: a\ndata: {train: 5}", "data.train is 5", "a list"),
        ("name: a\ndata: [1]", "data", "Data"),
        ("name: a\nteacher: {stages: [{pose: [{weight: 2}]}]}", "teacher.stages[0].pose[0].loss is missing", "Pose"),
        ("name: a\nstudents: {s: {stages: [{freeze: [1]}]}}", "students.s.stages[0].freeze[0] is 1", "text"),
        ("name: a\ntraining: {clip: -1}", "training.clip is -1.0", "at least 0"),
        ("name: a\ntraining: {rate: .nan}", "training.rate is nan", "more than 0"),
        ("name: a\ntraining: {log_steps: 0}", "training.log_steps is 0", "at least 1"),
        ("name: a\ntraining: {ema: 1.5}", "training.ema is 1.5", "at most 1"),
        ("name: a\ndata: {frames: 1}", "data.frames is 1", "at least 2"),
        ("name: a\ndata: {skips: [2, 0]}", "data.skips are [2, 0]", "at least 1"),
        ("name: a\ndata: {augmentation: {gain: -2}}", "data.augmentation.gain is -2.0", "at least 0"),
        ("name: a\nconfidence: {rotation_weight: 0}", "confidence.rotation_weight is 0.0", "more than 0"),
        ("name: a\nmeasure: [{path: x, height: 0}]", "measure[0].height is 0.0", "more than 0"),
        ("name: a\nseed: -1", "seed is -1", "at least 0"),
        ("name: ../a", "name is '../a'", "a plain name"),
        ("name: a\nteacher: {stages: [{name: ''}]}", "teacher.stages[0].name is ''", "a plain name"),
        ("name: a\nstudents: {teacher: {}}", "students.teacher is no name", "of its own"),
        ("name: a\nteacher: {method: ail, stages: [{}]}", "teacher.method is 'ail', beside stages", "leave one"),
        ("training: {}", "name is missing", "Experiment"),
        ("name: [", "not YAML", "line"),
        ("- 1", "mapping", "configs"),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, text: str, key: str, remedy: str) -> None:
    file = write(tmp_path / "a.yaml", text)
    with pytest.raises(VodistillError) as caught:
        config.load(file)
    assert str(file) in caught.value.problem
    assert key in caught.value.problem
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("network", "problem"),
    [
        ({"name": "flownet-t", "width": "big"}, "network 'flownet-t': width is 'big'"),
        ({"name": "flownet-t", "layers": 5}, "network 'flownet-t': layers is 5"),
        ({"name": "flownet-t", "pool": [3]}, "network 'flownet-t': pool is [3]"),
        ({"name": "flownet-t", "unit": "feet"}, "network 'flownet-t': unit is 'feet'"),
        ({"name": "flownet-t", "dropout": 2}, "network 'flownet-t': dropout is 2"),
        ({"name": "flownet-t", "views": {"image": 3}}, "network 'flownet-t': view 'image' is 3"),
        ({"name": "swift-s", "radii": [[4, 4]]}, "network 'swift-s': radii is [[4, 4]]"),
        ({"name": "swift-s", "memory": -1}, "network 'swift-s': memory is -1"),
    ],
)
def test_wrong_descriptions_of_networks_are_told(network: dict[str, object], problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        networks.configure(network)
    assert caught.value.problem.startswith(problem)


@pytest.mark.parametrize(
    ("loss", "options", "problem"),
    [
        ("laplace", {"beta": "much"}, "loss 'laplace': beta is 'much'"),
        ("laplace", {"motion": "no"}, "loss 'laplace': motion is 'no'"),
        ("ail", {"alpha": 2}, "loss 'ail': alpha is 2.0"),
        ("chen", {"margin": [1]}, "loss 'chen': margin is [1]"),
        ("cwd", {"temperature": "hot"}, "loss 'cwd': temperature is 'hot'"),
        ("cad", {"of": 3}, "loss 'cad': of is 3"),
        ("review", {"middle": 1.5}, "loss 'review': middle is 1.5"),
    ],
)
def test_wrong_options_of_losses_are_told(loss: str, options: dict[str, object], problem: str) -> None:
    with pytest.raises(VodistillError) as caught:
        build_pose(loss, **options) if loss in POSE else check_features(loss, options)
    assert problem in caught.value.problem


def test_a_missing_file_says_which_are_shipped(tmp_path: Path) -> None:
    with pytest.raises(VodistillError) as caught:
        config.load(tmp_path / "none.yaml")
    assert "tiny.yaml" in caught.value.remedy


def test_a_base_is_merged_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: base\ntraining: {rate: 1e-3, steps: 7}\nseed: 3\n")
    file = write(tmp_path / "top.yaml", "base: base.yaml\nname: top\ntraining: {steps: 9}\n")
    experiment = config.load(file)
    assert (experiment.name, experiment.seed) == ("top", 3)
    assert (experiment.training.rate, experiment.training.steps) == (1e-3, 9)


def test_bases_in_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "base: b.yaml\nname: a\n")
    file = write(tmp_path / "b.yaml", "base: a.yaml\nname: b\n")
    with pytest.raises(VodistillError, match="back to itself"):
        config.load(file)


def test_overrides_win_and_are_checked(tmp_path: Path) -> None:
    file = write(tmp_path / "a.yaml", "name: a\ntraining: {rate: 1e-3}\n")
    experiment = config.load(file, ["training.rate=2e-3", "data.frames=5", "table.seeds=[1, 2]"])
    assert (experiment.training.rate, experiment.data.frames, experiment.table.seeds) == (2e-3, 5, (1, 2))
    with pytest.raises(VodistillError, match=r"data\.frame"):
        config.load(file, ["data.frame=5"])
    with pytest.raises(VodistillError, match="key=value"):
        config.load(file, ["data.frames"])


@settings(deadline=None, max_examples=30)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(0, 10**6),
            "rate": st.floats(1e-9, 1.0),
            "schedule": st.sampled_from(["cosine", "stable", "one_cycle", "constant"]),
            "channels_last": st.booleans(),
        },
    )
)
def test_plain_values_are_read_back(values: dict[str, object]) -> None:
    experiment = build(Experiment, {"name": "a", "training": values, "measure": [{"path": "x"}]}, "test")
    assert build(Experiment, plain(experiment), "test") == experiment


def test_an_override_below_what_is_no_mapping_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("name: toy\nteacher: {network: swift-s}\n")
    with pytest.raises(VodistillError, match=r"teacher\.network is 'swift-s', which holds no 'memory'"):
        config.load(file, ["teacher.network.memory=0"])


def test_override_replaces_only_what_is_given() -> None:
    changed = override(Training(), {"rate": 1}, "test")
    assert changed == dataclasses.replace(Training(), rate=1.0)


def test_settings_are_explained_however_python_keeps_docstrings() -> None:
    """From 3.13 on it takes their indentation away."""
    dedented = type("Dedented", (), {"__doc__": inspect.cleandoc(Training.__doc__ or "")})
    assert meanings_of(dedented) == meanings_of(Training)
    assert "rate" in meanings_of(dedented)


def test_every_setting_is_explained() -> None:
    """Those of the world, of networks and of losses, too."""
    rows = list(explain.rows())
    assert [key for key, _, meaning in rows if not meaning] == []
    known = {key: (default, meaning) for key, default, meaning in rows}
    assert known["training.rate"] == ("0.0001", "the highest learning rate.")
    assert "teacher.stages[].pose[].loss" in known
    assert "students.NAME.network" in known
    assert known["data.world.motion.platforms.NAME.pitch_deg"] == ("0.3", "typical shaking, degrees.")
    assert known["network flownet.unit"] == ("'camera_height'", "of the translation, 'camera_height' or 'metre'.")
    assert known["pose loss ail.alpha"][0] == "0.5"
    assert known["feature loss fgd.relation"] == ("5e-06", "weights of the four terms.")
    assert "feature loss lad.of" not in known


def test_the_worlds_settings_are_explained_where_they_stand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from training import __main__ as commands

    monkeypatch.setattr("sys.argv", ["training", "explain"])
    with pytest.raises(SystemExit, match="0"):
        commands.main()
    lines = capsys.readouterr().out.splitlines()
    for setting in ("places.street", "rig.pitch_error_deg", "motion.platforms"):
        assert any(line.startswith(f"data.world.{setting}") for line in lines)
    assert not any(line.startswith(("data.world.frames", "data.world.view")) for line in lines)


@pytest.mark.parametrize("setting", ["frames", "view"])
def test_what_is_not_the_worlds_to_say_is_refused(setting: str) -> None:
    with pytest.raises(VodistillError, match=f"data.world.{setting} is not the world's to say"):
        WorldStream(config.Data(world={setting: 8}), networks.build("swift-xxs"), 1)


def test_every_recipe_names_losses_that_exist() -> None:
    from training.losses import FEATURES, POSE

    for name, stages in RECIPES.items():
        assert stages[-1].pose, name
        for stage in stages:
            assert {p.loss for p in stage.pose} <= set(POSE)
            assert {f.loss for f in stage.features} <= set(FEATURES)
    with pytest.raises(VodistillError, match="aht_ail"):
        recipe("aht")
