"""The Spark worker: what runs in the Python processes of Spark's executors. Each loads the scorer once and keeps it."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from newswatch.output import arrow_schema, output_row
from newswatch.reading import Columns, Fault, Row, read_line
from newswatch.row import MAX_CONTENT, read_article
from newswatch.scorer import Scorer
from newswatch.stream import printable
from newswatch_labels.errors import InputError

CHUNK = 64
INPUT = ("line", "text", "id", "title", "file", "row")
"""Columns of a row as it comes: `line`, a line of JSONL, or else `text`, `id` and `title`, all as bytes; `file` and, where known, `row`."""
FAULT = "file string, row bigint, place string, reason string, content string"

Arrays = Iterator[tuple[Any, ...]]


@dataclass(frozen=True)
class Shipped:
    """A bundle as the executors have it.

    Attributes:
        archive: name under which Spark unpacked it there.
        sha256: hash that its bundle.json must have.
        label: name and version of the bundle.
        tags: of its scheme.
    """

    archive: str
    sha256: str
    label: str
    tags: tuple[str, ...]


@cache
def _scorer(archive: str, sha256: str, cascade: bool) -> Scorer:
    from pyspark import SparkFiles

    # Spark gives each task its share of the processors and says so in OMP_NUM_THREADS.
    os.environ.setdefault("NEWSWATCH_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    return Scorer.load(SparkFiles.get(archive), sha256, cascade=cascade)


def prediction_type(*, evidence: bool) -> str:
    """Spark's type of a prediction: `output.arrow_schema` and `error`, which says why a row is not scored and is else null."""
    found = "evidence: map<string, array<struct<start: int, end: int, text: string, score: double, field: string>>>, "
    return (
        "struct<id: string, tags: array<string>, scores: map<string, double>, "
        f"{found if evidence else ''}review: array<string>, model: string, error: string>"
    )


def make_scoring(bundle: Shipped, columns: Columns, *, evidence: bool, cascade: bool) -> Callable[[Arrays], Iterator[Any]]:
    """A function of Arrow arrays (columns `INPUT`) that gives arrays of `prediction_type`."""

    def score(batches: Arrays) -> Iterator[Any]:
        scorer = _scorer(bundle.archive, bundle.sha256, cascade)
        kind = _prediction_arrow(evidence)
        for arrays in batches:
            rows = list(_rows(arrays, columns))
            parts = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
            yield _array([cell for part in parts for cell in _cells(scorer, part, evidence)], kind)

    return score


def make_checking(columns: Columns) -> Callable[[Arrays], Iterator[Any]]:
    """A function of Arrow arrays (columns `INPUT`) that gives what is wrong with each row (`FAULT`), or null; it loads no model."""

    def check(batches: Arrays) -> Iterator[Any]:
        import pyarrow as pa

        kind = pa.struct({"file": pa.string(), "row": pa.int64(), "place": pa.string(), "reason": pa.string(), "content": pa.string()})
        for arrays in batches:
            files = arrays[INPUT.index("file")].to_pylist()
            yield _array([_fault(file, row) for file, row in zip(files, _rows(arrays, columns), strict=True)], kind)

    return check


def _rows(arrays: tuple[Any, ...], columns: Columns) -> Iterator[Row]:
    for values in zip(*arrays, strict=True):
        line, text, identity, title, file, number = (value.as_py() for value in values)
        # Rows have no number where Spark splits a file; a hash of the row finds it again, and is the same on every try.
        whole = line if line is not None else repr((text, identity, title)).encode()
        mark = number if number is not None else hashlib.sha256(whole).hexdigest()[:12]
        name = PurePosixPath(plain(file)).name if file else "article"
        if line is not None:
            yield read_line(line, columns, f"{name}:{mark}", number)
            continue
        place = f"{name}:{mark}"
        cells = {columns.text: _decode(text), columns.id: _decode(identity), columns.title: _decode(title)}
        try:
            article = read_article(cells, columns, place)
        except InputError as error:
            yield Fault(place, error, number, printable(json.dumps(cells, ensure_ascii=False)[:MAX_CONTENT]))
        else:
            yield replace(article, id=None) if file is None and identity is None else article


def plain(address: str) -> str:
    """A file's address as people write it: the path alone where it is local, which Spark writes as `file:/a%20b` or `file:///a%20b`."""
    return unquote(re.sub("^file:/+", "/", address)) if address.startswith("file:") else address


def _decode(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode("utf-8", "surrogateescape")


def _cells(scorer: Scorer, rows: list[Row], evidence: bool) -> Iterator[dict[str, Any]]:
    scored = iter(scorer.score([row for row in rows if not isinstance(row, Fault)]))
    for row in rows:
        yield {"error": str(row.error)} if isinstance(row, Fault) else _maps_as_lists(output_row(next(scored), evidence=evidence))


def _maps_as_lists(row: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value.items()) if isinstance(value, dict) else value for name, value in row.items()}


def _fault(file: str | None, row: Row) -> dict[str, Any] | None:
    if not isinstance(row, Fault):
        return None
    return {"file": file and plain(file), "row": row.row, "place": row.place, "reason": str(row.error), "content": row.content}


def _prediction_arrow(evidence: bool) -> Any:
    import pyarrow as pa

    return pa.struct([*arrow_schema(evidence=evidence), pa.field("error", pa.string())])


def _array(cells: list[Any], kind: Any) -> Any:
    import pyarrow as pa

    return pa.array(cells, type=kind)
