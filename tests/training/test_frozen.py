"""The frozen fold: it never shrinks and never leaks."""

import random
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from newswatch_labels import Record, Scheme, write_corpus
from newswatch_labels.corpus import Corpus
from newswatch_labels.folds import group_records
from newswatch_training.additions import read_additions
from newswatch_training.frozen import FoldError, FrozenFold, Part, deal_records

WORDS = [a + b + c for a in ("ba", "ke", "lo", "mi", "tu") for b in ("ra", "ne", "shi", "do") for c in ("n", "k", "s", "l", "m")]


def write(number: int, event: str = "", like: str = "", **fields: object) -> Record:
    """A record of random words, or nearly the words of another."""
    rng = random.Random(number)
    text = f"{like} {rng.choice(WORDS)}." if like else " ".join(rng.choice(WORDS) for _ in range(40)) + "."
    return Record(id=f"r{number}", text=text, labels=("denial",) if number % 3 else (), event=event, **fields)  # type: ignore[arg-type]


def events(count: int, first: int = 0) -> list[Record]:
    return [write(first + number, f"place{first + number}-202401-event") for number in range(count)]


def parts_of(records: list[Record], fold: FrozenFold | None) -> tuple[FrozenFold, dict[str, Part]]:
    deal = deal_records(records, fold)
    return deal.fold, {record.id: part for record, part in zip(records, deal.parts, strict=True)}


@st.composite
def batches(draw: st.DrawFn) -> list[list[Record]]:
    """Corpora as they come over time: records of few events, near-copies of earlier ones, some without an event."""
    made: list[Record] = []
    found = []
    for _ in range(draw(st.integers(2, 4))):
        for _ in range(draw(st.integers(4, 10))):
            number = len(made)
            event = draw(st.sampled_from(["", *(f"place{n}-202401-event{number}" for n in range(12))]))
            like = draw(st.sampled_from(made)).text if made and draw(st.integers(0, 4)) == 0 else ""
            made.append(write(number, event, like))
        gone = draw(st.sets(st.integers(0, len(made) - 1), max_size=3))
        found.append([record for number, record in enumerate(made) if number not in gone])
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(batches())
def test_fold_grows_only_and_no_test_event_ever_trains(found: list[list[Record]]) -> None:
    assume(len(set(group_records(found[0]))) >= 2)
    fold = None
    for records in found:
        before = fold
        deal = deal_records(records, fold)
        fold = deal.fold
        assert deal == deal_records(records, before)
        if before is not None:
            assert fold.test[: len(before.test)] == before.test
            assert fold.training[: len(before.training)] == before.training
        tested = {member.text for member in fold.test}
        tested_events = {member.event for member in fold.test} - {""}
        by_group = defaultdict(set)
        for record, part, group in zip(records, deal.parts, deal.groups, strict=True):
            by_group[group].add(part)
            if part is Part.TRAINING:
                assert record.fingerprint not in tested
                assert record.event.rpartition("-")[0] not in tested_events
            if part is Part.TEST:
                assert record.fingerprint in tested
                assert before is None or record.fingerprint not in {member.text for member in before.training}
        assert not any({Part.TEST, Part.TRAINING} <= parts for parts in by_group.values())
        present = {record.fingerprint for record in records}
        assert {member.text for member in deal.vanished} == {member.text for member in fold.test} - present


def test_a_record_stays_where_it_was_dealt_whatever_comes() -> None:
    records = events(60)
    fold, first = parts_of(records, None)
    assert 8 <= len(fold.test) <= 16
    _, second = parts_of([*reversed(records), *events(200, 1000)], fold)
    assert {name: second[name] for name in first} == first
    new = [part for name, part in second.items() if name not in first]
    assert 0.1 < sum(part is Part.TEST for part in new) / len(new) < 0.3


def test_new_events_are_dealt_the_same_alone_and_in_company() -> None:
    fold, _ = parts_of(events(60), None)
    new = events(50, 1000)
    _, together = parts_of([*events(60), *new], fold)
    alone = {record.id: parts_of([*events(60), record], fold)[1][record.id] for record in new[:12]}
    assert alone == {name: together[name] for name in alone}


