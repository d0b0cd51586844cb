import json
from typing import Any

import pytest

from newswatch_labels import RecordError, Scheme
from newswatch_labels.record import parse_record

ROW: dict[str, Any] = {
    "id": "r1",
    "title": "Army and Peshmerga agree",
    "text": "The two forces agreed on joint patrols. It rained.",
    "evidence": {"cooperation": ["The two forces agreed on joint patrols."], "talks": ["Army and Peshmerga agree"]},
    "source_url": None,
    "source_date": "2021-05",
    "outlet": "Wire",
    "style": "brief",
    "event": "erbil-202105-patrols",
}


def test_record_round_trip(scheme: Scheme) -> None:
    record = parse_record(json.dumps(ROW), scheme, "x.jsonl:1")
    assert record.labels == ("cooperation", "talks")
    assert record.year == 2021
    assert parse_record(record.to_json(), scheme, "x.jsonl:1") == record


def test_labels_without_a_sentence_survive_the_round_trip(scheme: Scheme) -> None:
    record = parse_record(json.dumps(ROW | {"labels": ["denial", "talks", "cooperation"]}), scheme, "p")
    assert record.labels == ("denial", "talks", "cooperation")
    assert parse_record(record.to_json(), scheme, "p") == record


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"evidence": {"cooperation": ["They agreed."]}}, "occurs in title or text"),
        ({"evidence": {"cooperation": []}}, "at least one sentence"),
        ({"evidence": {"cooperaton": ["It rained."]}}, "Did you mean 'cooperation'"),
        ({"evidence": ["It rained."]}, "an object of tag"),
        ({"evidence": None}, "labels or evidence"),
        ({"labels": ["talks"]}, "tags of its evidence"),
        ({"text": ""}, "a string with content"),
        ({"text": 7}, "a string with content"),
        ({"id": None}, "a string with content"),
        ({"title": "\ud800"}, "valid Unicode"),
        ({"source_date": "2018-2019"}, "YYYY-MM-DD"),
        ({"source_date": "2018-13"}, "YYYY-MM-DD"),
        ({"furniture": "yes"}, "true or false"),
        ({"tittle": "x"}, "Did you mean 'title'"),
    ],
)
def test_fault_is_named_with_its_place(scheme: Scheme, change: dict[str, Any], message: str) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        parse_record(json.dumps(ROW | change), scheme, "x.jsonl:7")
    assert str(caught.value).startswith("x.jsonl:7")


@pytest.mark.parametrize("line", ['{"id": "r1", "text": "half', b'{"id": "\xff"}', "[1]", "[" * 100_000])
def test_line_that_is_no_record_is_named(scheme: Scheme, line: str | bytes) -> None:
    with pytest.raises(RecordError, match=r"x\.jsonl:7"):
        parse_record(line, scheme, "x.jsonl:7")


def test_plain_row_keeps_unknown_fields_and_has_no_evidence() -> None:
    record = parse_record('{"id": "a", "text": "t", "labels": ["x", "x"], "pool": "p"}', None, "p", plain=True)
    assert record.labels == ("x",)
    assert record.evidence is None
    assert record.extra == {"pool": "p"}


def test_late_labels_are_those_of_the_last_third(scheme: Scheme) -> None:
    text = "One. " * 60 + "The two forces agreed."
    late = parse_record(
        json.dumps(ROW | {"text": text, "evidence": {"cooperation": ["The two forces agreed."], "talks": ["One."]}}), scheme, "p"
    )
    assert late.late_labels() == ("cooperation",)
