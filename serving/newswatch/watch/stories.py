"""The stories: near-duplicate articles, found by MinHash, that count as one."""

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Any

from newswatch.store import Store
from newswatch_labels.duplicates import MIN_SIMILARITY, PERMUTATIONS, shingles
from newswatch_labels.errors import MissingExtraError

DAYS = 7
MIN_WORDS = 30


class StoryIndex:
    """The articles of the last `DAYS` days, by which a new one's story is found.

    Texts under `MIN_WORDS` words stand alone: a teaser or a cookie notice is no sign that two articles are one.
    """

    def __init__(self, store: Store) -> None:
        """Index what the store holds.

        Raises:
            MissingExtraError: datasketch is not installed.
        """
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingExtraError(error.name or "datasketch", "feeds") from error
        self._make = MinHash
        # The index asks for less than the wanted similarity, so that its own error loses no pair.
        self._index = MinHashLSH(threshold=MIN_SIMILARITY * 0.8, num_perm=PERMUTATIONS)
        self._known: dict[str, tuple[str, Any]] = {}
        self._order: deque[tuple[datetime, str]] = deque()
        start = (datetime.now(UTC) - timedelta(DAYS)).isoformat()
        for row in store.rows("SELECT id, text, story, seen FROM articles WHERE seen >= ? ORDER BY number", (start,)):
            self.add(row["id"], row["text"], row["story"], datetime.fromisoformat(row["seen"]))

    def find(self, text: str) -> str | None:
        """The story of the indexed article most like `text` (Jaccard similarity of three-word runs, estimated); None if none is."""
        signature = self._sign(text)
        if signature is None:
            return None
        found = [(self._known[key][1].jaccard(signature), *self._known[key][:1]) for key in self._index.query(signature)]
        likeness, story = max(found, default=(0.0, ""))
        return story if likeness >= MIN_SIMILARITY else None

    def add(self, article: str, text: str, story: str, seen: datetime) -> None:
        """Index an article of a story, and forget those that have become too old."""
        while self._order and self._order[0][0] < seen - timedelta(DAYS):
            _, old = self._order.popleft()
            self._index.remove(old)
            del self._known[old]
        signature = self._sign(text)
        if signature is not None and article not in self._known:
            self._index.insert(article, signature)
            self._known[article] = (story, signature)
            self._order.append((seen, article))

    def _sign(self, text: str) -> Any | None:
        if len(text.split()) < MIN_WORDS:
            return None
        signature = self._make(num_perm=PERMUTATIONS)
        signature.update_batch([run.encode() for run in shingles(text)])
        return signature
