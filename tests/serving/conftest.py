"""A real service for the tests: `newswatch serve` in a process of its own, on a free port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from newswatch import Bundle


class RunningService:
    """A service that listens."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open("w") as stderr:
            self.process = subprocess.Popen(command, stderr=stderr, env=environment, cwd=log.parent)
        self.url = self._wait_for_url()
        self.http = httpx.Client(base_url=self.url, timeout=60, limits=httpx.Limits(max_connections=100))

    def _wait_for_url(self) -> str:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            if urls := [line["url"] for line in self.lines() if "url" in line]:
                return str(urls[0])
            time.sleep(0.05)
        raise AssertionError(f"the service did not start: {self.log.read_text()}")

    def lines(self) -> list[dict[str, Any]]:
        """What it logged; a line half written, or of another kind, is left out."""
        made = []
        for line in self.log.read_text().splitlines():
            if line.startswith("{") and line.endswith("}"):
                made.append(json.loads(line))
        return made

    def score(self, *texts: str, **query: object) -> httpx.Response:
        return self.http.post(
            "/v1/score", json={"articles": [{"text": text} for text in texts]}, params={k: str(v) for k, v in query.items()}
        )

    def ready(self) -> bool:
        return self.http.get("/readyz").status_code == 200

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def pause(self) -> None:
        """Stop all workers in their tracks, so that what is sent stays in flight."""
        for worker in self.workers():
            os.kill(worker, signal.SIGSTOP)

    def resume(self) -> None:
        for worker in self.workers():
            os.kill(worker, signal.SIGCONT)

    def metric(self, name: str) -> float:
        text = self.http.get("/metrics").text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))

    def wait(self, reached: Callable[[], bool], seconds: float = 20) -> float:
        """Wait until something is so; the seconds it took."""
        started = time.monotonic()
        while not reached():
            assert time.monotonic() - started < seconds, self.log.read_text()[-3000:]
            time.sleep(0.01)
        return time.monotonic() - started

    def memory(self) -> int:
        """Resident memory of the service's own process, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS"))

    def close(self) -> None:
        self.http.close()
        if self.process.poll() is None:
            self.resume()
            self.process.terminate()
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


Serve = Callable[..., RunningService]


@pytest.fixture(scope="module")
def serve(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start a service with flags; those with `None` are left out. All are ended with the module."""
    if not Path("/proc/self/status").exists():
        pytest.skip("workers are found and memory is read through /proc, which this system lacks")
    running: list[RunningService] = []

    def start(environment: dict[str, str] | None = None, **flags: object) -> RunningService:
        given = {"port": 0, "workers": 1, "bundle": bundle.folder, **flags}
        options = [f"--{name.replace('_', '-')}={value}" for name, value in given.items() if value is not None]
        command = [sys.executable, "-c", "from newswatch.cli import main; main()", "serve", *options]
        log = tmp_path_factory.mktemp("service") / "log.jsonl"
        made = RunningService(command, log, {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})})
        running.append(made)
        return made

    yield start
    for service in running:
        service.close()
