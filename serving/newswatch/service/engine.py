"""The engine: the live crew of workers, and the change to another bundle without a failed request."""

import asyncio
import hashlib
import logging
import os
from collections.abc import Coroutine, Sequence
from threading import Event
from typing import Any

from newswatch.bundle import MANIFEST, find_bundle
from newswatch.model import BundleError
from newswatch.prediction import Prediction
from newswatch.scorer import Article
from newswatch.service.crew import Crew
from newswatch.service.metrics import Metrics
from newswatch.service.refusals import KeptOld, Unready
from newswatch.service.settings import ServiceSettings
from newswatch.service.worker_process import BundleAt, Row
from newswatch.text import check_text
from newswatch_labels.errors import InputError

log = logging.getLogger("newswatch.service")


class Engine:
    """Scores articles on worker processes and keeps up with the bundle's link.

    Attributes:
        draining: new requests are refused.
        ending: set at the same time, for threads that wait for others.
        open: score requests that are admitted and not yet scored.
    """

    def __init__(self, settings: ServiceSettings, metrics: Metrics) -> None:
        self.settings, self._metrics = settings, metrics
        self._live: Crew | None = None
        self._retired: set[Crew] = set()
        self._refused: BundleAt | None = None
        self._fault: str | None = None
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.draining = False
        self.ending = Event()
        self.open = 0
        metrics.watch("queue_length", "Requests that no worker has begun.", lambda: self._live.waiting if self._live else 0)
        metrics.watch("open_requests", "Score requests that are admitted and not yet scored.", lambda: self.open)
        metrics.watch("ready", "1 if all workers are alive and the service is not ending.", lambda: float(self.ready))

    async def start(self) -> None:
        """Load the bundle and begin to watch it.

        Raises:
            BundleError: there is no bundle, or it is damaged.
        """
        self._live = await self._load(self._look())
        self._begin(self._watch())

    async def close(self) -> None:
        """End all workers, at once: what should finish has finished before."""
        self.draining = True
        self.ending.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(crew.close(0) for crew in (*self._retired, self._live) if crew))

    @property
    def ready(self) -> bool:
        """Whether all workers are alive and the service is not ending."""
        return not self.draining and self._live is not None and self._live.complete

    @property
    def model(self) -> dict[str, Any]:
        """What is said of the live bundle."""
        return self._crew().model

    def check_room(self) -> None:
        """Refuse early what `score_rows` would refuse.

        Raises:
            Overloaded, Unready: the queue is full; no worker is alive or the service is ending.
        """
        if self.draining:
            raise Unready("a request while the service is ending", "a running service", "Send it again later or elsewhere.")
        self._crew().check_room()

    async def score_rows(self, articles: Sequence[Article]) -> list[Row]:
        """Predictions as `Prediction.to_dict` gives them, one an article, in order, all of one bundle.

        Raises:
            InputError: an article holds no text that can be scored.
            Overloaded, Unready, Late: see `Crew.score`.
        """
        for number, article in enumerate(articles):
            try:
                check_text(article.text)
                check_text(article.title or "", "title")
                check_text(article.id or "", "id")
            except InputError as error:
                raise InputError(f"article {number}: {error.received}", error.expected, error.advice) from error
        self.check_room()
        self.open += 1
        try:
            rows = await self._crew().score(articles, self.settings.timeout)
        finally:
            self.open -= 1
        self._metrics.count(rows)
        return rows

    async def score(self, articles: Sequence[Article]) -> list[Prediction]:
        """As `score_rows`, as Predictions."""
        return [Prediction.from_dict(row) for row in await self.score_rows(articles)]

    async def reload(self) -> bool:
        """Look at the bundle and take up another one; False if the live one is still the one to use.

        Raises:
            KeptOld: the bundle cannot be loaded; the old one scores on.
        """
        async with self._reloading:
            try:
                return await self._take_up(self._look())
            except BundleError as error:
                self._report(error)
                raise KeptOld(f"the live bundle is kept: {error.received}", error.expected, error.advice) from error

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.settings.watch)
            async with self._reloading:
                try:
                    found = self._look()
                    if found != self._refused:
                        await self._take_up(found)
                except (BundleError, OSError) as error:  # of the latter: no more files or processes
                    if str(error) != self._fault:  # said once, not at every look
                        self._report(error)

    async def _take_up(self, found: BundleAt) -> bool:
        old = self._crew()
        if found == old.bundle:
            self._refused = self._fault = None
            return False
        self._refused = found
        self._live = await self._load(found)
        self._refused = self._fault = None
        self._metrics.reloads.labels("live").inc()
        self._retired.add(old)
        self._begin(self._retire(old))
        return True

    async def _retire(self, crew: Crew) -> None:
        await crew.close(self.settings.timeout)
        self._retired.discard(crew)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _load(self, bundle: BundleAt) -> Crew:
        crew = Crew(bundle, self.settings, self._metrics)
        await crew.start()
        self._metrics.show_model(crew.model["model"], crew.model["sha256"])
        log.info("bundle is live", extra={"model": crew.model["model"], "sha256": crew.model["sha256"]})
        return crew

    def _report(self, error: BundleError | OSError) -> None:
        self._fault = str(error)
        self._metrics.errors.labels("reload").inc()
        self._metrics.reloads.labels("kept_old").inc()
        log.error("bundle not taken up, the old one is kept: %s", error)

    def _look(self) -> BundleAt:
        """The bundle as it lies there now; workers load it only if its hash is still this one, or the pinned one."""
        folder = find_bundle(self.settings.bundle)
        try:
            found = hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest()
        except OSError as error:
            raise BundleError(f"{folder / MANIFEST}: {error.strerror}", "a readable file", "Copy the bundle again.") from error
        return BundleAt(folder, os.environ.get("NEWSWATCH_BUNDLE_SHA256") or found)

    def _crew(self) -> Crew:
        if self._live is None:
            raise Unready("a request before the bundle is loaded", "a loaded bundle", "Send it again in a second.")
        return self._live
