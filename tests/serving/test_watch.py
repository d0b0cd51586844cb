import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from tenacity import wait_none
from tests.serving.local_site import Reply, Site, serve_site
from typer.testing import CliRunner

from newswatch import Bundle, InputError, Scorer
from newswatch.cli import app
from newswatch.store import Store
from newswatch.watch import fetcher as fetching
from newswatch.watch import patience
from newswatch.watch.address import RefusedError
from newswatch.watch.alerts import AlertRule
from newswatch.watch.feed import MAX_ENTRIES, parse_feed
from newswatch.watch.fetcher import Fetcher
from newswatch.watch.ledger import Ledger
from newswatch.watch.lock import only_watcher
from newswatch.watch.stopping import Stopping
from newswatch.watch.stories import StoryIndex
from newswatch.watch.watcher import Round, Watcher, check_sources

__all__ = ["serve_site"]

AMBUSH = (
    "ISIS gunmen ambushed a patrol of the federal police near the village of Daquq south of Kirkuk on Monday night.\n"
    "Two policemen were killed and three more were wounded, a police captain told reporters on Tuesday morning.\n"
    "The attackers fled towards the Hamrin mountains before reinforcements could reach the road, he said."
)
MARKET = (
    "The municipality of Erbil opened a new vegetable market in the east of the city on Wednesday.\n"
    "Traders had asked for one for years, since the old market floods every winter and has no place for lorries.\n"
    "The mayor said that a second one would follow next spring if the council finds the money for it."
)


def other_ambush(number: int) -> str:
    names = [f"{word}{number}" for word in ("Zarqa", "Hilwa", "Tal", "Umm", "Wadi", "Bani", "Khirbat", "Abu", "Nahr", "Sidra")]
    villages = " and ".join(names)
    return (
        f"ISIS gunmen attacked an army post near {names[0]} and killed {number + 2} soldiers, the mayor of {names[1]} said on Monday.\n"
        f"People of {villages} heard the shots at night.\nReinforcements came from {names[2]} by way of {names[3]} at dawn."
    )


@pytest.fixture(autouse=True)
def _no_back_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_BACK_OFF", wait_none())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "newswatch.db") as opened:
        yield opened


def run(scorer: Scorer, database: Store, *sources: str, rule: AlertRule | None = None) -> Round:
    """One round of a watcher that has just been started."""
    with Fetcher(["127.0.0.1"], delay=0) as fetcher:
        return Watcher(scorer, database, fetcher, Stopping(), rule).run(sources)


def test_feed_is_read_scored_and_asked_for_conditionally(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)}, ETag='"v1"', **{"Last-Modified": "yesterday"})
    done = run(scorer, database, f"{site.url}/feed")
    assert done.faults == []
    assert [(a.title, a.url, a.outlet, a.partial) for a in done.articles] == [
        ("Ambush", f"{site.url}/a", "127.0.0.1", False),
        ("Market", f"{site.url}/b", "127.0.0.1", False),
    ]
    (market, ambush) = database.newest()
    assert ambush.prediction is not None
    assert "isis_attack" in ambush.prediction.tags
    assert market.text.split("\n")[-3:] == MARKET.split("\n")
    assert "Home" not in market.text
    site.requests.clear()
    assert run(scorer, database, f"{site.url}/feed") == Round()
    assert site.paths() == ["/feed"]
    assert site.requests[0].headers["if-modified-since"] == "yesterday"


def test_only_new_entries_are_fetched(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH)})
    run(scorer, database, f"{site.url}/feed")
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)})
    site.requests.clear()
    assert [a.title for a in run(scorer, database, f"{site.url}/feed").articles] == ["Market"]
    assert "/a" not in site.paths()


@pytest.mark.parametrize("refusal", ["robots", "gone", "private", "no article"])
def test_page_that_is_refused_is_replaced_by_the_feeds_own_text(refusal: str, scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH)})
    if refusal == "robots":
        site.answers["/robots.txt"] = Reply("User-agent: *\nDisallow: /a")
    elif refusal == "gone":
        site.answers["/a"] = Reply(status=410)
    elif refusal == "no article":
        site.answers["/a"] = Reply(b"%PDF-1.4 \x00\x01")
    else:
        site.url = f"http://localhost:{site.port}"
        site.publish("/feed", {"/a": ("Ambush", AMBUSH)})
    (article,) = run(scorer, database, f"http://127.0.0.1:{site.port}/feed").articles
    assert (article.text, article.partial) == ("Ambush teaser", True)
    assert ("/a" in site.paths()) == (refusal in ("gone", "no article"))


