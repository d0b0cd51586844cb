"""The client: a running service scores as the function does, from another process or machine."""

import json
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from newswatch.prediction import Prediction
from newswatch.scorer import Article
from newswatch.service.limits import MAX_ARTICLES, MAX_BODY
from newswatch.text import check_text
from newswatch_labels.errors import InputError, MissingExtraError, NewswatchError

if TYPE_CHECKING:
    import httpx

URL = "http://127.0.0.1:8000"
ATTEMPTS = 6
SECONDS = 60.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0  # seconds between attempts, doubled each time
LONGEST_JITTER = 0.25  # seconds added at random, so that callers refused together do not come back together
LONGEST_RETRY_AFTER = 60.0  # seconds; a service that asks for more is not waited for so long
_OPEN, _CLOSE = b'{"articles":[', b"]}"


class ServiceError(NewswatchError):
    """The service did not answer, or refused.

    Attributes:
        status: of the answer; None where none came.
        retry_after: seconds after which the service asks to be tried again, where it does.
        passing: whether another attempt may succeed.
    """

    def __init__(
        self, received: str, expected: str, advice: str, status: int | None = None, retry_after: float | None = None, passing: bool = False
    ) -> None:
        super().__init__(received, expected, advice)
        self.status, self.retry_after, self.passing = status, retry_after, passing

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        return type(self), (self.received, self.expected, self.advice, self.status, self.retry_after, self.passing)


class Client:
    """Scores on a running service; one client may be shared by threads. Use it in a `with` block, or close it.

    429, 503 and lost connections are tried again, with growing pauses and not before the service's Retry-After.
    """

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = SECONDS, attempts: int = ATTEMPTS) -> None:
        """Make a client; nothing is sent yet.

        Args:
            url: where the service listens.
            key: API key, where the service needs one.
            timeout: seconds for one attempt.
            attempts: how often a request is sent at most, 1 or more.

        Raises:
            MissingExtraError: httpx or tenacity is not installed.
        """
        packages, tenacity = _packages()
        self._retrying = tenacity.Retrying(**_policy(tenacity, attempts))
        self._http: httpx.Client = packages.Client(base_url=url, headers=_headers(key), timeout=timeout)

    def score(self, articles: Sequence[str | Article], *, evidence: bool = True) -> list[Prediction]:
        """Predictions, one an article, in order, as `Scorer.score` gives them, probabilities rounded to six places.

        Any number of articles may be given; they are sent in parts that the service takes.

        Args:
            articles: texts or Articles.
            evidence: False leaves the evidence out, which makes the answer smaller.

        Raises:
            InputError: an article is no text, cannot be scored, or is longer than one request may be.
            ServiceError: the service refused, or did not answer.
        """
        query = {"evidence": evidence}
        return [made for part in _parts(articles) for made in _predictions(self._retrying(self._send, "POST", "/v1/score", part, query))]

    def model(self) -> dict[str, Any]:
        """What the service says of its live bundle.

        Raises:
            ServiceError: the service refused, or did not answer.
        """
        return self._retrying(self._send, "GET", "/v1/model")  # type: ignore[no-any-return]

    def ready(self) -> bool:
        """Whether the service can be reached and is ready, asked once."""
        try:
            self._send("GET", "/readyz")
        except ServiceError as error:
            if error.passing:
                return False
            raise
        return True

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _send(self, method: str, path: str, content: bytes | None = None, query: Mapping[str, Any] | None = None) -> Any:
        httpx, _ = _packages()
        try:
            return _read(self._http.request(method, path, content=content, params=query))
        except httpx.TransportError as error:
            raise _unreachable(error, str(self._http.base_url)) from error


