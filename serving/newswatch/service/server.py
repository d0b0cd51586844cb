"""The server: it listens, and ends without losing what is in flight."""

import asyncio
import logging
import logging.config
import signal
import socket
from types import FrameType

import uvicorn

from newswatch.service.app import create_app
from newswatch.service.engine import Engine
from newswatch.service.logs import CONFIGURATION
from newswatch.service.settings import ServiceSettings
from newswatch_labels.errors import InputError

ANSWER_SECONDS = 1  # to write the last answers, after the last article is scored
CONNECTIONS = 1_000
log = logging.getLogger("newswatch.service")


class DrainingServer(uvicorn.Server):
    """On SIGTERM or SIGINT it refuses new requests with 503, finishes those in flight, and ends; a second signal ends it at once."""

    def __init__(self, config: uvicorn.Config, engine: Engine) -> None:
        super().__init__(config)
        self._engine = engine
        self._ending: asyncio.Task[None] | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Handle the signal; unlike the original it does not raise it again at the end, so that the exit status is 0."""
        if self._engine.draining:
            self.should_exit = self.force_exit = True
        self._engine.draining = True
        self._loop.call_soon_threadsafe(self._drain, signal.Signals(sig).name)

    def _drain(self, name: str) -> None:
        if self._ending is None:
            log.info("ending", extra={"signal": name, "open_requests": self._engine.open})
            self._engine.ending.set()
            self._ending = self._loop.create_task(self._end())

    async def _end(self) -> None:
        deadline = self._loop.time() + self._engine.settings.drain
        while self._engine.open and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        self.should_exit = True


def run_server(settings: ServiceSettings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        BundleError: there is no bundle, or it is damaged.
        InputError: the address is taken or does not exist, or a file of keys is malformed.
    """
    logging.config.dictConfig(CONFIGURATION)
    asyncio.run(_run(settings))


async def _run(settings: ServiceSettings) -> None:
    app = create_app(settings)
    listener = _listen(settings)
    try:
        async with app.router.lifespan_context(app):
            config = uvicorn.Config(
                app,
                lifespan="off",  # begun here, so that a bad bundle ends the start with its own error
                log_config=None,
                access_log=False,
                server_header=False,
                limit_concurrency=CONNECTIONS,
                timeout_graceful_shutdown=ANSWER_SECONDS,
            )
            host, port = listener.getsockname()[:2]
            url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            log.info("listening at %s", url, extra={"url": url, "workers": settings.workers, "threads": settings.worker_threads})
            await DrainingServer(config, app.state.engine).serve([listener])
    finally:
        listener.close()


def _listen(settings: ServiceSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=2048)
    except OSError as error:
        raise InputError(
            f"address {settings.host} port {settings.port}: {error.strerror or error}",
            "a free address of this machine",
            "Choose another --port.",
        ) from error
    # asyncio sets this only on sockets that name their protocol; without it each answer waits 40 ms for the caller's acknowledgement.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
