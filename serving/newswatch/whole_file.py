"""The whole file: written under a temporary name, then renamed, so that no half of it ever bears its final name."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from newswatch_labels.errors import NewswatchError

PART = ".part"


class OutputError(NewswatchError):
    """A result cannot be written."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for writing that takes its name only when it is whole and on the disk; on any error it is removed.

    Raises:
        OutputError: it cannot be written (no room, no leave).
    """
    part = path.with_name(f".{path.name}{PART}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(
            f"{path}: {error.strerror or error}", "room and leave to write it", "Make room, then run the same command again: it goes on."
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Have the rename itself on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
