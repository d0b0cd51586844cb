"""The lock: one watcher a store, so that no alert is sent by two."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from newswatch_labels.errors import InputError


@contextmanager
def only_watcher(store: Path) -> Iterator[None]:
    """Hold the lock file beside the store; the system lets go of it when the process ends, however it ends.

    Raises:
        InputError: another watcher holds it.
    """
    path = store.with_name(store.name + ".lock")
    with path.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"store {store}: another watcher uses it", "one watcher a store", "End that one first.") from error
        yield
