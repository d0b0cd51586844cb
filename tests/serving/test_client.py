"""The client against a real service, and against servers that misbehave."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newswatch import Article, InputError, Prediction, Scorer
from newswatch.client import AsyncClient, Client, ServiceError
from newswatch.service.limits import MAX_BODY
from newswatch_labels.corpus import Corpus

if TYPE_CHECKING:
    from tests.serving.conftest import RunningService, Serve

SHELLING = "Turkish artillery shelled a village near Amedi and two farmers were killed, the mayor said."


@pytest.fixture(scope="module")
def service(serve: "Serve") -> "RunningService":
    return serve(queue=1)


def plain(predictions: list[Prediction]) -> list[object]:
    return [made.to_dict() for made in predictions]


def score_async(url: str, articles: list[str | Article], attempts: int = 6) -> list[Prediction]:
    async def score() -> list[Prediction]:
        async with AsyncClient(url, attempts=attempts) as client:
            return await client.score(articles)

    return asyncio.run(score())


def test_predictions_are_the_functions(service: "RunningService", scorer: Scorer, corpus: Corpus) -> None:
    articles: list[str | Article] = [Article(r.text, r.id, r.title) for r in corpus.records[:30]]
    articles.append("ISIS gunmen ambushed a patrol near Daquq. 🔥 داعش")
    expected = plain(scorer.score(articles))
    with Client(service.url) as client:
        assert plain(client.score(articles)) == expected
        assert [made.evidence for made in client.score(articles[:3], evidence=False)] == [{}, {}, {}]
        assert client.score([]) == []
    assert plain(score_async(service.url, articles)) == expected


def test_many_and_large_articles_go_in_parts(service: "RunningService", scorer: Scorer) -> None:
    """2,500 articles and 5 MB are more than one request may hold; they come back in order."""
    articles: list[str | Article] = [Article("It rained.", str(number)) for number in range(2_500)]
    large: list[str | Article] = [Article(" " * 900_000 + SHELLING, f"large {number}") for number in range(5)]
    before = service.metric('newswatch_requests_total{method="POST",route="/v1/score",status="200"}')
    with Client(service.url) as client:
        assert [made.id for made in client.score(articles)] == [str(number) for number in range(2_500)]
        made = client.score(large)
    assert [one.id for one in made] == [f"large {number}" for number in range(5)]
    assert all(one.evidence["turkish_shelling"][0].start == 900_000 for one in made)
    assert service.metric('newswatch_requests_total{method="POST",route="/v1/score",status="200"}') - before == 3 + 3


def test_model_and_ready(service: "RunningService", scorer: Scorer) -> None:
    async def ask() -> tuple[str, bool]:
        async with AsyncClient(service.url) as client:
            return (await client.model())["model"], await client.ready()

    assert asyncio.run(ask()) == (scorer.bundle.label, True)
    with Client(service.url) as client:
        assert (client.model()["model"], client.ready()) == (scorer.bundle.label, True)


@pytest.mark.parametrize(
    ("articles", "named"),
    [("text", "Put the text into a list"), (["ok", 3], "article 1"), (["a\udc80"], "article 0"), (["x" * MAX_BODY], "newswatch.Scorer")],
)
def test_what_cannot_be_scored_is_named_before_anything_is_sent(articles: object, named: str) -> None:
    with Client("http://127.0.0.1:9", attempts=1) as client, pytest.raises(InputError, match=named):
        client.score(articles)  # type: ignore[arg-type]


def test_overload_is_waited_out(service: "RunningService") -> None:
    """Both kinds of client keep trying while the service answers 429, and succeed once it has room."""
    service.pause()
    with ThreadPoolExecutor(4) as pool:
        filling = [pool.submit(service.score, SHELLING) for _ in range(2)]
        service.wait(lambda: service.metric("newswatch_open_requests") == 2)
        with Client(service.url, attempts=1) as hasty, pytest.raises(ServiceError, match="others wait") as refused:
            hasty.score([SHELLING])
        assert (refused.value.status, refused.value.retry_after, refused.value.passing) == (429, 1, True)
        with Client(service.url) as client:
            patient = [pool.submit(client.score, [SHELLING]), pool.submit(score_async, service.url, [SHELLING])]
            service.wait(lambda: service.metric('newswatch_requests_total{method="POST",route="/v1/score",status="429"}') >= 3)
            service.resume()
            assert all("turkish_shelling" in future.result()[0].tags for future in patient)
        assert [future.result().status_code for future in filling] == [200, 200]


def test_death_of_the_worker_is_waited_out(serve: "Serve") -> None:
    service = serve()
    os.kill(service.workers()[0], signal.SIGKILL)
    with Client(service.url) as client:
        assert "turkish_shelling" in client.score([SHELLING])[0].tags


def test_refusals_carry_the_services_message_and_are_not_tried_again(serve: "Serve", tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("one:0123456789abcdef\n")
    service = serve(keys=tmp_path / "keys")
    with Client(service.url, "wrong") as client, pytest.raises(ServiceError, match="a request with an unknown key") as refused:
        client.score([SHELLING])
    assert (refused.value.status, refused.value.passing) == (401, False)
    assert service.metric('newswatch_requests_total{method="POST",route="/v1/score",status="401"}') == 1
    with Client(service.url, "0123456789abcdef") as client:
        assert client.score([SHELLING])[0].tags


class Answers(BaseHTTPRequestHandler):
    """Answers `script`, one status and Retry-After a request, the last one for ever; notes when it was asked."""

    script: list[tuple[int, str | None, bytes]]
    asked: list[float]

    def do_POST(self) -> None:
        type(self).asked.append(time.monotonic())
        self.rfile.read(int(self.headers["content-length"]))
        status, after, body = self.script[min(len(self.asked), len(self.script)) - 1]
        self.send_response(status)
        if after is not None:
            self.send_header("retry-after", after)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def answers() -> Iterator[tuple[type[Answers], str]]:
    kind = type("Scripted", (Answers,), {"script": [], "asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield kind, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_attempts_are_bounded_and_retry_after_is_honoured(answers: tuple[type[Answers], str]) -> None:
    kind, url = answers
    kind.script = [(503, "1", b'{"detail": "ending"}')]
    with Client(url, attempts=3) as client, pytest.raises(ServiceError, match="status 503 from /v1/score: ending"):
        client.score(["a"])
    assert len(kind.asked) == 3
    assert all(later - earlier >= 1 for earlier, later in zip(kind.asked, kind.asked[1:], strict=False))
    kind.asked.clear()
    kind.script = [(429, None, b"")]
    with pytest.raises(ServiceError):
        score_async(url, ["a"], attempts=4)
    assert len(kind.asked) == 4
    pauses = [later - earlier for earlier, later in zip(kind.asked, kind.asked[1:], strict=False)]
    assert pauses[0] >= 0.1
    assert pauses[2] >= 0.4  # they grow


@pytest.mark.parametrize(
    ("status", "body", "named"),
    [(500, b"Internal Server Error", "Internal Server Error"), (502, b"<html>", "<html>"), (200, b"hello", "no JSON"), (404, b"[]", "404")],
)
def test_strange_answers_are_errors_of_ours(answers: tuple[type[Answers], str], status: int, body: bytes, named: str) -> None:
    kind, url = answers
    kind.script = [(status, None, body)]
    with Client(url) as client, pytest.raises(ServiceError, match=named):
        client.score(["a"])
    assert len(kind.asked) == 1


def test_nobody_there_is_an_error_of_ours_after_some_attempts() -> None:
    started = time.monotonic()
    with Client("http://127.0.0.1:9", attempts=3) as client:
        assert not client.ready()
        with pytest.raises(ServiceError, match="newswatch serve"):
            client.score(["a"])
    assert 0.3 < time.monotonic() - started < 10


def test_client_names_the_extra_that_is_missing() -> None:
    code = "import sys; sys.modules['httpx'] = None; from newswatch.client import Client; Client()"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'newswatch[client]'" in ended.stderr
