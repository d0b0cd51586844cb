"""The flat file of a corpus: CSV with every field for spreadsheets, plain JSONL for other trainers."""

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from newswatch_labels.corpus import write_whole
from newswatch_labels.errors import RecordError
from newswatch_labels.record import Record, parse_record
from newswatch_labels.scheme import Scheme

SEPARATOR = "|"
COLUMNS = tuple(f.name for f in fields(Record))
_REQUIRED = ("id", "text", "labels")
_LISTS = ("labels", "disputed")
_JSON = ("evidence", "extra")
_FLAGS = ("furniture", "translation")
_NULLABLE = ("source_url", "source_date", "contrast")
_MAX_CELL = 50_000_000


def to_csv(records: Iterable[Record], path: Path) -> None:
    """Write one row a record, a column a field: tags joined by `|`, evidence and extra as JSON, flags as true or nothing.

    An empty cell stands for null. The file begins with a byte order mark, by which spreadsheets know UTF-8.

    Raises:
        RecordError: a tag contains the separator.
    """
    buffer = io.StringIO(newline="")
    rows = csv.writer(buffer)
    rows.writerow(COLUMNS)
    for record in records:
        rows.writerow([_cell(record, name) for name in COLUMNS])
    write_whole("\ufeff" + buffer.getvalue(), path)


def from_csv(path: Path, scheme: Scheme | None) -> tuple[list[Record], list[RecordError]]:
    """Read what `to_csv` wrote and somebody may have edited; of the columns only id, text and labels are needed.

    Args:
        scheme: the tags allowed; None allows any.

    Returns:
        The records, and a fault for each row left out.

    Raises:
        RecordError: the file cannot be read, or its columns are not those of a record.
    """
    csv.field_size_limit(_MAX_CELL)
    records: list[Record] = []
    faults: list[RecordError] = []
    places: dict[str, str] = {}
    try:
        # Bytes that are no UTF-8 become lone surrogates, so that one bad row does not end the file.
        content = path.read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise RecordError(f"{path}: {error}", "a readable CSV file", "Check the path.") from error
    rows = csv.DictReader(io.StringIO(content, newline=""), strict=True)
    _expect_columns(rows.fieldnames or (), path.name)
    while True:
        place = f"{path.name}:{rows.line_num + 1}"
        try:
            row = next(rows)
            record = _record(row, scheme, place)
            if record.id in places:
                raise RecordError(f"{place}: id {record.id!r}, which {places[record.id]} has", "an id that occurs once", "Rename one.")
        except StopIteration:
            return records, faults
        except csv.Error as error:
            faults.append(RecordError(f"{place}: {error}", "a CSV row", "Mend or remove the row."))
        except RecordError as error:
            faults.append(error)
        else:
            places[record.id] = place
            records.append(record)


def to_jsonl(records: Iterable[Record], path: Path) -> None:
    """Write the plain form that `read_splits` reads: id, text (title, blank line, text) and labels; evidence is left behind."""
    lines = []
    for record in records:
        text = f"{record.title}\n\n{record.text}" if record.title else record.text
        lines.append(json.dumps({"id": record.id, "text": text, "labels": list(record.labels)}, ensure_ascii=False) + "\n")
    write_whole("".join(lines), path)


def _cell(record: Record, name: str) -> str:
    value = getattr(record, name)
    if name in _LISTS:
        if split := [tag for tag in value if SEPARATOR in tag]:
            raise RecordError(f"{record.id}: tag {split[0]!r}", f"a tag without {SEPARATOR!r}", "Rename the tag.")
        return SEPARATOR.join(value)
    if name in _JSON:
        return "" if value is None or (name == "extra" and not value) else json.dumps(dict(value), ensure_ascii=False)
    if name in _FLAGS:
        return "true" if value else ""
    return value or ""


def _record(row: dict[str | None, Any], scheme: Scheme | None, place: str) -> Record:
    if None in row or None in row.values():
        raise RecordError(f"{place}: more or fewer cells than columns", "a cell for every column", "Mend or remove the row.")
    made: dict[str, Any] = {}
    for name, cell in row.items():
        if name in _LISTS:
            made[name] = [tag.strip() for tag in cell.split(SEPARATOR) if tag.strip()]
        elif name in _JSON:
            made[name] = _json(cell, name, place) if cell.strip() else None
        elif name in _FLAGS:
            # Spreadsheets write TRUE; anything else but true, false or nothing is the row's fault.
            made[name] = {"": False, "false": False, "true": True}.get(cell.strip().lower(), cell)
        else:
            made[str(name)] = None if name in _NULLABLE and not cell else cell
    extra = made.pop("extra", None) or {}
    if unknown := set(extra) & set(COLUMNS):
        raise RecordError(f"{place}: extra has {min(unknown)!r}", "fields that are no columns", "Move it to its column.")
    return parse_record(json.dumps(made | extra), scheme, place, plain=True)


def _json(cell: str, name: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(cell)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{place}: {name}: {error}", "a JSON object", f"Mend the row's {name}.") from error
    if not isinstance(value, dict):
        raise RecordError(f"{place}: {name} is a {type(value).__name__}", "a JSON object", f"Mend the row's {name}.")
    return value


def _expect_columns(found: Iterable[str], place: str) -> None:
    for name in found:
        if name not in COLUMNS:
            near = get_close_matches(name, COLUMNS, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else "Remove the column."
            raise RecordError(f"{place}: column {name!r}", f"columns {', '.join(COLUMNS)}", advice)
    if missing := [name for name in _REQUIRED if name not in found]:
        raise RecordError(f"{place}: no column {', '.join(missing)}", f"columns {', '.join(_REQUIRED)}", "Add it.")
