"""What the pages tell to type exists."""

from __future__ import annotations

import ast
import importlib.metadata
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def declared(file: Path) -> set[str]:
    """The arguments of a launch file."""
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "ARGUMENTS":
            assert isinstance(node.value, ast.Dict)
            return {ast.literal_eval(key) for key in node.value.keys if key is not None}
    raise AssertionError(f"{file} has no ARGUMENTS")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_launch_arguments_that_pages_name_are_declared(page: Path) -> None:
    """One that is not is taken by ros2 launch without a word, and does nothing."""
    files = {file.name: declared(file) for file in (ROOT / "launch").glob("*.launch.py")}
    known = files["vo.launch.py"] | files["replay.launch.py"]
    named = set(re.findall(r"\b([a-z_]+):=", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("file", ["docs/robot.md", "docker/Dockerfile", ".github/workflows/ros.yml"])
def test_what_a_ros_2_is_given_by_pip_is_what_the_package_requires(file: str) -> None:
    """On Lyrical's Python 3.14 there is no numpy 1 and no backports.zstd, and pip would install nothing."""
    setup = ast.parse((ROOT / "setup.py").read_text())
    (required,) = (
        node.value for node in ast.walk(setup) if isinstance(node, ast.keyword) and node.arg == "install_requires"
    )
    known = {name.replace('"', "'") for name in ast.literal_eval(required)} | {"numpy<2; python_version < '3.14'"}
    (command,) = re.findall(r"pip install ((?:.*\\\n)?.*)", (ROOT / file).read_text())
    named = set(re.findall(r'"([^"]+)"', command))
    assert len(named) > 5
    assert named <= known


def test_pages_have_arguments_and_links_at_all() -> None:
    text = "".join(page.read_text() for page in PAGES)
    assert ":=" in text and "](" in text


def needed() -> dict[str, set[str]]:
    """Bounds of the versions of what setup.py installs."""
    each = (line for line in importlib.metadata.requires("ros2_vodistill") or [] if "extra ==" not in line)
    return {re.split(r"[<>=;]", line)[0]: set(re.findall(r"[<>=]+[\d.]+", line.split(";")[0])) for line in each}


def test_the_oldest_versions_that_are_tried_are_those_that_setup_allows() -> None:
    tried = dict(re.findall(r"^(\S+)==(.+)$", (ROOT / "tests" / "lowest.txt").read_text(), re.MULTILINE))
    oldest = {name: bound[2:] for name, bounds in needed().items() for bound in bounds if bound.startswith(">=")}
    assert len(oldest) > 8
    for name, version in oldest.items():
        assert f"{tried[name]}.".startswith(f"{version}.") or f"of {version} there is no wheel" in tried[name], name
