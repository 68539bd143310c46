"""Text files that are read, and output files that are whole or absent, never half written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ros2_vodistill.errors import VodistillError


def require_folder(folder: Path) -> None:
    """An error, before any work, where this folder is not there and cannot be made."""
    there = next((path for path in (folder, *folder.parents) if os.path.lexists(path)), folder)
    if not there.is_dir():
        what = "a file" if there.exists() else "a link to nothing"
        raise VodistillError(f"{there} is {what}, not a folder for results", "Choose another folder.")
    if not os.access(there, os.W_OK | os.X_OK):
        raise VodistillError(f"{there} may not be written to", "Choose another folder, or change its permissions.")


def read_text(path: Path) -> str:
    """What a text file holds; an error names the file where it cannot be read, or is none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise VodistillError(f"{path} cannot be read: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise VodistillError(f"{path} cannot be read: it is not a text file", "give a text file") from error


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary name beside `path` to write to; it becomes `path` when the block succeeds and vanishes when not."""
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise VodistillError(
            f"{path} cannot be written: {error.strerror or error}", "choose a folder with space that you may write to"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink()
