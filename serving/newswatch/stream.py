"""The stream: a file's bytes, unpacked, in lines of bounded length."""

import gzip
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from newswatch_labels.errors import InputError, MissingExtraError

PACKED = (".gz", ".zst")
MAX_ROW = 128 * 2**20
"""Bytes of one line or one text file, unpacked; the longest text allowed fits in any spelling that JSON has."""


@contextmanager
def open_stream(file: Path) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Open a file for reading, unpacked by its ending.

    Yields:
        The unpacked stream, and the file itself, whose position tells how far the reading is. A packed file that ends too early or
        does not hold together raises OSError or EOFError as it is read.

    Raises:
        MissingExtraError: a .zst file without pyarrow, which unpacks it.
    """
    with file.open("rb") as raw:
        if file.suffix == ".gz":
            with gzip.open(raw) as stream:
                yield cast("IO[bytes]", stream), raw
        elif file.suffix == ".zst":
            try:
                from pyarrow import CompressedInputStream
            except ImportError as error:
                raise MissingExtraError(error.name or "pyarrow", "files") from error
            # zstandard's own reader takes a file cut short for a whole one; Arrow's does not.
            with CompressedInputStream(raw, "zstd") as packed:
                yield BufferedReader(packed), raw
        else:
            yield raw, raw


def read_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines with their ends; of one longer than `MAX_ROW` only the first `MAX_ROW + 1` bytes, so memory stays bounded."""
    while line := stream.readline(MAX_ROW + 1):
        yield line
        while len(line) > MAX_ROW and not line.endswith(b"\n"):
            line = stream.readline(MAX_ROW + 1)


def check_line(line: bytes | str, place: str) -> None:
    """Refuse a line that `read_lines` cut.

    Raises:
        InputError: it is longer than `MAX_ROW`.
    """
    if len(line) > MAX_ROW:
        raise InputError(f"{place}: a line of more than {MAX_ROW:,} bytes", "one article a line", "Split the line, or leave it out.")


def read_whole(stream: IO[bytes], name: str, limit: int = MAX_ROW) -> bytes:
    """All bytes of a stream.

    Raises:
        InputError: more than `limit` bytes.
    """
    found = stream.read(limit + 1)
    if len(found) > limit:
        raise InputError(f"{name}: more than {limit:,} bytes", f"at most {limit:,}", "Split the file into articles.")
    return found


def printable(name: str | Path) -> str:
    """A file's name or a row's text as valid Unicode; what is none is escaped."""
    return os.fspath(name).encode("utf-8", "backslashreplace").decode()
