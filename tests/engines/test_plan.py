"""The cache of plans: built once, never loaded from where others could have put them, and whole or absent."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ros2_vodistill.engines.plan import Key, PlanCache, user_cache
from ros2_vodistill.errors import VodistillError

KEY = Key("a" * 64, "tensorrt 10.3.0", "Orin (8.7)", "fp16", "strongly typed")
PLAN = bytes(range(256)) * 40


class Builder:
    def __init__(self) -> None:
        self.builds = 0

    def __call__(self) -> bytes:
        self.builds += 1
        return PLAN


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> PlanCache:
    return PlanCache(tmp_path / "vodistill" / "plans", said.append)


def test_a_plan_is_built_once_and_is_for_its_user_only(cache: PlanCache, said: list[str]) -> None:
    build = Builder()
    assert cache.load(KEY) is None
    assert cache.get(KEY, build) == cache.get(KEY, build) == cache.load(KEY) == PLAN
    assert (build.builds, said) == (1, [])
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((cache.folder / KEY.file).stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change",
    [
        {"model": "b" * 64},
        {"software": "tensorrt 10.13.3"},
        {"gpu": "Thor (11.0)"},
        {"precision": "int8"},
        {"flags": "other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_differs_makes_another_plan(cache: PlanCache, said: list[str], change: dict[str, str]) -> None:
    build, other = Builder(), replace(KEY, **change)
    cache.get(KEY, build)
    cache.get(other, build)
    assert build.builds == 2
    (name, value), *_ = change.items()
    if name == "model":
        assert said == []
    else:
        assert said == [
            f"a plan of this model was built for something else ({name}: {getattr(KEY, name)}, here {value})"
        ]
    assert cache.load(KEY) == PLAN  # the old one stays: two GPUs in one machine, two versions in two containers


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[:50],
        lambda content: b"",
        lambda content: content[:-5] + b"X" + content[-4:],
        lambda content: content.replace(b"Orin", b"0rin"),
        lambda content: b"X" + content,
        lambda content: b"\n".join([content.split(b"\n")[0], b"null", b"plan"]),
    ],
    ids=["cut", "cut in its header", "empty", "one byte", "another's header", "no magic", "no table"],
)
def test_a_damaged_plan_is_built_again_with_a_message(
    cache: PlanCache, said: list[str], damage: Callable[[bytes], bytes]
) -> None:
    build = Builder()
    cache.get(KEY, build)
    path = cache.folder / KEY.file
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(KEY, build) == PLAN
    assert build.builds == 2
    assert len(said) == 1
    assert "is damaged" in said[0]
    assert cache.load(KEY) == PLAN


@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_plan_that_others_can_write_is_not_loaded(cache: PlanCache, said: list[str], mode: int) -> None:
    build = Builder()
    cache.get(KEY, build)
    (cache.folder / KEY.file).chmod(mode)
    assert cache.load(KEY) is None
    assert "could have been written by others" in said[0]
    cache.get(KEY, build)
    assert build.builds == 2
    assert stat.S_IMODE((cache.folder / KEY.file).stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_not_used(cache: PlanCache, said: list[str], mode: int) -> None:
    build = Builder()
    cache.get(KEY, build)
    cache.folder.chmod(mode)
    assert cache.load(KEY) is None
    assert cache.get(KEY, build) == PLAN
    assert build.builds == 2
    assert "not yours alone" in said[-1]
    assert "chmod go-w" in said[-1]
    with pytest.raises(VodistillError, match="not yours alone"):
        cache.get(KEY, build, must_keep=True)


def test_a_folder_in_a_place_that_anyone_can_write_is_not_used(tmp_path: Path, said: list[str]) -> None:
    cache = PlanCache(tmp_path / "open" / "plans", said.append)
    cache.get(KEY, Builder())
    (tmp_path / "open").chmod(0o777)
    assert cache.load(KEY) is None
    (tmp_path / "open").chmod(0o1777)  # as /tmp: others cannot rename what is not theirs
    assert cache.load(KEY) == PLAN


def test_links_are_not_followed(cache: PlanCache, tmp_path: Path, said: list[str]) -> None:
    build = Builder()
    cache.get(KEY, build)
    path = cache.folder / KEY.file
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert cache.load(KEY) is None
    assert cache.get(KEY, build) == PLAN
    assert not path.is_symlink()


def test_someone_elses_folder_is_not_used(cache: PlanCache, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    cache.get(KEY, Builder())
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert cache.load(KEY) is None
    assert "not yours alone" in said[-1]


def test_where_nothing_can_be_kept_the_plan_is_built_and_that_is_said(tmp_path: Path, said: list[str]) -> None:
    """A file in the way stands for a read-only home: it stops a superuser too."""
    (tmp_path / "home").touch()
    cache, build = PlanCache(tmp_path / "home" / "plans", said.append), Builder()
    assert cache.get(KEY, build) == PLAN
    assert build.builds == 1
    assert "built anew at every start" in said[0]
    with pytest.raises(VodistillError, match="cannot be written"):
        cache.get(KEY, build, must_keep=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="a superuser can write everywhere")
def test_a_home_that_is_read_only(tmp_path: Path, said: list[str]) -> None:
    tmp_path.chmod(0o500)
    assert PlanCache(tmp_path / "plans", said.append).get(KEY, Builder()) == PLAN
    assert "built anew" in said[0]


def test_a_full_disk_loses_the_copy_and_not_the_plan(
    cache: PlanCache, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    build = Builder()
    assert cache.get(KEY, build) == PLAN
    assert build.builds == 1
    assert "No space left" in said[0]
    assert [path for path in cache.folder.iterdir() if path.suffix == ".plan"] == []


def test_a_build_that_fails_leaves_nothing_and_is_tried_again(cache: PlanCache) -> None:
    def fails() -> bytes:
        raise VodistillError("no memory", "")

    with pytest.raises(VodistillError, match="no memory"):
        cache.get(KEY, fails)
    assert cache.load(KEY) is None
    assert cache.get(KEY, Builder()) == PLAN


def _slowly(folder: Path, log: Path) -> None:
    def build() -> bytes:
        with log.open("a") as file:
            file.write("built\n")
        time.sleep(0.5)
        return PLAN

    assert PlanCache(folder).get(KEY, build) == PLAN


def test_of_two_processes_at_once_one_builds(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_slowly, args=(tmp_path / "plans", tmp_path / "log")) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert (tmp_path / "log").read_text() == "built\n"


def _forever(folder: Path) -> None:
    def build() -> bytes:
        (folder / f".{Path(KEY.file).stem}.99999.plan").write_bytes(PLAN[:100])  # as if while writing
        time.sleep(60)
        return PLAN

    PlanCache(folder).get(KEY, build)


def test_a_killed_build_leaves_nothing_in_the_way(tmp_path: Path, said: list[str]) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_forever, args=(tmp_path / "plans",))
    process.start()
    remains = tmp_path / "plans" / f".{Path(KEY.file).stem}.99999.plan"
    while not remains.exists():
        assert process.is_alive()
        time.sleep(0.02)
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert PlanCache(tmp_path / "plans", said.append).get(KEY, Builder()) == PLAN
    assert not remains.exists()
    assert said == []


def test_the_cache_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert user_cache() == tmp_path / "vodistill"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert user_cache() == tmp_path / "home" / ".cache" / "vodistill"
