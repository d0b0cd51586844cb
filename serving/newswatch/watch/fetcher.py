"""The fetcher: one guarded, polite HTTP exchange at a time, without cookies, credentials or proxies."""

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Self

import httpcore
import httpx
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    wait_exponential,
    wait_random,
)

from newswatch import __version__
from newswatch.watch.address import AddressGuard, check_url
from newswatch.watch.connection import Deadline, GuardedBackend
from newswatch.watch.stopping import Stop, Stopping
from newswatch_labels.errors import NewswatchError

AGENT = f"newswatch/{__version__}"
MAX_BYTES = 5_000_000
MAX_SECONDS = 20.0
STEP_SECONDS = 5.0
MAX_REDIRECTS = 5
ATTEMPTS = 3
PATIENCE_SECONDS = 30.0
MAX_PAUSE_SECONDS = 24 * 3600.0
_REDIRECTS = {301, 302, 303, 307, 308}
_TRANSIENT = {408, 425, 429}
_BACK_OFF = wait_exponential(multiplier=0.5, max=8) + wait_random(0, 0.5)


class FetchError(NewswatchError):
    """An exchange failed.

    Attributes:
        transient: whether the same request may succeed later.
        tried: whether it has been tried as often as it may for now.
        retry_after: seconds to leave the host alone, as it asked; None where it did not.
    """

    def __init__(self, received: str, transient: bool, retry_after: float | None = None) -> None:
        self.transient, self.retry_after, self.tried = transient, retry_after, False
        super().__init__(received, "an answer that can be used", "It is tried again later." if transient else "Check the address.")

    def __reduce__(self) -> tuple[type, tuple[str, bool, float | None]]:  # type: ignore[override]
        return type(self), (self.received, self.transient, self.retry_after)


class PausedError(FetchError):
    """The host was not asked: it wants to be left alone for longer than anyone waits."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered: the final URL after redirects, status, headers, and the unpacked body."""

    url: str
    status: int
    headers: httpx.Headers
    body: bytes


