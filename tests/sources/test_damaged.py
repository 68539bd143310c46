"""Bags that are cut off, unfinished or broken in the middle give what is readable and say what was not."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode

from ros2_vodistill.errors import VodistillError
from ros2_vodistill.sources import open_source
from ros2_vodistill.sources.salvage import scanner
from ros2_vodistill.sources.salvage.blocks import ZSTD_MAGIC
from ros2_vodistill.sources.salvage.mcap import CHUNK, FOOTER
from ros2_vodistill.sources.salvage.sqlite import TABLE_LEAF
from tests.sources import recordings
from tests.sources.recordings import Ros, Sequence

Frames = list[tuple[float, np.ndarray]]


def ros_bag(path: Path, s: Sequence, version: int = 2, storage: str = "mcap", **compression: object) -> Path:
    """A bag of frames and camera_info; returns the file with the messages."""
    with Ros(path, version, storage, **compression) as ros:
        for stamp, frame in zip(s.stamps, s.frames, strict=True):
            time = round(stamp * 1e9)
            ros.write("/camera/camera_info", ros.info(s.camera, time), time)
            ros.write("/camera/image_raw", ros.image(frame, time), time)
    return path if path.is_file() else next(file for file in path.iterdir() if file.suffix != ".yaml")


FORMS = {
    "mcap": partial(ros_bag, storage="mcap"),
    "mcap zstd": partial(ros_bag, mode=CompressionMode.STORAGE, form=CompressionFormat.ZSTD),
    "sqlite3": partial(ros_bag, storage="sqlite3"),
    "sqlite3, messages in zstd": partial(
        ros_bag, storage="sqlite3", mode=CompressionMode.MESSAGE, form=CompressionFormat.ZSTD
    ),
    "rosbag1": partial(ros_bag, version=1),
    "rosbag1 lz4": partial(ros_bag, version=1, form=Writer1.CompressionFormat.LZ4),
    "rosbag1 bz2": partial(ros_bag, version=1, form=Writer1.CompressionFormat.BZ2),
}


@pytest.fixture(scope="module", params=FORMS)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, long_sequence: Sequence) -> Path:
    """The file with the messages of an intact bag with several chunks."""
    return FORMS[request.param](tmp_path_factory.mktemp("whole") / "bag", long_sequence)


def cut(whole: Path, folder: Path, size: int) -> Path:
    file = folder / whole.name
    file.write_bytes(whole.read_bytes()[:size])
    return file


def read(path: Path) -> tuple[Frames, list[str]]:
    source = open_source(path)
    return list(source), source.notes


def assert_beginning_of(frames: Frames, s: Sequence) -> None:
    assert [stamp for stamp, _ in frames] == s.stamps[: len(frames)]
    np.testing.assert_array_equal([image for _, image in frames], s.frames[: len(frames)])


@pytest.mark.parametrize("share", [0.35, 0.6, 0.85])
def test_a_cut_bag_gives_its_beginning(whole: Path, share: float, tmp_path: Path, long_sequence: Sequence) -> None:
    size = whole.stat().st_size
    frames, notes = read(cut(whole, tmp_path, int(share * size)))
    assert_beginning_of(frames, long_sequence)
    # a bz2 block is unpacked whole or not at all: 900 kB, up to 30 frames of this sequence
    lost = 30 if whole.parent.name.startswith("whole") and b"compression=bz2" in whole.read_bytes()[:9000] else 4
    assert len(frames) >= share * len(long_sequence.frames) - lost
    assert any(note.startswith("damaged bag") and "cut off" in note for note in notes), notes


def test_a_lost_index_loses_no_frame(whole: Path, tmp_path: Path, long_sequence: Sequence) -> None:
    """The index lies at the end, but SQLite's is all over the file, and its last page may hold a frame's end."""
    missing = 4096 if whole.suffix == ".db3" else 30
    frames, notes = read(cut(whole, tmp_path, whole.stat().st_size - missing))
    assert_beginning_of(frames, long_sequence)
    assert len(frames) >= len(long_sequence.frames) - (whole.suffix == ".db3")
    assert any(note.startswith("index not used") for note in notes)


def test_a_torn_page_of_a_database_gives_no_wrong_image(tmp_path: Path, long_sequence: Sequence) -> None:
    """A row begins at its page's end, where it says on which page it goes on; SQLite takes a lost byte for zero."""
    whole = FORMS["sqlite3, messages in zstd"](tmp_path / "bag", long_sequence)
    content = whole.read_bytes()
    end = content.rindex(ZSTD_MAGIC) // 4096 * 4096 + 4096  # of the last frame's page; newer SQLites add statistics
    assert content[end - 4096] == TABLE_LEAF
    frames, notes = read(cut(whole, tmp_path, end - 1))
    assert_beginning_of(frames, long_sequence)
    assert len(frames) == len(long_sequence.frames) - 1
    assert any(note.startswith("index not used") and "page" in note for note in notes), notes
    assert not any("\n" in note for note in notes)


