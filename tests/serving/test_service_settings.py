"""Where the service's settings come from, who may call it, and what it keeps to itself."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newswatch import Bundle, InputError
from newswatch.service.keys import Keys
from newswatch.service.refusals import Unauthorised
from newswatch.service.settings import ServiceSettings

if TYPE_CHECKING:
    from tests.serving.conftest import Serve

KEY, ADMIN = "canary-7f3a9c51e2d84b60", "canary-admin-0b1c2d3e4f5a"
SHELLING = "Turkish artillery shelled a village near Amedi and two farmers were killed, the mayor said."


def test_flags_come_before_environment_before_file_before_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "service.toml"
    file.write_text('port = 1\nqueue = 2\ntimeout = 3.5\nbundle = "from-file"\n')
    monkeypatch.setenv("NEWSWATCH_QUEUE", "20")
    monkeypatch.setenv("NEWSWATCH_TIMEOUT", "30.5")
    monkeypatch.setenv("NEWSWATCH_SETTINGS", str(file))
    made = ServiceSettings.load(timeout=300, drain=None)
    assert (made.port, made.queue, made.timeout, made.drain, made.bundle) == (1, 20, 300, 6, Path("from-file"))
    monkeypatch.delenv("NEWSWATCH_SETTINGS")
    assert ServiceSettings.load(settings=file).port == 1
    assert ServiceSettings.load().port == 8000


def test_bundle_and_threads_keep_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSWATCH_BUNDLE", "some/folder")
    monkeypatch.setenv("NEWSWATCH_THREADS", "3")
    made = ServiceSettings.load(workers=2)
    assert (made.bundle, made.worker_threads) == (Path("some/folder"), 3)
    monkeypatch.delenv("NEWSWATCH_THREADS")
    assert ServiceSettings.load(workers=64).worker_threads == 1


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("colour = 1", "colour"),
        ('port = "x"', "port"),
        ("queue = 0", "queue"),
        ("port = [", "TOML"),
        (None, "No such file"),
        ("timeout = nan", "timeout"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path: Path, content: str | None, named: str) -> None:
    file = tmp_path / "service.toml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=named):
        ServiceSettings.load(settings=file)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "news.example.org", ""])
def test_other_addresses_need_keys(tmp_path: Path, host: str) -> None:
    with pytest.raises(InputError, match="--keys"):
        ServiceSettings.load(host=host)
    assert ServiceSettings.load(host=host, keys=tmp_path).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.5", "::1", "localhost"])
def test_loopback_needs_no_keys(host: str) -> None:
    assert ServiceSettings.load(host=host).loopback


def command(*options: str) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-c", "from newswatch.cli import main; main()", "serve", *options]
    return subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)


def test_command_says_why_it_does_not_start(bundle: Bundle, tmp_path: Path) -> None:
    for options, named in [
        (["--host=0.0.0.0"], "no API keys are configured"),
        ([f"--bundle={tmp_path / 'none'}"], "no bundle at"),
        ([f"--bundle={bundle.folder}", f"--keys={tmp_path / 'none'}"], "a readable file of API keys"),
        ([f"--bundle={bundle.folder}", "--host=203.0.113.7", f"--keys={__file__}"], "a second time"),
    ]:
        ended = command("--port=0", *options)
        assert ended.returncode == 1, ended.stderr
        assert named in ended.stderr
        assert ended.stderr.startswith("error: ")
        assert "Traceback" not in ended.stderr


def test_damaged_bundle_and_taken_port_end_the_start_with_their_own_error(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text("{}")
    ended = command("--port=0", f"--bundle={tmp_path}")
    assert (ended.returncode, "bundle.json" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)
    taken = serve().url.rpartition(":")[2]
    ended = command(f"--port={taken}", f"--bundle={bundle.folder}")
    assert (ended.returncode, f"port {taken}" in ended.stderr, "Traceback" in ended.stderr) == (1, True, False)


def test_serve_names_the_extra_that_is_missing() -> None:
    block = "import sys; sys.modules['uvicorn'] = None; sys.modules['fastapi'] = None; from newswatch.cli import main; main()"
    ended = subprocess.run([sys.executable, "-c", block, "serve"], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'newswatch[serve]'" in ended.stderr


@pytest.mark.parametrize(
    "content",
    [
        "",
        "# none\n",
        "no colon",
        "name:",
        ":0123456789abcdef",
        "a:tooshort",
        "a:0123456789abcdef\na:0123456789abcdeg",
        "a:ключ-ключ-ключ-ключ",
        "\xff",
    ],
)
def test_malformed_key_files_are_refused_without_quoting_them(tmp_path: Path, content: str) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content.encode("latin-1" if content == "\xff" else "utf-8"))
    with pytest.raises(InputError) as caught:
        Keys.read(file)
    assert "0123456789" not in str(caught.value)
    assert "tooshort" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer x", "Basic 0123456789abcdef", "0123456789abcdef", "Bearer 0123456789abcde", "Bearer é"]
)
def test_only_a_known_key_has_an_owner(tmp_path: Path, given: str | None) -> None:
    (tmp_path / "keys").write_text("# who: what\n\nfirst: 0123456789abcdef\nsecond:with:colon:0123456789\n")
    keys = Keys.read(tmp_path / "keys")
    assert keys.owner("Bearer 0123456789abcdef") == "first"
    assert keys.owner("bearer with:colon:0123456789") == "second"
    with pytest.raises(Unauthorised):
        keys.owner(given)


def test_every_key_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No comparison is left out once one has matched, and none is done but by hmac.compare_digest."""
    import hmac

    compared: list[bytes] = []

    def compare(given: bytes, key: bytes) -> bool:
        compared.append(key)
        return real(given, key)

    real = hmac.compare_digest
    (tmp_path / "keys").write_text("first:0123456789abcdef\nsecond:0123456789abcdeg\nthird:0123456789abcdeh\n")
    keys = Keys.read(tmp_path / "keys")
    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert keys.owner("Bearer 0123456789abcdef") == "first"
    assert compared == [b"0123456789abcdef", b"0123456789abcdeg", b"0123456789abcdeh"]


