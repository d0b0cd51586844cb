"""The page reader: takes the text of one web page at a time, behind the address guard."""

from collections.abc import Iterable
from importlib.util import find_spec
from threading import Event, Lock
from typing import ClassVar, Self

from newswatch.reading import read_page
from newswatch.scorer import Article
from newswatch.service.refusals import Overloaded, Refusal
from newswatch_labels.errors import InputError, MissingExtraError

PATIENCE = 5.0


class Unfetched(Refusal):
    """The page could not be had from its server."""

    status: ClassVar[int] = 502


class PageReader:
    """Fetches what analysts ask for. One page at a time: the service is no crawler."""

    def __init__(self, allowed_hosts: Iterable[str], ending: Event) -> None:
        """Prepare the fetcher.

        Args:
            allowed_hosts: names or addresses that may be reached although they are private.
            ending: once set, a page being fetched is given up within seconds.

        Raises:
            MissingExtraError: the packages that fetch and read pages are not installed.
        """
        try:
            from newswatch.watch.fetcher import Fetcher
            from newswatch.watch.robots import Robots
        except ModuleNotFoundError as error:
            raise MissingExtraError(error.name or "httpx", "feeds") from error
        if find_spec("trafilatura") is None:
            raise MissingExtraError("trafilatura", "feeds")
        self._fetcher = Fetcher(allowed_hosts, delay=0.2, stopping=ending)
        self._robots = Robots(self._fetcher)
        self._lock = Lock()

    def __enter__(self) -> Self:
        self._fetcher.__enter__()
        return self

    def __exit__(self, *raised: object) -> None:
        self._fetcher.__exit__(*raised)

    def read(self, url: str) -> tuple[str, Article]:
        """The page's final address and its article.

        Raises:
            RefusedError: the address guard or the site's robots.txt refuses it.
            InputError: the page holds no article.
            Unfetched: its server does not give it.
            Overloaded: another page is being fetched.
        """
        from newswatch.watch.fetcher import FetchError
        from newswatch.watch.page import PARSE_ERRORS

        if not self._lock.acquire(timeout=PATIENCE):
            raise Overloaded("a page while another is being fetched", "one at a time", "Ask again in a moment.")
        try:
            answer = self._fetcher.get(url, permit=self._robots.permit)
        except FetchError as error:
            raise Unfetched(error.received, error.expected, "Paste the text instead.") from error
        finally:
            self._lock.release()
        try:
            return answer.url, read_page(answer.body, answer.url)
        except PARSE_ERRORS as error:
            raise InputError(f"{answer.url}: {error!r:.200}", "a page with an article", "Paste the text instead.") from error