def test_salvage_of_a_sound_file_finds_all(whole: Path, long_sequence: Sequence) -> None:
    """The scanners alone, where nothing is lost: all messages, in order, without a complaint."""
    damage: list[str] = []
    scan = scanner(whole)
    assert scan is not None
    raws = list(scan(whole, damage.append))
    assert damage == []
    assert [raw.topic for raw in raws] == ["/camera/camera_info", "/camera/image_raw"] * len(long_sequence.frames)
    assert [raw.time for raw in raws] == [round(stamp * 1e9) for stamp in long_sequence.stamps for _ in range(2)]
    assert {raw.type for raw in raws} == {"sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/Image"}


@settings(deadline=None, max_examples=12)
@given(share=st.floats(0.0, 1.0))
def test_wherever_it_is_cut(
    whole: Path, share: float, tmp_path_factory: pytest.TempPathFactory, long_sequence: Sequence
) -> None:
    """Either the beginning of the frames and a note, or an error that a user can read."""
    folder = tmp_path_factory.mktemp("cut")
    file = cut(whole, folder, int(share * (whole.stat().st_size - 1)))
    try:
        frames, notes = read(file)
    except VodistillError as error:
        assert file.name in error.problem
        assert share < 0.4
    else:
        assert_beginning_of(frames, long_sequence)
        assert notes
    finally:
        shutil.rmtree(folder)


@settings(deadline=None, max_examples=12)
@given(share=st.floats(0.02, 0.98), garbage=st.binary(min_size=64, max_size=4096))
def test_garbage_in_the_middle(
    whole: Path, share: float, garbage: bytes, tmp_path_factory: pytest.TempPathFactory, long_sequence: Sequence
) -> None:
    """Nothing but VodistillError escapes, and frames keep their size and order."""
    folder = tmp_path_factory.mktemp("garbage")
    data = bytearray(whole.read_bytes())
    start = int(share * (len(data) - len(garbage)))
    data[start : start + len(garbage)] = garbage
    file = folder / whole.name
    file.write_bytes(data)
    try:
        frames, _ = read(file)
    except VodistillError as error:
        assert error.remedy
    else:
        assert len(frames) <= len(long_sequence.frames)
        assert all(image.shape == long_sequence.frames[0].shape for _, image in frames)
    finally:
        shutil.rmtree(folder)


