"""The service's routes, on a real server that runs in a process of its own."""

import gzip
import http.client
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import ignored_auth

from newswatch import Article, Bundle, Prediction, Scorer
from newswatch.service.limits import MAX_ARTICLES, MAX_BODY
from newswatch_labels.corpus import Corpus

if TYPE_CHECKING:
    from tests.serving.conftest import RunningService, Serve

SHELLING = "Turkish artillery shelled a village near Amedi and two farmers were killed, the mayor said."
JSON = {"content-type": "application/json"}
START = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
PREFIX = b'{"articles":[{"text":"'


@pytest.fixture(scope="module")
def service(serve: "Serve") -> "RunningService":
    return serve()


def post(service: "RunningService", raw: bytes | Iterator[bytes], headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
    return service.http.post("/v1/score", content=raw, headers={**JSON, **(headers or {})}, params=query)


def test_scores_are_the_functions(service: "RunningService", scorer: Scorer, corpus: Corpus) -> None:
    """A hundred articles, more than a slice, come back in order with the function's own values."""
    articles = [Article(r.text, r.id, r.title) for r in corpus.records[:100]]
    rows = [{"id": a.id, "text": a.text, "title": a.title} for a in articles]
    answer = service.http.post("/v1/score", json={"articles": rows}).json()
    assert answer["predictions"] == [made.to_dict() for made in scorer.score(articles)]
    assert answer["model"] == scorer.bundle.label


def test_service_adds_little_to_the_function(service: "RunningService", scorer: Scorer, corpus: Corpus) -> None:
    """The least of many differences, since the machine has other work; benchmarks/service_load.py measures the median."""
    connection = http.client.HTTPConnection(service.url.removeprefix("http://"), timeout=30)
    added = []
    for record in corpus.records[:100]:
        body = json.dumps({"articles": [{"text": record.text}]})
        started = time.perf_counter()
        scorer.score([record.text])
        middle = time.perf_counter()
        connection.request("POST", "/v1/score", body, JSON)
        assert len(connection.getresponse().read()) > 100
        added.append((time.perf_counter() - middle) - (middle - started))
    connection.close()
    assert sorted(added)[10] < 0.01


def test_query_leaves_out_evidence_and_scores(service: "RunningService") -> None:
    (whole,) = service.score(SHELLING).json()["predictions"]
    assert "turkish_shelling" in whole["tags"]
    assert whole["evidence"]["turkish_shelling"][0]["text"] == SHELLING
    (short,) = service.score(SHELLING, evidence="false", scores="false").json()["predictions"]
    assert short == {name: value for name, value in whole.items() if name not in {"evidence", "scores"}}
    refused = service.score(SHELLING, evidence="perhaps")
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "query.evidence"


@pytest.mark.parametrize(
    "text",
    ["", "\0", "قتل اثنان في هجوم لداعش قرب داقوق", "هێرشێکی داعش لە داقوق", "🔥 ISIS attacked 🔥", "<p>Two policemen died.</p>", "\u202e"],
)
def test_odd_text_is_scored(service: "RunningService", scorer: Scorer, text: str) -> None:
    assert service.score(text).json()["predictions"] == [scorer.score([text])[0].to_dict()]


@pytest.mark.parametrize(
    ("raw", "status", "field"),
    [
        (b"", 422, "body"),
        (b"not json", 422, "body"),
        (b"[]", 422, "body"),
        (b"{}", 422, "articles"),
        (b'{"articles":[]}', 422, "articles"),
        (b'{"articles":{}}', 422, "articles"),
        (b'{"articles":[{}]}', 422, "articles.0.text"),
        (b'{"articles":[{"text":"a"},{"text":3}]}', 422, "articles.1.text"),
        (b'{"articles":[{"text":null}]}', 422, "articles.0.text"),
        (b'{"articles":[{"text":"a","title":["x"]}]}', 422, "articles.0.title"),
        (b'{"articles":[{"text":"a","id":7}]}', 422, "articles.0.id"),
        (b'{"articles":[{"text":"a","colour":"red"}]}', 422, "articles.0.colour"),
        (b'{"articles":[{"text":"a"}],"more":1}', 422, "more"),
        (b'{"articles":[{"text":NaN}]}', 422, "articles.0.text"),
        (b'{"articles":[{"text":"a"}],"x":NaN}', 422, "x"),
        (b'{"articles":[{"text":Infinity}]}', 422, "articles.0.text"),
        (b'{"articles":[{"text":"a","id":-Infinity}]}', 422, "articles.0.id"),
        (PREFIX + b'\\ud83d"}]}', 422, "body"),
        (PREFIX + b'\\udc80 x"}]}', 422, "body"),
        (PREFIX + b'\xff"}]}', 422, "body"),
        (PREFIX + b'\xed\xa0\x80"}]}', 422, "body"),
        (b'{"articles":' + b"[" * 101 + b"]" * 101 + b"}", 422, "articles.0"),
        (b'{"articles":' + b"[" * 100_000, 422, "body"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 422, "body"),
        (b'{"articles":[{"text":"a"}]} x', 422, "body"),
        (b'{"articles":[{"text":"a","id":"' + b"i" * 1001 + b'"}]}', 422, "articles.0.id"),
        (b'{"articles":[' + b",".join([b'{"text":""}'] * (MAX_ARTICLES + 1)) + b"]}", 422, "articles"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_what_is_malformed_is_named(service: "RunningService", raw: bytes, status: int, field: str) -> None:
    answer = post(service, raw)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (status, field), answer.text


def test_a_thousand_articles_are_taken(service: "RunningService") -> None:
    assert len(service.score(*["It rained."] * MAX_ARTICLES).json()["predictions"]) == MAX_ARTICLES


def test_body_of_two_mebibytes_is_taken_and_one_byte_more_is_not(service: "RunningService") -> None:
    fits = PREFIX + b" " * (MAX_BODY - len(PREFIX) - 4) + b'"}]}'
    assert len(fits) == MAX_BODY
    assert post(service, fits).status_code == 200
    assert post(service, fits + b" ").status_code == 413
    assert post(service, iter([fits, b" "])).status_code == 413  # chunked, no length named


def test_endless_body_is_refused_while_it_streams(service: "RunningService") -> None:
    """The server answers although the body never ends."""
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(START + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = b""
        ended = threading.Event()

        def pour() -> None:
            while not ended.is_set():
                try:
                    connection.sendall(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                except OSError:
                    return

        pouring = threading.Thread(target=pour)
        pouring.start()
        answer = connection.recv(200)
        ended.set()
        pouring.join()
    assert answer.startswith(b"HTTP/1.1 413")


def test_a_length_that_is_too_large_is_refused_before_the_body(service: "RunningService") -> None:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(START + b"Content-Length: 9000000000\r\n\r\n{")
        assert connection.recv(200).startswith(b"HTTP/1.1 413")


def test_floods_and_bombs_do_not_grow_memory(service: "RunningService") -> None:
    """Bodies over the limit leave nothing behind; compressed ones are refused unread."""
    over = PREFIX + b"x" * (MAX_BODY + 1) + b'"}]}'
    for _ in range(20):  # the allocator takes its fill
        assert post(service, iter([over[start : start + 65536] for start in range(0, len(over), 65536)])).status_code == 413
    before = service.memory()
    for number in range(100):
        parts = iter([over[start : start + 65536] for start in range(0, len(over), 65536)])
        assert post(service, over if number % 2 else parts).status_code == 413
    assert service.memory() - before < 2**20
    bomb = gzip.compress(PREFIX + b" " * 100_000_000 + b'"}]}', compresslevel=1)[: MAX_BODY // 2]
    for encoding in ("gzip", "deflate", "br", "x-gzip", "GZIP"):
        assert post(service, bomb, {"content-encoding": encoding}).status_code == 415
    assert service.memory() - before < 2**20


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", ""])
def test_other_content_types_are_refused(service: "RunningService", kind: str) -> None:
    assert post(service, b'{"articles":[{"text":"a"}]}', {"content-type": kind}).status_code == 415


TRAVERSALS = [
    f"{root}{climb}{target}"
    for root in ("/", "/v1/", "/v1/model/", "/docs/")
    for climb, target in [
        ("../../", "etc/passwd"),
        ("..%2f..%2f", "etc%2fpasswd"),
        ("%2e%2e/%2e%2e/", "etc/passwd"),
        ("..\\..\\", "windows"),
        ("....//....//", "etc/passwd"),
        ("%00", "bundle.json"),
        ("..%c0%af..%c0%af", "etc/passwd"),
    ]
]


@pytest.mark.parametrize("path", TRAVERSALS)
def test_paths_do_not_climb(service: "RunningService", path: str) -> None:
    """The path is sent as it stands: no client normalises it."""
    host = service.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=30)
    connection.putrequest("GET", path, skip_host=False)
    connection.endheaders()
    answer = connection.getresponse()
    assert 400 <= answer.status < 500
    assert b"root:" not in answer.read()
    connection.close()


def test_model_says_what_is_live(service: "RunningService", bundle: Bundle) -> None:
    said = service.http.get("/v1/model").json()
    assert (said["model"], said["sha256"]) == (bundle.label, bundle.sha256)
    assert [tag["name"] for tag in said["scheme"]["tags"]] == list(bundle.scheme.names)
    assert said["thresholds"]["denial"]["threshold"] == bundle.decision.rules["denial"].threshold
    assert said["mlflow"] == bundle.manifest["mlflow"]


def test_health(service: "RunningService") -> None:
    assert service.http.get("/healthz").json() == {"status": "alive"}
    assert service.http.get("/readyz").json() == {"status": "ready"}


def test_metrics_count_what_is_scored(service: "RunningService", bundle: Bundle) -> None:
    names = [
        "newswatch_articles_total",
        'newswatch_tags_total{tag="turkish_shelling"}',
        "newswatch_review_articles_total",
        'newswatch_requests_total{method="POST",route="/v1/score",status="200"}',
        'newswatch_request_seconds_count{route="/v1/score"}',
        'newswatch_requests_total{method="POST",route="/v1/score",status="422"}',
        'newswatch_score_bucket{le="+Inf",tag="turkish_shelling"}',
        'newswatch_score_sum{tag="turkish_shelling"}',
    ]
    before = [service.metric(name) for name in names]
    made = service.score(SHELLING, "It rained.", SHELLING).json()["predictions"]
    post(service, b"{")
    after = [service.metric(name) for name in names]
    carried = sum("turkish_shelling" in row["tags"] for row in made)
    review = sum(bool(row["review"]) for row in made)
    *counts, total = (b - a for a, b in zip(before, after, strict=True))
    assert list(map(round, counts)) == [3, carried, review, 1, 2, 1, 3]
    assert total == pytest.approx(sum(row["scores"]["turkish_shelling"] for row in made), abs=1e-5)
    assert carried == 2
    assert service.metric(f'newswatch_model_info{{model="{bundle.label}",sha256="{bundle.sha256}"}}') == 1
    assert service.metric("newswatch_ready") == 1
    assert service.metric("newswatch_queue_length") == service.metric("newswatch_open_requests") == 0


def test_unknown_paths_make_no_metric_of_their_own(service: "RunningService") -> None:
    assert service.http.get("/secret-path-of-mine").status_code == 404
    assert "secret-path-of-mine" not in service.http.get("/metrics").text
    assert "secret-path-of-mine" not in service.log.read_text()


@pytest.mark.parametrize("given", ["abc-123.X_9", "a" * 64])
def test_request_id_comes_back_and_is_logged(service: "RunningService", given: str) -> None:
    answer = service.http.get("/v1/model", headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    service.wait(lambda: any(line.get("request_id") == given and line["status"] == 200 for line in service.lines()))


@pytest.mark.parametrize("given", ["", "a" * 65, "a b", 'x"}', "\x01", "../a"])
def test_request_id_that_is_not_sane_is_replaced(service: "RunningService", given: str) -> None:
    made = service.http.get("/healthz", headers={"x-request-id": given}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_reload_is_refused_where_no_admin_key_is_configured(service: "RunningService") -> None:
    assert service.http.post("/v1/reload").status_code == 403
    assert service.http.post("/v1/reload", headers={"authorization": "Bearer x"}).status_code == 403


def test_docs_name_no_outside_address(service: "RunningService") -> None:
    page = service.http.get("/docs")
    assert page.status_code == 200
    assert "/v1/score" in page.text
    assert not re.search(r"https?://|//[a-z]", page.text)
    assert "script-src" not in page.headers["content-security-policy"]


def test_openapi_holds_examples_and_the_body(service: "RunningService") -> None:
    schema = service.http.get("/openapi.json").json()
    body = schema["components"]["schemas"]["ScoreRequest"]
    assert body["properties"]["articles"]["maxItems"] == MAX_ARTICLES
    for example in body["examples"]:
        assert service.http.post("/v1/score", json=example).status_code == 200
    for example in schema["components"]["schemas"]["ScoredArticle"]["examples"]:
        assert Prediction.from_dict(example).to_dict() == example


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5
)
ARTICLES = st.fixed_dictionaries(
    {}, optional={"text": st.text() | VALUES, "title": st.text() | VALUES, "id": st.text() | VALUES, "x": VALUES}
)


@given(st.fixed_dictionaries({}, optional={"articles": st.lists(ARTICLES, max_size=4) | VALUES, "y": VALUES}) | VALUES)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_fuzz_of_bodies_is_answered(service: "RunningService", body: Any) -> None:
    assert post(service, json.dumps(body).encode()).status_code in {200, 422}


@given(st.binary(max_size=200))
@settings(max_examples=80, deadline=None)
def test_fuzz_of_bytes_is_answered(service: "RunningService", raw: bytes) -> None:
    assert post(service, PREFIX + raw + b'"}]}').status_code in {200, 422}


@pytest.mark.parametrize("with_keys", [True, False])
def test_schemathesis_finds_no_fault(service: "RunningService", serve: "Serve", tmp_path: Path, with_keys: bool) -> None:
    """Every operation, with cases that follow its schema and cases that do not: statuses and answers are as documented."""
    if with_keys:
        (tmp_path / "keys").write_text("one:0123456789abcdef")
        service = serve(keys=tmp_path / "keys", admin_keys=tmp_path / "keys")
    headers = {"authorization": "Bearer 0123456789abcdef"} if with_keys else None
    schema = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert {operation.path for operation in operations} >= {"/v1/score", "/v1/model", "/v1/reload", "/healthz", "/readyz", "/metrics"}
    for operation in operations:
        if operation.path == "/v1/reload" and not with_keys:
            continue  # refused always

        @given(operation.as_strategy())
        @settings(max_examples=20 if operation.path == "/v1/score" else 4, deadline=None, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            case.call_and_validate(headers=headers, excluded_checks=[ignored_auth])

        check()
