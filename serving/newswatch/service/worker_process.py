"""The worker seen from the service: a process with a bundle, asked over its standard input and output."""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newswatch.model import BundleError
from newswatch.scorer import Article
from newswatch.service.wire import pack, receive_frame

LOAD_SECONDS = 120.0
CLOSE_SECONDS = 1.0
Row = dict[str, Any]


@dataclass(frozen=True)
class BundleAt:
    """A bundle as it lies on disk: its folder, and the hash its bundle.json had when it was looked at."""

    folder: Path
    sha256: str


class WorkerGoneError(Exception):
    """The worker's process ended, or had to be ended."""


class WorkerProcess:
    """One running worker. It scores one batch at a time."""

    def __init__(self, process: asyncio.subprocess.Process, model: dict[str, Any]) -> None:
        self._process, self.model = process, model

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @classmethod
    async def start(cls, bundle: BundleAt, threads: int, cascade: bool) -> "WorkerProcess":
        """Start a process and wait until it has loaded the bundle.

        Raises:
            BundleError: the bundle is damaged.
            WorkerGoneError: the process ended without saying why, or loads for too long.
        """
        count = str(threads)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "newswatch.service.worker"),
            *(str(bundle.folder), bundle.sha256, "yes" if cascade else "no"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "NEWSWATCH_THREADS": count, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count},
        )
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                hello = await receive_frame(_pipe(process.stdout))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError) as error:
            _kill(process)
            raise WorkerGoneError(f"worker {process.pid} ended with status {await process.wait()} while it loaded the bundle") from error
        except asyncio.CancelledError:
            _kill(process)
            raise
        if "error" in hello:
            await process.wait()
            raise BundleError(*hello["error"])
        return cls(process, hello["model"])

    async def score(self, articles: Sequence[Article]) -> list[Row]:
        """Predictions as JSON data, one an article, in order.

        Raises:
            WorkerGoneError: the process ended before it answered.
        """
        stdin = self._process.stdin
        if stdin is None:
            raise WorkerGoneError("a worker without standard input")
        try:
            stdin.write(pack([(article.text, article.id, article.title) for article in articles]))
            await stdin.drain()
            return await receive_frame(_pipe(self._process.stdout))  # type: ignore[no-any-return]
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise WorkerGoneError(f"worker {self.pid} ended while it scored") from error

    async def ended(self) -> int:
        """Wait for the process's end; its exit status."""
        return await self._process.wait()

    def kill(self) -> None:
        """End it at once, whatever it does."""
        _kill(self._process)

    async def close(self) -> None:
        """Let it end; kill it if it does not within `CLOSE_SECONDS`."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()


def _pipe(stream: asyncio.StreamReader | None) -> asyncio.StreamReader:
    if stream is None:
        raise WorkerGoneError("a worker without standard output")
    return stream


def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            process.kill()
        except ProcessLookupError:
            return
