"""The feed: entries out of the bytes of an RSS or Atom document that a stranger wrote."""

import io
from calendar import timegm
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from urllib.parse import urldefrag, urlsplit

from newswatch.watch.page import PARSE_ERRORS, extract_text
from newswatch.watch.patience import bounded_work
from newswatch_labels.errors import InputError, MissingExtraError

MAX_ENTRIES = 2_000
FIRST_YEAR = 1970


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a feed.

    Attributes:
        id: the same whenever and through whichever feed the article comes: a hash of its link, or of feed and guid where it has none.
        content: the feed's own text of the article, HTML; often a teaser, sometimes empty.
    """

    id: str
    url: str
    title: str
    published: datetime | None
    content: str

    @property
    def outlet(self) -> str:
        """The host of the link; empty where that is no URL."""
        try:
            return (urlsplit(self.url).hostname or "").removeprefix("www.")
        except ValueError:
            return ""

    def own_text(self) -> str:
        """The text that the feed itself gives, else the title."""
        try:
            return extract_text(f"<html><body><article>{self.content}</article></body></html>".encode("utf-8", "replace"), self.id)
        except InputError:
            return self.title


def parse_feed(content: bytes, url: str, headers: Mapping[str, str]) -> list[Entry]:
    """The entries of a feed, in its own order.

    Args:
        url: where it came from; relative links count from it.
        headers: the answer's; the encoding may stand there.

    Raises:
        InputError: the bytes are no feed, it has more than `MAX_ENTRIES` entries, or takes too long (see `bounded_work`).
        MissingExtraError: feedparser is not installed.
    """
    try:
        import feedparser
    except ImportError as error:
        raise MissingExtraError(error.name or "feedparser", "feeds") from error
    plain = content.replace(b"\0", b"")
    if (entries := plain.count(b"<item") + plain.count(b"<entry")) > MAX_ENTRIES:
        raise InputError(f"{url}: {entries:,} entries", f"at most {MAX_ENTRIES:,}", "Watch a shorter feed.")
    told = {"content-location": url} | {name: headers[name] for name in ("content-type",) if name in headers}
    try:
        with bounded_work(url):
            # A stream, never the bytes: feedparser would take these for a file name.
            parsed = feedparser.parse(io.BytesIO(content), response_headers=told)
        made = [_entry(entry, url) for entry in parsed.entries]
    except PARSE_ERRORS as error:
        raise InputError(f"{url}: {error!r:.200}", "an RSS or Atom feed", "Look at what the address gives.") from error
    if not parsed.get("version") and not made:
        raise InputError(f"{url}: no feed", "an RSS or Atom feed", "Look at what the address gives.")
    return made


def _entry(entry: Any, feed: str) -> Entry:
    link, _ = urldefrag(entry.get("link") or "")
    key = link or f"{feed}\n{entry.get('id') or entry.get('title')}"
    texts = [part.get("value") or "" for part in entry.get("content") or ()] + [entry.get("summary") or ""]
    return Entry(
        id=sha256(key.encode("utf-8", "replace")).hexdigest()[:16],
        url=link,
        title=" ".join((entry.get("title") or "").split()),
        published=_moment(entry.get("published_parsed") or entry.get("updated_parsed")),
        content=max(texts, key=len),
    )


def _moment(parsed: Any) -> datetime | None:
    """A date of feedparser's; None where there is none, or none of an article: the year 1 is how some programs write nothing."""
    try:
        moment = datetime.fromtimestamp(timegm(parsed), UTC) if parsed else None
    except (OverflowError, OSError, ValueError):
        return None
    return moment if moment and moment.year >= FIRST_YEAR else None