def test_a_near_duplicate_of_a_test_record_tests_and_never_trains() -> None:
    records = events(60)
    fold, parts = parts_of(records, None)
    test = next(record for record in records if parts[record.id] is Part.TEST)
    copy, same_event = write(900, like=test.text), write(901, test.event + "-told-again")
    extended, found = parts_of([*records, copy, same_event], fold)
    assert found["r900"] is found["r901"] is Part.TEST
    assert {member.id for member in extended.test} - {member.id for member in fold.test} == {"r900", "r901"}


def test_one_sentence_of_a_test_record_is_set_aside() -> None:
    records = events(60)
    fold, parts = parts_of(records, None)
    test = next(record for record in records if parts[record.id] is Part.TEST)
    borrowed = write(900)
    borrowed = replace(borrowed, text=f"{borrowed.text} {' '.join(test.text.split()[3:13])}")
    extended, found = parts_of([*records, borrowed], replace(fold, training=(*fold.training,)))
    assert found["r900"] in (Part.ASIDE, Part.TEST)
    assert "r900" not in {member.id for member in extended.training}


def test_a_record_that_trained_and_joins_a_test_event_is_set_aside() -> None:
    records = events(60)
    fold, parts = parts_of(records, None)
    test = next(record for record in records if parts[record.id] is Part.TEST)
    trained = next(record for record in records if parts[record.id] is Part.TRAINING)
    moved = [replace(record, event=test.event) if record is trained else record for record in records]
    extended, found = parts_of(moved, fold)
    assert found[trained.id] is Part.ASIDE
    assert trained.id not in {member.id for member in extended.test}


def test_edited_renamed_and_vanished_test_records_stay_frozen() -> None:
    records = events(60)
    fold, parts = parts_of(records, None)
    edited, renamed, gone = [record for record in records if parts[record.id] is Part.TEST][:3]
    rest = [record for record in records if record not in (edited, renamed, gone)]
    changed = [replace(edited, text=write(800).text), replace(renamed, id="new-name")]
    witness = write(950, gone.event)  # the event of a record that is gone
    deal = deal_records([*rest, *changed, witness], fold)
    found = dict(zip([record.id for record in (*rest, *changed, witness)], deal.parts, strict=True))
    assert found[edited.id] is found["new-name"] is found["r950"] is Part.TEST
    assert [member.id for member in deal.vanished] == [gone.id]
    assert set(fold.test) <= set(deal.fold.test)


def test_fold_is_read_as_written_and_refused_if_damaged(tmp_path: Path) -> None:
    fold, _ = parts_of(events(30), None)
    path = tmp_path / "test_fold.json"
    assert FrozenFold.read(path) is None
    fold.write(path)
    assert FrozenFold.read(path) == fold
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FoldError, match="Restore it from a backup"):
        FrozenFold.read(path)
    path.write_text('{"format": 2, "test": [], "training": []}')
    with pytest.raises(FoldError, match="format 2"):
        FrozenFold.read(path)


def test_additions_at_fault_are_named_and_left_out(small_records: list[Record], scheme: Scheme, tmp_path: Path) -> None:
    corpus = Corpus(tuple(replace(record, contrast=None) for record in small_records[:40]))
    good = replace(write(1), labels=("denial",))
    write_corpus(
        [
            good,
            replace(write(2), id=corpus.records[0].id),
            replace(corpus.records[1], id="copy"),
            replace(write(3), contrast="nowhere"),
        ],
        tmp_path / "new.jsonl",
    )
    with (tmp_path / "new.jsonl").open("a") as file:
        file.write('{"id": "x", "text": "ISIS attacked.", "labels": ["isis_atack"]}\n')
    found = read_additions([tmp_path / "new.jsonl"], corpus, scheme)
    assert [record.id for record in found.records] == [good.id]
    said = " ".join(map(str, found.faults))
    assert len(found.faults) == 4
    for part in (
        "id that the corpus has",
        f"title and text of {corpus.records[1].id}",
        "'nowhere' is not in",
        "Did you mean 'isis_attack'",
    ):
        assert part in said
