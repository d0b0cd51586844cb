"""The store: articles, what the models said of them and what people decided, in one SQLite file."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from threading import RLock
from types import TracebackType
from typing import Any, Self

from newswatch.prediction import Prediction
from newswatch.stored_article import Review, StoredArticle, check_evidence, read_row
from newswatch.text import check_text
from newswatch_labels.errors import InputError
from newswatch_labels.store_layout import open_database

_NEWEST = """
    SELECT a.*, p.json AS prediction, r.reviewer, r.tags AS reviewed, r.note, r.created FROM articles a
    LEFT JOIN predictions p ON p.number = (SELECT max(number) FROM predictions WHERE article = a.id)
    LEFT JOIN reviews r ON r.number = (SELECT max(number) FROM reviews WHERE article = a.id)
"""


class Store:
    """One open store. Threads may share it: calls take turns. Processes each open their own: one writes while others read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._lock = RLock()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """Open a store, or make it where there is none.

        Raises:
            InputError: the file is no store, or of a version this newswatch does not know.
        """
        return cls(open_database(Path(path)))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All writes inside are kept together or not at all; inside another transaction it joins that one."""
        with self._lock:
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            with self._connection:
                yield self._connection

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[sqlite3.Row]:
        """The rows of a SELECT."""
        with self._lock:
            return self._connection.execute(query, parameters).fetchall()

    def add_article(
        self,
        text: str,
        *,
        title: str = "",
        outlet: str = "",
        url: str | None = None,
        published: datetime | None = None,
        id: str | None = None,  # noqa: A002
        story: str | None = None,
        partial: bool = False,
    ) -> str:
        """Store an article; one whose id is there already is left as it is.

        Args:
            published: with its time zone.
            id: default: a hash of the URL, or of title and text where there is none.
            story: id of the first article of its story; default: its own.

        Returns:
            The article's id.

        Raises:
            InputError: text or title cannot be scored (see `check_text`), or `published` has no time zone.
        """
        check_text(text)
        check_text(title, "title")
        if published is not None and published.tzinfo is None:
            raise InputError(f"published {published} without a time zone", "a datetime with one", "Add tzinfo=UTC.")
        seen, appeared = stamp(datetime.now(UTC)), stamp(published.astimezone(UTC)) if published else None
        identity = id or sha256((url or f"{title}\n{text}").encode()).hexdigest()[:16]
        row = (
            *(identity, outlet, url, title, text, appeared, seen),
            *(min(appeared or seen, seen), story or identity, int(partial)),
        )
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO articles (id, outlet, url, title, text, published, seen, time, story, partial)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                row,
            )
        return identity

    def add_prediction(self, article_id: str, prediction: Prediction) -> None:
        """Store what a model says of an article, in place of what the same model said before; the newest prediction counts.

        Raises:
            InputError: there is no such article.
        """
        row = json.dumps(prediction.to_dict(), ensure_ascii=False)
        tags, review = json.dumps(prediction.tags), json.dumps(prediction.review)
        with self.transaction() as connection:
            self.get(article_id)
            connection.execute(
                "INSERT OR REPLACE INTO predictions (article, model, json, tags, review, scored) VALUES (?, ?, ?, ?, ?, ?)",
                (article_id, prediction.model, row, tags, review, stamp(datetime.now(UTC))),
            )
            if not self.rows("SELECT 1 FROM reviews WHERE article = ?", (article_id,)):
                _carry(connection, article_id, prediction.tags)

    def add_review(self, article_id: str, reviewer: str, evidence: Mapping[str, Sequence[str]], note: str = "") -> Review:
        """Store what a person decided; the newest review of an article counts.

        Args:
            evidence: each tag that applies, with the sentences of text or title that say so; empty where no tag applies.

        Raises:
            InputError: there is no such article, a tag is not of the model's scheme, or it has no sentence out of the article.
        """
        with self.transaction() as connection:
            article = self.get(article_id)
            for tag, sentences in evidence.items():
                check_evidence(article, tag, sentences)
            tags = {tag: tuple(sentences) for tag, sentences in evidence.items()}
            made = Review(article_id, check_text(reviewer, "reviewer"), tags, check_text(note, "note"), stamp(datetime.now(UTC)))
            connection.execute(
                "INSERT INTO reviews (article, reviewer, tags, note, created) VALUES (?, ?, ?, ?, ?)",
                (article_id, made.reviewer, json.dumps(tags, ensure_ascii=False), made.note, made.created),
            )
            _carry(connection, article_id, tags)
        return made

    def get(self, article_id: str) -> StoredArticle:
        """One article.

        Raises:
            InputError: there is none with this id.
        """
        found = self.rows(f"{_NEWEST} WHERE a.id = ?", (article_id,))
        if not found:
            raise InputError(f"article {article_id!r:.80}", "the id of a stored article", "Look it up in the list.")
        return read_row(found[0])

    def newest(
        self, limit: int = 50, *, before: str | None = None, tag: str | None = None, outlet: str | None = None, day: str | None = None
    ) -> list[StoredArticle]:
        """Articles, the newest first.

        Args:
            limit: most articles given.
            before: id of an article: only what comes after it in the list, for the next page.
            tag: only articles that carry it now (by their review, or by the prediction where nobody has read them).
            outlet: only this outlet's.
            day: only this day's (UTC), `YYYY-MM-DD`.

        Raises:
            InputError: `day` is no day, or `before` is unknown.
        """
        parts, values = ["1"], []
        if before is not None:
            self.get(before)
            parts.append("(a.time, a.number) < (SELECT time, number FROM articles WHERE id = ?)")
            values.append(before)
        if tag is not None:
            parts.append("EXISTS (SELECT 1 FROM carried WHERE tag = ? AND article = a.id)")
            values.append(tag)
        if outlet is not None:
            parts.append("a.outlet = ?")
            values.append(outlet)
        if day is not None:
            first = _day(day).isoformat()
            parts.append("a.time >= ? AND a.time < ?")
            values += [first, f"{first}~"]  # the tilde comes after whatever may follow a day
        query = f"{_NEWEST} WHERE {' AND '.join(parts)} ORDER BY a.time DESC, a.number DESC LIMIT ?"
        return [read_row(row) for row in self.rows(query, (*values, limit))]

    def pending(self, limit: int = 50) -> list[StoredArticle]:
        """Articles with a tag in the review band of the newest prediction that nobody has read yet, the newest first."""
        query = f"{_NEWEST} WHERE p.review != '[]' AND r.number IS NULL ORDER BY a.time DESC, a.number DESC LIMIT ?"
        return [read_row(row) for row in self.rows(query, (limit,))]

    def reviews(self) -> list[StoredArticle]:
        """The articles that a person has read, in the order of their newest reviews."""
        query = f"{_NEWEST} WHERE a.id IN (SELECT article FROM reviews) ORDER BY r.number"  # noqa: S608, constants alone
        return [read_row(row) for row in self.rows(query)]

    def counts(self, days: int = 30) -> dict[str, dict[str, int]]:
        """How many articles carried each tag on each of the last `days` days (UTC), the oldest first, days without any too."""
        last = datetime.now(UTC).date()
        listed = [(last - timedelta(back)).isoformat() for back in range(days - 1, -1, -1)]
        made: dict[str, dict[str, int]] = {day: {} for day in listed}
        query = """SELECT substr(time, 1, 10) AS day, tag, count(*) AS articles FROM articles a JOIN carried ON article = a.id
            WHERE time >= ? AND time < ? GROUP BY day, tag ORDER BY day, tag"""
        for row in self.rows(query, (listed[0], f"{listed[-1]}~") if listed else ("", "")):
            made[row["day"]][row["tag"]] = row["articles"]
        return made

    def outlets(self) -> dict[str, int]:
        """The outlets and how many articles each has, the largest first."""
        query = "SELECT outlet, count(*) AS articles FROM articles GROUP BY outlet ORDER BY articles DESC, outlet"
        return {row["outlet"]: row["articles"] for row in self.rows(query)}

    def export(self, path: str | Path) -> int:
        """Write every article as a JSON line (see `StoredArticle.to_dict`), in the order of arrival; returns how many.

        Other threads wait meanwhile.
        """
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        written = 0
        with self._lock, partial.open("w", encoding="utf-8") as lines:
            for row in self._connection.execute(f"{_NEWEST} ORDER BY a.number"):
                lines.write(json.dumps(read_row(row).to_dict(), ensure_ascii=False) + "\n")
                written += 1
        partial.replace(path)
        return written


def stamp(moment: datetime) -> str:
    """A UTC moment as the store writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _day(day: str) -> date:
    try:
        return date.fromisoformat(day)
    except (ValueError, TypeError) as error:
        raise InputError(f"day {day!r:.40}", "YYYY-MM-DD", "Mend the day.") from error


def _carry(connection: sqlite3.Connection, article: str, tags: Sequence[str] | Mapping[str, Any]) -> None:
    connection.execute("DELETE FROM carried WHERE article = ?", (article,))
    connection.executemany("INSERT INTO carried (tag, article) VALUES (?, ?)", [(tag, article) for tag in dict.fromkeys(tags)])
