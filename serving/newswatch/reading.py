"""Reading: articles out of files, each row that cannot be read named and passed over."""

import csv
import gzip
import io
import json
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, cast

from newswatch.scorer import Article
from newswatch.text import check_text
from newswatch_labels.errors import InputError, MissingExtraError

FORMATS = {
    ".txt": "text",
    ".md": "text",
    ".html": "html",
    ".htm": "html",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
}
MAX_FIELD = 50_000_000
_ESCAPED = re.compile(r"[\udc80-\udcff]")


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the fields that hold an article in a JSON object, a CSV row or a Parquet row."""

    text: str = "text"
    id: str = "id"
    title: str = "title"
    date: str = "date"


@dataclass(frozen=True, slots=True)
class Fault:
    """A row or file that holds no article: its place and the error that says why."""

    place: str
    error: InputError


Row = Article | Fault


def read_articles(paths: Iterable[str | Path], columns: Columns | None = None, kind: str | None = None) -> Iterator[Row]:
    """Read files, folders (every file of a known kind below them) and `-` (standard input), in the order given.

    Args:
        kind: text, html, jsonl, csv or parquet; default: by the file's ending (`.gz` behind it is unpacked).
            Standard input is JSONL if it begins with `{`, else text.

    Yields:
        Articles, and a `Fault` for each row or file that holds none. The id of a text or HTML file is its name.
    """
    columns = columns or Columns()
    for path in paths:
        if str(path) == "-":
            yield from _guarded("standard input", lambda: _read_stream(sys.stdin.buffer, columns, kind))
            continue
        for file in _files(Path(path)):
            yield from _guarded(str(file), partial(_read_file, file, columns, kind))


def _guarded(place: str, read: Callable[[], Iterator[Row]]) -> Iterator[Row]:
    """Turn what goes wrong with a whole file into a fault, so that the other files are still read."""
    try:
        yield from read()
    except InputError as error:
        yield Fault(place, error)
    except FileNotFoundError:
        yield Fault(place, InputError(f"{place}: no such file", "a file or a folder", "Check the path."))
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        yield Fault(place, InputError(f"{place}: {error}", "a whole, readable file", "Copy the file again."))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and _kind(file) is not None)


def _kind(file: Path) -> str | None:
    name = file.with_suffix("") if file.suffix == ".gz" else file
    return FORMATS.get(name.suffix.lower())


def _read_file(file: Path, columns: Columns, kind: str | None) -> Iterator[Row]:
    kind = kind or _kind(file) or "text"
    if kind == "parquet":
        yield from _read_parquet(file, columns)
        return
    opened: IO[bytes] = gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb")  # type: ignore[assignment]
    with closing(opened):
        yield from _READERS[_known(kind)](opened, file.name, columns)


def _read_stream(stream: IO[bytes], columns: Columns, kind: str | None) -> Iterator[Row]:
    if kind is None:
        stream = buffered = io.BufferedReader(cast("io.RawIOBase", stream))
        kind = "jsonl" if buffered.peek(64).lstrip()[:1] == b"{" else "text"
    if kind == "parquet":
        raise InputError("Parquet on standard input", "a file", "Name the Parquet file.")
    yield from _READERS[_known(kind)](stream, "-", columns)


def _known(kind: str) -> str:
    if kind not in _READERS:
        raise InputError(f"format {kind!r}", f"one of parquet, {', '.join(sorted(_READERS))}", "Mend --format.")
    return kind


def _decode(raw: bytes, place: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{place}: invalid UTF-8 at byte {error.start}",
            "UTF-8",
            "Save the file as UTF-8 (iconv -f WINDOWS-1256 -t UTF-8, say).",
        ) from error


def _read_text(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:  # noqa: ARG001
    yield Article(_decode(stream.read(), name), id=name)


def _read_html(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:  # noqa: ARG001
    try:
        from trafilatura import bare_extraction
    except ImportError as error:
        raise MissingExtraError(error.name or "trafilatura", "files") from error
    page = bare_extraction(stream.read(), include_comments=False, include_tables=False, with_metadata=True)
    if page is None or not page.text:
        raise InputError(f"{name}: no article text", "a page with an article", "Save the page's text as .txt.")
    yield Article(page.text, id=name, title=page.title or None)


def _read_jsonl(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        place = f"{name}:{number}"
        try:
            text = _decode(line, place)
            try:
                row = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise InputError(f"{place}: {error}", "one whole JSON object a line", "Mend or remove the line.") from error
            if not isinstance(row, dict):
                raise InputError(f"{place}: {type(row).__name__}", "a JSON object", "Mend or remove the line.")
            yield _article(row, columns, place)
        except InputError as error:
            yield Fault(place, error)


def _read_csv(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD)
    # Bytes that are no UTF-8 become lone surrogates, so that one bad row does not end the file.
    rows = csv.DictReader(io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=""))
    _expect_column(columns.text, rows.fieldnames or [], name)
    while True:
        place = f"{name}:{rows.line_num + 1}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Fault(place, InputError(f"{place}: {error}", "a CSV row", "Mend or remove the row."))
            continue
        try:
            yield _article(row, columns, place)
        except InputError as error:
            yield Fault(place, error)


def _read_parquet(file: Path, columns: Columns) -> Iterator[Row]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(error.name or "pyarrow", "files") from error
    try:
        with ParquetFile(file) as table:
            names = table.schema_arrow.names
            _expect_column(columns.text, names, file.name)
            wanted = [name for name in (columns.text, columns.id, columns.title, columns.date) if name in names]
            number = 0
            for batch in table.iter_batches(batch_size=1024, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    try:
                        yield _article(row, columns, f"{file.name}:{number}")
                    except InputError as error:
                        yield Fault(f"{file.name}:{number}", error)
    except ArrowException as error:
        raise InputError(f"{file.name}: {error}", "a whole Parquet file", "Copy or write the file again.") from error


def _expect_column(name: str, found: Iterable[str], place: str) -> None:
    if name not in found:
        raise InputError(
            f"{place}: columns {', '.join(found) or 'none'}", f"a column {name!r}", "Name the text's column with --text-column."
        )


def _article(row: dict[str, Any], columns: Columns, place: str) -> Article:
    if not isinstance(row.get(columns.text), str):
        raise InputError(
            f"{place}: {columns.text} is {row.get(columns.text)!r:.80}",
            "a text",
            "Mend the row, or name another field with --text-column.",
        )
    if found := _ESCAPED.search(row[columns.text]):
        byte = ord(found[0]) - 0xDC00
        raise InputError(f"{place}: {columns.text} with the byte 0x{byte:02X}, no UTF-8", "UTF-8", "Save the file as UTF-8.")
    title, identity = row.get(columns.title), row.get(columns.id)
    if title is not None and not isinstance(title, str):
        raise InputError(f"{place}: {columns.title} is {title!r:.80}", "a text or nothing", "Mend the row.")
    try:
        check_text(row[columns.text])
        check_text(title or "", "title")
    except InputError as error:
        raise InputError(f"{place}: {error.received}", error.expected, error.advice) from error
    date = row.get(columns.date)
    return Article(row[columns.text], place if identity is None else str(identity), title or None, None if date is None else str(date))


_READERS: dict[str, Callable[[IO[bytes], str, Columns], Iterator[Row]]] = {
    "text": _read_text,
    "html": _read_html,
    "jsonl": _read_jsonl,
    "csv": _read_csv,
}
