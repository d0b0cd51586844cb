"""Reading: articles out of files, each row that cannot be read named and passed over."""

import csv
import io
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, cast

from newswatch.row import MAX_CONTENT, Columns, Fault, Row, read_article, read_row
from newswatch.scorer import Article
from newswatch.stream import MAX_ROW, PACKED, check_line, open_stream, printable, read_lines, read_whole
from newswatch.text import check_text
from newswatch_labels.errors import InputError, MissingExtraError
from newswatch_labels.json_object import parse_object

__all__ = [
    "FORMATS",
    "Columns",
    "Fault",
    "Placed",
    "Row",
    "check_kind",
    "file_kind",
    "list_files",
    "read_articles",
    "read_file",
    "read_line",
    "read_page",
]

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
MAX_PAGE = 20_000_000
PARQUET_ROWS = 16  # decoded at once: few, since each may be long


Placed = tuple[Row, int]
"""A row, and how many bytes of its file (packed as it is) were read when it was found."""


def read_articles(paths: Iterable[str | Path], columns: Columns | None = None, kind: str | None = None) -> Iterator[Row]:
    """Read files, folders (every file of a known kind below them) and `-` (standard input), in the order given.

    Args:
        kind: text, html, jsonl, csv or parquet; default: by the file's ending (`.gz` or `.zst` behind it is unpacked).
            Standard input is JSONL if it begins with `{`, else text.

    Yields:
        Articles, and a `Fault` for each row or file that holds none. The id of a text or HTML file is its name.
    """
    columns = columns or Columns()
    for path in paths:
        if str(path) == "-":
            found = _guarded("standard input", lambda: _read_stream(sys.stdin.buffer, columns, kind))
            yield from (row for row, _ in found)
            continue
        for file in list_files(Path(path)):
            yield from (row for row, _ in read_file(file, columns, kind))


