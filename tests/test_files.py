"""Outputs are whole or absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing


def test_the_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent
        assert temporary.suffix == path.suffix
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "absent" / "x", tmp_path / "file" / "x", tmp_path / "folder"):
        with pytest.raises(VodistillError, match="cannot be written") as error, replacing(path) as temporary:
            temporary.write_text("x")
        assert str(path) in error.value.problem
        assert error.value.remedy
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder"]


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VodistillError, match="No such file"), replacing(tmp_path / "x"):
        pass
