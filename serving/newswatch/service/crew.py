"""The crew: the workers that hold one bundle, and the queue before them."""

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from newswatch.model import BundleError
from newswatch.scorer import Article
from newswatch.service.metrics import Metrics
from newswatch.service.refusals import Late, Overloaded, Unready
from newswatch.service.settings import ServiceSettings
from newswatch.service.worker_process import BundleAt, Row, WorkerGoneError, WorkerProcess

SLICE = 16  # articles; a long request takes turns with the others after so many
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0  # seconds before a dead worker that does not come up is started again
log = logging.getLogger("newswatch.service")


@dataclass(eq=False)
class _Request:
    started: bool = False


@dataclass(eq=False)
class _Slice:
    request: _Request
    articles: Sequence[Article]
    answer: asyncio.Future[list[Row]] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Crew:
    """Workers with the same bundle. What waits is taken up by whoever is free, as many requests at once as there are."""

    def __init__(self, bundle: BundleAt, settings: ServiceSettings, metrics: Metrics) -> None:
        self.bundle, self._settings, self._metrics = bundle, settings, metrics
        self.model: dict[str, Any] = {}
        self._queue: asyncio.Queue[_Slice] = asyncio.Queue()
        self._open: set[asyncio.Future[list[Row]]] = set()
        self._workers: set[WorkerProcess] = set()
        self._tending: list[asyncio.Task[None]] = []
        self._waiting = self._idle = 0

    async def start(self) -> None:
        """Start all workers.

        Raises:
            BundleError: the bundle is damaged, or the workers do not come up with it.
        """
        starts = [asyncio.create_task(self._start_worker()) for _ in range(self._settings.workers)]
        ended = await asyncio.gather(*starts, return_exceptions=True)
        workers = [worker for worker in ended if isinstance(worker, WorkerProcess)]
        for fault in ended:
            if isinstance(fault, BaseException):
                for worker in workers:
                    worker.kill()
                if isinstance(fault, WorkerGoneError):
                    raise BundleError(f"{self.bundle.folder}: {fault}", "a bundle that loads", "See the service's log.") from fault
                raise fault
        self.model = workers[0].model
        self._workers.update(workers)
        self._tending = [asyncio.create_task(self._tend(worker)) for worker in workers]

    @property
    def complete(self) -> bool:
        """Whether all its workers are alive."""
        return len(self._workers) == self._settings.workers

    @property
    def waiting(self) -> int:
        """Requests that no worker has begun."""
        return self._waiting

    def check_room(self) -> None:
        """Refuse before a body is read what would be refused after.

        Raises:
            Overloaded, Unready: as `score`.
        """
        if not self._workers:
            raise Unready("a request while no worker is alive", "a living worker", "Send it again in a second.")
        if self._waiting >= self._settings.queue + self._idle:
            raise Overloaded(
                f"a request while {self._waiting} others wait",
                f"at most {self._settings.queue}",
                "Send it again after Retry-After seconds.",
            )

    async def score(self, articles: Sequence[Article], seconds: float) -> list[Row]:
        """Predictions as JSON data, one an article, in order.

        Raises:
            Overloaded: the queue is full.
            Unready: no worker is alive, or one died with these articles.
            Late: they were not scored within `seconds`.
        """
        self.check_room()
        request = _Request()
        slices = [_Slice(request, articles[start : start + SLICE]) for start in range(0, len(articles), SLICE)]
        self._waiting += 1
        for part in slices:
            self._open.add(part.answer)
            part.answer.add_done_callback(self._open.discard)
            self._queue.put_nowait(part)
        try:
            async with asyncio.timeout(seconds):
                return [row for part in slices for row in await part.answer]
        except TimeoutError as error:
            limit = self._settings.timeout
            raise Late(f"{len(articles)} articles not scored in time", f"at most {limit:g} seconds", "Send fewer, or later.") from error
        finally:
            self._begin(request)
            for part in slices:
                part.answer.cancel()
                if part.answer.done() and not part.answer.cancelled():
                    part.answer.exception()  # seen: one slice's failure is the request's

    async def close(self, seconds: float) -> None:
        """Finish what waits and runs within so many seconds, then end the workers."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._open:
                    await asyncio.wait(self._open)
        for task in self._tending:
            task.cancel()
        await asyncio.gather(*self._tending, return_exceptions=True)
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*(worker.ended() for worker in self._workers))
        self._workers.clear()

    def _start_worker(self) -> Any:
        return WorkerProcess.start(self.bundle, self._settings.worker_threads, self._settings.cascade)

    async def _tend(self, worker: WorkerProcess) -> None:
        """Feed a worker; when it dies, start another in its place."""
        while True:
            feeding = asyncio.create_task(self._feed(worker))
            try:
                status = await worker.ended()
            finally:
                feeding.cancel()
            self._workers.discard(worker)
            self._metrics.errors.labels("worker_death").inc()
            log.error("worker died", extra={"worker": worker.pid, "status": status})
            worker = await self._replace()
            self._workers.add(worker)

    async def _replace(self) -> WorkerProcess:
        pause = FIRST_PAUSE
        while True:
            try:
                worker: WorkerProcess = await self._start_worker()
            except (BundleError, WorkerGoneError, OSError) as error:  # of the last: no more files or processes
                log.error("worker does not start: %s", error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                log.info("worker started", extra={"worker": worker.pid})
                return worker

    async def _feed(self, worker: WorkerProcess) -> None:
        """Give a worker what waits until it dies or hangs; one that nobody feeds any more is ended."""
        try:
            while True:
                await self._feed_batch(worker, await self._take())
        except (WorkerGoneError, TimeoutError) as error:
            log.error("worker gives up: %s", error or "it hangs", extra={"worker": worker.pid})
        finally:
            worker.kill()

    async def _feed_batch(self, worker: WorkerProcess, batch: list[_Slice]) -> None:
        try:
            # Nobody waits for a batch after `timeout`: a worker that is still at it then would only keep others waiting.
            async with asyncio.timeout(2 * self._settings.timeout):
                rows = iter(await worker.score([article for part in batch for article in part.articles]))
            for part in batch:
                own = list(islice(rows, len(part.articles)))
                if not part.answer.done():
                    part.answer.set_result(own)
        finally:
            for part in batch:
                if not part.answer.done():
                    part.answer.set_exception(Unready("articles whose worker died", "a living worker", "Send them again in a second."))

    async def _take(self) -> list[_Slice]:
        """What waits, shared out among the free workers, at least one slice and about `SLICE` articles at most."""
        batch: list[_Slice] = []
        while not batch:
            self._idle += 1
            try:
                first = await self._queue.get()
            finally:
                self._idle -= 1
            share = math.ceil((1 + self._queue.qsize()) / (1 + self._idle))
            taken = [first]
            while len(taken) < share and sum(len(part.articles) for part in taken) < SLICE:
                taken.append(self._queue.get_nowait())
            batch = [part for part in taken if not part.answer.done()]
        for part in batch:
            self._begin(part.request)
        return batch

    def _begin(self, request: _Request) -> None:
        if not request.started:
            request.started = True
            self._waiting -= 1
