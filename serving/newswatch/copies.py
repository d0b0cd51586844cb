"""The copies: articles that say what an earlier one said, as papers do that print one agency's report."""

import re
import zlib
from typing import Any

from newswatch.scorer import Article
from newswatch_labels.errors import MissingExtraError

SHINGLE_WORDS = 3
PERMUTATIONS = 128
MIN_SIMILARITY = 0.7
WINDOW = 50_000  # about 8 KB each

_WORD = re.compile(r"[^\W_]+")


class Copies:
    """Finds for each article the first one whose three-word shingles have a Jaccard similarity of about `MIN_SIMILARITY` or more.

    Similarity is estimated by MinHash (Broder 1997) on texts, titles left out. Copies are not remembered, originals are: the
    newest `window` of them, so that memory is bounded.
    """

    def __init__(self, window: int = WINDOW) -> None:
        """Start with none seen.

        Raises:
            MissingExtraError: datasketch is not installed.
        """
        try:
            from datasketch import MinHash, MinHashLSH
        except ImportError as error:
            raise MissingExtraError(error.name or "datasketch", "dedupe") from error
        self._empty = MinHash(PERMUTATIONS, hashfunc=zlib.crc32)
        # The index asks for less than the wanted similarity, so that its own error loses few pairs.
        self._index = MinHashLSH(threshold=MIN_SIMILARITY * 0.8, num_perm=PERMUTATIONS)
        self._seen: dict[int, tuple[str | None, Any]] = {}
        self._window = window
        self._next = 0

    def original(self, article: Article) -> str | None:
        """The id of the first article seen that this one is a copy of, or None; then this one is an original from now on."""
        words = _WORD.findall(article.text.casefold())
        if not words:
            return None
        shingles = {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(max(1, len(words) - SHINGLE_WORDS + 1))}
        hashed = self._empty.copy()
        hashed.update_batch([shingle.encode() for shingle in shingles])
        for number in sorted(self._index.query(hashed)):
            identity, other = self._seen[number]
            if hashed.jaccard(other) >= MIN_SIMILARITY:
                return identity
        self._remember(article.id, hashed)
        return None

    def _remember(self, identity: str | None, hashed: Any) -> None:
        if len(self._seen) == self._window:
            oldest = next(iter(self._seen))
            self._index.remove(oldest)
            del self._seen[oldest]
        self._index.insert(self._next, hashed, check_duplication=False)
        self._seen[self._next] = identity, hashed
        self._next += 1
