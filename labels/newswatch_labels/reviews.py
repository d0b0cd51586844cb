"""The reviews: articles that people have read on the desk become labelled records.

They are read from the store itself, whose layout `store_layout` gives to both sides with a version, and not from an export of it: one file
less that may be old, and nothing but what is in the store can become a label.
"""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

from newswatch_labels.errors import RecordError
from newswatch_labels.record import PUBLISHED, Record, parse_record
from newswatch_labels.scheme import Scheme
from newswatch_labels.store_layout import open_database

_NEWEST = """
    SELECT a.*, r.tags AS reviewed, coalesce(first.time, a.time) AS begun, coalesce(first.outlet, a.outlet) AS teller FROM articles a
    JOIN reviews r ON r.number = (SELECT max(number) FROM reviews WHERE article = a.id)
    LEFT JOIN articles first ON first.id = a.story ORDER BY r.number
"""
_NO_NAME = re.compile(r"[^a-z0-9.]+")


def from_reviews(path: Path, scheme: Scheme | None) -> tuple[list[Record], list[RecordError]]:
    """The reviewed articles of a store, each with its newest review, in the order of the reviews.

    Args:
        scheme: the tags allowed; None allows any.

    Returns:
        The records, and a fault for each review left out.

    Raises:
        InputError: the file is no store of this version.
    """
    records: list[Record] = []
    faults: list[RecordError] = []
    with closing(open_database(path, read_only=True)) as connection:
        for row in connection.execute(_NEWEST):
            try:
                records.append(_record(row, scheme, path.name))
            except RecordError as error:
                faults.append(error)
    return records, faults


def _record(row: sqlite3.Row, scheme: Scheme | None, place: str) -> Record:
    made = {
        "id": row["id"],
        "title": row["title"],
        "text": row["text"],
        "evidence": json.loads(row["reviewed"]),
        "source_url": row["url"],
        "source_date": row["published"][:10] if row["published"] else None,
        "outlet": row["outlet"],
        "style": PUBLISHED,
        "event": _event(row),
    }
    return parse_record(json.dumps(made), scheme, place)


def _event(row: sqlite3.Row) -> str:
    """`<story>-<yyyymm>-<outlet>`, of the story's first article.

    The story stands where other records have the place, since splits keep place and month whole: near-duplicates stay together, and an
    outlet's month, which may be most of what was reviewed, does not become one group.
    """
    parts = (row["story"], row["begun"][:7].replace("-", ""), row["teller"] or "unknown")
    return "-".join(_NO_NAME.sub("_", part.lower()) for part in parts)