def test_a_broken_chunk_does_not_hide_the_rest(tmp_path: Path, long_sequence: Sequence) -> None:
    """zstd notices: the frames of one chunk are lost, those before and after are there."""
    file = FORMS["mcap zstd"](tmp_path / "bag", long_sequence)
    data = bytearray(file.read_bytes())
    start = data.index(ZSTD_MAGIC, len(data) // 4)
    data[start : start + 4] = bytes(4)
    file.write_bytes(data)
    frames, notes = read(tmp_path / "bag")
    stamps = [stamp for stamp, _ in frames]
    assert stamps[0] == long_sequence.stamps[0]
    assert stamps[-1] == long_sequence.stamps[-1]
    assert len(long_sequence.stamps) // 3 < len(stamps) < len(long_sequence.stamps)
    assert any(note.startswith("index not used") for note in notes)
    for stamp, image in frames:
        np.testing.assert_array_equal(image, long_sequence.frames[long_sequence.stamps.index(stamp)])


def test_nothing_comes_twice_where_the_index_fails_on_the_way(tmp_path: Path, long_sequence: Sequence) -> None:
    """All messages were recorded at one time, as by a converter; the break shows only while reading."""
    with Ros(tmp_path / "bag", 2, "mcap", mode=CompressionMode.STORAGE, form=CompressionFormat.ZSTD) as ros:
        for stamp, frame in zip(long_sequence.stamps, long_sequence.frames, strict=True):
            ros.write("/image", ros.image(frame, round(stamp * 1e9)), 5)
    file = tmp_path / "bag" / "bag.mcap"
    data = bytearray(file.read_bytes())
    start = data.index(ZSTD_MAGIC, len(data) // 4)
    data[start : start + 4] = bytes(4)
    file.write_bytes(data)
    stamps = [stamp for stamp, _ in read(tmp_path / "bag")[0]]
    assert len(set(stamps)) == len(stamps)
    assert (stamps[0], stamps[-1]) == (long_sequence.stamps[0], long_sequence.stamps[-1])
    assert len(stamps) < len(long_sequence.stamps)


def test_a_checksum_that_does_not_fit(tmp_path: Path, long_sequence: Sequence) -> None:
    """One bit of the second chunk's pixels is wrong; only the chunk's checksum knows."""
    file = FORMS["mcap"](tmp_path / "bag", long_sequence)
    data = bytearray(file.read_bytes())
    start, chunks = 8, []
    while data[start] != FOOTER:
        length = int.from_bytes(data[start + 1 : start + 9], "little")
        if data[start] == CHUNK:
            chunks.append((start + 9, length))
        start += 9 + length
    assert len(chunks) > 2
    for content, length in chunks:
        records = data[content + 40 : content + length]  # after times, size, checksum, no compression, size
        data[content + 24 : content + 28] = zlib.crc32(records).to_bytes(4, "little")
    file.write_bytes(data)
    frames, notes = read(tmp_path / "bag")
    assert_beginning_of(frames, long_sequence)
    assert (len(frames), notes) == (len(long_sequence.frames), [])

    data[chunks[1][0] + chunks[1][1] // 2] ^= 1
    file.write_bytes(data)
    frames, notes = read(tmp_path / "bag")
    assert 0 < len(frames) < len(long_sequence.frames)
    assert any("checksum" in note for note in notes)
    for stamp, image in frames:
        np.testing.assert_array_equal(image, long_sequence.frames[long_sequence.stamps.index(stamp)])


def test_no_metadata(tmp_path: Path, sequence: Sequence) -> None:
    for storage in ("mcap", "sqlite3"):
        recordings.bag(tmp_path / storage, sequence, storage=storage)
        (tmp_path / storage / "metadata.yaml").unlink()
        source = open_source(tmp_path / storage)
        assert_beginning_of(list(source), sequence)
        assert len(source) == len(sequence.frames)
        assert any("metadata" in note for note in source.notes)
        assert source.camera == sequence.camera
        assert source.truth is not None


def test_metadata_that_is_no_yaml(tmp_path: Path, sequence: Sequence) -> None:
    recordings.bag(tmp_path / "bag", sequence)
    (tmp_path / "bag" / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    frames, notes = read(tmp_path / "bag")
    assert_beginning_of(frames, sequence)
    assert any("metadata.yaml" in note for note in notes)


def test_one_file_of_a_split_bag_is_missing_and_one_is_cut(tmp_path: Path, sequence: Sequence) -> None:
    bag = tmp_path / "bag"
    recordings.bag(bag, sequence)
    for number, part in enumerate(np.array_split(range(len(sequence.stamps)), 3)):
        piece = Sequence(
            [sequence.frames[i] for i in part],
            [sequence.stamps[i] for i in part],
            sequence.poses[part],
            sequence.camera,
            sequence.mount,
        )
        recordings.bag(tmp_path / f"piece{number}", piece)
        shutil.copy(tmp_path / f"piece{number}" / f"piece{number}.mcap", bag / f"bag_{number + 9}.mcap")
    names = "".join(f"  - bag_{number}.mcap\n" for number in (9, 10, 11))
    text = (bag / "metadata.yaml").read_text().replace("  - bag.mcap\n", names)
    (bag / "bag.mcap").unlink()
    (bag / "metadata.yaml").write_text(text)
    assert_beginning_of(read(bag)[0], sequence)

    (bag / "bag_10.mcap").unlink()
    last = bag / "bag_11.mcap"
    last.write_bytes(last.read_bytes()[:-100])
    frames, notes = read(bag)
    assert [stamp for stamp, _ in frames] == [sequence.stamps[i] for i in (0, 1, 2, 6, 7)]
    assert any("missing" in note for note in notes)


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_bags_are_no_damage(tmp_path: Path, sequence: Sequence, mode: CompressionMode) -> None:
    ros_bag(tmp_path / "bag", sequence, storage="sqlite3", mode=mode, form=CompressionFormat.ZSTD)
    frames, notes = read(tmp_path / "bag")
    assert_beginning_of(frames, sequence)
    assert notes == []


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_files_in_zstd_without_metadata_are_told(tmp_path: Path, sequence: Sequence, storage: str) -> None:
    """As of a recorder that was killed: its last file is not compressed yet."""
    form = {"mode": CompressionMode.FILE, "form": CompressionFormat.ZSTD}
    packed = ros_bag(tmp_path / "bag", sequence, storage=storage, **form)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    with pytest.raises(VodistillError, match=f"{packed} is compressed as a whole: `zstd -d`"):
        open_source(tmp_path / "bag")
    last = ros_bag(tmp_path / "last", sequence, storage=storage)
    shutil.copy(last, tmp_path / "bag" / f"bag_1{last.suffix}")
    frames, notes = read(tmp_path / "bag")
    assert_beginning_of(frames, sequence)
    assert any(note.startswith(f"file not read: {packed}") for note in notes)


def test_messages_in_zstd_without_metadata(tmp_path: Path, sequence: Sequence) -> None:
    form = {"mode": CompressionMode.MESSAGE, "form": CompressionFormat.ZSTD}
    ros_bag(tmp_path / "bag", sequence, storage="sqlite3", **form)
    (tmp_path / "bag" / "metadata.yaml").unlink()
    assert_beginning_of(read(tmp_path / "bag")[0], sequence)


def test_a_message_that_does_not_deserialise(tmp_path: Path, sequence: Sequence) -> None:
    with Ros(tmp_path / "bag") as ros:
        for index, (stamp, frame) in enumerate(zip(sequence.stamps, sequence.frames, strict=True)):
            time = round(stamp * 1e9)
            data = bytes(ros.store.serialize_cdr(ros.image(frame, time), "sensor_msgs/msg/Image"))
            broken = index in (2, 5)
            ros.write_raw("/image", "sensor_msgs/msg/Image", data[:40] if broken else data, time)
    frames, notes = read(tmp_path / "bag")
    assert [stamp for stamp, _ in frames] == [stamp for i, stamp in enumerate(sequence.stamps) if i not in (2, 5)]
    (note,) = notes
    assert note.startswith("unreadable message: /image at 100.2")
    assert note.endswith("(and 1 more)")


def test_an_image_that_does_not_decode(tmp_path: Path, sequence: Sequence) -> None:
    with Ros(tmp_path / "bag") as ros:
        for index, (stamp, frame) in enumerate(zip(sequence.stamps, sequence.frames, strict=True)):
            image = ros.image(frame, round(stamp * 1e9))
            if index == 3:
                image.encoding = "klingon8"
            ros.write("/image", image, round(stamp * 1e9))
    source = open_source(tmp_path / "bag")
    assert len(list(source)) == len(sequence.frames) - 1
    assert len(source) == len(sequence.frames)
    list(source)  # a second reading does not count the frame twice
    (note,) = source.notes
    assert note.startswith("unreadable image: /image at 100.3")
    assert "klingon8" in note
    assert "more" not in note


def test_no_image_decodes(tmp_path: Path, sequence: Sequence) -> None:
    with Ros(tmp_path / "bag") as ros:
        for stamp in sequence.stamps:
            time = round(stamp * 1e9)
            header = ros.header(time)
            data = np.frombuffer(b"\xff\xd8 no jpeg", np.uint8)
            message = ros.make("sensor_msgs/msg/CompressedImage", header=header, format="jpeg", data=data)
            ros.write("/image/compressed", message, time)
    source = open_source(tmp_path / "bag")
    with pytest.raises(VodistillError, match=r"no frame of .*bag could be read: unreadable image"):
        list(source)


def test_a_file_that_is_no_bag(tmp_path: Path) -> None:
    for name, content in (("empty.mcap", b""), ("text.db3", b"not a database"), ("zero.mcap", bytes(1000))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(
            VodistillError, match=rf"{name} has no images.*damaged bag: .*{name}: it does not begin like a bag"
        ):
            open_source(tmp_path / name)


def test_a_recorder_that_was_killed(tmp_path: Path, sequence: Sequence) -> None:
    """A real process, killed while it writes: the file is as the operating system has it then."""
    script = (
        "import sys, time; from pathlib import Path; from tests.sources.recordings import Ros, make_sequence\n"
        "s = make_sequence(90, 200, 160)\n"
        "ros = Ros(Path(sys.argv[1])).__enter__()\n"
        "for stamp, frame in zip(s.stamps, s.frames): ros.write('/image', ros.image(frame, round(stamp*1e9)), 1)\n"
        "ros.writer.storage.bio.flush(); print('ready', flush=True); time.sleep(60)\n"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "bag")], stdout=subprocess.PIPE, cwd=root, env={**os.environ}
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    frames, notes = read(tmp_path / "bag")
    assert len(frames) > 30
    assert_beginning_of(frames, recordings.make_sequence(90, 200, 160))
    assert any("metadata" in note for note in notes)


def test_messages_in_a_write_ahead_log_are_missed_aloud(tmp_path: Path, sequence: Sequence) -> None:
    file = ros_bag(tmp_path / "bag", sequence, storage="sqlite3")
    writer = sqlite3.connect(file)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA wal_autocheckpoint=0")
    writer.execute("INSERT INTO messages SELECT id + 1000, topic_id, timestamp + 1, data FROM messages LIMIT 4")
    writer.commit()
    frames, notes = read(tmp_path / "bag")
    writer.close()
    assert_beginning_of(frames, sequence)
    assert any(note.startswith("unmerged messages") and "bag.db3-wal" in note for note in notes)


@pytest.mark.parametrize("form", ["mcap", "sqlite3", "rosbag1", "mcap zstd"])
@pytest.mark.parametrize("damaged", [False, True])
def test_a_bag_is_never_in_memory_as_a_whole(tmp_path: Path, form: str, damaged: bool) -> None:
    """60 MB of messages, in chunks of 1 MB; also without an index."""
    sequence = recordings.make_sequence(4, 640, 480)
    count = 200
    stamps = [0.1 * (index + 1) for index in range(count)]
    frames = [sequence.frames[index % 4] for index in range(count)]
    many = Sequence(frames, stamps, sequence.poses, sequence.camera, sequence.mount)
    file = FORMS[form](tmp_path / "bag", many)
    assert file.stat().st_size > 55e6
    if damaged:
        os.truncate(file, file.stat().st_size - 100)
    tracemalloc.start()
    read_frames = sum(1 for _ in open_source(file))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read_frames >= count - 1
    assert peak < 15e6
