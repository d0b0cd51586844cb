"""The shards: input files of a batch, each with the name of its output."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import glob, has_magic
from pathlib import Path

from newswatch.reading import FORMATS, find_files
from newswatch.stream import PACKED, printable
from newswatch_labels.errors import InputError

MAX_STEM = 80


@dataclass(frozen=True, slots=True)
class Shard:
    """One input file.

    Attributes:
        file: where it lies, links resolved.
        name: of its output, without ending: the file's own and a hash of its whole path, so that files of one name in two folders
            stay apart and a file keeps its output whatever else is scored.
        size: in bytes.
    """

    file: Path
    name: str
    size: int

    def digest(self) -> str:
        """sha256 of the file's bytes; "unreadable" if it cannot be read."""
        try:
            with self.file.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError:  # reading it names the reason
            return "unreadable"


def find_shards(paths: Iterable[str | Path], out: Path) -> list[Shard]:
    """Shards of files, folders (every file of a known kind below them) and globs (`**` for any depth), each file once, in order.

    Args:
        out: folder of the output; files below it are found neither by folder nor by glob.

    Raises:
        InputError: a path leads to no file.
    """
    files: dict[Path, None] = {}
    for path in paths:
        found = list(_expand(path, out.resolve()))
        if not found:
            raise InputError(
                f"{printable(path)}: no input file",
                f"a file, a folder with files ({', '.join(FORMATS)}; {' or '.join(PACKED)} behind), or a glob that matches some",
                "Check the path; what lies below --out is no input, and standard input must be saved to a file first.",
            )
        files.update(dict.fromkeys(found))
    return [Shard(file, _name(file), file.stat().st_size) for file in files]


def _expand(path: str | Path, out: Path) -> Iterator[Path]:
    given = Path(path)
    if given.is_file():
        yield given.resolve()
        return
    if not given.exists() and has_magic(str(path)):
        tops = [Path(match) for match in sorted(glob(str(path), recursive=True))]  # noqa: PTH207  # Path.glob takes no absolute pattern
        tops = [top for top in tops if top.is_file()]
    else:
        tops = [given] if given.is_dir() else []
    for file in (file.resolve() for top in tops for file in find_files(top)):
        if not file.is_relative_to(out):
            yield file


def _name(file: Path) -> str:
    stem = file.with_suffix("") if file.suffix in PACKED else file
    stem = stem.with_suffix("") if stem.suffix.lower() in FORMATS else stem
    readable = re.sub(r"[^\w.-]", "_", stem.name, flags=re.ASCII)[:MAX_STEM]
    return f"{readable}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
