"""The guarded connection: it goes to the very address that was checked, and ends with the time given to it."""

import ssl
from collections.abc import Iterable
from time import monotonic
from typing import Any

import httpcore

from newswatch.watch.address import AddressGuard
from newswatch.watch.stopping import Stop


class Deadline:
    """The moment at which the exchange in progress has to end; also when the watcher is stopping."""

    def __init__(self, stopping: Stop) -> None:
        self._stopping = stopping
        self._end = float("inf")

    def start(self, seconds: float) -> None:
        """Give the next exchange `seconds` in all."""
        self._end = monotonic() + seconds

    def left(self, timeout: float | None) -> float:
        """How long the next step may take, at most `timeout`, in seconds.

        Raises:
            httpcore.ReadTimeout: there is no time left.
        """
        left = self._end - monotonic()
        if left <= 0 or self._stopping.is_set():
            raise httpcore.ReadTimeout("out of time")
        return left if timeout is None else min(left, timeout)


class GuardedBackend(httpcore.NetworkBackend):
    """Opens connections for httpcore, which still checks certificates against the host's name."""

    def __init__(self, guard: AddressGuard, deadline: Deadline) -> None:
        self._guard, self._deadline = guard, deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first of the host's checked addresses that answers."""
        try:
            addresses = self._guard.resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        failed: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses:
            try:
                stream = self._inner.connect_tcp(address, port, self._deadline.left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _TimedStream(stream, self._deadline)
        raise failed or httpcore.ConnectError(f"{host} has no address")


class _TimedStream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._inner, self._deadline = inner, deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(timeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        inner = self._inner.start_tls(ssl_context, server_hostname, self._deadline.left(timeout))
        return _TimedStream(inner, self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
