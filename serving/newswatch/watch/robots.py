"""The robots file: whether a site lets us read a page, and how fast."""

from time import monotonic
from urllib.robotparser import RobotFileParser

import httpx

from newswatch.watch.address import RefusedError
from newswatch.watch.fetcher import AGENT, Fetcher, FetchError

KEPT_SECONDS = 24 * 3600.0
MAX_DELAY = 30.0


class Robots:
    """The robots.txt of every site met, each fetched through the guarded fetcher and kept for a day."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self._known: dict[str, tuple[float, RobotFileParser]] = {}

    def permit(self, url: httpx.URL) -> float | None:
        """Whether a page may be fetched.

        Returns:
            The seconds its site wants between two requests, at most `MAX_DELAY`; None where it names none.

        Raises:
            RefusedError: the site forbids it, or its robots.txt lies where we do not go.
            FetchError: robots.txt cannot be had now; the page then has to wait too (RFC 9309, 2.3.1.4).
        """
        rules = self._rules(url)
        if not rules.can_fetch(AGENT, str(url)):
            raise RefusedError(f"{url}: forbidden by robots.txt", "a page that may be read by programs", "Use the feed's own text.")
        delay = rules.crawl_delay(AGENT)
        return None if delay is None else min(float(delay), MAX_DELAY)

    def _rules(self, url: httpx.URL) -> RobotFileParser:
        site = str(url.copy_with(raw_path=b"/robots.txt", fragment=None))
        until, rules = self._known.get(site, (0.0, RobotFileParser()))
        if monotonic() < until:
            return rules
        rules = RobotFileParser()
        try:
            lines = self._fetcher.get(site).body.decode("utf-8-sig", "replace").splitlines()
        except FetchError as error:
            if error.transient:
                raise
            lines = []
        rules.parse(filter(_is_rule, lines))
        self._known[site] = (monotonic() + KEPT_SECONDS, rules)
        return rules


def _is_rule(line: str) -> bool:
    """Whether the parser can read a line: it raises on some (RFC 9309, 2.2: what cannot be parsed is passed over)."""
    try:
        RobotFileParser().parse(["User-agent: *", line])
    except ValueError:
        return False
    return True
