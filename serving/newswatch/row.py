"""The row: an article as a JSON object, a line of CSV or a row of Parquet holds it, or what is wrong with it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from newswatch.scorer import Article
from newswatch.stream import printable
from newswatch.text import check_text
from newswatch_labels.errors import InputError

MAX_CONTENT = 10_000
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
    """A row or file that holds no article.

    Attributes:
        place: file and line (Parquet: row), for a whole file its name alone.
        error: says why.
        row: number of the line or row, from 1; None where the whole file, or the rest of it, cannot be read.
        content: the row as read, at most its first `MAX_CONTENT` characters.
    """

    place: str
    error: InputError
    row: int | None = None
    content: str = ""


Row = Article | Fault


def read_row(row: dict[str, Any], columns: Columns, name: str, number: int) -> Row:
    """The article in row `number` of the file `name`, or its fault."""
    place = f"{name}:{number}"
    try:
        return read_article(row, columns, place)
    except InputError as error:
        return Fault(place, error, number, printable(json.dumps(row, ensure_ascii=False, default=str)[:MAX_CONTENT]))


def read_article(row: dict[str, Any], columns: Columns, place: str) -> Article:
    """The article that a row holds; without an id of its own it has its place as id.

    Raises:
        InputError: it holds none that can be scored.
    """
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
        check_text("" if identity is None else str(identity), "id")
    except InputError as error:
        raise InputError(f"{place}: {error.received}", error.expected, error.advice) from error
    date = row.get(columns.date)
    return Article(row[columns.text], place if identity is None else str(identity), title or None, None if date is None else str(date))