def test_page_that_fails_is_tried_in_three_rounds(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)}, ETag='"v1"')
    page, site.answers["/a"] = site.answers["/a"], Reply(status=502)
    first = run(scorer, database, f"{site.url}/feed")
    assert [a.title for a in first.articles] == ["Market"]
    assert "status 502" in str(first.faults[0])
    assert run(scorer, database, f"{site.url}/feed").articles == []
    assert all("if-none-match" not in request.headers for request in site.requests)
    assert [(a.title, a.partial) for a in run(scorer, database, f"{site.url}/feed").articles] == [("Ambush", True)]
    site.answers["/a"] = page
    run(scorer, database, f"{site.url}/feed")
    assert site.requests[-1].headers["if-none-match"] == '"v1"'
    assert len(database.newest()) == 2


def test_page_that_recovers_is_read_whole(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH)})
    page, site.answers["/a"] = site.answers["/a"], Reply(status=502)
    assert run(scorer, database, f"{site.url}/feed").articles == []
    site.answers["/a"] = page
    assert [a.partial for a in run(scorer, database, f"{site.url}/feed").articles] == [False]


def test_feed_that_asks_for_peace_gets_it(scorer: Scorer, database: Store, site: Site) -> None:
    site.answers["/feed"] = Reply(status=429, headers={"Retry-After": "3600"})
    assert len(run(scorer, database, f"{site.url}/feed").faults) == 1
    assert run(scorer, database, f"{site.url}/feed") == Round()
    assert site.paths() == ["/feed"]


def test_host_that_asks_for_peace_costs_its_pages_no_try(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)}, ETag='"v1"')
    site.answers["/a"] = Reply(status=503, headers={"Retry-After": "3600"})
    done = run(scorer, database, f"{site.url}/feed")
    assert (done.articles, len(done.faults)) == ([], 1)
    assert "/b" not in site.paths()
    assert [row["tries"] for row in database.rows("SELECT tries FROM attempts")] == [1]


def test_failing_feed_does_not_end_the_round(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Market", MARKET)})
    done = run(scorer, database, f"{site.url}/none", "http://10.0.0.1/feed", f"{site.url}/feed")
    assert [a.title for a in done.articles] == ["Market"]
    assert ["404" in str(done.faults[0]), isinstance(done.faults[1], RefusedError)] == [True, True]


def test_near_duplicates_are_one_story(scorer: Scorer, database: Store, site: Site) -> None:
    copy = AMBUSH.replace("Monday night", "late Monday").replace(" on Tuesday morning", "")
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)})
    site.publish("/other", {"/c": ("Patrol hit", copy), "/d": ("Post hit", other_ambush(1))})
    rule = AlertRule(("isis_attack",), f"{site.url}/hook")
    site.answers["/hook"] = Reply()
    run(scorer, database, f"{site.url}/feed", rule=rule)
    run(scorer, database, f"{site.url}/other", rule=rule)
    stories = {article.title: article.story for article in database.newest()}
    assert stories["Patrol hit"] == stories["Ambush"]
    assert len(set(stories.values())) == 3
    told = [json.loads(request.body) for request in site.requests if request.method == "POST"]
    assert [(t["title"], t["tags"], t["story"]) for t in told] == [
        ("Ambush", ["isis_attack"], stories["Ambush"]),
        ("Post hit", ["isis_attack"], stories["Post hit"]),
    ]
    assert told[0]["prediction"]["evidence"]["isis_attack"]
    keys = [request.headers["idempotency-key"] for request in site.requests if request.method == "POST"]
    assert keys == [t["key"] for t in told]
    assert len(set(keys)) == 2


def test_stories_end_after_a_week(database: Store) -> None:
    index = StoryIndex(database)
    start = datetime(2026, 11, 1, tzinfo=UTC)
    index.add("a", AMBUSH, "a", start)
    index.add("b", MARKET, "b", start + timedelta(days=6))
    copy = AMBUSH.replace("Monday night", "Sunday")
    assert (index.find(AMBUSH), index.find(copy), index.find(other_ambush(1)), index.find("Too short a text.")) == ("a", "a", None, None)
    index.add("c", other_ambush(2), "c", start + timedelta(days=8))
    assert (index.find(AMBUSH), index.find(MARKET)) == (None, "b")


