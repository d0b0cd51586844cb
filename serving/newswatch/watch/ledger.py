"""The ledger: what a watcher remembers between two runs, in the store beside the articles."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from os import stat_result
from pathlib import Path

from newswatch.store import Store, stamp
from newswatch.stored_article import StoredArticle

MAX_TRIES = 3


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert not sent yet: its idempotency key and the JSON to post."""

    key: str
    body: str


class Ledger:
    """Feeds' validators, failed attempts, files read and alerts. Whatever it notes inside a transaction of the store is part of it."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def knows(self, article_id: str) -> bool:
        """Whether the article is stored and scored."""
        return bool(self._store.rows("SELECT 1 FROM predictions WHERE article = ?", (article_id,)))

    def validators(self, feed: str) -> dict[str, str]:
        """The headers that make the next request for a feed conditional."""
        found = self._store.rows("SELECT etag, modified FROM feeds WHERE url = ?", (feed,))
        pairs = zip(("If-None-Match", "If-Modified-Since"), found[0] if found else (), strict=False)
        return {name: value for name, value in pairs if value}

    def keep_validators(self, feed: str, etag: str | None, modified: str | None) -> None:
        """Note that every entry of this version of the feed is dealt with; validators that no request can carry are left out."""
        etag, modified = (value if value and value.isascii() and value.isprintable() else None for value in (etag, modified))
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO feeds (url, etag, modified) VALUES (?, ?, ?)"
                " ON CONFLICT (url) DO UPDATE SET etag = excluded.etag, modified = excluded.modified, not_before = NULL",
                (feed, etag, modified),
            )

    def pause(self, feed: str, seconds: float) -> None:
        """Note that a feed asked to be left alone for so long."""
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO feeds (url, not_before) VALUES (?, ?) ON CONFLICT (url) DO UPDATE SET not_before = excluded.not_before",
                (feed, stamp(datetime.now(UTC) + timedelta(seconds=seconds))),
            )

    def is_paused(self, feed: str) -> bool:
        """Whether a feed asked to be left alone until some later moment."""
        return bool(self._store.rows("SELECT 1 FROM feeds WHERE url = ? AND not_before > ?", (feed, stamp(datetime.now(UTC)))))

    def tries(self, article_id: str) -> int:
        """How often an article could not be had."""
        found = self._store.rows("SELECT tries FROM attempts WHERE article = ?", (article_id,))
        return int(found[0]["tries"]) if found else 0

    def note_failure(self, article_id: str, tries: int = 1) -> int:
        """Count failed tries at an article; returns how many there are now."""
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO attempts (article, tries) VALUES (?, ?) ON CONFLICT (article) DO UPDATE SET tries = tries + excluded.tries",
                (article_id, tries),
            )
            return self.tries(article_id)

    def has_read(self, file: Path, state: stat_result) -> bool:
        """Whether a file in this state (`file.stat()`) was read to its end."""
        query = "SELECT 1 FROM files WHERE path = ? AND size = ? AND changed = ?"
        return bool(self._store.rows(query, (str(file.absolute()), state.st_size, state.st_mtime_ns)))

    def note_read(self, file: Path, state: stat_result) -> None:
        """Note that a file was read to its end; `state` is from before it was opened."""
        row = (str(file.absolute()), state.st_size, state.st_mtime_ns)
        with self._store.transaction() as connection:
            connection.execute("INSERT OR REPLACE INTO files (path, size, changed) VALUES (?, ?, ?)", row)

    def note_alert(self, article: StoredArticle, tags: Sequence[str], webhook: str) -> None:
        """Note that an alert has to be sent, unless this webhook has one of the same story already."""
        key = _disguise(f"{article.story}\n{webhook}")[:32]
        told = article.to_dict()
        parts = {name: told[name] for name in ("id", "outlet", "url", "title", "published", "seen", "partial")}
        body = json.dumps({"key": key, "tags": list(tags), **parts, "story": article.story, "prediction": told["prediction"]})
        with self._store.transaction() as connection:
            connection.execute(
                "INSERT INTO alerts (key, story, webhook, body, created) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (key, article.story, _disguise(webhook), body, stamp(datetime.now(UTC))),
            )

    def unsent(self, webhook: str) -> list[Alert]:
        """The alerts for a webhook that are noted and not sent, the oldest first."""
        rows = self._store.rows(
            "SELECT key, body FROM alerts WHERE webhook = ? AND sent IS NULL ORDER BY created, key", (_disguise(webhook),)
        )
        return [Alert(row["key"], row["body"]) for row in rows]

    def note_sent(self, alert: Alert) -> None:
        """Note that a webhook has taken an alert."""
        with self._store.transaction() as connection:
            connection.execute("UPDATE alerts SET sent = ? WHERE key = ?", (stamp(datetime.now(UTC)), alert.key))


def _disguise(webhook: str) -> str:
    """A webhook's address is often a password; the store needs no more than to know it again."""
    return sha256(webhook.encode()).hexdigest()
