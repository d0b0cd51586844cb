import random
import sys

import pytest

from newswatch import Article
from newswatch.copies import Copies
from newswatch_labels import MissingExtraError
from newswatch_labels.corpus import Corpus

VOCABULARY = [f"word{n}" for n in range(400)]


def report(seed: int, words: int = 200) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=words)


def test_copies_name_the_first_of_their_kind() -> None:
    copies = Copies()
    first, other = report(1), report(2)
    assert copies.original(Article(" ".join(first), "a")) is None
    assert copies.original(Article(" ".join(other), "b")) is None
    assert copies.original(Article("KIRKUK (Agency) - " + " ".join(first), "c", title="Another title")) == "a"
    assert copies.original(Article(" ".join(first[:180]).upper(), "d")) == "a"
    assert copies.original(Article(" ".join(other), "e")) == "b"
    assert copies.original(Article(" ".join(first[:60] + report(3)), "f")) is None


def test_texts_without_words_are_no_copies() -> None:
    copies = Copies()
    assert [copies.original(Article(text, str(n))) for n, text in enumerate(["", "", "!!!", "Yes", "No", "yes."])] == [
        None, None, None, None, None, "3",
    ]  # fmt: skip


def test_only_the_newest_originals_are_remembered() -> None:
    copies = Copies(window=3)
    texts = [" ".join(report(seed)) for seed in range(4)]
    for number, text in enumerate(texts):
        assert copies.original(Article(text, str(number))) is None
    assert copies.original(Article(texts[3], "x")) == "3"
    assert copies.original(Article(texts[0], "again")) is None
    assert copies.original(Article(texts[0], "y")) == "again"
    assert copies.original(Article(texts[1], "z")) is None


def test_distinct_records_of_the_corpus_stay_apart(corpus: Corpus) -> None:
    copies = Copies()
    records = [record for record in corpus.records if not record.contrast][:400]  # the twins of a pair are near copies
    marked = [copies.original(Article(record.text, record.id)) for record in records]
    assert sum(found is not None for found in marked) <= 4
    assert [copies.original(Article(r.text, "copy")) for r, found in zip(records, marked, strict=True) if found is None] == [
        r.id for r, found in zip(records, marked, strict=True) if found is None
    ]


def test_missing_datasketch_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasketch", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'newswatch\[dedupe\]'"):
        Copies()
