"""The patience: how much work a stranger's document may cause. Parsers of other makers take minutes for some that fit the size limit."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from newswatch_labels.errors import InputError

CPU_SECONDS = 10.0


class _ExpiredError(BaseException):
    """Not an Exception: parsers catch those, and go on."""


def _expire(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise _ExpiredError


@contextmanager
def bounded_work(place: str) -> Iterator[None]:
    """Give up after `CPU_SECONDS` of the process's own time; in the main thread alone, where signals arrive.

    Raises:
        InputError: the time is over; names `place`.
    """
    before = signal.signal(signal.SIGPROF, _expire)
    # Again each second, should the first be lost in a parser's cleaning up.
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS, 1.0)
    try:
        yield
        signal.setitimer(signal.ITIMER_PROF, 0)
    except _ExpiredError as error:
        expected = f"one that is read in {CPU_SECONDS:g} seconds of computing"
        raise InputError(f"{place}: a document that takes too long", expected, "Leave it out.") from error
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
