"""The page: an article's text out of HTML that a stranger wrote."""

from newswatch.reading import read_page
from newswatch.watch.fetcher import Fetcher
from newswatch.watch.robots import Robots
from newswatch_labels.errors import InputError

# What a parser of hostile text may raise; anything else is a fault of ours.
PARSE_ERRORS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


def fetch_article(url: str, fetcher: Fetcher, robots: Robots) -> str:
    """The text of the article at `url`, without the page's furniture.

    Raises:
        RefusedError: the address or the site's robots.txt forbids it.
        InputError: the page holds no article.
        FetchError: the page could not be had.
    """
    answer = fetcher.get(url, permit=robots.permit)
    return extract_text(answer.body, answer.url)


def extract_text(content: bytes, place: str) -> str:
    """The text of the article in HTML.

    Raises:
        InputError: it holds no article.
    """
    try:
        return read_page(content, place).text.strip()
    except PARSE_ERRORS as error:
        raise InputError(f"{place}: {error!r:.200}", "a page with an article", "Leave it out.") from error
