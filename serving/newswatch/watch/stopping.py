"""The stop: how SIGTERM and SIGINT end a watcher between two articles."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Protocol


class StoppedError(Exception):
    """A signal came while the watcher had nothing in hand."""


class Stop(Protocol):
    """What a wait ends at: a `Stopping`, or a threading.Event."""

    def is_set(self) -> bool:
        """Whether it is time to stop."""
        ...

    def wait(self, seconds: float, /) -> object:
        """Sleep, no longer than until it is time to stop."""
        ...


class Stopping:
    """Set by a signal. What is in hand is finished first; where the watcher only waits, it ends at once."""

    def __init__(self) -> None:
        # Plain attributes: a threading.Event set from a signal handler may wait for a lock that the interrupted code holds.
        self._stopped = self._idle = False

    def listen(self) -> None:
        """Stop on SIGTERM and SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)

    def is_set(self) -> bool:
        """Whether a signal came."""
        return self._stopped

    @contextmanager
    def idle(self) -> Iterator[None]:
        """Nothing is in hand inside: a signal raises `StoppedError` there."""
        self._idle = True
        try:
            if self._stopped:
                raise StoppedError
            yield
        finally:
            self._idle = False

    def wait(self, seconds: float) -> None:
        """Sleep, no longer than until a signal comes."""
        try:
            with self.idle():
                time.sleep(seconds)
        except StoppedError:
            return

    def _stop(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self._stopped = True
        if self._idle:
            self._idle = False
            raise StoppedError
