"""How bags look from outside, by the names and the first bytes of their files: nothing is needed to read them."""

from __future__ import annotations

from pathlib import Path

from ros2_vodistill.sources.base import natural_order

STORAGE_SUFFIXES = (".mcap", ".db3")
PACKED = ".zstd"  # of a file that is compressed as a whole, which only the metadata say how to read
MCAP, ROSBAG1, SQLITE = b"\x89MCAP0\r\n", b"#ROSBAG V2.0\n", b"SQLite format 3\x00"


def storage_files(folder: Path, packed: str = "") -> list[Path]:
    """The storage files of a rosbag2 folder, in the order of their numbers; those with that ending after their own."""
    return natural_order(file for suffix in STORAGE_SUFFIXES for file in folder.glob(f"*{suffix}{packed}"))


def kind_of(path: Path) -> bytes | None:
    """Which of `MCAP`, `ROSBAG1` and `SQLITE` a file begins with; None if it is no bag."""
    with path.open("rb") as stream:
        start = stream.read(16)
    return next((kind for kind in (MCAP, ROSBAG1, SQLITE) if start.startswith(kind)), None)


def is_bag(path: Path) -> bool:
    """Whether this is a rosbag2 folder, or a file that begins like a bag."""
    if path.is_dir():
        metadata = path / "metadata.yaml"
        described = metadata.is_file() and b"rosbag2_bagfile_information" in metadata.read_bytes()
        return described or bool(storage_files(path) or storage_files(path, PACKED))
    return path.suffix in STORAGE_SUFFIXES or kind_of(path) is not None
