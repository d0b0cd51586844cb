"""The desk's routes, over a real socket."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from newswatch.desk.pages import FOLDER
from newswatch.prediction import Prediction
from newswatch.scorer import Article, Scorer
from newswatch.store import Store
from newswatch.text import Document

DENIAL = "The army denied that any checkpoint was handed over. There is no truth to the report, its spokesman said."


@pytest.fixture(scope="module")
def client(desk_url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=desk_url) as made:
        yield made


@pytest.fixture(scope="module")
def kept(client: httpx.Client, database: Path, scorer: Scorer) -> list[str]:
    """Ids of seven stored articles, the newest first: one a day, by turns of two outlets, the last without a prediction."""
    now = datetime.now(UTC)
    with Store.open(database) as store:
        ids = []
        for days in range(7):
            text = f"{DENIAL} It was day {days}."
            outlet = "Outlet A" if days % 2 else "Outlet B"
            ids.append(store.add_article(text, title=f"Day {days}", outlet=outlet, published=now - timedelta(days=days), id=f"seed/{days}"))
            if days < 6:
                store.add_prediction(ids[-1], made(scorer, text, f"Day {days}", "denial" if days < 4 else "talks"))
    return ids


def made(scorer: Scorer, text: str, title: str, tag: str) -> Prediction:
    """A prediction that carries `tag` alone, on the first sentence, with another tag for review."""
    (found,) = scorer.score([Article(text, None, title)])
    sentence = Document.read(text).sentences[0]
    return Prediction.from_dict(
        found.to_dict()
        | {
            "tags": [tag],
            "review": ["cooperation"],
            "evidence": {tag: [{"start": sentence.start, "end": sentence.end, "text": sentence.text, "score": 0.9, "field": "text"}]},
        }
    )


def test_page_and_its_files_bring_the_policy_and_nothing_from_outside(client: httpx.Client) -> None:
    paths = ["/", *(f"/desk/{file.name}" for file in FOLDER.iterdir())]
    assert len(paths) > 10
    for path in paths:
        answer = client.get(path)
        assert answer.status_code == 200
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:;")
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        outside = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}[^\"' ]*", answer.text))
        assert outside <= {"http://www.w3.org/2000/svg"}, path
        assert "innerHTML" not in answer.text
        assert "insertAdjacentHTML" not in answer.text
    page = client.get("/").text
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=", page)


@pytest.mark.parametrize(
    "path", ["/desk/../routes.py", "/desk/%2e%2e/routes.py", "/desk/..%2froutes.py", "/desk//etc/passwd", "/desk/no.js"]
)
def test_files_outside_the_folder_are_not_served(client: httpx.Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert "import" not in answer.text


def test_sentences_are_those_the_model_reads(client: httpx.Client) -> None:
    text, title = "🚨🚨 Heavy fire. هێزەکانی پێشمەرگە گەیشتن. It ended.", "Alarm 🚨"
    answer = client.post("/v1/sentences", json={"text": text, "title": title}).json()["sentences"]
    assert [(s["field"], s["start"], s["end"]) for s in answer] == [(s.field, s.start, s.end) for s in Document.read(text, title).sentences]
    assert text[answer[1]["start"] : answer[1]["end"]] == "🚨🚨 Heavy fire."


def test_article_is_kept_once_with_the_prediction_of_the_function(client: httpx.Client, database: Path, scorer: Scorer) -> None:
    given = {"text": f"{DENIAL} Nobody was hurt.", "title": "Denied", "outlet": "Pasted", "url": None}
    first, second = client.post("/v1/articles", json=given), client.post("/v1/articles", json=given)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    (expected,) = scorer.score([Article(given["text"] or "", None, "Denied")])
    assert first.json()["prediction"] == expected.to_dict()
    with Store.open(database) as store:
        assert [article.id for article in store.newest(outlet="Pasted")] == [first.json()["id"]]


def test_filters_and_pages_cover_every_article_once(client: httpx.Client, kept: list[str]) -> None:
    def ids(**query: str) -> list[str]:
        return [row["id"] for row in client.get("/v1/articles", params={"limit": "200", **query}).json()["articles"] if row["id"] in kept]

    day = client.get(f"/v1/articles/{kept[2]}").json()["time"][:10]
    assert ids() == kept
    assert ids(outlet="Outlet A") == kept[1::2]
    assert ids(tag="talks") == kept[4:6]
    assert ids(day=day) == [kept[2]]
    assert ids(tag="talks", outlet="Outlet B") == [kept[4]]
    assert ids(tag="no_such_tag") == []
    seen, before = [], None
    while True:
        page = client.get("/v1/articles", params={"limit": 2, **({"before": before} if before else {})}).json()
        assert len(page["articles"]) <= 2
        seen += [row["id"] for row in page["articles"]]
        before = page["next"]
        if before is None:
            break
    assert len(seen) == len(set(seen))
    assert [identity for identity in seen if identity in kept] == kept


@pytest.mark.parametrize(
    ("query", "status"), [({"limit": "0"}, 422), ({"limit": "201"}, 422), ({"day": "yesterday"}, 422), ({"before": "no such id"}, 404)]
)
def test_wrong_queries_are_refused(client: httpx.Client, query: dict[str, str], status: int) -> None:
    answer = client.get("/v1/articles", params=query)
    assert answer.status_code == status
    assert answer.json()["detail"]


def test_one_article_has_its_text_and_sentences(client: httpx.Client, kept: list[str]) -> None:
    found = client.get(f"/v1/articles/{kept[0]}").json()
    assert found["text"].startswith(DENIAL)
    assert [found[s["field"]][s["start"] : s["end"]] for s in found["sentences"]] == [
        s.text for s in Document.read(found["text"], "Day 0").sentences
    ]
    assert found["prediction"]["tags"] == ["denial"]
    unknown = client.get("/v1/articles/no/such")
    assert unknown.status_code == 404
    assert "no/such" in unknown.json()["detail"]


def test_counts_and_outlets_are_the_stores(client: httpx.Client, kept: list[str], database: Path) -> None:
    with Store.open(database) as store:
        expected, outlets = store.counts(10), store.outlets()
    days = client.get("/v1/counts", params={"days": 10}).json()["days"]
    assert {row["day"]: row["tags"] for row in days} == expected
    assert days == sorted(days, key=lambda row: row["day"])
    assert sum(row["tags"].get("talks", 0) for row in days) >= 2
    assert client.get("/v1/outlets").json()["outlets"] == outlets


def test_review_is_kept_and_leaves_the_queue(client: httpx.Client, kept: list[str], database: Path) -> None:
    def waiting() -> set[str]:
        return {row["id"] for row in client.get("/v1/queue", params={"limit": 200}).json()["articles"]}

    assert set(kept[:6]) <= waiting()
    sentence = "There is no truth to the report, its spokesman said."
    answer = client.post("/v1/reviews", json={"article": kept[5], "reviewer": "Layla", "tags": {"denial": [sentence]}, "note": "clear"})
    assert answer.status_code == 201
    assert kept[5] not in waiting()
    with Store.open(database) as store:
        review = store.get(kept[5]).review
        assert [article.id for article in store.newest(tag="talks", limit=200) if article.id in kept] == [kept[4]]
    assert review is not None
    assert (review.reviewer, review.tags, review.note) == ("Layla", {"denial": (sentence,)}, "clear")
    assert answer.json() == {
        "article": kept[5],
        "reviewer": "Layla",
        "tags": {"denial": [sentence]},
        "note": "clear",
        "created": review.created,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"tags": {"denial": ["This is not in the text."]}},
        {"tags": {"denial": []}},
        {"tags": {"no_such_tag": ["There is no truth to the report, its spokesman said."]}},
        {"article": "no such"},
        {"reviewer": "\ud800"},
        {"tags": {"\ud800": ["x"]}},
        {"note": "x" * 2001},
        {"extra": 1},
    ],
)
def test_wrong_reviews_are_refused(client: httpx.Client, kept: list[str], database: Path, change: dict[str, object]) -> None:
    body = {"article": kept[1], "reviewer": "", "tags": {}, "note": "", **change}
    answer = client.post("/v1/reviews", content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code == (404 if "article" in change else 422)
    assert answer.json()["detail"]
    with Store.open(database) as store:
        assert store.get(kept[1]).review is None


def test_schema_names_every_route(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in ("desk", "sentences", "articles", "articles/{identity}", "counts", "outlets", "queue", "reviews", "fetch"):
        assert f"/v1/{path}" in paths


def test_schemathesis_finds_no_fault(desk_url: str, kept: list[str]) -> None:
    schema = schemathesis.openapi.from_url(f"{desk_url}/openapi.json")
    operations = [found.ok() for found in schema.include(tag="desk").get_all_operations()]
    assert len(operations) == 10
    for operation in operations:

        @given(operation.as_strategy())
        @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
        def check(case: Any) -> None:
            # Whether a sentence occurs in the article, or a page may be fetched, no schema can say.
            case.call_and_validate(excluded_checks=[ignored_auth, positive_data_acceptance])

        check()


def test_another_text_at_the_same_address_is_another_article(client: httpx.Client) -> None:
    asked = {"url": "https://news.example/teaser", "outlet": "news.example"}
    first, second, again = (
        client.post("/v1/articles", json={**asked, "text": text}).json() for text in ("Officials met on Monday.", DENIAL, DENIAL)
    )
    assert second["id"] == again["id"] != first["id"]
    assert (first["text"], second["text"]) == ("Officials met on Monday.", DENIAL)
    assert second["story"] == first["story"]
    sentence = DENIAL.split(". ")[0] + "."
    assert client.post("/v1/reviews", json={"article": second["id"], "tags": {"denial": [sentence]}}).status_code == 201


@pytest.mark.parametrize(
    ("host", "status"), [("attacker.example:8000", 421), ("localhost:8000", 200), ("[::1]:8000", 200), ("127.0.0.5", 200)]
)
def test_without_keys_only_this_machines_names_are_answered(client: httpx.Client, host: str, status: int) -> None:
    answer = client.get("/v1/articles", headers={"host": host})
    assert answer.status_code == status
    assert status == 200 or "--name attacker.example" in answer.json()["detail"]


def test_pages_are_not_fetched_unless_asked(client: httpx.Client) -> None:
    assert client.get("/v1/desk").json() == {"database": True, "fetch": False}
    answer = client.post("/v1/fetch", json={"url": "http://127.0.0.1/"})
    assert answer.status_code == 403
    assert "--fetch" in answer.json()["detail"]


@pytest.fixture(scope="module")
def guarded(guarded_url: str, key: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=guarded_url, headers={"authorization": f"Bearer {key}"}) as made:
        yield made


def test_routes_ask_for_the_key_and_the_page_does_not(guarded: httpx.Client) -> None:
    for method, path in [
        *(("GET", f"/v1/{name}") for name in ("articles", "articles/x", "counts", "outlets", "queue", "model")),
        *(("POST", f"/v1/{name}") for name in ("sentences", "articles", "reviews", "fetch")),
    ]:
        assert guarded.request(method, path, json={}, headers={"authorization": "Bearer wrong"}).status_code == 401, path
    for path in ("/", "/desk/desk.js", "/v1/desk"):
        assert httpx.get(f"{guarded.base_url}{path}").status_code == 200


def test_without_a_database_the_routes_say_so(guarded: httpx.Client) -> None:
    assert guarded.get("/v1/desk").json() == {"database": False, "fetch": True}
    for answer in (
        guarded.get("/v1/articles"),
        guarded.get("/v1/queue"),
        guarded.post("/v1/reviews", json={"article": "x", "tags": {}}),
        guarded.post("/v1/articles", json={"text": "It rained."}),
    ):
        assert answer.status_code == 404
        assert "--database" in answer.json()["detail"]


def test_page_is_fetched_behind_the_guard(guarded: httpx.Client, site: str) -> None:
    answer = guarded.post("/v1/fetch", json={"url": f"{site}/erbil-marathon.html"})
    assert answer.status_code == 200
    page = answer.json()
    assert page["url"] == f"{site}/erbil-marathon.html"
    assert page["outlet"] == "127.0.0.1"
    assert "marathon" in page["text"].lower()
    for url, status in [
        ("http://localhost:1/", 422),
        ("http://[::1]/", 422),
        ("http://169.254.169.254/latest/meta-data", 422),
        ("file:///etc/passwd", 422),
        ("http://user:secret@127.0.0.1/", 422),
        (f"{site}/no-such-page", 502),
    ]:
        refused = guarded.post("/v1/fetch", json={"url": url})
        assert refused.status_code == status, url
        assert "secret" not in refused.text
