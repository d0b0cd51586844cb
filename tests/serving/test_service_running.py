"""The service under signals, overload, death and change: a real server with real workers that are stopped, killed and replaced."""

import json
import os
import resource
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from newswatch import Bundle

if TYPE_CHECKING:
    from tests.serving.conftest import RunningService, Serve

SHELLING = "Turkish artillery shelled a village near Amedi and two farmers were killed, the mayor said."


@pytest.fixture(autouse=True)
def _one_at_a_time(serve: "Serve") -> Iterator[None]:
    yield
    serve.close()


def in_flight(service: "RunningService", running: int, queued: int) -> Callable[[], bool]:
    return lambda: service.metric("newswatch_open_requests") == running + queued and service.metric("newswatch_queue_length") == queued


def replace_link(link: Path, target: Path) -> None:
    made = link.with_name("next")
    made.symlink_to(target)
    made.replace(link)


def versions(bundle: Bundle, folder: Path, names: str) -> list[Path]:
    """Copies of a bundle under other versions."""
    made = []
    for name in names:
        copy = shutil.copytree(bundle.folder, folder / name)
        (copy / "bundle.json").write_text(json.dumps({**bundle.manifest, "version": name}))
        made.append(copy)
    return made


def test_overload_is_answered_429_and_what_was_taken_succeeds(serve: "Serve") -> None:
    """One running and one queued, ten more: 429 with Retry-After each; the first two succeed."""
    service = serve(queue=1)
    service.pause()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(service.score, SHELLING)
        service.wait(in_flight(service, 1, 0))
        second = pool.submit(service.score, SHELLING)
        service.wait(in_flight(service, 1, 1))
        for _ in range(10):
            refused = service.score(SHELLING)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
        assert service.ready()
        service.resume()
        for taken in (first, second):
            assert taken.result().status_code == 200
            assert "turkish_shelling" in taken.result().json()["predictions"][0]["tags"]


def test_callers_share_batches_and_get_their_own_answers(serve: "Serve") -> None:
    """What queued up while the worker was busy is scored together, and each caller receives its own articles."""
    service = serve()
    service.pause()

    def send(number: int) -> httpx.Response:
        articles = [{"id": f"{number}-{n}", "text": SHELLING if number % 2 else "It rained."} for n in range(1 + number % 3)]
        return service.http.post("/v1/score", json={"articles": articles})

    with ThreadPoolExecutor(20) as pool:
        sent = [pool.submit(send, number) for number in range(20)]
        service.wait(lambda: service.metric("newswatch_open_requests") == 20)
        service.resume()
        for number, future in enumerate(sent):
            rows = future.result().json()["predictions"]
            assert [row["id"] for row in rows] == [f"{number}-{n}" for n in range(1 + number % 3)]
            assert all(("turkish_shelling" in row["tags"]) == bool(number % 2) for row in rows)


def test_time_out_is_504_at_the_limit_and_the_server_lives(serve: "Serve") -> None:
    """A worker that hangs costs its caller the time limit; then it is replaced, and the next request is answered."""
    service = serve(timeout=1)
    (hung,) = service.workers()
    service.pause()
    started = time.monotonic()
    assert service.score(SHELLING).status_code == 504
    assert 0.9 < time.monotonic() - started < 3
    assert service.http.get("/healthz").status_code == 200
    service.wait(lambda: hung not in service.workers() and service.ready())
    assert service.score(SHELLING).status_code == 200


def test_body_that_does_not_arrive_is_408(serve: "Serve") -> None:
    service = serve(timeout=1)
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
        assert connection.recv(200).startswith(b"HTTP/1.1 408")
    assert service.score(SHELLING).status_code == 200


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_signal_finishes_what_is_in_flight_and_refuses_new(serve: "Serve", name: str) -> None:
    service = serve()
    workers = service.workers()
    service.pause()
    with ThreadPoolExecutor(2) as pool:
        taken = [pool.submit(service.score, SHELLING) for _ in range(2)]
        service.wait(lambda: service.metric("newswatch_open_requests") == 2)
        started = time.monotonic()
        service.process.send_signal(getattr(signal, name))
        service.wait(lambda: not service.ready())
        refused = service.score(SHELLING)
        assert refused.status_code == 503
        assert "retry-after" in refused.headers
        service.resume()
        assert [future.result().status_code for future in taken] == [200, 200]
    assert service.process.wait(10) == 0
    assert time.monotonic() - started < 10
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)