class AsyncClient:
    """As `Client`, for asyncio."""

    def __init__(self, url: str = URL, key: str | None = None, *, timeout: float = SECONDS, attempts: int = ATTEMPTS) -> None:
        """As `Client`."""
        packages, tenacity = _packages()
        self._retrying = tenacity.AsyncRetrying(**_policy(tenacity, attempts))
        self._http: httpx.AsyncClient = packages.AsyncClient(base_url=url, headers=_headers(key), timeout=timeout)

    async def score(self, articles: Sequence[str | Article], *, evidence: bool = True) -> list[Prediction]:
        """As `Client.score`."""
        query = {"evidence": evidence}
        return [
            made for part in _parts(articles) for made in _predictions(await self._retrying(self._send, "POST", "/v1/score", part, query))
        ]

    async def model(self) -> dict[str, Any]:
        """As `Client.model`."""
        return await self._retrying(self._send, "GET", "/v1/model")  # type: ignore[no-any-return]

    async def ready(self) -> bool:
        """As `Client.ready`."""
        try:
            await self._send("GET", "/readyz")
        except ServiceError as error:
            if error.passing:
                return False
            raise
        return True

    async def close(self) -> None:
        """Close its connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def _send(self, method: str, path: str, content: bytes | None = None, query: Mapping[str, Any] | None = None) -> Any:
        httpx, _ = _packages()
        try:
            return _read(await self._http.request(method, path, content=content, params=query))
        except httpx.TransportError as error:
            raise _unreachable(error, str(self._http.base_url)) from error


def _packages() -> tuple[Any, Any]:
    try:
        import httpx
        import tenacity
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "httpx", "client") from error
    return httpx, tenacity


def _policy(tenacity: Any, attempts: int) -> dict[str, Any]:
    backing_off = tenacity.wait_exponential(FIRST_PAUSE, LONGEST_PAUSE) + tenacity.wait_random(0, LONGEST_JITTER)

    def pause(state: Any) -> float:
        error = state.outcome.exception()
        return float(backing_off(state)) + min(error.retry_after or 0.0, LONGEST_RETRY_AFTER)

    return {
        "stop": tenacity.stop_after_attempt(attempts),
        "wait": pause,
        "retry": tenacity.retry_if_exception(lambda error: isinstance(error, ServiceError) and error.passing),
        "reraise": True,
    }


def _headers(key: str | None) -> dict[str, str]:
    return {"content-type": "application/json", **({"authorization": f"Bearer {key}"} if key else {})}


def _parts(articles: Sequence[str | Article]) -> Iterator[bytes]:
    """The articles as bodies, none over the limits of one request."""
    if isinstance(articles, str | bytes | Article):
        raise InputError(f"articles of type {type(articles).__name__}", "a list of texts or Articles", "Put the text into a list.")
    part: list[bytes] = []
    size = room = MAX_BODY - len(_OPEN) - len(_CLOSE)
    for row in [_article(article, number, room) for number, article in enumerate(articles)]:  # a bad one is found before any is sent
        if part and (len(part) == MAX_ARTICLES or size < len(row)):
            yield _OPEN + b",".join(part) + _CLOSE
            part, size = [], room
        part.append(row)
        size -= len(row) + 1
    if part:
        yield _OPEN + b",".join(part) + _CLOSE


def _article(given: str | Article, number: int, room: int) -> bytes:
    article = given if isinstance(given, Article) else Article(given)
    fields = {"text": article.text, "id": article.id, "title": article.title}
    try:
        made = {name: check_text(value, name) for name, value in fields.items() if value is not None or name == "text"}
    except InputError as error:
        raise InputError(f"article {number}: {error.received}", error.expected, error.advice) from error
    row = json.dumps(made, ensure_ascii=False).encode()
    if len(row) > room:
        raise InputError(
            f"article {number}: {len(row):,} bytes", f"at most {room:,}", "Score it with newswatch.Scorer, which has no such limit."
        )
    return row


def _predictions(answer: Mapping[str, Any]) -> list[Prediction]:
    return [Prediction.from_dict({"evidence": {}, **row}) for row in answer["predictions"]]


def _read(response: "httpx.Response") -> Any:
    if response.is_success:
        try:
            return response.json()
        except ValueError as error:
            raise ServiceError(
                f"an answer from {response.request.url} that is no JSON",
                "newswatch's answer",
                "Name the service's address.",
                response.status_code,
            ) from error
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):  # a proxy's answer, not ours
        detail = response.text[:200]
    after = response.headers.get("retry-after", "")
    raise ServiceError(
        f"status {response.status_code} from {response.request.url.path}: {detail}",
        "status 200",
        "Do as the service's message says.",
        response.status_code,
        float(after) if after.isdecimal() else None,
        response.status_code in (429, 503),
    )


def _unreachable(error: "httpx.TransportError", url: str) -> ServiceError:
    httpx, _ = _packages()
    late = isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout)  # it may still be at work: another attempt would add to its load
    return ServiceError(
        f"no answer from {url}: {type(error).__name__} {error}".rstrip(),
        "a running service",
        "Start one with newswatch serve, or name its address.",
        passing=not late and isinstance(error, httpx.NetworkError | httpx.TimeoutException | httpx.RemoteProtocolError),
    )
