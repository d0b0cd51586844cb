"""Running services for the desk's tests: real sockets, real worker processes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import uvicorn

from newswatch.bundle import Bundle
from newswatch.service.app import create_app
from newswatch.service.settings import ServiceSettings

KEY = "a-key-of-thirty-two-characters-ab"


@contextmanager
def running_service(**settings: Any) -> Iterator[str]:
    """Run a service on a free port; its address."""
    app = create_app(ServiceSettings.load(workers=1, **settings))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = Thread(target=server.run)
    thread.start()
    until = time.monotonic() + 60
    while not server.started:
        assert thread.is_alive(), "the service did not start"
        assert time.monotonic() < until, "the service starts for too long"
        time.sleep(0.02)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(30)


@pytest.fixture(scope="session")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("desk") / "newswatch.db"


@pytest.fixture(scope="session")
def desk_url(bundle: Bundle, database: Path) -> Iterator[str]:
    """A service with a database, open to all."""
    with running_service(bundle=bundle.folder, database=database) as url:
        yield url


@pytest.fixture(scope="session")
def key() -> str:
    return KEY


@pytest.fixture(scope="session")
def guarded_url(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A service that asks for a key and fetches pages, without a database."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"analyst:{KEY}\n")
    keys.chmod(0o600)
    with running_service(bundle=bundle.folder, keys=keys, fetch=True, allow_hosts=("127.0.0.1",)) as url:
        yield url


@pytest.fixture(scope="session")
def site(samples: Path) -> Iterator[str]:
    """A web site of the sample articles."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(samples))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