def test_signal_ends_it_within_ten_seconds_even_if_a_worker_hangs(serve: "Serve") -> None:
    service = serve()
    (worker,) = service.workers()
    service.pause()
    with ThreadPoolExecutor(1) as pool:
        lost: Future[httpx.Response] = pool.submit(service.score, SHELLING)
        service.wait(in_flight(service, 1, 0))
        started = time.monotonic()
        service.process.terminate()
        assert service.process.wait(15) == 0
        assert time.monotonic() - started < 10
        error = lost.exception()
        assert isinstance(error, httpx.TransportError) or lost.result().status_code >= 500
    assert not Path(f"/proc/{worker}").exists()


def test_workers_end_when_the_service_is_killed(serve: "Serve") -> None:
    service = serve()
    (worker,) = service.workers()
    service.process.kill()
    service.process.wait()
    service.wait(lambda: not Path(f"/proc/{worker}").exists())


def test_worker_death_fails_what_it_had_and_is_mended(serve: "Serve") -> None:
    """In flight: 503. Not ready at once. Ready again within five seconds, with another process."""
    service = serve()
    (dead,) = service.workers()
    service.pause()
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(service.score, SHELLING)
        service.wait(in_flight(service, 1, 0))
        os.kill(dead, signal.SIGKILL)
        assert service.wait(lambda: not service.ready()) < 0.5
        answer = service.score(SHELLING)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert lost.result().status_code == 503
    assert service.wait(service.ready) < 5
    assert service.workers() not in ([dead], [])
    assert service.score(SHELLING).status_code == 200
    assert service.metric('newswatch_errors_total{kind="worker_death"}') == 1


def test_worker_that_no_file_is_left_for_is_started_later(serve: "Serve") -> None:
    service = serve()
    (dead,) = service.workers()
    pid = service.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{pid}/fd").iterdir())), before[1]))
    os.kill(dead, signal.SIGKILL)
    service.wait(lambda: "Too many open files" in service.log.read_text())
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert service.wait(service.ready) < 10
    assert service.score(SHELLING).status_code == 200


def test_a_page_being_fetched_does_not_hold_up_the_end(serve: "Serve") -> None:
    service = serve({"NEWSWATCH_FETCH": "1", "NEWSWATCH_ALLOW_HOSTS": '["127.0.0.1"]'})
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.http.post, "/v1/fetch", json={"url": f"http://127.0.0.1:{silent.getsockname()[1]}/"})
        silent.accept()
        service.process.terminate()
        assert service.process.wait(10) == 0
        assert asked.result().status_code == 502


def test_death_of_an_idle_worker_is_seen(serve: "Serve") -> None:
    service = serve(workers=2)
    first, second = service.workers()
    os.kill(first, signal.SIGKILL)
    service.wait(lambda: not service.ready(), 1)
    assert service.score(SHELLING).status_code == 200  # the other one scores on
    assert service.wait(service.ready) < 5
    assert second in service.workers()


