"""The Label Studio task: an article with its tags, evidence and predictions, out to be annotated and back.

Offsets: Label Studio stores `start` and `end` of a region as code points into the text as imported; each carriage return and each
line feed counts one. Early releases counted UTF-16 code units. The text that a region brings along is what the screen showed
(line breaks as a literal backslash-n, white space as rendered): it decides between the two counts and is never copied into a record.
A region's edge that is dragged behind an emoji on its line comes to lie too far right in Label Studio 1.23 itself: draw it anew.
"""

import colorsys
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

from newswatch_labels.errors import InputError, NewswatchError, RecordError
from newswatch_labels.record import Record, parse_record
from newswatch_labels.scheme import Scheme

TAGS = "tags"
# A Labels control of Label Studio serves one Text alone (a list in toName passes its validation, and then marks nothing).
EVIDENCE = {"title": "evidence_title", "text": "evidence"}

Span = tuple[str, int, int]
"""A passage as field ("title" or "text"), start and end; code points."""

_NOT_META = {"id", "title", "text", "labels", "evidence"}
_UNSEEN = re.compile(r"\\n|\s")


def to_label_studio(
    records: Iterable[Record], scheme: Scheme, predictions: Iterable[Mapping[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """One task a record, its labels and evidence as an annotation; nothing is lost on the way back.

    A passage is marked where it first occurs, in the text before the title. What the annotation cannot hold lies in `data.meta`:
    the record's other fields, `unmarked` (labels that came without evidence) and `evidence: null` where nobody marked any.

    Args:
        predictions: rows of `newswatch score`, put as pre-annotations on the records of their ids; others are passed over. The
            score of a pre-annotation is the probability of its least sure tag, or of there being none.

    Raises:
        SchemeError: a tag is not in the scheme.
        RecordError: evidence does not occur in its record.
        InputError: a prediction lacks a field, or is of another text than its record's.
    """
    rows: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
    for row in predictions or ():
        rows[row.get("id")].append(row)
    tasks = []
    for record in records:
        texts = {"title": record.title, "text": record.text}
        for tag in (*record.labels, *record.disputed):
            scheme.index(tag)
        tasks.append(
            {
                "data": {"id": record.id, "title": record.title, "text": record.text, "meta": _meta(record)},
                "annotations": [{"result": _result(texts, record.labels, _spans(record, texts))}],
                "predictions": [_pre_annotation(record.id, texts, row, scheme) for row in rows[record.id]],
            }
        )
    return tasks


def label_studio_config(scheme: Scheme) -> str:
    """The labeling interface as XML: title, text, the tags to choose and to mark, each with its definition as a tooltip."""
    view = ElementTree.Element("View")
    choices = ElementTree.SubElement(view, "Choices", name=TAGS, toName="text", choice="multiple", showInline="true")
    for tag in scheme.tags:
        ElementTree.SubElement(choices, "Choice", value=tag.name, hint=_hint(tag.title, tag.definition, tag.include, tag.exclude))
    for field, name in EVIDENCE.items():
        ElementTree.SubElement(view, "Header", value=field.capitalize(), size="5")
        labels = ElementTree.SubElement(view, "Labels", name=name, toName=field, choice="multiple", showInline="true")
        for number, tag in enumerate(scheme.tags):
            red, green, blue = (round(255 * part) for part in colorsys.hls_to_rgb(number / len(scheme.tags), 0.6, 0.65))
            ElementTree.SubElement(
                labels, "Label", value=tag.name, background=f"#{red:02x}{green:02x}{blue:02x}", hint=_hint(tag.title, tag.definition)
            )
        ElementTree.SubElement(view, "Text", name=field, value=f"${field}")
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def from_label_studio(tasks: Iterable[Any], scheme: Scheme) -> tuple[list[Record], list[RecordError]]:
    """Read the tasks of Label Studio's JSON export (not JSON-MIN).

    Of each task the annotation last changed counts, cancelled ones apart. Labels are its choices and the tags of its regions, a
    disputed tag only if chosen; evidence is the exact text under the regions, the title's first, in reading order.

    Returns:
        The records in the order of the tasks; a fault for each task left out: not annotated, a tag without a region or not in the
        scheme, a region that does not fit its text, an id that came before, or a shape that is not Label Studio's.
    """
    records: list[Record] = []
    faults: list[RecordError] = []
    places: dict[str, str] = {}
    for number, task in enumerate(tasks, 1):
        known = task.get("id") if isinstance(task, dict) else None
        place = f"task {known}" if known is not None else f"task at position {number}"
        try:
            record = _record(task, scheme, place)
            if record.id in places:
                raise RecordError(f"{place}: id {record.id!r}, which {places[record.id]} has", "an id that occurs once", "Drop one task.")
        except RecordError as error:
            faults.append(error)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            faults.append(
                RecordError(f"{place}: {error!r}", "a task with data and annotations", "Export as JSON, not as JSON-MIN or another form.")
            )
        else:
            places[record.id] = place
            records.append(record)
    return records, faults


def _meta(record: Record) -> dict[str, Any]:
    meta = {f.name: getattr(record, f.name) for f in fields(Record) if f.name not in _NOT_META}
    meta |= {"disputed": list(record.disputed), "extra": dict(record.extra)}
    if record.evidence is None:
        meta["evidence"] = None
    if unmarked := [tag for tag in record.labels if tag not in (record.evidence or ())]:
        meta["unmarked"] = unmarked
    return meta


def _spans(record: Record, texts: Mapping[str, str]) -> dict[Span, list[str]]:
    spans: dict[Span, list[str]] = defaultdict(list)
    for tag, passages in (record.evidence or {}).items():
        for passage in dict.fromkeys(passages):
            field = next((name for name in ("text", "title") if passage in texts[name]), None)
            if field is None:
                raise RecordError(
                    f"{record.id}: evidence of {tag} is {passage!r:.80}", "a sentence that occurs in title or text", "Mend the record."
                )
            start = texts[field].index(passage)
            spans[field, start, start + len(passage)].append(tag)
    return spans


def _result(texts: Mapping[str, str], tags: Sequence[str], spans: Mapping[Span, Sequence[str]]) -> list[dict[str, Any]]:
    chosen = {"id": TAGS, "type": "choices", "from_name": TAGS, "to_name": "text", "value": {"choices": list(tags)}}
    result = [chosen] if tags else []
    for span in sorted(spans, key=_reading_order):
        field, start, end = span
        value = {"start": start, "end": end, "text": texts[field][start:end], "labels": list(spans[span])}
        region = {"id": f"{field}-{start}-{end}", "type": "labels", "from_name": EVIDENCE[field], "to_name": field, "value": value}
        result.append(region)
    return result


def _pre_annotation(identity: str, texts: Mapping[str, str], row: Mapping[str, Any], scheme: Scheme) -> dict[str, Any]:
    spans: dict[Span, list[str]] = defaultdict(list)
    try:
        for tag, passages in row.get("evidence", {}).items():
            for passage in passages:
                span = (passage.get("field", "text"), passage["start"], passage["end"])
                if texts[span[0]][span[1] : span[2]] != passage["text"]:
                    raise ValueError(f"evidence {passage['text']!r:.60} is not at {span}")
                spans[span].append(tag)
        for tag in (*row["tags"], *(tag for tags in spans.values() for tag in tags)):
            scheme.index(tag)
        scores = row["scores"]
        sure = min((scores[tag] for tag in row["tags"]), default=1 - max(scores.values(), default=0))
        return {"model_version": row["model"], "score": round(sure, 6), "result": _result(texts, row["tags"], spans)}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"prediction of {identity}: {error!r}", "a row of `newswatch score` on this corpus", "Score it again.") from error


def _hint(title: str, definition: str, include: str = "", exclude: str = "") -> str:
    parts = {f"{title}:": definition, "Include:": include, "Not:": exclude}
    return " ".join(f"{head} {part.rstrip('. ')}." for head, part in parts.items() if part) or title


def _reading_order(span: Span) -> tuple[bool, int, int]:
    return span[0] != "title", span[1], span[2]


def _record(task: Any, scheme: Scheme, place: str) -> Record:
    data = task["data"]
    named = f"{place} ({data['id']})" if "id" in data else place
    texts = {"title": data.get("title") or "", "text": data["text"]}
    meta = dict(data.get("meta") or {})
    extra, unmarked, nobody_marked = meta.pop("extra", {}), meta.pop("unmarked", []), meta.pop("evidence", {}) is None
    chosen, spans = _read_result(_newest(task["annotations"], named)["result"], texts, named)
    labels = list(dict.fromkeys([*chosen, *(tag for tag in spans if tag not in meta.get("disputed", ()))]))
    _expect_in_scheme(labels, scheme, named)
    if missing := [tag for tag in labels if tag not in spans and tag not in unmarked]:
        raise RecordError(
            f"{named}: tag {', '.join(map(repr, missing))} without a region",
            "for every tag the sentence that carries it",
            "Mark it in title or text, or take the tag away.",
        )
    evidence = {
        tag: list(dict.fromkeys(texts[field][start:end] for field, start, end in sorted(spans[tag], key=_reading_order)))
        for tag in dict.fromkeys([*labels, *spans])
        if tag in spans
    }
    row = meta | extra | texts | {"labels": labels, "evidence": None if nobody_marked and not evidence else evidence}
    return parse_record(json.dumps(row | {"id": data.get("id")}), scheme, place, plain=True)


def _read_result(result: Iterable[Mapping[str, Any]], texts: Mapping[str, str], place: str) -> tuple[list[str], dict[str, list[Span]]]:
    """The tags chosen, and the spans by tag."""
    chosen: list[str] = []
    spans: dict[str, list[Span]] = {}
    for item in result:
        # Anything else, such as a relation between regions, has no place in a record.
        if item["type"] == "choices" and item["from_name"] == TAGS:
            chosen += item["value"]["choices"]
        elif item["type"] == "labels" and item["to_name"] in texts:
            span = _region_span(item["value"], item["to_name"], texts, place)
            for tag in item["value"].get("labels", ()):
                spans.setdefault(tag, []).append(span)
    return chosen, spans


def _expect_in_scheme(tags: Iterable[str], scheme: Scheme, place: str) -> None:
    try:
        for tag in tags:
            scheme.index(tag)
    except NewswatchError as error:
        raise RecordError(f"{place}: {error.received}", error.expected, error.advice) from error


def _newest(annotations: Sequence[Mapping[str, Any]], place: str) -> Mapping[str, Any]:
    done = [annotation for annotation in annotations if not annotation.get("was_cancelled")]
    if not done:
        raise RecordError(f"{place}: no completed annotation", "one that was submitted and not cancelled", "Annotate the task.")
    return max(enumerate(done), key=lambda numbered: (_changed(numbered[1]), numbered[0]))[1]


def _changed(annotation: Mapping[str, Any]) -> datetime:
    stamp = annotation.get("updated_at") or annotation.get("created_at")
    when = datetime.fromisoformat(stamp) if stamp else datetime.min
    return when if when.tzinfo else when.replace(tzinfo=UTC)


def _region_span(value: Mapping[str, Any], field: str, texts: Mapping[str, str], place: str) -> Span:
    text, start, end, shown = texts[field], value["start"], value["end"], value.get("text")
    counts = [(start, end)] if shown is None else [(start, end), (_code_point(text, start), _code_point(text, end))]
    for left, right in counts:
        if 0 <= left < right <= len(text) and (shown is None or _seen(text[left:right]) == _seen(shown)):
            return field, left, right
    raise RecordError(f"{place}: region {start}-{end} of {field}, {shown!r:.60}", "the text at its offsets", "Mark the passage again.")


def _code_point(text: str, unit: int) -> int:
    """The code point at UTF-16 code unit `unit` of `text`; -1 beyond it."""
    units = text.encode("utf-16-le")
    return len(units[: 2 * unit].decode("utf-16-le", "ignore")) if 0 <= 2 * unit <= len(units) else -1


def _seen(passage: str) -> str:
    return _UNSEEN.sub("", passage)
