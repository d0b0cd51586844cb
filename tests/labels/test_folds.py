from collections import Counter, defaultdict

import pytest

from newswatch_labels import Record, RecordError
from newswatch_labels.corpus import Corpus
from newswatch_labels.duplicates import near_duplicates, shared_runs
from newswatch_labels.folds import group_records, split_by_event, split_by_time

LONG = "the army and the peshmerga opened one more centre in the hills north of the town last night"


def record(name: str, text: str = "", event: str = "", **more: object) -> Record:
    return Record(id=name, text=text or f"text of {name} {name * 3}", labels=(), event=event, **more)  # type: ignore[arg-type]


def test_groups_join_events_contrasts_and_near_duplicates() -> None:
    records = [
        record("a", event="e1"),
        record("b", event="e1", contrast="c"),
        record("c", contrast="b"),
        record("d", LONG),
        record("e", LONG + " again"),
        record("f"),
        record("g", event="erbil-202109-attack"),
        record("h", event="erbil-202109-other-name"),
        record("i", event="erbil-202110-attack"),
    ]
    assert group_records(records) == [0, 0, 0, 1, 1, 2, 3, 3, 4]


def test_shipped_corpus_keeps_groups_whole_and_tags_even(corpus: Corpus) -> None:
    folds = split_by_event(corpus.records, [0.25] * 4)
    homes: dict[int | str, set[int]] = defaultdict(set)
    for own, fold, group in zip(corpus.records, folds, group_records(corpus.records), strict=True):
        homes[group].add(fold)
        homes[own.event].add(fold)
    assert all(len(home) == 1 for home in homes.values())
    tags: dict[str, Counter[int]] = defaultdict(Counter)
    for own, fold in zip(corpus.records, folds, strict=True):
        for label in own.labels:
            tags[label][fold] += 1
    assert all(max(count.values()) <= 1.25 * count.total() / 4 + 2 for count in tags.values())


def test_split_follows_its_seed(corpus: Corpus) -> None:
    few = corpus.records[:200]
    assert split_by_event(few, [0.5, 0.5], 1) == split_by_event(few, [0.5, 0.5], 1)
    assert split_by_event(few, [0.5, 0.5], 1) != split_by_event(few, [0.5, 0.5], 2)


def test_too_few_events_are_refused() -> None:
    with pytest.raises(RecordError, match="1 separate events"):
        split_by_event([record("a", event="e"), record("b", event="e")], [0.5, 0.5])


def test_newest_fifth_is_newer_than_the_rest(corpus: Corpus) -> None:
    parts = split_by_time(corpus.records)
    test = [own for own, part in zip(corpus.records, parts, strict=True) if part]
    assert 0.18 * len(parts) <= len(test) <= 0.25 * len(parts)
    newest: dict[int, str] = defaultdict(str)
    groups = group_records(corpus.records)
    for own, group in zip(corpus.records, groups, strict=True):
        newest[group] = max(newest[group], own.source_date or "")
    old = max(newest[g] for g, part in zip(groups, parts, strict=True) if not part)
    young = min(newest[g] for g, part in zip(groups, parts, strict=True) if part)
    assert old <= young


def test_near_duplicates_are_counted_exactly() -> None:
    pairs = near_duplicates([record("a", LONG), record("b", LONG), record("c", "something else in every single word")])
    assert [(pair.first, pair.second, pair.similarity) for pair in pairs] == [("a", "b", 1.0)]


def test_shared_run_needs_eight_words_and_no_names() -> None:
    names = "Secretary General of the Peshmerga Ministry Jabbar Yawar Hassan Ali"
    records = [record("a", f"{LONG}. {names}."), record("b", f"Tonight {LONG}."), record("c", f"So {names}.")]
    assert [(run.first, run.second) for run in shared_runs(records)] == [("a", "b")]
    pair = [record("a", LONG, contrast="b"), record("b", LONG, contrast="a")]
    assert shared_runs(pair) == []