def test_ten_swaps_under_load_fail_no_request(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    """The link changes ten times while requests come, fifty a second; each answer is of one bundle, and the last one stays."""
    targets = versions(bundle, tmp_path, "abcdefghij")
    link = tmp_path / "champion"
    link.symlink_to(bundle.folder)
    service = serve(bundle=link, watch=0.1)
    refusals: list[str] = []
    seen: list[str] = []
    ended = threading.Event()

    def call(articles: int) -> None:
        with httpx.Client(base_url=service.url, timeout=30) as http:
            while not ended.is_set():
                started = time.monotonic()
                answer = http.post("/v1/score", json={"articles": [{"text": SHELLING}] * articles})
                if answer.is_success:
                    (model,) = {row["model"] for row in answer.json()["predictions"]}
                    seen.append(model)
                else:
                    refusals.append(answer.text)
                time.sleep(max(0.0, 0.2 - (time.monotonic() - started)))

    callers = [threading.Thread(target=call, args=(articles,)) for articles in (20, 20, 1, 1, 1, 1, 1, 1, 1, 1)]
    for caller in callers:
        caller.start()
    for target in targets:
        replace_link(link, target)
        service.wait(lambda wanted=f"newswatch@{target.name}": seen[-1:] == [wanted])  # type: ignore[misc]
    ended.set()
    for caller in callers:
        caller.join()
    assert refusals == []
    assert len(seen) > 50
    assert list(dict.fromkeys(seen)) == [bundle.label, *(f"newswatch@{name}" for name in "abcdefghij")]
    service.wait(lambda: len(service.workers()) == 1)
    assert service.metric('newswatch_reloads_total{result="live"}') == 10


def test_bad_bundle_keeps_the_old_one_until_a_good_one_comes(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    good, bad, better = versions(bundle, tmp_path, "gbh")
    weights = bad / "linear.npz"
    raw = bytearray(weights.read_bytes())
    raw[len(raw) // 2] ^= 1
    weights.write_bytes(raw)
    link = tmp_path / "champion"
    link.symlink_to(good)
    (tmp_path / "admin").write_text("root:fedcba9876543210")
    service = serve(bundle=link, watch=0.1, admin_keys=tmp_path / "admin")
    key = {"authorization": "Bearer fedcba9876543210"}
    assert service.http.post("/v1/reload").status_code == 401
    assert service.http.post("/v1/reload", headers=key).json()["reloaded"] is False

    replace_link(link, bad)
    service.wait(lambda: service.metric('newswatch_reloads_total{result="kept_old"}') == 1)
    told = service.http.post("/v1/reload", headers=key)
    assert told.status_code == 409
    assert "linear.npz" in told.json()["detail"]
    assert service.score(SHELLING).json()["model"] == "newswatch@g"
    assert service.ready()
    assert any("linear.npz" in line["message"] and line["level"] == "ERROR" for line in service.lines())
    assert service.metric('newswatch_errors_total{kind="reload"}') == 2

    link.unlink()
    service.wait(lambda: service.metric('newswatch_reloads_total{result="kept_old"}') == 3)
    time.sleep(0.5)
    assert service.metric('newswatch_reloads_total{result="kept_old"}') == 3  # said once
    assert service.score(SHELLING).json()["model"] == "newswatch@g"

    link.symlink_to(better)
    service.wait(lambda: service.score(SHELLING).json()["model"] == "newswatch@h")


def test_reload_takes_up_the_new_bundle_at_once(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    (other,) = versions(bundle, tmp_path, "o")
    link = tmp_path / "champion"
    link.symlink_to(bundle.folder)
    (tmp_path / "admin").write_text("root:fedcba9876543210")
    service = serve(bundle=link, watch=3600, admin_keys=tmp_path / "admin")
    replace_link(link, other)
    answer = service.http.post("/v1/reload", headers={"authorization": "Bearer fedcba9876543210"}).json()
    assert (answer["reloaded"], answer["model"]) == (True, "newswatch@o")
    assert service.score(SHELLING).json()["model"] == service.http.get("/v1/model").json()["model"] == "newswatch@o"


def test_pinned_hash_holds_for_reloads_too(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    (other,) = versions(bundle, tmp_path, "o")
    link = tmp_path / "champion"
    link.symlink_to(bundle.folder)
    service = serve({"NEWSWATCH_BUNDLE_SHA256": bundle.sha256}, bundle=link, watch=0.1)
    replace_link(link, other)
    service.wait(lambda: service.metric('newswatch_reloads_total{result="kept_old"}') == 1)
    assert service.score(SHELLING).json()["model"] == bundle.label


def test_worker_comes_back_although_its_bundle_was_broken_for_a_while(serve: "Serve", bundle: Bundle, tmp_path: Path) -> None:
    (own,) = versions(bundle, tmp_path, "o")
    service = serve(bundle=own, watch=3600)
    weights = own / "linear.npz"
    weights.rename(own / "away")
    os.kill(service.workers()[0], signal.SIGKILL)
    service.wait(lambda: any("does not start" in line["message"] for line in service.lines()))
    assert service.score(SHELLING).status_code == 503
    (own / "away").rename(weights)
    service.wait(service.ready)
    assert service.score(SHELLING).status_code == 200
