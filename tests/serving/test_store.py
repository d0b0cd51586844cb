import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from newswatch import Evidence, Prediction
from newswatch.store import Store
from newswatch_labels import InputError
from newswatch_labels.store_layout import APPLICATION, VERSION, open_database

TEXT = "ISIS gunmen ambushed a patrol near Daquq. Two policemen died. The mayor denied a report of three."
NAMES = ("isis_attack", "denial", "casualties")


def predict(*tags: str, review: tuple[str, ...] = (), model: str = "m@1") -> Prediction:
    scores = {name: 0.9 if name in tags else 0.1 for name in NAMES}
    return Prediction("x", tags, scores, {tag: (Evidence(0, 41, TEXT[:41], 0.8),) for tag in tags}, review, model)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "newswatch.db"


@pytest.fixture
def opened(path: Path) -> Iterator[Store]:
    with Store.open(path) as store:
        yield store


def test_article_is_stored_once(opened: Store) -> None:
    published = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
    first = opened.add_article(TEXT, title="Ambush", outlet="rudaw.net", url="https://rudaw.net/1", published=published)
    assert opened.add_article("another text", url="https://rudaw.net/1") == first
    assert len(opened.newest()) == 1
    article = opened.get(first)
    assert (article.text, article.title, article.outlet, article.story) == (TEXT, "Ambush", "rudaw.net", first)
    assert article.published == article.time == "2026-11-20T12:30:00Z"
    assert (article.prediction, article.review, article.partial) == (None, None, False)


def test_article_from_the_future_is_as_old_as_its_arrival(opened: Store) -> None:
    article = opened.get(opened.add_article(TEXT, published=datetime.now(UTC) + timedelta(days=400)))
    assert article.time == article.seen < str(article.published)


def test_what_cannot_be_scored_is_not_stored(opened: Store) -> None:
    for text, title in (("\ud800", ""), (TEXT, "\udcff")):
        with pytest.raises(InputError, match="lone surrogate"):
            opened.add_article(text, title=title)
    with pytest.raises(InputError, match="time zone"):
        opened.add_article(TEXT, published=datetime(2026, 1, 1))
    assert opened.newest() == []


def test_newest_prediction_counts(opened: Store) -> None:
    key = opened.add_article(TEXT)
    opened.add_prediction(key, predict("denial", model="m@1"))
    opened.add_prediction(key, predict("isis_attack", model="m@2"))
    assert opened.get(key).prediction == predict("isis_attack", model="m@2")
    assert [len(opened.newest(tag=tag)) for tag in NAMES] == [1, 0, 0]
    opened.add_prediction(key, predict("casualties", model="m@1"))
    assert opened.get(key).prediction == predict("casualties", model="m@1")
    assert len(opened.rows("SELECT * FROM predictions")) == 2
    with pytest.raises(InputError, match="'none'"):
        opened.add_prediction("none", predict())


