"""Runs that outlive their tracking server, and aliases whose registry is gone: real stores, a real server."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient

from newswatch import Bundle
from newswatch_training.registry import point_alias
from newswatch_training.tracking import local_uri, open_run


@dataclass(frozen=True)
class Server:
    """A tracking server in a process group of its own."""

    url: str
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{tmp_path / 'remote.db'}"]
    command += ["--artifacts-destination", str(tmp_path / "remote"), "--port", str(port), "--workers", "1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    made = Server(f"http://127.0.0.1:{port}", process)
    deadline = time.monotonic() + 60
    while not _answers(made):
        assert time.monotonic() < deadline, "the tracking server did not start"
        time.sleep(0.1)
    yield made
    if process.poll() is None:
        made.kill()


def _answers(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/health").is_success
    except httpx.TransportError:
        return False


def test_run_goes_on_in_the_local_store_when_its_server_goes_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "mlruns"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    with open_run("a-fit", store) as run:
        run.log_settings({"folds": 3})
        run.log_curve("loss", 0.9, 1)
        begun = run.id
        assert run.uri == server.url
        server.kill()
        run.log_curve("loss", 0.5, 2)
        run.log_metrics({"macro_f1": 0.8})
        assert run.id != begun
    assert capfd.readouterr().err.count("does not answer") == 1
    kept = MlflowClient(local_uri(store)).get_run(run.id)
    assert (kept.info.run_name, kept.info.status) == ("a-fit", "FINISHED")
    assert (kept.data.params, kept.data.metrics) == ({"folds": "3"}, {"loss": 0.5, "macro_f1": 0.8})
    assert kept.data.tags["begun_as"] == begun


def test_what_the_local_store_refuses_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.exceptions import MlflowException

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with open_run("a-fit", tmp_path / "mlruns") as run:
        run.log_settings({"folds": 3})
        with pytest.raises(MlflowException):
            run.log_settings({"folds": 4})  # a parameter never changes


def test_alias_in_a_store_that_is_gone_makes_no_store(bundle: Bundle, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gone = tmp_path / "moved" / "mlflow.db"
    point_alias(replace(bundle, manifest={**bundle.manifest, "mlflow": {"tracking_uri": f"sqlite:///{gone}"}}), "champion")
    assert "alias champion" in capfd.readouterr().err
    assert not gone.parent.exists()
