"""The watcher: what is new in feeds, folders and standard input is scored, stored and told, once.

An article, its prediction and its alert are one transaction; a feed's validators and a file's state are noted after the last of its
articles. So a watcher that is killed anywhere goes on where it was.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from newswatch.reading import Fault, Row, find_files, read_articles
from newswatch.scorer import Article, Scorer
from newswatch.store import Store
from newswatch.stored_article import StoredArticle
from newswatch.watch.address import check_url
from newswatch.watch.alerts import AlertRule
from newswatch.watch.feed import Entry, parse_feed
from newswatch.watch.fetcher import Fetcher, FetchError, PausedError
from newswatch.watch.ledger import MAX_TRIES, Ledger
from newswatch.watch.page import fetch_article
from newswatch.watch.robots import Robots
from newswatch.watch.stopping import StoppedError, Stopping
from newswatch.watch.stories import StoryIndex
from newswatch_labels.errors import InputError, NewswatchError

MAX_ID = 120


@dataclass
class Round:
    """What one round did: the articles stored, and what went wrong."""

    articles: list[StoredArticle] = field(default_factory=list)
    faults: list[NewswatchError] = field(default_factory=list)


def check_sources(sources: Sequence[str]) -> None:
    """Check the sources before the watch begins.

    Raises:
        InputError: one is neither a URL that may be fetched, nor a file or folder, nor `-`.
    """
    for source in sources:
        if "://" in source:
            check_url(source)
        elif source != "-" and not Path(source).exists():
            raise InputError(f"source {source!r:.200}: no such file", "a feed's URL, a folder, a file or -", "Check the source.")


class Watcher:
    """Watches sources with one scorer into one store.

    Args:
        told: called with each article stored and each fault met.
    """

    def __init__(
        self,
        scorer: Scorer,
        store: Store,
        fetcher: Fetcher,
        stopping: Stopping,
        alerts: AlertRule | None = None,
        told: Callable[[StoredArticle | NewswatchError], None] = lambda _: None,
    ) -> None:
        self._scorer, self._store, self._fetcher, self._stopping = scorer, store, fetcher, stopping
        self._alerts, self._told = alerts, told
        self._ledger = Ledger(store)
        self._stories = StoryIndex(store)
        self._robots = Robots(fetcher)
        self._webhook_failed = False

    def run(self, sources: Sequence[str]) -> Round:
        """Go through the sources once; a failing source or article does not end the round."""
        done = Round()
        self._deliver(done)
        try:
            for source in sources:
                self._watch(source, done)
        except StoppedError:
            # A signal while it waited for input: whatever came before is stored.
            return done
        return done

    def _watch(self, source: str, done: Round) -> None:
        if self._stopping.is_set():
            return
        if "://" in source:
            self._watch_feed(source, done)
        elif source == "-":
            self._read_rows(read_articles(["-"]), "-", "", done)
        else:
            self._watch_folder(Path(source), done)

    def _watch_feed(self, url: str, done: Round) -> None:
        if self._ledger.is_paused(url):
            return
        try:
            answer = self._fetcher.get(url, self._ledger.validators(url))
            if answer.status == 304:
                return
            entries = parse_feed(answer.body, answer.url, answer.headers)
        except (FetchError, InputError) as error:
            self._fault(error, done)
            if isinstance(error, FetchError) and error.retry_after is not None:
                self._ledger.pause(url, error.retry_after)
            return
        complete = True
        # The oldest first, so that a story begins with its first article.
        for entry in reversed(entries):
            complete = self._take_entry(entry, done) and complete
        if complete:
            self._ledger.keep_validators(url, answer.headers.get("etag"), answer.headers.get("last-modified"))

    def _take_entry(self, entry: Entry, done: Round) -> bool:
        """Store an entry's article; False where the feed has to be read again for it."""
        if self._stopping.is_set():
            return False
        if self._ledger.knows(entry.id) or self._ledger.tries(entry.id) >= MAX_TRIES:
            return True
        text = None
        try:
            text = fetch_article(entry.url, self._fetcher, self._robots)
        except PausedError:
            return False
        except FetchError as error:
            if self._stopping.is_set():
                return False
            self._fault(error, done)
            if error.transient and self._ledger.note_failure(entry.id) < MAX_TRIES:
                return False
        except InputError:
            # A page that is refused, or holds no article: the feed's own text stands in, marked as partial.
            pass
        article = Article(text or entry.own_text(), entry.id, entry.title or None)
        self._keep(article, done, outlet=entry.outlet, url=entry.url or None, published=entry.published, partial=text is None)
        return True

    def _watch_folder(self, path: Path, done: Round) -> None:
        for file in find_files(path):
            try:
                state = file.stat()
            except FileNotFoundError:
                continue
            if self._ledger.has_read(file, state):
                continue
            outlet = path.name if path.is_dir() else ""
            if self._read_rows(read_articles([file]), file.name, outlet, done):
                self._ledger.note_read(file, state)

    def _read_rows(self, rows: Iterator[Row], name: str, outlet: str, done: Round) -> bool:
        """Store the articles of a file; False where a stop came before its end."""
        while True:
            with self._stopping.idle():
                row = next(rows, None)
            if row is None:
                return True
            if isinstance(row, Fault):
                self._fault(row.error, done)
                continue
            identity = _identity(row, name)
            if not self._ledger.knows(identity):
                self._keep(Article(row.text, identity, row.title), done, outlet=outlet)
            if self._stopping.is_set():
                return False

    def _keep(self, article: Article, done: Round, *, outlet: str, **facts: Any) -> None:
        """Score and store one article with its alert; one that cannot be scored is named and not tried again."""
        identity = article.id or ""
        try:
            (prediction,) = self._scorer.score([article])
            if not article.text.strip():
                raise InputError(f"article {identity}: no text", "a text with content", "Leave it out.")
        except InputError as error:
            self._ledger.note_failure(identity, MAX_TRIES)
            self._fault(error, done)
            return
        story = self._stories.find(article.text) or identity
        with self._store.transaction():
            self._store.add_article(article.text, title=article.title or "", outlet=outlet, id=identity, story=story, **facts)
            self._store.add_prediction(identity, prediction)
            kept = self._store.get(identity)
            if self._alerts:
                self._alerts.note(kept, self._ledger)
        self._stories.add(identity, article.text, kept.story, datetime.now(UTC))
        done.articles.append(kept)
        self._told(kept)
        if not self._webhook_failed:
            self._deliver(done)

    def _deliver(self, done: Round) -> None:
        failed = self._alerts.deliver(self._ledger, self._fetcher) if self._alerts else []
        self._webhook_failed = bool(failed)
        for error in failed:
            self._fault(error, done)

    def _fault(self, error: NewswatchError, done: Round) -> None:
        done.faults.append(error)
        self._told(error)


def _identity(article: Article, name: str) -> str:
    """The id a row brings; where it only has its place, with a hash of its words, since another file may have the same name."""
    given = article.id or name
    if given == name or given.startswith(f"{name}:"):
        words = f"{article.title}\n{article.text}"
        return f"{given[:MAX_ID]}-{sha256(words.encode()).hexdigest()[:12]}"
    return given
