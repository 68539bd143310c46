"""The messages of a rosbag, whichever its version and storage, and however damaged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rosbags import rosbag1, rosbag2
from rosbags.typesys import Stores, get_types_from_msg, get_typestore
from rosbags.typesys.store import Typestore

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import salvage
from ros2_vodistill.sources.base import Notes
from ros2_vodistill.sources.ros_types import ALL_TRANSFORMS
from ros2_vodistill.sources.salvage.blocks import ZSTD_MAGIC, Raw, ignore, inflate
from ros2_vodistill.sources.storage import PACKED, ROSBAG1, STORAGE_SUFFIXES, kind_of, storage_files


class Message(NamedTuple):
    """One message.

    Attributes:
        type: spelt as in ROS 2: sensor_msgs/msg/Image.
        time: when it was recorded, in nanoseconds.
        body: has the message's fields, by their names in its ROS.
    """

    topic: str
    type: str
    time: int
    body: Any


class Recording:
    """A rosbag2 folder, one of its storage files, or a ROS 1 bag.

    The bag's index is used where it is sound. Where it is not, or where reading fails on the way, the messages are
    salvaged from the records themselves. The types that are read here have had one definition in every ROS 1 and one in
    every ROS 2, so definitions inside the bag are not needed.

    Attributes:
        types: of all topics, spelt as in ROS 2.
        counts: messages of all topics.
    """

    def __init__(self, path: Path, notes: Notes) -> None:
        self.path = path
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        self._notes = notes
        self._files = storage_files(path) if path.is_dir() else [path]
        self._ros1 = path.is_file() and kind_of(path) == ROSBAG1
        self._store = _typestore(self._ros1)
        self._parts = self._survey(path)
        for file in self._files:
            for ending in ("-wal", "-journal"):
                leftover = file.with_name(file.name + ending)
                if leftover.exists() and leftover.stat().st_size:
                    notes.add("unmerged messages", f"{leftover} is not read; `sqlite3 {file} .tables` merges it")

    def messages(self, topics: Collection[str]) -> Iterator[Message]:
        """The readable messages of these topics, one after another from the storage."""
        if not topics:
            return
        for path, indexed in self._parts:
            last, given = -1, Counter[str]()  # the time of what came last, and how much of each topic had that time
            if indexed:
                try:
                    for raw in self._indexed(path, topics):
                        yield from self._decoded(raw)
                        if raw.time != last:
                            last, given = raw.time, Counter()
                        given[raw.topic] += 1
                    continue
                except Exception as error:  # a damaged file makes a parser fail in any way
                    self._unindexed(path, error)
            for raw in self._salvaged(path):
                if raw.topic not in topics or raw.time < last:
                    continue
                if raw.time == last and given[raw.topic]:
                    given[raw.topic] -= 1
                    continue
                yield from self._decoded(raw)

    def first(self, topic: str) -> Message | None:
        """The first readable message of a topic."""
        return next(self.messages([topic]), None)

    def _survey(self, path: Path) -> list[tuple[Path, bool]]:
        """Note all topics; returns the parts to read and whether each has a sound index."""
        try:
            for file in self._files if path.is_dir() else [path]:
                salvage.sqlite.check(file)
            with _reader(path, self._ros1) as reader:
                for connection in reader.connections:
                    self._count(connection.topic, connection.msgtype, connection.msgcount)
            return [(path, True)]
        except Exception as error:  # as above
            self._unindexed(path, error)
        if path.is_dir():
            for file in storage_files(path, PACKED):
                self._notes.add("file not read", f"{file} is compressed as a whole: `zstd -d` unpacks it")
            if not self._files:
                raise VodistillError(
                    f"{path} holds no {' or '.join(STORAGE_SUFFIXES)} file that could be read; {self._notes.lines[-1]}",
                    "Copy the bag again, or unpack it.",
                )
            return [part for file in self._files for part in self._survey(file)]
        for raw in self._salvaged(path):
            self._count(raw.topic, raw.type, 1)
        return [(path, False)]

    def _count(self, topic: str, kind: str, count: int) -> None:
        self.types.setdefault(topic, kind)
        self.counts[topic] = self.counts.get(topic, 0) + count

    def _indexed(self, path: Path, topics: Collection[str]) -> Iterator[Raw]:
        with _reader(path, self._ros1) as reader:
            connections = [connection for connection in reader.connections if connection.topic in topics]
            if connections:  # none would mean all
                for connection, time, data in reader.messages(connections):
                    yield Raw(connection.topic, connection.msgtype, time, data)

    def _salvaged(self, path: Path) -> Iterator[Raw]:
        for file in self._files if path.is_dir() else [path]:
            scan = salvage.scanner(file)
            if scan is None:
                self._damaged(file, "it does not begin like a bag")
                continue
            try:
                yield from scan(file, partial(self._damaged, file))
            except Exception as error:  # as above
                self._damaged(file, error)

    def _decoded(self, raw: Raw) -> Iterator[Message]:
        """The message, or nothing and a note."""
        try:
            if self._ros1:
                body = self._store.deserialize_ros1(raw.data, raw.type)
            else:
                data = inflate("zstd", raw.data, ignore) if raw.data[:4] == ZSTD_MAGIC else raw.data
                body = self._store.deserialize_cdr(data, raw.type)
        except Exception as error:  # as above
            self._notes.add("unreadable message", f"{raw.topic} at {raw.time / 1e9:.6f} s: {_words(error)}")
        else:
            yield Message(raw.topic, raw.type, raw.time, body)

    def _unindexed(self, path: Path, error: Exception) -> None:
        self._notes.add("index not used", f"{path}: {_words(error)}")

    def _damaged(self, path: Path, problem: object) -> None:
        self._notes.add("damaged bag", f"{path}: {_words(problem)}")


def stamp_of(header: Any, time: int) -> float:
    """A header's stamp in seconds, to the last bit that a float has; where it is zero, the time of recording."""
    stamp = header.stamp
    return (stamp.sec * 10**9 + stamp.nanosec or time) / 10**9


def listed(recording: Recording, topics: Collection[str]) -> str:
    """These topics, or those of these types, with their types, for errors."""
    found = [f"{t} ({kind})" for t, kind in sorted(recording.types.items()) if t in topics or kind in topics]
    return ", ".join(found) or "none"


def _reader(path: Path, ros1: bool) -> rosbag1.Reader | rosbag2.Reader:
    if path.is_dir() and not (path / "metadata.yaml").exists():
        raise FileNotFoundError("it has no metadata.yaml")
    return rosbag1.Reader(path) if ros1 else rosbag2.Reader(path)


def _typestore(ros1: bool) -> Typestore:
    if not ros1:
        return get_typestore(Stores.LATEST)
    store = get_typestore(Stores.ROS1_NOETIC)
    for name in ALL_TRANSFORMS:  # not among the types that rosbags knows for ROS 1
        store.register(get_types_from_msg("geometry_msgs/TransformStamped[] transforms", name))
    return store


def _words(problem: object) -> str:
    """An error in words, on one line, also where it has none of its own."""
    words = problem.problem if isinstance(problem, VodistillError) else str(problem)
    return " ".join(words.split()) or type(problem).__name__
