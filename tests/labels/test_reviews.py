import json
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from newswatch.store import Store
from newswatch_labels import InputError, Record, Scheme, read_corpus, write_corpus
from newswatch_labels.check import check_corpus
from newswatch_labels.cli import app
from newswatch_labels.corpus import Corpus
from newswatch_labels.duplicates import shared_runs
from newswatch_labels.folds import group_records
from newswatch_labels.record import PUBLISHED
from newswatch_labels.reviews import from_reviews
from newswatch_labels.store_layout import VERSION

FIRST = "Turkish artillery shelled two villages near Amedi on Monday evening, the mayor of the district said. Nobody was hurt."
SECOND = "The ministry of Peshmerga denied a report that its forces had left the posts south of Kirkuk, and called it invented."
THIRD = "Farmers of the Shahrazur plain began to bring in the wheat this week, a fortnight earlier than in other years."


def run(*arguments: object) -> tuple[int, str, str]:
    ended = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return ended.exit_code, ended.stdout, ended.stderr


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of three reviewed articles in two stories, and one that nobody has read."""
    made = tmp_path / "newswatch.db"
    with Store.open(made) as store:
        october, november = datetime(2026, 10, 31, 23, tzinfo=UTC), datetime(2026, 11, 1, 1, tzinfo=UTC)
        store.add_article(FIRST, id="a", title="Villages shelled", outlet="rudaw.net", url="https://rudaw.net/a", published=october)
        store.add_article(FIRST + " He spoke to reporters.", id="b", outlet="Shafaq News", story="a", published=november)
        store.add_article(THIRD, id="c")
        store.add_article(SECOND, id="d")
        store.add_review("b", "nur", {"turkish_shelling": [FIRST[:101]]})
        store.add_review("c", "nur", {"talks": ["wheat"]})
        store.add_review("a", "ali", {"turkish_shelling": ["Villages shelled", FIRST[:101]]})
        store.add_review("c", "nur", {}, "no tag after all")
    return made


def test_reviewed_articles_become_records(path: Path, scheme: Scheme) -> None:
    records, faults = from_reviews(path, scheme)
    assert faults == []
    assert records[1] == Record(
        id="a",
        title="Villages shelled",
        text=FIRST,
        labels=("turkish_shelling",),
        evidence={"turkish_shelling": ("Villages shelled", FIRST[:101])},
        source_url="https://rudaw.net/a",
        source_date="2026-10-31",
        outlet="rudaw.net",
        style=PUBLISHED,
        event="a-202610-rudaw.net",
    )
    b, _, c = records
    assert (b.id, b.event, b.source_date) == ("b", "a-202610-rudaw.net", "2026-11-01")
    assert (c.id, c.labels, c.evidence, c.source_date) == ("c", (), {}, None)
    assert c.event.startswith("c-2")
    assert c.event.endswith("-unknown")


def test_articles_of_a_story_stay_together_and_others_apart(path: Path, scheme: Scheme) -> None:
    with Store.open(path) as store:
        store.add_article(SECOND, id="e", outlet="rudaw.net", published=datetime(2026, 10, 3, tzinfo=UTC))
        store.add_review("e", "nur", {"denial": [SECOND]})
    records, _ = from_reviews(path, scheme)
    groups = dict(zip((record.id for record in records), group_records(records), strict=True))
    assert groups["a"] == groups["b"]
    assert len({groups[key] for key in "ace"}) == 3


def test_import_writes_a_corpus_that_passes_its_check(path: Path, scheme: Scheme, tmp_path: Path) -> None:
    code, out, _ = run("import", path, tmp_path / "corpus" / "reviews.jsonl", "--from", "reviews")
    assert (code, "3 records" in out) == (0, True)
    made = read_corpus(tmp_path / "corpus", scheme)
    assert made.faults == ()
    assert [record.id for record in made.records] == ["b", "a", "c"]
    code, out, _ = run("check", tmp_path / "corpus")
    assert code == 0, out
    assert "3 records, 0 faults, 0 shared runs" in out


def test_imported_reviews_stand_beside_other_records(path: Path, small_records: Sequence[Record], scheme: Scheme, tmp_path: Path) -> None:
    run("import", path, tmp_path / "corpus" / "reviews.jsonl", "--from", "reviews")
    write_corpus(small_records, tmp_path / "corpus" / "own.jsonl")
    both = read_corpus(tmp_path / "corpus", scheme)
    assert len(both.records) == len(small_records) + 3
    report = check_corpus(both)
    assert report.faults == ()


def test_shared_words_are_allowed_among_published_articles_alone() -> None:
    own, published = Record("a", FIRST, ()), Record("b", FIRST, (), style=PUBLISHED)
    assert shared_runs([published, replace(published, id="c")]) == []
    assert len(shared_runs([own, published])) == len(shared_runs([published, own])) == 1
    assert len(shared_runs([own, replace(own, id="c")])) == 1


def test_check_counts_groups_not_names_of_events() -> None:
    """Five events of which two are near-duplicates make four groups, too few for five folds."""
    texts = [FIRST, FIRST + " He spoke.", SECOND, THIRD, "A short text of its own."]
    records = tuple(Record(str(n), text, (), style=PUBLISHED, event=f"s{n}-202611-x") for n, text in enumerate(texts))
    assert check_corpus(Corpus(records)).passed


def test_reviews_of_another_scheme_are_left_out(path: Path, tmp_path: Path) -> None:
    with Store.open(path) as store:
        store.add_review("d", "nur", {"harvest": ["denied a report"]})
    code, out, err = run("import", path, tmp_path / "out.jsonl", "--from", "reviews")
    assert code == 3
    assert "3 records" in out
    assert "newswatch.db (d)" in err
    assert "harvest" in err


def test_stores_that_cannot_be_read_are_refused(path: Path, scheme: Scheme, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        from_reviews(tmp_path / "none.db", scheme)
    assert not (tmp_path / "none.db").exists()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(InputError, match=f"of version {VERSION + 1}"):
        from_reviews(path, scheme)
    (tmp_path / "other.jsonl").write_text(json.dumps({"id": "a"}))
    with pytest.raises(InputError, match="not a database"):
        from_reviews(tmp_path / "other.jsonl", scheme)


def test_import_of_a_store_without_reviews_says_so(tmp_path: Path) -> None:
    Store.open(tmp_path / "n.db").close()
    ended = CliRunner().invoke(app, ["import", str(tmp_path / "n.db"), str(tmp_path / "o.jsonl"), "--from", "reviews"])
    assert isinstance(ended.exception, InputError)
    assert not (tmp_path / "o.jsonl").exists()
