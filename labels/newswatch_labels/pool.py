"""The pool: unlabelled articles, and what a model says of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from newswatch_labels.errors import InputError, NewswatchError
from newswatch_labels.json_object import parse_object
from newswatch_labels.record import Record, parse_record
from newswatch_labels.suggest import Scores

_RENAMED = {"url": "source_url", "date": "source_date"}
_DAY = 10


def read_pool(path: Path) -> tuple[list[Record], list[NewswatchError]]:
    """Read articles to be labelled: JSONL of id, text and, where there, the other fields of a record but labels and evidence.

    The fields url and date of feeds and other data sets become source_url and source_date; what else there is, is kept in `extra`.

    Returns:
        Records without labels, and a fault for each row left out.

    Raises:
        InputError: the file cannot be read.
    """
    records: dict[str, Record] = {}
    faults: list[NewswatchError] = []
    for number, line in _lines(path, "JSONL of articles"):
        place = f"{path.name}:{number}"
        try:
            record = parse_record(json.dumps(_unlabelled(parse_object(line, place))), None, place, plain=True)
            if record.id in records:
                raise InputError(f"{place}: id {record.id!r} for the second time", "an id that occurs once", "Rename one.")
            records[record.id] = record
        except NewswatchError as error:
            faults.append(error)
    return list(records.values()), faults


def read_scores(path: Path) -> Scores:
    """Read the probabilities out of what `newswatch score` or `newswatch batch` wrote.

    Raises:
        InputError: the file cannot be read, or a row is no prediction.
    """
    scores: dict[str, dict[str, float]] = {}
    for number, line in _lines(path, "JSONL of newswatch score"):
        place = f"{path.name}:{number}"
        row = parse_object(line, place)
        found = row.get("scores")
        if not isinstance(found, dict) or not found or not all(isinstance(p, float | int) and 0 <= p <= 1 for p in found.values()):
            raise InputError(f"{place}: scores {found!r:.60}", "a probability for every tag", "Score the pool again.")
        if scores and found.keys() != next(iter(scores.values())).keys():
            raise InputError(f"{place}: tags {', '.join(sorted(found))}", "the tags of the rows before", "Score the pool with one bundle.")
        scores[str(row.get("id"))] = found
    return scores


def _unlabelled(row: dict[str, Any]) -> dict[str, Any]:
    row |= {new: row.pop(old) for old, new in _RENAMED.items() if old in row and new not in row}
    if isinstance(row.get("source_date"), str):
        row["source_date"] = row["source_date"][:_DAY]
    return row | {"labels": [], "evidence": None, "disputed": []}


def _lines(path: Path, expected: str) -> Iterator[tuple[int, str]]:
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}", expected, "Check the path.") from error
    for number, line in enumerate(content.split("\n"), 1):
        if line.strip():
            yield number, line
