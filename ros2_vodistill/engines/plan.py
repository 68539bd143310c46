"""Plans: what TensorRT builds of a model for one GPU, kept so that it is built once.

A plan is code. One is only loaded from a folder and a file that belong to the user and that nobody else can write, and
only if the file is whole and was built of exactly this model by exactly this software for this GPU.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import IO

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.files import replacing

_MAGIC = b"vodistill plan 1\n"
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True)
class Key:
    """What a plan belongs to.

    Attributes:
        model: sha256 of model.onnx.
        software: what built it, with the version.
        gpu: its name and compute capability.
        precision: of the model.
        flags: of the builder.
    """

    model: str
    software: str
    gpu: str
    precision: str
    flags: str

    @property
    def file(self) -> str:
        """Its name in the cache; those of a model begin alike."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return f"{self.model[:16]}-{digest[:16]}.plan"

    def differs(self, other: Key) -> str:
        """In words, what `other` was made for and this is not."""
        pairs = [(f.name, getattr(self, f.name), getattr(other, f.name)) for f in fields(self)]
        return ", ".join(f"{name}: {theirs}, here {ours}" for name, ours, theirs in pairs if ours != theirs)


class PlanCache:
    """Plans in a folder.

    Args:
        folder: None is the user's own: $XDG_CACHE_HOME/vodistill/plans.
        say: told what happens, in words that a user can read.
    """

    def __init__(self, folder: Path | None = None, say: Callable[[str], object] = lambda text: None) -> None:
        self.folder = user_cache() / "plans" if folder is None else folder
        self._say = say

    def load(self, key: Key) -> bytes | None:
        """The plan, if there is one that can be trusted."""
        try:
            check_folder(self.folder)
            return _read(self.folder / key.file, key)
        except FileNotFoundError:
            for other in self.others(key):
                self._say(f"a plan of this model was built for something else ({key.differs(other)})")
        except OSError as error:
            self._say(f"the plan {self.folder / key.file} cannot be read: {error.strerror}")
        except VodistillError as error:
            self._say(error.line)
        return None

    def get(self, key: Key, build: Callable[[], bytes], *, must_keep: bool = False) -> bytes:
        """The plan, built if need be; of several processes that want it at once, one builds.

        Where nothing can be kept, it is built all the same and not kept; `must_keep` makes that an error.
        """
        plan: bytes | None = None
        try:
            self._prepare()
            with self._lock(key):
                if plan := self.load(key):
                    return plan
                plan = build()
                _write(self.folder / key.file, key, plan)
        except _NotKeptError as error:
            if must_keep:
                raise
            self._say(f"{error.problem}: the plan is built anew at every start. {error.remedy}")
        return build() if plan is None else plan

    def forget(self, key: Key, why: str) -> None:
        """Remove the plan, if there is one."""
        self._say(f"{why}: it is built anew")
        with suppress(OSError):
            (self.folder / key.file).unlink(missing_ok=True)

    def others(self, key: Key) -> list[Key]:
        """Keys of the plans of the same model that belong to something else."""
        found = []
        for path in sorted(self.folder.glob(f"{key.model[:16]}-*.plan")):
            with suppress(OSError, VodistillError):
                found.append(_header(path))
        return [other for other in found if other != key]

    def _prepare(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_folder(self.folder)
            probe = self.folder / f".probe.{os.getpid()}"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _NotKeptError(
                f"{self.folder} cannot be written: {error.strerror}", "Set XDG_CACHE_HOME to a folder of your own."
            ) from error
        except VodistillError as error:
            raise _NotKeptError(error.problem, error.remedy) from error

    @contextmanager
    def _lock(self, key: Key) -> Iterator[None]:
        """Alone with this plan; the system lets go when the process ends, however it ends."""
        with self._locked(self.folder / f"{key.file}.lock"):
            for remains in self.folder.glob(f".{Path(key.file).stem}.*"):  # of a build that was killed while writing
                remains.unlink(missing_ok=True)
            yield

    def _locked(self, path: Path) -> IO[str]:
        """The file, open and locked."""
        import fcntl

        try:
            file = path.open("w")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say("another process builds this plan: waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            raise _NotKeptError(
                f"{path} cannot be locked: {error.strerror}", "Set XDG_CACHE_HOME to a folder on a local disk."
            ) from error
        return file


class _NotKeptError(VodistillError):
    """The cache cannot be used."""


def user_cache() -> Path:
    """The user's folder for what can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vodistill"


def check_folder(folder: Path) -> None:
    """Refuse a folder that others can write, or whose place another user can give to another folder."""
    for place in (folder, *folder.absolute().parents):
        state = place.lstat() if place == folder else place.stat()
        mine = state.st_uid in {os.geteuid(), 0} if place != folder else state.st_uid == os.geteuid()
        open_to = _OTHERS if place == folder else stat.S_IWOTH
        guarded = place != folder and state.st_mode & stat.S_ISVTX
        if not stat.S_ISDIR(state.st_mode) or not mine or (state.st_mode & open_to and not guarded):
            raise VodistillError(
                f"{place} is not yours alone to write, so no plan in {folder} can be trusted",
                f"Make it yours: chown $USER {place}; chmod go-w {place}; and remove the plans in it.",
            )


def _read(path: Path, key: Key) -> bytes:
    """The plan in a file; refused if others could have written it, or if it is not whole or another's."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
        state = os.fstat(file.fileno())
        if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or state.st_mode & _OTHERS:
            raise VodistillError(f"{path} could have been written by others", "It is not loaded but built anew.")
        content = file.read()
    head, _, plan = content.removeprefix(_MAGIC).partition(b"\n")
    with suppress(ValueError):
        header = json.loads(head) if content.startswith(_MAGIC) else {}
        if not isinstance(header, dict):
            raise ValueError
        if header.get("sha256") == hashlib.sha256(plan).hexdigest() and header.get("key") == asdict(key):
            return plan
    raise VodistillError(f"{path} is damaged", "It is built anew.")


def _write(path: Path, key: Key, plan: bytes) -> None:
    header = json.dumps({"key": asdict(key), "sha256": hashlib.sha256(plan).hexdigest()}).encode()
    try:
        with replacing(path) as temporary:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.writelines([_MAGIC, header, b"\n", plan])
                file.flush()
                os.fsync(file.fileno())
    except VodistillError as error:
        raise _NotKeptError(error.problem, error.remedy) from error


def _header(path: Path) -> Key:
    with path.open("rb") as file:
        if file.readline() != _MAGIC:
            raise VodistillError(f"{path} is no plan", "Remove it.")
        try:
            return Key(**json.loads(file.readline())["key"])
        except (ValueError, KeyError, TypeError) as error:
            raise VodistillError(f"{path} is damaged", "Remove it.") from error