def test_alert_waits_for_a_webhook_that_fails(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Post", other_ambush(2))})
    rule = AlertRule(("isis_attack",), f"{site.url}/hook")
    site.answers["/hook"] = Reply(status=500)
    done = run(scorer, database, f"{site.url}/feed", rule=rule)
    assert len(done.articles) == 2
    assert ["status 500" in str(fault) for fault in done.faults] == [True]
    site.answers["/hook"] = Reply()
    site.requests.clear()
    for _ in range(2):
        assert run(scorer, database, f"{site.url}/feed", rule=rule).faults == []
    assert sorted(json.loads(r.body)["title"] for r in site.requests if r.method == "POST") == ["Ambush", "Post"]


def test_alert_that_is_refused_does_not_hold_up_the_others(scorer: Scorer, database: Store, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Post", other_ambush(2))})

    def choose(handler: BaseHTTPRequestHandler) -> Reply:
        return Reply(status=422 if json.loads(site.requests[-1].body)["title"] == "Ambush" else 204)

    site.answers["/hook"] = choose
    rule = AlertRule(("isis_attack",), f"{site.url}/hook")
    run(scorer, database, f"{site.url}/feed", rule=rule)
    assert run(scorer, database, f"{site.url}/feed", rule=rule).faults != []
    told = Counter(json.loads(r.body)["title"] for r in site.requests if r.method == "POST")
    assert told["Post"] == 1
    assert told["Ambush"] >= 2


def test_webhooks_address_is_told_to_nobody(bundle: Bundle, tmp_path: Path, site: Site) -> None:
    site.answers["/hook/canary"] = Reply(status=403)
    (tmp_path / "a.txt").write_text(AMBUSH)
    path = tmp_path / "newswatch.db"
    options = ["--once", "--alert", "isis_attack", "--allow-host", "127.0.0.1", "--db", str(path), "--bundle", str(bundle.folder)]
    made = CliRunner(env={"NEWSWATCH_WEBHOOK": f"{site.url}/hook/canary"}).invoke(app, ["watch", str(tmp_path / "a.txt"), *options])
    assert made.exit_code == 3
    assert "webhook at 127.0.0.1: status 403" in made.stderr
    assert site.paths("POST") == ["/hook/canary"]
    assert "canary" not in made.output
    assert all(b"canary" not in file.read_bytes() for file in tmp_path.glob("newswatch.db*"))


def test_rule_is_checked_before_the_watch(scorer: Scorer) -> None:
    names = scorer.bundle.scheme.names
    with Fetcher() as fetcher:
        for rule, reason in (
            (AlertRule(("shelling",), "http://1.1.1.1/"), "shelling"),
            (AlertRule((), "http://1.1.1.1/"), "tags out of"),
            (AlertRule(("denial",), "http://127.0.0.1/"), "public address"),
            (AlertRule(("denial",), "ftp://1.1.1.1/"), "http or https"),
        ):
            with pytest.raises(InputError, match=reason):
                rule.check(names, fetcher)


def test_folder_gives_each_new_article_once(scorer: Scorer, database: Store, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "day2").mkdir(parents=True)
    (folder / "report.txt").write_text(AMBUSH)
    (folder / "day2" / "report.txt").write_text(MARKET)
    rows = folder / "rows.jsonl"
    rows.write_text(json.dumps({"id": "r1", "text": other_ambush(1)}) + "\n" + '{"id": "r2", "te')
    done = run(scorer, database, str(folder))
    assert len(done.articles) == 3
    assert ["rows.jsonl:2" in str(fault) for fault in done.faults] == [True]
    assert {a.outlet for a in done.articles} == {"in"}
    assert run(scorer, database, str(folder)) == Round()
    rows.write_text("".join(json.dumps({"id": f"r{n}", "text": other_ambush(n)}) + "\n" for n in (1, 2)))
    (folder / "report.txt").write_text(AMBUSH + "\nA third policeman died in hospital.")
    done = run(scorer, database, str(folder))
    assert [a.id for a in done.articles if a.id.startswith("r2")] == ["r2"]
    assert len(done.articles) == 2
    assert len({a.story for a in database.newest()}) == 4
    assert len(database.newest()) == 5


def test_text_that_cannot_be_scored_is_named(scorer: Scorer, database: Store, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"id": "a", "text": "  "}\n{"id": "b", "text": "\\ud800"}\n' + json.dumps({"id": "c", "text": MARKET})
    )
    done = run(scorer, database, str(tmp_path / "a.jsonl"))
    assert [a.id for a in done.articles] == ["c"]
    assert len(done.faults) == 2


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
HOSTILE = {
    "billion laughs": f'<!DOCTYPE r [<!ENTITY l0 "lol">{LAUGHS}]><rss version="2.0"><channel><item><title>&l9;</title></item></channel>'
    "</rss>",
    "outside entity": '<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><rss version="2.0"><channel><item><title>t&e;</title></item>'
    "</channel></rss>",
    "parameter entity": '<!DOCTYPE r [<!ENTITY % e SYSTEM "{url}/dtd"> %e;]><rss version="2.0"><channel><item><title>t</title></item>'
    "</channel></rss>",
    "date beyond the calendar": '<rss version="2.0"><channel><item><title>t</title><pubDate>Sat, 28 Nov 99999 10:00:00 GMT</pubDate></item>'
    "</channel></rss>",
    "link of another kind": '<rss version="2.0"><channel><item><title>t</title><link>file:///etc/passwd</link></item></channel></rss>',
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_feed_is_harmless(kind: str, scorer: Scorer, database: Store, site: Site) -> None:
    site.answers["/feed"] = Reply('<?xml version="1.0"?>' + HOSTILE[kind].replace("{url}", site.url))
    started = time.process_time()
    run(scorer, database, f"{site.url}/feed")
    assert time.process_time() - started < 10
    (article,) = database.newest()
    assert len(article.text) < 100
    assert "root:" not in article.text
    assert article.partial
    assert site.paths() == ["/feed"]


@pytest.mark.parametrize("body", ["{url}/hit", "/etc/passwd", "<html><body>no feed</body></html>", "", "\0" * 1000, "<rss><item>" * 3000])
def test_what_is_no_feed_is_named(body: str, site: Site) -> None:
    with pytest.raises(InputError, match=r"RSS or Atom feed|at most 2,000"):
        parse_feed(body.replace("{url}", site.url).encode(), "http://x/", {})
    assert site.requests == []


@pytest.mark.parametrize("kind", ["nested elements", "attributes"])
def test_feed_that_takes_too_long_is_given_up(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "CPU_SECONDS", 0.5)
    attributes = " ".join(f'a{number}="1"' for number in range(200_000))
    body = "<rss><channel><item>" + "<a>" * 800_000 if kind == "nested elements" else f"<rss {attributes}>"
    started = time.process_time()
    with pytest.raises(InputError, match="takes too long"):
        parse_feed(body.encode(), "http://x/", {})
    assert time.process_time() - started < 5
    assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)


def test_atom_and_its_dates_links_and_bounds() -> None:
    atom = """<feed xmlns="http://www.w3.org/2005/Atom"><entry><title>A  b</title><link href="/x#part"/><id>7</id>
        <updated>2026-11-20T10:00:00+03:00</updated><content type="html">&lt;p&gt;One.&lt;/p&gt;&lt;p&gt;Two.&lt;/p&gt;</content></entry>
        <entry><title>No link</title><id>8</id></entry></feed>"""
    first, second = parse_feed(atom.encode(), "https://www.news.example/feed", {"content-type": "application/atom+xml"})
    assert (first.title, first.url, first.outlet) == ("A b", "https://www.news.example/x", "news.example")
    assert str(first.published) == "2026-11-20 07:00:00+00:00"
    assert first.own_text() == "One.\nTwo."
    assert second.own_text() == "No link"
    assert first.id != second.id
    wide = "<item>".encode("utf-16") * (MAX_ENTRIES + 1)
    with pytest.raises(InputError, match="at most 2,000"):
        parse_feed(wide, "http://x/", {})


def test_what_a_feed_gets_wrong_is_left_out() -> None:
    rss = """<rss version="2.0"><channel><item><title>A</title><link>http://example.com\u2100/x</link>
        <pubDate>Mon, 01 Jan 0001 00:00:00 GMT</pubDate></item></channel></rss>"""
    (entry,) = parse_feed(rss.encode(), "http://x/", {"content-type": "application/rss+xml"})
    assert (entry.title, entry.outlet, entry.published) == ("A", "", None)


def test_validators_that_no_request_can_carry_are_not_kept(tmp_path: Path) -> None:
    with Store.open(tmp_path / "newswatch.db") as store:
        ledger = Ledger(store)
        ledger.keep_validators("http://x/", '"caf\u00e9"', "Mon, 01 Jan 2026 00:00:00 GMT")
        assert ledger.validators("http://x/") == {"If-Modified-Since": "Mon, 01 Jan 2026 00:00:00 GMT"}


def test_sources_are_checked_before_the_watch(tmp_path: Path) -> None:
    check_sources(["-", str(tmp_path), "https://news.example/feed"])
    for source in ("ftp://news.example/", str(tmp_path / "none"), "https://a:b@news.example/"):
        with pytest.raises(InputError):
            check_sources([source])


def test_one_watcher_a_store(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "newswatch.db"
    with only_watcher(path):
        made = CliRunner().invoke(app, ["watch", str(tmp_path), "--once", "--db", str(path), "--bundle", str(bundle.folder)])
    assert "another watcher uses it" in str(made.exception)
    assert not path.exists()


# --- as a process


class Watching:
    """`newswatch watch` as a process of its own."""

    def __init__(self, bundle: Bundle, store: Path, *options: str) -> None:
        command = [sys.executable, "-c", "from newswatch.cli import main; main()", "watch", *options, "--db", str(store)]
        command += ["--bundle", str(bundle.folder), "--delay", "0", "--allow-host", "127.0.0.1"]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def end(self, seconds: float = 60) -> tuple[int, str, str]:
        output, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, output, errors


def wait_for(happened: object, seconds: float = 30) -> None:
    assert callable(happened)
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_killed_anywhere_it_goes_on(bundle: Bundle, tmp_path: Path, site: Site) -> None:
    """Killed while it fetches a page, and while the webhook has an alert and has not answered yet, several times."""
    articles = {f"/p{n}": (f"Attack {n}", other_ambush(n)) for n in range(8)}
    site.publish("/feed", articles, ETag='"v1"')
    path = tmp_path / "newswatch.db"
    watching: list[Watching] = []
    killed: list[str] = []
    deadly = {"/p1", "alert 1", "/p4", "alert 6"}

    def killer(path: str, reply: Reply) -> None:
        def answer(handler: BaseHTTPRequestHandler) -> Reply | None:
            told = json.loads(site.requests[-1].body)["title"].split()[1] if handler.command == "POST" else ""
            moment = f"alert {told}" if told else path
            if moment in deadly:
                deadly.remove(moment)
                killed.append(moment)
                watching[-1].process.send_signal(signal.SIGKILL)
                watching[-1].process.wait()
                return None
            return reply

        site.answers[path] = answer

    for page in articles:
        reply = site.answers[page]
        assert isinstance(reply, Reply)
        killer(page, reply)
    killer("/hook", Reply(status=204))
    options = (f"{site.url}/feed", "--once", "--alert", "isis_attack", "--webhook", f"{site.url}/hook")
    statuses: list[int] = []
    while not statuses or statuses[-1] == -signal.SIGKILL:
        watching.append(Watching(bundle, path, *options))
        statuses.append(watching[-1].end()[0])
        assert len(statuses) < 12
    assert statuses == [-signal.SIGKILL] * 4 + [0]
    assert not deadly
    with Store.open(path) as opened:
        stored = opened.newest(100)
        carrying = opened.newest(100, tag="isis_attack")
        assert opened.rows("SELECT count(*) AS n FROM predictions")[0]["n"] == 8
        assert opened.rows("SELECT count(*) AS n FROM alerts WHERE sent IS NULL")[0]["n"] == 0
    assert Counter(article.title for article in stored) == Counter({title: 1 for title, _ in articles.values()})
    assert len(carrying) == len({article.story for article in carrying}) == 8
    told = Counter(request.headers["idempotency-key"] for request in site.requests if request.method == "POST")
    stories = {json.loads(r.body)["story"] for r in site.requests if r.method == "POST"}
    assert stories == {article.story for article in carrying}
    assert len(told) == 8
    # Sent twice only where the kill came between the webhook's hearing of it and its answer.
    assert sum(told.values()) == 8 + sum(moment.startswith("alert") for moment in killed)
    watching.append(Watching(bundle, path, *options))
    site.requests.clear()
    assert watching[-1].end()[0] == 0
    assert [(r.method, r.path) for r in site.requests] == [("GET", "/feed")]


def test_standard_input_is_scored_as_it_comes(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "newswatch.db"
    watching = Watching(bundle, path, "-")
    assert watching.process.stdin is not None
    watching.process.stdin.write(json.dumps({"id": "a", "text": AMBUSH}) + "\n")
    watching.process.stdin.flush()

    def stored() -> bool:
        if not path.exists():
            return False
        with Store.open(path) as opened:
            return len(opened.newest()) == 1

    wait_for(stored)
    watching.process.stdin.write(json.dumps({"id": "b", "text": MARKET}) + "\n{\n")
    status, output, errors = watching.end()
    assert status == 3
    assert "a [" in output
    assert "isis_attack" in output
    assert "left out: -:3" in errors
    with Store.open(path) as opened:
        assert [article.id for article in opened.newest()] == ["b", "a"]


def test_signal_ends_a_watcher_that_waits_for_input_or_a_page(bundle: Bundle, tmp_path: Path, site: Site) -> None:
    asked = []

    def silent(_: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        time.sleep(30)

    site.publish("/feed", {"/a": ("Ambush", AMBUSH)})
    site.answers["/a"] = silent
    fetching_page = Watching(bundle, tmp_path / "a.db", f"{site.url}/feed")
    waiting = Watching(bundle, tmp_path / "b.db", "-")
    wait_for(lambda: asked and (tmp_path / "b.db").exists())
    time.sleep(1)
    started = time.monotonic()
    for watching in (fetching_page, waiting):
        watching.process.send_signal(signal.SIGTERM)
    assert [watching.process.wait(15) for watching in (fetching_page, waiting)] == [0, 0]
    assert time.monotonic() - started < 20
    with Store.open(tmp_path / "a.db") as opened:
        assert opened.newest() == []
        assert opened.rows("SELECT * FROM attempts") == []


def test_lasting_watch_finds_what_is_published_later(bundle: Bundle, tmp_path: Path, site: Site) -> None:
    site.publish("/feed", {"/a": ("Ambush", AMBUSH)}, ETag='"v1"')
    watching = Watching(bundle, tmp_path / "newswatch.db", f"{site.url}/feed", "--every", "1")
    assert watching.process.stdout is not None
    assert "Ambush" in watching.process.stdout.readline()
    site.publish("/feed", {"/a": ("Ambush", AMBUSH), "/b": ("Market", MARKET)}, ETag='"v2"')
    assert "Market" in watching.process.stdout.readline()
    started = time.monotonic()
    watching.process.send_signal(signal.SIGINT)
    assert watching.end()[0] == 0
    assert time.monotonic() - started < 20
    assert site.paths().count("/a") == site.paths().count("/b") == 1


def test_command_line_refuses_and_tells(bundle: Bundle, tmp_path: Path) -> None:
    common = ["--once", "--db", str(tmp_path / "n.db"), "--bundle", str(bundle.folder)]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        feed = f"http://127.0.0.1:{free.getsockname()[1]}/feed"
        refused = CliRunner().invoke(app, ["watch", feed, *common])
    assert refused.exit_code == 3
    assert "--allow-host 127.0.0.1" in refused.stderr
    alone = CliRunner().invoke(app, ["watch", str(tmp_path), *common, "--alert", "denial"])
    assert "both or neither" in str(alone.exception)
    exported = CliRunner().invoke(app, ["store", "export", str(tmp_path / "out.jsonl"), "--db", str(tmp_path / "none.db")])
    assert "no such file" in str(exported.exception)
    assert not (tmp_path / "none.db").exists()


def test_missing_extra_names_the_install_line(tmp_path: Path) -> None:
    code = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"httpx", "httpcore", "feedparser", "tenacity", "datasketch"}:
            raise ImportError("blocked: " + name, name=name)
sys.meta_path.insert(0, Block())
sys.argv = ["newswatch", "watch", "-", "--once"]
from newswatch.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), check=False)
    assert ended.returncode == 1
    assert "pip install 'newswatch[feeds]'" in ended.stderr
