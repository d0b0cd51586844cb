"""The lock: one process at a time."""

import fcntl
import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from newswatch_labels.errors import NewswatchError


class LockedError(NewswatchError):
    """Another process is at it."""


def user_at_host() -> str:
    """Who runs this process and where; the user's number where the system knows no name for it, as in some containers."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock file `path`. The system lets go of it when the process ends, however it ends.

    Args:
        wait: until another lets go; otherwise refuse, and name the other.

    Raises:
        LockedError: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            holder = os.pread(file, 200, 0).decode(errors="replace").strip() or "another process"
            raise LockedError(f"{path} is held by {holder}", "one run at a time", "Wait until it has ended, or end it.") from error
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} of {user_at_host()}, {datetime.now(UTC):%F %T} UTC\n".encode(), 0)
        yield
    finally:
        os.close(file)