def test_pages_and_filters(opened: Store) -> None:
    day = datetime(2026, 11, 1, tzinfo=UTC)
    keys = [opened.add_article(f"{TEXT} {n}", outlet=f"o{n % 2}", published=day + timedelta(days=n // 3)) for n in range(10)]
    for number, key in enumerate(keys):
        opened.add_prediction(key, predict(NAMES[number % 3]))
    assert [a.id for a in opened.newest()] == keys[::-1]
    pages, last = [], None
    while page := opened.newest(3, before=last):
        pages += [a.id for a in page]
        last = pages[-1]
    assert pages == keys[::-1]
    assert [a.id for a in opened.newest(tag="isis_attack")] == keys[9::-3]
    assert [a.id for a in opened.newest(outlet="o1", day="2026-11-02")] == [keys[5], keys[3]]
    assert opened.outlets() == {"o0": 5, "o1": 5}
    for wrong in ({"day": "yesterday"}, {"before": "none"}):
        with pytest.raises(InputError):
            opened.newest(**wrong)  # type: ignore[arg-type]


def test_counts_by_day_and_tag(opened: Store) -> None:
    now = datetime.now(UTC)
    for back, tags in ((0, ("isis_attack", "denial")), (0, ("denial",)), (2, ("denial",)), (9, ("denial",))):
        key = opened.add_article(f"{TEXT} {back} {tags}", published=now - timedelta(days=back))
        opened.add_prediction(key, predict(*tags))
    days = [(now.date() - timedelta(days=back)).isoformat() for back in (2, 1, 0)]
    assert opened.counts(3) == {days[0]: {"denial": 1}, days[1]: {}, days[2]: {"denial": 2, "isis_attack": 1}}
    assert list(opened.counts(3)) == days


def test_days_that_are_not_counted_and_the_last_day_there_is(opened: Store) -> None:
    key = opened.add_article(TEXT)
    opened.add_prediction(key, predict("denial"))
    with opened.transaction() as connection:  # as after the clock was set back
        connection.execute("UPDATE articles SET time = '2099-01-01T00:00:00Z'")
    assert opened.counts(1) == {datetime.now(UTC).date().isoformat(): {}}
    assert [article.id for article in opened.newest(day="2099-01-01")] == [key]
    assert opened.newest(day="9999-12-31") == opened.newest(day="2099-01-02") == []


def test_review_decides_what_an_article_carries(opened: Store) -> None:
    key = opened.add_article(TEXT, title="Ambush near Daquq")
    opened.add_prediction(key, predict("denial", review=("denial", "casualties")))
    assert [a.id for a in opened.pending()] == [key]
    opened.add_review(key, "nur", {"casualties": ["Two policemen died."], "isis_attack": ["Ambush near Daquq"]}, "late paragraph")
    assert opened.pending() == []
    assert [len(opened.newest(tag=tag)) for tag in NAMES] == [1, 0, 1]
    opened.add_prediction(key, predict("denial", model="m@2", review=("denial",)))
    assert [len(opened.newest(tag=tag)) for tag in NAMES] == [1, 0, 1]
    assert opened.pending() == []
    opened.add_review(key, "nur", {})
    (read,) = opened.reviews()
    assert read.review is not None
    assert (read.review.reviewer, read.review.tags) == ("nur", {})
    assert [len(opened.newest(tag=tag)) for tag in NAMES] == [0, 0, 0]


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({"denial": ["The mayor denied everything."]}, "words of the article"),
        ({"denial": [""]}, "words of the article"),
        ({"denial": []}, "without a sentence"),
        ({"denial": "The mayor denied a report of three."}, "without a sentence"),
        ({"shelling": ["Two policemen died."]}, "one of isis_attack"),
    ],
)
def test_review_without_words_of_the_article_is_refused(opened: Store, evidence: dict[str, list[str]], reason: str) -> None:
    key = opened.add_article(TEXT)
    opened.add_prediction(key, predict("denial", review=("denial",)))
    with pytest.raises(InputError, match=reason):
        opened.add_review(key, "nur", evidence)
    assert opened.reviews() == []


def test_export_gives_every_article(opened: Store, tmp_path: Path) -> None:
    keys = [opened.add_article(f"{TEXT} {n}") for n in range(3)]
    opened.add_prediction(keys[1], predict("denial"))
    opened.add_review(keys[1], "nur", {"denial": ["Two policemen died."]})
    assert opened.export(tmp_path / "out.jsonl") == 3
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["id"] for row in rows] == keys
    assert Prediction.from_dict(rows[1]["prediction"]) == predict("denial")
    assert rows[1]["review"]["tags"] == {"denial": ["Two policemen died."]}
    assert rows[0]["prediction"] is rows[0]["review"] is None


def test_transaction_keeps_all_or_nothing(opened: Store) -> None:
    def write() -> None:
        with opened.transaction():
            opened.add_article(TEXT)
            opened.add_prediction("none", predict())

    with pytest.raises(InputError):
        write()
    assert opened.newest() == []


def test_other_files_are_refused(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(InputError, match=rf"of version {VERSION + 1}; expected version {VERSION} or older"):
        Store.open(path)
    other = path.with_name("other.db")
    with sqlite3.connect(other) as raw:
        raw.execute("CREATE TABLE notes (text)")
    with pytest.raises(InputError, match="another program's database"):
        Store.open(other)
    assert other.read_bytes()
    text = path.with_name("text.db")
    text.write_text("no database at all " * 99)
    with pytest.raises(InputError, match="not a database"):
        Store.open(text)
    with pytest.raises(InputError, match="no such file"):
        open_database(path.with_name("none.db"), read_only=True)


def test_version_is_written(path: Path) -> None:
    Store.open(path).close()
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (VERSION,)
        assert raw.execute("PRAGMA application_id").fetchone() == (APPLICATION,)
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_threads_share_a_store(opened: Store) -> None:
    def work(number: int) -> int:
        key = opened.add_article(f"{TEXT} {number % 40}")
        opened.add_prediction(key, predict("denial", review=("denial",)))
        return len(opened.newest(100, tag="denial"))

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(work, range(80)))
    assert max(seen) == len(opened.pending(100)) == 40


WRITER = """
import sys
from newswatch import Prediction
from newswatch.store import Store
with Store.open(sys.argv[1]) as store:
    for number in range(150):
        with store.transaction():
            key = store.add_article(f"{sys.argv[2]} text {number}", outlet=sys.argv[2])
            store.add_prediction(key, Prediction(key, ("denial",), {"denial": 0.9}, {}, (), "m@1"))
"""


def test_processes_write_and_read_at_once(path: Path) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in ("a", "b")]
    reads = []
    with Store.open(path) as reader:
        while any(writer.poll() is None for writer in writers):
            articles = reader.newest(1000)
            assert all(article.prediction for article in articles)
            reads.append(len(articles))
        assert [writer.returncode for writer in writers] == [0, 0]
        assert reader.outlets() == {"a": 150, "b": 150}
    assert reads == sorted(reads)
