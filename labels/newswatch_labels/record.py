"""The record: one labelled article with the sentences that carry its tags."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from newswatch_labels.errors import NewswatchError, RecordError
from newswatch_labels.scheme import Scheme

LONG_WORDS = 350
PUBLISHED = "published"
_DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Record:
    """A labelled article.

    Attributes:
        labels: its tags.
        evidence: per tag the sentences that establish it, copied exactly from title or text; None where nobody marked any.
        disputed: tags on which its readers disagreed; they count neither for nor against a model.
        source_date: YYYY, YYYY-MM or YYYY-MM-DD.
        style: how it is written; `published` for an outlet's own article, as it stood.
        event: key of the event it tells of; records of one event are never split.
        contrast: id of the record that shares most of its words and differs in a tag.
        furniture: whether the text carries page furniture (menus, teasers, comment forms).
    """

    id: str
    text: str
    labels: tuple[str, ...]
    title: str = ""
    evidence: Mapping[str, tuple[str, ...]] | None = None
    disputed: tuple[str, ...] = ()
    source_url: str | None = None
    source_date: str | None = None
    outlet: str = ""
    style: str = ""
    event: str = ""
    contrast: str | None = None
    furniture: bool = False
    translation: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> int:
        """Number of white-space separated words in the text."""
        return len(self.text.split())

    @property
    def fingerprint(self) -> str:
        """Hash of title and text, 32 hex digits: the same article under another id or with other labels has the same."""
        return hashlib.sha256(f"{self.title}\n{self.text}".encode()).hexdigest()[:32]

    @property
    def year(self) -> int | None:
        """Year of the source, where known."""
        return int(self.source_date[:4]) if self.source_date else None

    def late_labels(self) -> tuple[str, ...]:
        """Tags whose every evidence sentence begins in the last third of the text."""
        start = len(self.text) * 2 / 3
        return tuple(
            tag for tag, sentences in (self.evidence or {}).items() if all(self.text.find(sentence) >= start for sentence in sentences)
        )

    def to_json(self) -> str:
        """One JSON line, fields without content left out."""
        row: dict[str, Any] = {"id": self.id, "title": self.title, "text": self.text}
        if self.evidence is None or tuple(self.evidence) != self.labels:
            row["labels"] = list(self.labels)
        if self.evidence is not None:
            row["evidence"] = {tag: list(sentences) for tag, sentences in self.evidence.items()}
        row |= {name: getattr(self, name) for name in ("source_url", "source_date", "outlet", "style", "event")}
        row |= {name: True for name in ("furniture", "translation") if getattr(self, name)}
        if self.contrast:
            row["contrast"] = self.contrast
        if self.disputed:
            row["disputed"] = list(self.disputed)
        return json.dumps(row, ensure_ascii=False)


_FIELDS = {f.name for f in fields(Record)} - {"extra"}
_STRINGS = ("title", "outlet", "style", "event")
_OPTIONAL_STRINGS = ("source_url", "source_date", "contrast")


def parse_record(line: str | bytes, scheme: Scheme | None, place: str, *, plain: bool = False) -> Record:
    """Read and check one JSON line.

    Args:
        scheme: the tags allowed; None allows any.
        place: file and line, for errors.
        plain: the line comes from a data set of another maker: unknown fields are kept in `extra`.

    Raises:
        RecordError: with `place` and the field at fault.
    """
    try:
        row = json.loads(line if isinstance(line, str) else line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RecordError(f"{place}: invalid UTF-8 at byte {error.start}", "UTF-8", "Save the file as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{place}: {error}", "one whole JSON object a line", "Mend or remove the line.") from error
    if not isinstance(row, dict):
        raise RecordError(f"{place}: {type(row).__name__}", "a JSON object", "Mend or remove the line.")
    place = f"{place} ({row['id']})" if isinstance(row.get("id"), str) else place
    unknown = set(row) - _FIELDS
    if unknown and not plain:
        name = min(unknown)
        near = get_close_matches(name, _FIELDS, n=1)
        raise RecordError(
            f"{place}: field {name!r}",
            f"fields {', '.join(sorted(_FIELDS))}",
            f"Did you mean {near[0]!r}?" if near else "Remove the field.",
        )
    for name in ("id", "text"):
        _expect(isinstance(row.get(name), str) and bool(row[name].strip()), place, name, row.get(name), "a string with content")
    for name in _STRINGS:
        _expect(isinstance(row.get(name, ""), str), place, name, row.get(name), "a string")
    for name in _OPTIONAL_STRINGS:
        _expect(row.get(name) is None or isinstance(row[name], str), place, name, row.get(name), "a string or null")
    for name, value in row.items():
        found = _SURROGATE.search(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        _expect(found is None, place, name, "a lone surrogate", "valid Unicode")
    for name in ("furniture", "translation"):
        _expect(isinstance(row.get(name, False), bool), place, name, row.get(name), "true or false")
    date = row.get("source_date")
    _expect(date is None or _DATE.fullmatch(date), place, "source_date", date, "YYYY, YYYY-MM or YYYY-MM-DD")
    evidence = _evidence(row, place)
    given = row.get("labels", list(evidence or ()))
    _expect(_is_strings(given), place, "labels", given, "a list of tag names")
    _expect("labels" in row or evidence is not None, place, "labels", None, "labels or evidence")
    disputed = row.get("disputed", [])
    _expect(_is_strings(disputed), place, "disputed", disputed, "a list of tag names")
    missing = set(evidence or ()) - set(given) - set(disputed)
    _expect(not missing, place, "labels", given, f"the tags of its evidence too: {', '.join(sorted(missing))}")
    if scheme is not None:
        try:
            for tag in (*given, *disputed):
                scheme.index(tag)
        except NewswatchError as error:
            raise RecordError(f"{place}: {error.received}", error.expected, error.advice) from error
    return Record(
        **{name: row[name] for name in _FIELDS & set(row) - {"labels", "evidence", "disputed", "title", "id", "text"}},
        id=row["id"],
        text=row["text"],
        title=row.get("title", ""),
        labels=tuple(dict.fromkeys(given)),
        evidence=evidence,
        disputed=tuple(disputed),
        extra={name: row[name] for name in unknown},
    )


def _expect(right: object, place: str, name: str, received: object, expected: str) -> None:
    if not right:
        raise RecordError(f"{place}: {name} is {received!r:.80}", expected, f"Mend the record's {name}.")


def _is_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _evidence(row: dict[str, Any], place: str) -> dict[str, tuple[str, ...]] | None:
    evidence = row.get("evidence")
    if evidence is None:
        return None
    _expect(isinstance(evidence, dict), place, "evidence", evidence, "an object of tag: [sentence, ...]")
    for tag, sentences in evidence.items():
        _expect(_is_strings(sentences) and sentences, place, f"evidence of {tag}", sentences, "at least one sentence")
        for sentence in sentences:
            found = sentence.strip() and (sentence in row["text"] or sentence in row.get("title", ""))
            _expect(found, place, f"evidence of {tag}", sentence, "a sentence that occurs in title or text to the letter")
    return {tag: tuple(sentences) for tag, sentences in evidence.items()}