class Fetcher:
    """Fetches with the address guard at every hop, a pause between requests to one host, and retries with back-off.

    Args:
        allowed_hosts: see `AddressGuard`.
        delay: least seconds between two requests to one host.
        stopping: once set, whatever is in progress ends within `STEP_SECONDS` and fails as transient.
    """

    def __init__(self, allowed_hosts: Iterable[str] = (), delay: float = 1.0, stopping: Stop | None = None) -> None:
        self.guard = AddressGuard(allowed_hosts)
        self.delay = delay
        self._stopping = stopping or Stopping()
        self._deadline = Deadline(self._stopping)
        self._free: dict[str, float] = {}
        self._pool = httpcore.ConnectionPool(
            ssl_context=httpx.create_ssl_context(), network_backend=GuardedBackend(self.guard, self._deadline), keepalive_expiry=10
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def get(self, url: str, headers: Mapping[str, str] | None = None, permit: Callable[[httpx.URL], float | None] | None = None) -> Answer:
        """Fetch a page, following redirects.

        Args:
            permit: asked before each hop; raises where the page must not be fetched, else says how many seconds its host wants
                between requests, if it does.

        Raises:
            RefusedError: the address guard or `permit` refuses the URL, or one it is redirected to.
            FetchError: it could not be had.
        """
        return self._retrying(lambda: self._follow(url, headers or {}, permit))

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send `body`; redirects are not followed.

        Raises:
            RefusedError: the address guard refuses the URL.
            FetchError: the server did not take it.
        """
        answer = self._retrying(lambda: self._exchange("POST", check_url(url), headers, body))
        if answer.status in _REDIRECTS:
            raise FetchError(f"webhook: status {answer.status}, a redirect", transient=False)
        return answer

    def _retrying(self, exchange: Callable[[], Answer]) -> Answer:
        retrying = Retrying(
            stop=lambda state: state.attempt_number >= ATTEMPTS or self._stopping.is_set(),
            wait=_wait,
            retry=retry_if_exception(_worth_another_try),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(exchange)

    def _sleep(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _follow(self, url: str, headers: Mapping[str, str], permit: Callable[[httpx.URL], float | None] | None) -> Answer:
        target = check_url(url)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                wanted = permit(target) if permit else None
            except FetchError as error:
                error.tried = True  # by the fetch of what permits
                raise
            self._take_turn(target, max(self.delay, wanted or 0.0))
            answer = self._exchange("GET", target, headers)
            if answer.status not in _REDIRECTS:
                return answer
            try:
                target = check_url(str(target.join(answer.headers.get("location", ""))))
            except httpx.InvalidURL as error:
                raise FetchError(f"{target}: redirected to no URL", transient=False) from error
        raise FetchError(f"{url}: more than {MAX_REDIRECTS} redirects", transient=False)

    def _take_turn(self, url: httpx.URL, delay: float) -> None:
        """Wait until the host may be asked again."""
        wait = self._free.get(url.host, 0.0) - monotonic()
        if wait > PATIENCE_SECONDS:
            raise PausedError(f"{url.host} asked to be left alone for {wait:.0f} s more", transient=True, retry_after=wait)
        if wait > 0:
            self._stopping.wait(wait)
        self._free[url.host] = monotonic() + delay

    def _exchange(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | None = None) -> Answer:
        sent = {"User-Agent": AGENT, "Accept-Encoding": "gzip, deflate", **headers}
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), STEP_SECONDS)
        # A webhook's path is often its password.
        place = str(url) if method == "GET" else f"webhook at {url.host}"
        # Built of the checked URL's own parts: a second parser might see another host in the same words.
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        self._deadline.start(MAX_SECONDS)
        try:
            with self._pool.stream(
                method, target, headers=list(sent.items()), content=content, extensions={"timeout": timeouts}
            ) as response:
                received = httpx.Headers(response.headers)
                if response.status >= 400:
                    raise self._failure(place, url.host, response.status, received)
                if response.status in _REDIRECTS:
                    return Answer(str(url), response.status, received, b"")
                return Answer(str(url), response.status, received, _read(response.iter_stream(), received, place))
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise FetchError(f"{place}: {type(error).__name__} {error}".rstrip(), transient=True) from error

    def _failure(self, place: str, host: str, status: int, headers: httpx.Headers) -> FetchError:
        transient = status >= 500 or status in _TRANSIENT
        retry_after = _seconds(headers.get("retry-after")) if transient else None
        if retry_after is not None:
            self._free[host] = monotonic() + retry_after
        return FetchError(f"{place}: status {status}", transient=transient, retry_after=retry_after)


def _read(parts: Iterable[bytes], headers: httpx.Headers, place: str) -> bytes:
    """The body, unpacked no further than the limit: a small packed answer may stand for gigabytes."""
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip", "deflate", ""):
        raise FetchError(f"{place}: content-encoding {encoding!r:.40}", transient=False)
    packed = encoding not in ("identity", "")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)
    body = bytearray()
    try:
        for part in parts:
            body += unpacker.decompress(part, MAX_BYTES + 1 - len(body)) if packed else part
            if len(body) > MAX_BYTES:
                raise FetchError(f"{place}: more than {MAX_BYTES:,} bytes", transient=False)
    except zlib.error as error:
        raise FetchError(f"{place}: {error}", transient=True) from error
    if packed and body and not unpacker.eof:
        raise FetchError(f"{place}: the packed body ends too soon", transient=True)
    return bytes(body)


def _worth_another_try(error: BaseException) -> bool:
    return isinstance(error, FetchError) and error.transient and not error.tried and (error.retry_after or 0) <= PATIENCE_SECONDS


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, FetchError) else None
    return _BACK_OFF(state) if asked is None else asked


def _seconds(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for, in seconds: it holds a number or a date."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return min(float(retry_after), MAX_PAUSE_SECONDS)
    try:
        moment = parsedate_to_datetime(retry_after)
        wanted = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - datetime.now(UTC).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, wanted), MAX_PAUSE_SECONDS)