def test_keys_guard_every_route_that_scores_and_are_told_to_nobody(serve: "Serve", tmp_path: Path) -> None:
    """401 without a key or with a bad one; the reload takes its own key alone; no key is in the log or the metrics."""
    (tmp_path / "keys").write_text(f"desk:{KEY}\n")
    (tmp_path / "admin").write_text(f"root:{ADMIN}\n")
    service = serve(keys=tmp_path / "keys", admin_keys=tmp_path / "admin")
    body = {"articles": [{"text": SHELLING}]}

    def status(method: str, path: str, key: str | None) -> int:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return service.http.request(method, path, headers=headers, json=body if method == "POST" else None).status_code

    for key, expected in [(None, 401), ("wrong", 401), (KEY + "0", 401), (ADMIN, 401), (KEY, 200)]:
        assert status("POST", "/v1/score", key) == expected
        assert status("GET", "/v1/model", key) == expected
    for key, expected in [(None, 401), (KEY, 401), (ADMIN, 200)]:
        assert status("POST", "/v1/reload", key) == expected
    assert service.http.post("/v1/score", json=body).headers["www-authenticate"] == "Bearer"
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json"):
        assert status("GET", path, None) == 200

    # keys where they do not belong
    service.http.post("/v1/score", params={"key": KEY, "evidence": KEY}, json=body, headers={"authorization": f"Bearer {KEY}"})
    service.http.post("/v1/score", json={"articles": [{"text": "a", "id": 1, KEY: KEY}]}, headers={"authorization": f"Bearer {KEY}"})
    service.http.get(f"/v1/{KEY}", headers={"authorization": f"Bearer {KEY}", "x-request-id": f"{KEY} {KEY}"})
    service.http.get("/v1/model", headers={"authorization": KEY, "x-api-key": KEY, "cookie": f"key={KEY}", "user-agent": KEY})
    metrics = service.http.get("/metrics").text
    service.process.terminate()
    assert service.process.wait(10) == 0
    log = service.log.read_text()
    assert '"caller": "desk"' in log
    for secret in (KEY, ADMIN):
        assert secret not in log
        assert secret not in metrics


def test_service_and_client_import_no_pickle_and_nothing_heavy() -> None:
    """The worker needs no web framework; the service imports none of the training packages."""
    heavy = ["torch", "transformers", "datasets", "mlflow", "sklearn", "scipy", "pandas", "matplotlib"]
    for module, blocked in [
        ("newswatch.service.worker", ["fastapi", "uvicorn", "pydantic", "prometheus_client", "httpx", *heavy]),
        ("newswatch.client", ["fastapi", "uvicorn", "pydantic", "httpx", "tenacity", *heavy]),
        ("newswatch.service.server", heavy),
    ]:
        code = f"import sys; sys.modules.update(dict.fromkeys({blocked!r})); import {module}"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env={**os.environ})
        assert ended.returncode == 0, ended.stderr
