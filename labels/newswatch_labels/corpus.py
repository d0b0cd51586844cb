"""The corpus: records in JSONL files, read with every fault named."""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from newswatch_labels.errors import MissingExtraError, RecordError
from newswatch_labels.record import Record, parse_record
from newswatch_labels.scheme import Scheme

if TYPE_CHECKING:
    from datasets import Dataset

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Corpus:
    """Records in reading order, and the rows that could not be read, each as the error that names its place."""

    records: tuple[Record, ...]
    faults: tuple[RecordError, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the records' content; file names, order and white space between rows do not matter."""
        digest = hashlib.sha256()
        for line in sorted(record.to_json() for record in self.records):
            digest.update(line.encode() + b"\n")
        return digest.hexdigest()


def read_corpus(path: Path, scheme: Scheme | None = None, *, plain: bool = False) -> Corpus:
    """Read one JSONL file (plain or gz), or every `*.jsonl` and `*.jsonl.gz` of a folder, in the order of their names.

    Args:
        scheme: the tags allowed; None allows any.
        plain: rows of another maker, whose unknown fields are kept in `Record.extra`.

    Raises:
        RecordError: `path` does not exist or holds no file. Rows at fault do not raise: see `Corpus.faults`.
    """
    sources = sorted(p for p in path.glob("*.jsonl*") if p.suffix in (".jsonl", ".gz")) if path.is_dir() else [path]
    if not sources or not path.exists():
        raise RecordError(f"corpus {path}", "a JSONL file or a folder of them", "Check the path.")
    records: list[Record] = []
    faults: list[RecordError] = []
    places: dict[str, str] = {}
    for source in sources:
        opened = gzip.open(source, "rb") if source.suffix == ".gz" else source.open("rb")
        with opened as lines:
            number = 0
            try:
                for number, line in enumerate(lines, 1):
                    if not line.strip():
                        continue
                    place = f"{source.name}:{number}"
                    try:
                        record = parse_record(line, scheme, place, plain=plain)
                        if record.id in places:
                            raise RecordError(
                                f"{place}: id {record.id!r}, which {places[record.id]} has", "an id that occurs once", "Rename one."
                            )
                    except RecordError as error:
                        faults.append(error)
                        continue
                    places[record.id] = place
                    records.append(record)
            except (OSError, EOFError, zlib.error) as error:
                fault = RecordError(f"{source.name}: {error} after line {number}", "a whole file", "Copy the file again.")
                faults.append(fault)
    return Corpus(tuple(records), tuple(faults))


def read_splits(folder: Path) -> tuple[Scheme, dict[str, Corpus]]:
    """Read a plain data set: train.jsonl, and dev.jsonl and test.jsonl where present, rows of id, text and labels.

    Returns:
        The scheme of the labels that occur in train, sorted by name; the corpora by split.

    Raises:
        RecordError: there is no train.jsonl.
    """
    found = {split: folder / f"{split}.jsonl" for split in SPLITS if (folder / f"{split}.jsonl").is_file()}
    if "train" not in found:
        raise RecordError(f"data set {folder}", "a folder with train.jsonl", "Check the path.")
    train = read_corpus(found["train"], plain=True)
    scheme = Scheme.of_names(sorted({label for record in train.records for label in record.labels}))
    return scheme, {split: read_corpus(path, scheme, plain=True) for split, path in found.items()}


def to_dataset(records: Iterable[Record]) -> "Dataset":
    """The records as a `datasets.Dataset` of id, title, text, labels, evidence (rows of tag and sentence) and source fields.

    Raises:
        MissingExtraError: `datasets` is not installed.
    """
    try:
        from datasets import Dataset
    except ImportError as error:
        raise MissingExtraError(error.name or "datasets", "train") from error
    return Dataset.from_list(
        [
            {
                "id": r.id,
                "title": r.title,
                "text": r.text,
                "labels": list(r.labels),
                "evidence": [{"tag": tag, "sentence": s} for tag, found in (r.evidence or {}).items() for s in found],
                "source_url": r.source_url,
                "source_date": r.source_date,
                "outlet": r.outlet,
                "style": r.style,
                "event": r.event,
            }
            for r in records
        ]
    )


def write_corpus(records: Iterable[Record], path: Path) -> None:
    """Write the records as JSONL, one a line, under a temporary name first."""
    write_whole("".join(record.to_json() + "\n" for record in records), path)


def write_whole(content: str, path: Path) -> None:
    """Write `content` as UTF-8, its line breaks as they are, to the disk itself, under a temporary name first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
