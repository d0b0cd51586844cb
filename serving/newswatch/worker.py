"""The worker: a process that scores chunks of articles with one scorer, loaded once, on one thread."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from newswatch.output import Output, output_row
from newswatch.scorer import Article, Scorer
from newswatch.summary import Tally
from newswatch_labels.errors import NewswatchError

AHEAD = 3  # chunks a worker may have waiting or finished, so that it never idles and memory stays bounded
ONE_THREAD = dict.fromkeys(("NEWSWATCH_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


class WorkerError(NewswatchError):
    """A worker process ended while it scored."""


@dataclass(frozen=True)
class Task:
    """What all workers of a run do.

    Attributes:
        bundle: its folder.
        sha256: hash that its bundle.json must have.
        output: form of the rows.
    """

    bundle: Path
    sha256: str
    output: Output
    cascade: bool = True
    evidence: bool = True
    dedupe: bool = False


@dataclass
class Chunk:
    """Articles to score together, and for each the id of the one that it is a copy of."""

    articles: list[Article] = field(default_factory=list)
    copy_of: list[str | None] = field(default_factory=list)


C = TypeVar("C", bound=Chunk)


class Scored(NamedTuple):
    """A chunk's encoded rows and their counts."""

    rows: Any
    tally: Tally


@contextmanager
def open_pool(task: Task, workers: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that score, one thread each; they end with this one, however it ends."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start, (task,))
    # Libraries read the number of threads as they load, so it must stand there before the processes start.
    os.environ.update(ONE_THREAD)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def score_chunks(pool: ProcessPoolExecutor, chunks: Iterable[C], workers: int) -> Iterator[tuple[C, Scored]]:
    """Each chunk and its rows, in order; of the chunks at most `AHEAD` a worker are taken ahead.

    Raises:
        WorkerError: a process died.
        BundleError: a process could not load the bundle.
    """
    waiting: deque[tuple[C, Future[Scored]]] = deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(_score, chunk.articles, chunk.copy_of)))
            if len(waiting) >= AHEAD * workers:
                yield waiting[0][0], waiting[0][1].result()
                waiting.popleft()
        while waiting:
            yield waiting[0][0], waiting[0][1].result()
            waiting.popleft()
    except BrokenProcessPool as error:
        first = waiting[0][0].articles[0].id if waiting and waiting[0][0].articles else None
        raise WorkerError(
            f"a worker process died with the article {first!r} or one soon after it",
            "workers that live",
            "Is memory short? Take fewer --workers. Run the same command again: it goes on.",
        ) from error


_task: Task


def _start(task: Task) -> None:
    global _task
    _task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too and ends the pool
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
    os._exit(1)


@cache
def _scorer() -> Scorer:
    return Scorer.load(_task.bundle, _task.sha256, cascade=_task.cascade)


def _score(articles: Sequence[Article], copy_of: Sequence[str | None]) -> Scored:
    rows, tally = [], Tally()
    for prediction, original in zip(_scorer().score(articles), copy_of, strict=True):
        row = output_row(prediction, evidence=_task.evidence)
        if _task.dedupe:
            row["duplicate_of"] = original
        rows.append(row)
        tally.count(prediction.tags, bool(prediction.review), original is not None)
    return Scored(_task.output.encode(rows), tally)