def list_files(path: Path) -> list[Path]:
    """A file itself; of a folder every file of a known kind below it, by name."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and file_kind(file) is not None)


def read_file(file: Path, columns: Columns, kind: str | None = None) -> Iterator[Placed]:
    """Rows of one file, in order, a few at a time: memory is bounded by the longest row allowed.

    Args:
        kind: as for `read_articles`.

    Raises:
        MissingExtraError: the file's kind needs a package that is not installed.
    """
    yield from _guarded(printable(file), partial(_read_file, file, columns, kind))


def _guarded(place: str, read: Callable[[], Iterator[Placed]]) -> Iterator[Placed]:
    """Turn what goes wrong with a whole file into a fault, so that the other files are still read."""
    try:
        yield from read()
    except InputError as error:
        yield Fault(place, error), 0
    except FileNotFoundError:
        yield Fault(place, InputError(f"{place}: no such file", "a file or a folder", "Check the path.")), 0
    except (OSError, EOFError, UnicodeError, zlib.error) as error:
        yield Fault(place, InputError(f"{place}: {error}", "a whole, readable file", "Copy the file again.")), 0


def file_kind(file: Path) -> str | None:
    """The kind of a file by its ending, packed or not; None if the ending is not known."""
    name = file.with_suffix("") if file.suffix in PACKED else file
    return FORMATS.get(name.suffix.lower())


def _read_file(file: Path, columns: Columns, kind: str | None) -> Iterator[Placed]:
    kind = kind or file_kind(file) or "text"
    if kind == "parquet":
        yield from _read_parquet(file, columns)
        return
    with open_stream(file) as (stream, raw):
        for row in _READERS[check_kind(kind)](stream, printable(file.name), columns):
            yield row, raw.tell()


def _read_stream(stream: IO[bytes], columns: Columns, kind: str | None) -> Iterator[Placed]:
    if kind is None:
        # A buffer around a buffer would wait until it is full, and a stream may bring one line an hour.
        buffered = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", stream))
        stream = buffered
        kind = "jsonl" if buffered.peek(64).lstrip()[:1] == b"{" else "text"
    if kind == "parquet":
        raise InputError("Parquet on standard input", "a file", "Name the Parquet file.")
    for row in _READERS[check_kind(kind)](stream, "-", columns):
        yield row, 0


def check_kind(kind: str) -> str:
    """Return `kind` if it is one.

    Raises:
        InputError: there is no such kind of file.
    """
    if kind not in FORMATS.values():
        raise InputError(f"format {kind!r}", f"one of {', '.join(sorted(set(FORMATS.values())))}", "Mend --format.")
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
    yield Article(check_text(_decode(read_whole(stream, name), name), name), id=name)


def _read_html(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:  # noqa: ARG001
    yield read_page(read_whole(stream, name, MAX_PAGE), name)


def read_page(content: bytes, name: str) -> Article:
    """The article of an HTML page, without its furniture; its id is `name`.

    Raises:
        InputError: the page holds no article.
        MissingExtraError: trafilatura is not installed.
    """
    try:
        from trafilatura import bare_extraction
    except ImportError as error:
        raise MissingExtraError(error.name or "trafilatura", "files") from error
    page = bare_extraction(content, include_comments=False, include_tables=False, with_metadata=True)
    if page is None or not page.text:
        raise InputError(f"{name}: no article text", "a page with an article", "Save the page's text as .txt.")
    return Article(page.text, id=name, title=page.title or None)


def _read_jsonl(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:
    for number, line in enumerate(read_lines(stream), 1):
        if line.strip():
            yield read_line(line, columns, f"{name}:{number}", number)


def read_line(line: bytes, columns: Columns, place: str, number: int | None) -> Row:
    """The article in a line of JSONL, or its fault.

    Args:
        place: file and line, for messages, and the id of an article that has none.
        number: of the line, from 1, where it is known.
    """
    try:
        check_line(line, place)
        text = _decode(line, place)
        return read_article(parse_object(text, place), columns, place)
    except InputError as error:
        content = line[: 4 * MAX_CONTENT].rstrip(b"\r\n").decode("utf-8", "backslashreplace")
        return Fault(place, error, number, content[:MAX_CONTENT])


def _read_csv(stream: IO[bytes], name: str, columns: Columns) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD)
    # Bytes that are no UTF-8 become lone surrogates, so that one bad row does not end the file.
    lines = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="")
    rows = csv.DictReader(_bounded(lines, name))
    _expect_column(columns.text, rows.fieldnames or [], name)
    while True:
        number = rows.line_num + 1
        place = f"{name}:{number}"
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield Fault(place, InputError(f"{place}: {error}", "a CSV row", "Mend or remove the row."), number)
            continue
        yield read_row(row, columns, name, number)


def _bounded(lines: io.TextIOWrapper, name: str) -> Iterator[str]:
    while line := lines.readline(MAX_ROW + 1):
        check_line(line, name)
        yield line


def _read_parquet(file: Path, columns: Columns) -> Iterator[Placed]:
    try:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise MissingExtraError(error.name or "pyarrow", "files") from error
    place, size = printable(file.name), file.stat().st_size
    try:
        # These two settings stream the columns; without them each row group's are held whole.
        with ParquetFile(file, buffer_size=2**20, pre_buffer=False) as table:
            names = table.schema_arrow.names
            _expect_column(columns.text, names, place)
            wanted = [name for name in (columns.text, columns.id, columns.title, columns.date) if name in names]
            number = 0
            for batch in table.iter_batches(batch_size=PARQUET_ROWS, columns=wanted, use_threads=False):
                for row in batch.to_pylist():
                    number += 1
                    yield read_row(row, columns, place, number), size * number // table.metadata.num_rows
    except ArrowException as error:
        raise InputError(f"{place}: {error}", "a whole Parquet file", "Copy or write the file again.") from error


def _expect_column(name: str, found: Iterable[str], place: str) -> None:
    if name not in found:
        raise InputError(
            f"{place}: columns {', '.join(found) or 'none'}", f"a column {name!r}", "Name the text's column with --text-column."
        )


_READERS: dict[str, Callable[[IO[bytes], str, Columns], Iterator[Row]]] = {
    "text": _read_text,
    "html": _read_html,
    "jsonl": _read_jsonl,
    "csv": _read_csv,
}
