"""The desk's page in a real browser."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from newswatch.prediction import Prediction
from newswatch.scorer import Article, Scorer
from newswatch.store import Store
from newswatch.text import Document

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page, Request, Route

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
EXPECTED = re.compile("status of (401|503)")
HOSTILE = "<img src=x onerror=\"window.hit='yes'\"><script>window.hit='yes'</script>"

Open = Callable[..., "Page"]


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(
            executable_path=CHROMIUM, args=[*FLAGS, "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]
        )
        yield launched
        launched.close()


@pytest.fixture
def open_page(browser: "Browser", desk_url: str) -> Iterator[Open]:
    """Opens the desk. At the end nothing outside was asked for, and the browser had nothing to complain of."""
    complaints: list[str] = []
    contexts = []

    def opened(route: str = "#/read", url: str = desk_url, width: int = 1200, ready: bool = True, theme: str = "light") -> "Page":
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if theme == "dark" else "light", reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        page.on("request", lambda request: None if request.url.startswith((url, "data:,")) else complaints.append(request.url))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" and not EXPECTED.search(said.text) else None)
        page.goto(f"{url}/{route}")
        if ready:
            page.wait_for_selector("html[data-ready]")
            # A browser may drop keys pressed before it has painted anything.
            page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def article(samples: Path) -> tuple[str, str]:
    """Title and text of a sample."""
    title, _, text = (samples / "khanaqin-coordination.txt").read_text().strip().partition("\n\n")
    return title, text


def score(page: "Page", title: str, text: str) -> None:
    page.fill("#title", title)
    page.fill("#text", text)
    page.click("form.paste button.primary")
    page.wait_for_selector(".reading")


def predict(scorer: Scorer, title: str, text: str) -> Prediction:
    return scorer.score([Article(text, None, title or None)])[0]


def texts(page: "Page", selector: str) -> list[str]:
    found: list[str] = page.eval_on_selector_all(selector, "all => all.map(one => one.textContent)")
    return found


def names(page: "Page", selector: str) -> list[str]:
    found: list[str] = page.eval_on_selector_all(selector, "all => all.map(one => one.dataset.tag)")
    return found


def check_marks(page: "Page", prediction: Prediction) -> None:
    """Each carried tag lights up its evidence and nothing else; together they are what is marked."""
    assert prediction.tags
    for tag in prediction.tags:
        page.hover(f'.tag[data-tag="{tag}"] > button')
        assert texts(page, ".sentence.lit") == [e.text for e in prediction.evidence[tag]]
    page.mouse.move(2, 2)
    assert texts(page, ".sentence.lit") == []
    assert set(texts(page, ".sentence.marked")) == {e.text for found in prediction.evidence.values() for e in found}


def test_sample_shows_its_tags_bars_and_evidence(open_page: Open, article: tuple[str, str], scorer: Scorer) -> None:
    page, prediction = open_page(), predict(scorer, *article)
    score(page, *article)
    check_marks(page, prediction)
    shown = names(page, ".tag")
    assert sorted(shown) == sorted(prediction.scores)
    carried = [tag for tag in shown if tag in prediction.tags]
    assert shown[: len(carried)] == carried == sorted(prediction.tags, key=lambda tag: -prediction.scores[tag])
    assert names(page, ".tag.applies") == carried
    assert sorted(names(page, ".tag.review")) == sorted(prediction.review)
    rule = scorer.bundle.decision.rules[carried[0]]
    places = page.eval_on_selector(
        f'.tag[data-tag="{carried[0]}"] .bar',
        """bar => [".fill", ".tick", ".band"].map(name => {
            const [whole, part] = [bar.getBoundingClientRect(), bar.querySelector(name).getBoundingClientRect()];
            return [(part.left - whole.left) / whole.width, part.width / whole.width];
        })""",
    )
    assert places[0][1] == pytest.approx(prediction.scores[carried[0]], abs=0.01)
    assert places[1][0] == pytest.approx(rule.threshold, abs=0.01)
    assert places[2] == pytest.approx([rule.review_low, rule.review_high - rule.review_low], abs=0.02)


def test_sentence_lights_up_its_tags_and_dims_the_others(open_page: Open, article: tuple[str, str], scorer: Scorer) -> None:
    page, prediction = open_page(), predict(scorer, *article)
    score(page, *article)
    for sentence in {e.text for found in prediction.evidence.values() for e in found}:
        page.locator(".sentence.marked", has_text=sentence).hover()
        expected = [tag for tag in prediction.tags if sentence in [e.text for e in prediction.evidence[tag]]]
        assert sorted(names(page, ".panel.dimmed .tag.lit")) == sorted(expected)
    page.locator(".sentence:not(.marked)").first.hover()
    assert page.locator(".panel.dimmed").count() == 0


def test_offsets_count_code_points(open_page: Open, scorer: Scorer) -> None:
    title = "👩‍👩‍👧 Officials deny 🚨 the report"
    text = (
        "🚨🚨🚨 Breaking news from 𝔻uhok 🇮🇶.\n\nهێزەکانی پێشمەرگە گەیشتنە شارەکە. وتیان هیچ ڕوونەداوە.\n\n"
        "The army denied 🙅🏽 that any checkpoint was handed over. There is no truth to the report, a spokesman 👮 said."
    )
    page, prediction = open_page(), predict(scorer, title, text)
    assert "denial" in prediction.tags
    score(page, title, text)
    check_marks(page, prediction)
    assert texts(page, ".sentence") == [sentence.text for sentence in Document.read(text, title).sentences]
    assert page.locator(".body p").count() == 3
    assert page.locator(".body p").nth(1).evaluate("node => getComputedStyle(node).direction") == "rtl"


def test_hostile_text_stays_text(open_page: Open, database: Path, scorer: Scorer) -> None:
    identity = f"{HOSTILE}/#?&"
    with Store.open(database) as store:
        store.add_article(f"{HOSTILE} The army denied it.", title=HOSTILE, outlet=HOSTILE, url="javascript:window.hit='yes'", id=identity)
        store.add_prediction(identity, predict(scorer, HOSTILE, f"{HOSTILE} The army denied it."))

    def check(page: "Page", selector: str) -> None:
        assert HOSTILE in page.locator(selector).first.inner_text()
        assert page.evaluate("window.hit") is None
        assert page.locator("img, main script, a[href^='javascript']").count() == 0

    page = open_page()
    score(page, HOSTILE, f"{HOSTILE} The army denied it.")
    check(page, ".headline")
    check(page, ".body")
    page = open_page("#/newest")
    check(page, ".item .open")
    check(page, ".item .outlet")
    assert HOSTILE in texts(page, "#filter-outlet option")
    page.locator("a.open", has_text="onerror").click()
    page.wait_for_selector(".reading")
    check(page, ".line .id")
    check(page, ".headline")


def test_article_is_scored_and_reviewed_by_keys_alone(open_page: Open, article: tuple[str, str], scorer: Scorer, database: Path) -> None:
    title, text = "By keys alone", f"{article[1]} It was written with keys."
    prediction = predict(scorer, title, text)
    page = open_page()
    keys = page.keyboard
    keys.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    keys.press("Enter")
    keys.press("?")
    assert page.locator("#help-dialog").is_visible()
    keys.press("Escape")
    assert not page.locator("#help-dialog").is_visible()
    keys.press("n")
    assert page.evaluate("document.activeElement.id") == "text"
    keys.insert_text(text)
    keys.press("Shift+Tab")
    keys.insert_text(title)
    keys.press("Control+Enter")
    page.wait_for_selector(".reading")
    keys.press("g")
    order = names(page, ".tag")
    assert page.evaluate("document.activeElement.closest('.tag').dataset.tag") == order[0]
    assert texts(page, ".sentence.lit") == [e.text for e in prediction.evidence[order[0]]]
    keys.press("ArrowDown")
    assert page.evaluate("document.activeElement.closest('.tag').dataset.tag") == order[1]
    keys.press("Enter")
    keys.press("g")
    assert texts(page, ".sentence.lit") == [e.text for e in prediction.evidence[order[1]]]
    keys.press("Escape")
    keys.press("e")
    page.wait_for_selector(".editing")
    assert page.evaluate("document.activeElement.closest('.tag').dataset.tag") == order[0]
    keys.press("g")
    keys.press("Home")
    keys.press("Enter")
    playwright.expect(page.locator(".headline .sentence")).to_have_attribute("aria-checked", "true")
    keys.press("Control+Enter")
    page.wait_for_selector(".status:has-text('Review saved.')")
    with Store.open(database) as store:
        (stored,) = [found for found in store.newest(200) if found.title == title]
    assert stored.review is not None
    expected = {tag: tuple(e.text for e in prediction.evidence[tag]) for tag in prediction.tags}
    expected[order[0]] = (title, *(sentence for sentence in expected[order[0]] if sentence != title))
    assert dict(stored.review.tags) == expected


def test_review_by_mouse_corrects_and_marks(open_page: Open, article: tuple[str, str], scorer: Scorer, database: Path) -> None:
    title, text = "By mouse", f"{article[1]} It was corrected with a mouse."
    prediction = predict(scorer, title, text)
    page = open_page()
    score(page, title, text)
    page.click("button:has-text('Correct')")
    page.fill("#reviewer", "Dilan 🖋")
    page.fill("#note", "seen twice")
    wrong, right = prediction.tags[0], "pkk_activity"
    assert right not in prediction.tags
    page.uncheck(f'.tag[data-tag="{wrong}"] input')
    page.check(f'.tag[data-tag="{right}"] input')
    page.click("button:has-text('Save review')")
    assert "Mark at least one sentence for PKK activity" in page.inner_text(".review-form .error")
    spans = page.locator(".body .sentence")
    chosen = [spans.nth(0).inner_text(), spans.nth(1).inner_text()]
    page.evaluate(
        """() => {
            const [first, second] = document.querySelectorAll(".body .sentence");
            getSelection().setBaseAndExtent(first.firstChild, 5, second.firstChild, 5);
        }"""
    )
    spans.nth(1).dispatch_event("mouseup")
    assert texts(page, ".sentence.lit") == chosen
    spans.nth(0).click()
    assert texts(page, ".sentence.lit") == chosen[1:]
    page.click("button:has-text('Save review')")
    page.wait_for_selector(".status:has-text('Review saved.')")
    with Store.open(database) as store:
        (stored,) = [found for found in store.newest(200) if found.title == title]
        assert stored.review is not None
        assert (stored.review.reviewer, stored.review.note) == ("Dilan 🖋", "seen twice")
        expected = {tag: tuple(e.text for e in found) for tag, found in prediction.evidence.items() if tag != wrong}
        assert dict(stored.review.tags) == {**expected, right: (chosen[1],)}
        assert stored.id in {found.id for found in store.newest(200, tag=right)}
    page.goto(f"{page.url.partition('#')[0]}#/article/{stored.id}")
    page.wait_for_selector("text=Reviewed by Dilan 🖋")
    assert set(texts(page, ".sentence.marked")) == {sentence for found in stored.review.tags.values() for sentence in found}
    assert set(names(page, ".tag.applies")) == set(stored.review.tags)


def test_queue_goes_from_one_article_to_the_next(open_page: Open, scorer: Scorer, database: Path) -> None:
    with Store.open(database) as store:
        for number in range(2):
            text = f"The army denied the report of the day {number}. It rained in queue {number}."
            row = predict(scorer, "", text).to_dict()
            sentence = Document.read(text).sentences[0]
            evidence = {"start": sentence.start, "end": sentence.end, "text": sentence.text, "score": 0.9, "field": "text"}
            row |= {"tags": ["denial"], "review": ["denial"], "evidence": {"denial": [evidence]}}
            store.add_article(text, title=f"Queued {number}", id=f"queued {number}")
            store.add_prediction(f"queued {number}", Prediction.from_dict(row))
        waiting = len(store.pending(200))
    page = open_page("#/review")
    assert page.inner_text("#waiting") == str(waiting)
    assert texts(page, ".item:has(:text('Queued 1')) .chip") == [f"Denial {score_text(scorer, 1)}"]
    page.click("a.open:has-text('Queued 1')")
    page.wait_for_selector(".reading")
    page.keyboard.press("a")
    playwright.expect(page.locator("#waiting")).to_have_text(str(waiting - 1))
    page.wait_for_selector(".headline:has-text('Queued 0')")
    with Store.open(database) as store:
        review = store.get("queued 1").review
    assert review is not None
    assert dict(review.tags) == {"denial": ("The army denied the report of the day 1.",)}


def score_text(scorer: Scorer, number: int) -> str:
    text = f"The army denied the report of the day {number}. It rained in queue {number}."
    probability = predict(scorer, "", text).scores["denial"]
    return ">0.99" if probability >= 0.995 else "<0.01" if probability < 0.005 else f"{probability:.2f}"


def test_feed_filters_pages_and_plots(open_page: Open, scorer: Scorer, database: Path) -> None:
    now = datetime.now(UTC)
    row = predict(scorer, "", "The army denied it.").to_dict()
    with Store.open(database) as store:
        for number in range(45):
            text = f"The army denied it for the {number}th time."
            identity = store.add_article(text, title=f"Feed {number}", outlet="Feed outlet", published=now - timedelta(days=number % 3 + 3))
            tags = ["denial", "iranian_strike"] if number < 5 else ["denial"]
            evidence = {tag: [{"start": 0, "end": 4, "text": text[:4], "score": 0.9, "field": "text"}] for tag in tags}
            store.add_prediction(identity, Prediction.from_dict(row | {"tags": tags, "evidence": evidence, "review": []}))
        counts = store.counts(30)
    page = open_page("#/newest")
    page.select_option("#filter-outlet", "Feed outlet")
    page.wait_for_selector("button:has-text('All articles')")
    assert page.locator(".item").count() == 20
    page.click("button:has-text('Older articles')")
    playwright.expect(page.locator(".item")).to_have_count(40)
    page.click("button:has-text('Older articles')")
    playwright.expect(page.locator(".item")).to_have_count(45)
    assert not page.is_visible("button.more")
    titles = texts(page, ".item .open")
    assert sorted(titles) == sorted(f"Feed {number}" for number in range(45))
    page.select_option("#filter-tag", "iranian_strike")
    playwright.expect(page.locator(".item")).to_have_count(5)
    page.fill("#filter-day", (now - timedelta(days=3)).date().isoformat())
    playwright.expect(page.locator(".item")).to_have_count(2)
    assert sorted(texts(page, ".item .open")) == ["Feed 0", "Feed 3"]
    page.click("button:has-text('All articles')")
    playwright.expect(page.locator("#filter-tag")).to_have_value("")
    playwright.expect(page.locator(".item")).to_have_count(20)
    total = sum(tags.get("denial", 0) for tags in counts.values())
    assert texts(page, ".multiples .tag:has(:text-is('Denial')) .score") == [str(total)]
    page.click("summary:has-text('As a table')")
    column = texts(page, ".plot thead th").index("Denial")
    shown = [int(cell) for cell in texts(page, f".plot tbody tr > :nth-child({column + 1})")]
    assert shown == [tags.get("denial", 0) for tags in counts.values()]
    page.click(".multiples button:has-text('Iranian strike')")
    playwright.expect(page.locator("#filter-tag")).to_have_value("iranian_strike")


@pytest.mark.parametrize("route", ["#/read", "#/newest", "#/review"])
@pytest.mark.parametrize("width", [320, 360, 768])
def test_narrow_screens_need_no_sideways_scrolling(open_page: Open, article: tuple[str, str], route: str, width: int) -> None:
    page = open_page(route, width=width)
    wide = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    assert page.evaluate(wide) <= width
    if route == "#/read":
        score(page, f"{'Verylongword' * 12} {article[0]}", f"{article[1]} {'Unbroken' * 40}.")
        assert page.evaluate(wide) <= width
        page.keyboard.press("e")
        page.wait_for_selector(".editing")
        assert page.evaluate(wide) <= width


def test_dark_follows_the_system_and_the_button(open_page: Open) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = "rgb(251, 250, 246)", "rgb(22, 22, 21)"
    assert open_page(theme="light").evaluate(ground) == light
    page = open_page(theme="dark")
    assert page.evaluate(ground) == dark
    page.click("#theme")
    assert page.evaluate(ground) == light
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate(ground) == light
    page.keyboard.press("t")
    assert page.evaluate(ground) == dark


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrasts_with_its_ground(open_page: Open, article: tuple[str, str], theme: str) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1 for text, also where it is dimmed and where the mark of any tag lies below it."""
    page = open_page(theme=theme)
    score(page, *article)
    page.hover(".tag.applies > button")
    ratios = page.evaluate(
        """() => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
            const ground = getComputedStyle(document.documentElement).backgroundColor;
            const light = (...colours) => {
                for (const colour of colours) { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); }
                const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(part => part / 255);
                const [r, g, b] = parts.map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ratio = (text, ...below) => {
                const [a, b] = [light(ground, ...below), light(ground, ...below, text)].sort((x, y) => y - x);
                return (a + 0.05) / (b + 0.05);
            };
            const style = (node) => getComputedStyle(node);
            const colours = (node) => [style(node).color, style(node).backgroundColor];
            const found = {};
            const note = (name, value) => (found[name] = Math.min(found[name] ?? 99, value));
            for (const node of document.querySelectorAll(".sentence")) note(node.className, ratio(...colours(node)));
            for (const node of document.querySelectorAll(".tag .number")) note("number", ratio(style(node).color));
            for (const node of document.querySelectorAll(".tag > button")) note("tag", ratio(...colours(node)));
            for (const node of document.querySelectorAll(".flag, .model, .hint, .back")) note("other", ratio(style(node).color));
            return found;
        }"""
    )
    assert {"sentence", "sentence marked lit", "number", "tag", "other"} <= set(ratios)
    assert min(ratios.values()) >= 4.5, ratios


def test_key_is_asked_for_once_and_kept_for_the_tab(open_page: Open, guarded_url: str, key: str) -> None:
    page = open_page(url=guarded_url, ready=False)
    page.wait_for_selector("#key-dialog[open]")
    page.fill("#key", "wrong")
    page.keyboard.press("Enter")
    page.wait_for_selector("#key-error:has-text('refused')")
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#key-dialog[open]").count() == 0
    assert page.evaluate("[sessionStorage.getItem('newswatch-key'), JSON.stringify(localStorage)]")[0] == key
    assert key not in page.evaluate("JSON.stringify(localStorage) + document.cookie + document.documentElement.outerHTML")
    page.reload()
    page.wait_for_selector("html[data-ready]")
    assert page.locator("#key-dialog[open]").count() == 0
    page.goto(f"{guarded_url}/#/newest")
    page.wait_for_selector("text=started without a database")


def test_text_of_a_page_is_fetched_where_allowed(open_page: Open, guarded_url: str, key: str, site: str, desk_url: str) -> None:
    page = open_page(url=guarded_url, ready=False)
    page.fill("#key", key)
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready]")
    page.fill("#address", f"{site}/erbil-marathon.html")
    page.keyboard.press("Enter")
    playwright.expect(page.locator("#text")).to_have_value(re.compile("marathon", re.IGNORECASE))
    assert not open_page(url=desk_url).is_enabled("#address")


def keep(database: Path, scorer: Scorer, title: str, text: str, tags: tuple[str, ...] = ("denial",), unsure: tuple[str, ...] = ()) -> str:
    """Store an article that the model gives these tags, each on the first sentence of the text; its id."""
    first = Document.read(text).sentences[0]
    evidence = {"start": first.start, "end": first.end, "text": first.text, "score": 0.9, "field": "text"}
    row = predict(scorer, title, text).to_dict() | {
        "tags": list(tags),
        "review": list(unsure),
        "evidence": {tag: [evidence] for tag in tags},
    }
    with Store.open(database) as store:
        store.add_article(text, title=title, id=title)
        store.add_prediction(title, Prediction.from_dict(row))
    return title


def review_of(database: Path, identity: str) -> dict[str, tuple[str, ...]] | None:
    with Store.open(database) as store:
        found = store.get(identity).review
    return None if found is None else dict(found.tags)


def go(page: "Page", route: str) -> None:
    page.evaluate("route => { location.hash = route; }", route)


def hold(page: "Page", pattern: str) -> list["Route"]:
    """Requests that stay without an answer until the test gives one."""
    held: list[Route] = []
    page.route(pattern, lambda route: held.append(route))
    return held


def wait_for(page: "Page", reached: Callable[[], object]) -> None:
    for _ in range(200):
        if reached():
            return
        page.wait_for_timeout(50)
    pytest.fail("it did not come about within ten seconds")


def settle(page: "Page") -> None:
    """Long enough for whatever the page may still do."""
    page.wait_for_timeout(300)


def posts(page: "Page", path: str) -> list[dict[str, Any]]:
    """What the page posts to `path` from now on."""
    sent: list[dict[str, Any]] = []

    def note(request: "Request") -> None:
        if request.method == "POST" and request.url.endswith(path):
            sent.append(json.loads(request.post_data or ""))

    page.on("request", note)
    return sent


def test_late_article_does_not_take_over(open_page: Open, scorer: Scorer, database: Path) -> None:
    slow, shown = (keep(database, scorer, f"{name} answer", f"The army denied the {name} answer.") for name in ("Late", "Prompt"))
    page = open_page("#/read")
    sent = posts(page, "/v1/reviews")
    held = hold(page, "**/v1/articles/Late*")
    go(page, f"#/article/{slow}")
    wait_for(page, lambda: held)
    go(page, f"#/article/{shown}")
    page.wait_for_selector(f".headline:has-text('{shown}')")
    held.pop().continue_()
    settle(page)
    assert page.inner_text(".headline") == shown
    page.keyboard.press("a")
    page.wait_for_selector(".status:has-text('Review saved.')")
    assert [review["article"] for review in sent] == [shown]
    assert review_of(database, slow) is None
    go(page, f"#/article/{slow}?from=review")
    wait_for(page, lambda: held)
    go(page, "#/newest")
    page.wait_for_selector(".items")
    held.pop().continue_()
    settle(page)
    page.keyboard.press("a")
    settle(page)
    assert [review["article"] for review in sent] == [shown]


def test_late_score_does_not_replace_a_review(open_page: Open, scorer: Scorer, database: Path) -> None:
    edited = keep(database, scorer, "Edited meanwhile", "The army denied it all. Nobody was hurt.")
    page = open_page("#/read")
    held = hold(page, "**/v1/score")
    page.fill("#text", "The text that is scored slowly.")
    page.keyboard.press("Control+Enter")
    wait_for(page, lambda: held)
    go(page, f"#/article/{edited}")
    page.wait_for_selector(".reading")
    page.keyboard.press("e")
    page.fill("#note", "not to be lost")
    held.pop().continue_()
    settle(page)
    assert page.inner_text(".headline") == edited
    assert page.input_value("#note") == "not to be lost"
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".status:has-text('Review saved.')")
    assert review_of(database, edited) == {"denial": ("The army denied it all.",)}
    go(page, "#/read")
    playwright.expect(page.locator("#text")).to_have_value("The text that is scored slowly.")


def test_held_key_accepts_one_article(open_page: Open, scorer: Scorer, database: Path) -> None:
    for name in ("first", "second", "third"):
        keep(database, scorer, f"Held {name}", f"The army denied the {name} report.", unsure=("denial",))
    page = open_page("#/review")
    sent = posts(page, "/v1/reviews")
    page.locator("a.open", has_text="Held").first.click()
    page.wait_for_selector(".reading")
    before = page.inner_text(".headline")
    page.keyboard.down("a")
    page.keyboard.down("a")
    page.wait_for_function("before => document.querySelector('.headline')?.innerText !== before", arg=before)
    for _ in range(5):
        page.keyboard.down("a")
        settle(page)
    page.keyboard.up("a")
    assert [review["article"] for review in sent] == [before]


def test_double_click_does_one_thing(open_page: Open, scorer: Scorer, database: Path) -> None:
    for number in range(45):
        keep(database, scorer, f"Twice {number}", f"The army denied it {number} times.", unsure=("denial",) if number < 2 else ())
    page = open_page("#/newest")
    sent = posts(page, "/v1/reviews")
    held = hold(page, "**/v1/articles?*before=*")
    page.dblclick("button:has-text('Older articles')", force=True)
    wait_for(page, lambda: held)
    settle(page)
    assert len(held) == 1
    held[0].continue_()
    playwright.expect(page.locator(".item")).to_have_count(40)
    assert len(set(texts(page, ".item .open"))) == 40

    go(page, "#/article/Twice 0?from=review")
    page.wait_for_selector(".headline:has-text('Twice 0')")
    saving = hold(page, "**/v1/reviews")
    accept = page.locator("button:has-text('Accept')")
    accept.click()
    accept.click()
    page.keyboard.press("a")
    page.keyboard.press("e")
    settle(page)
    assert page.locator(".editing").count() == 0
    assert [review["article"] for review in sent] == ["Twice 0"]
    saving[0].continue_()
    page.unroute("**/v1/reviews")
    page.wait_for_selector(".reading:not(:has-text('Twice 0'))")
    # The second click of a double one, after the next article has come.
    page.mouse.down(click_count=2)
    page.mouse.up(click_count=2)
    settle(page)
    assert len(sent) == 1

    go(page, "#/read")
    scored = hold(page, "**/v1/score")
    page.fill("#text", "The army denied it.")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Control+Enter")
    settle(page)
    assert len(scored) == 1
    scored[0].continue_()
    page.wait_for_selector(".reading")


def test_saved_review_reopens_with_its_own_sentences(open_page: Open, scorer: Scorer, database: Path) -> None:
    title, sentence = "Turkish drone strikes village", "Turkish drone strikes village in Duhok."
    keep(database, scorer, title, f"{sentence} It rained.", tags=())
    with Store.open(database) as store:
        store.add_review(title, "", {"turkish_shelling": [sentence]})
    page = open_page(f"#/article/{title}")
    assert texts(page, ".sentence.marked") == [sentence]
    page.keyboard.press("e")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".status:has-text('Review saved.')")
    assert review_of(database, title) == {"turkish_shelling": (sentence,)}
    with Store.open(database) as store:
        store.add_review(title, "", {"turkish_shelling": ["village in Duhok"]})
    page.reload()
    page.wait_for_selector(".reading")
    assert texts(page, ".sentence.marked") == [sentence]


def test_refused_review_is_told_after_leaving_it(open_page: Open, scorer: Scorer, database: Path) -> None:
    refused = keep(database, scorer, "Refused review", "The army denied it once more.")
    page = open_page(f"#/article/{refused}")
    held = hold(page, "**/v1/reviews")
    page.keyboard.press("e")
    page.wait_for_selector(".editing")
    page.keyboard.press("Control+Enter")
    wait_for(page, lambda: held)
    go(page, "#/read")
    page.wait_for_selector("form.paste")
    held[0].fulfill(status=503, json={"error": "The database is busy."})
    playwright.expect(page.locator("#status")).to_have_text("Review not saved: The database is busy.")
    assert review_of(database, refused) is None


def test_review_being_written_is_not_left_by_accident(open_page: Open, scorer: Scorer, database: Path) -> None:
    page = open_page(f"#/article/{keep(database, scorer, 'Stray keys', 'The army denied it. It rained.')}")
    asked: list[str] = []

    def leave(dialog: "Dialog") -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.keyboard.press("e")
    page.locator(".body .sentence").nth(1).click()
    for stray in "nfq":
        page.keyboard.press(stray)
        settle(page)
        assert page.locator(".editing").count() == 1
        assert texts(page, ".sentence.marked") == ["The army denied it.", "It rained."]
    page.reload()
    page.wait_for_selector(".reading")
    assert asked == ["beforeunload"]
    page.keyboard.press("e")
    page.keyboard.press("Escape")
    page.reload()
    page.wait_for_selector(".reading")
    assert asked == ["beforeunload"]
    page.keyboard.press("q")
    page.wait_for_selector("h1:has-text('For review')")


def test_reviewed_article_shows_what_the_review_says(open_page: Open, scorer: Scorer, database: Path) -> None:
    text = "A fighter was killed. The army denied it."
    corrected = keep(database, scorer, "Corrected tags", text, tags=("denial",), unsure=("denial", "iranian_strike"))
    with Store.open(database) as store:
        store.add_review(corrected, "Dilan", {"pkk_activity": ["A fighter was killed."]}, "asked the mayor")
    page = open_page("#/newest")
    chips = page.locator(".item", has_text=corrected).locator(".chip")
    assert chips.evaluate_all("all => all.map(one => one.firstChild.data)") == ["PKK activity"]
    page.click(f"a.open:has-text('{corrected}')")
    page.wait_for_selector(".reading")

    def check() -> None:
        assert texts(page, ".panel h3") == ["Carried"]
        assert names(page, ".panel h3 + ol .tag") == ["pkk_activity"]
        assert names(page, ".tag.applies") == ["pkk_activity"]
        assert page.locator(".panel .flag, .tag.review").count() == 0

    check()
    page.keyboard.press("e")
    check()
    assert page.input_value("#note") == "asked the mayor"
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    page.wait_for_selector(".status:has-text('Review saved.')")
    with Store.open(database) as store:
        review = store.get(corrected).review
    assert review is not None
    assert (dict(review.tags), review.note) == ({"pkk_activity": ("A fighter was killed.",)}, "asked the mayor")


def test_filters_are_worked_by_keys(open_page: Open, scorer: Scorer, database: Path) -> None:
    keep(database, scorer, "Filtered by keys", "The army denied it.")
    page = open_page("#/newest")
    route = "location.hash"
    focused = "document.activeElement.id"
    tags = page.eval_on_selector_all("#filter-tag option", "all => all.map(one => one.value)")
    page.focus("#filter-tag")
    for tag in tags[1:4]:
        page.keyboard.press("ArrowDown")
        playwright.expect(page.locator("#filter-tag option[selected]")).to_have_attribute("value", tag)
        assert page.evaluate(f"[{route}, {focused}]") == [f"#/newest?tag={tag}", "filter-tag"]
    page.select_option("#filter-tag", "")
    page.wait_for_function("location.hash === '#/newest'")
    settle(page)
    page.focus("#filter-day")
    page.keyboard.type("02032024")
    settle(page)
    assert page.evaluate(f"[{route}, {focused}]") == ["#/newest", "filter-day"]
    assert page.input_value("#filter-day") == "2024-02-03"
    page.keyboard.press("Enter")
    page.wait_for_selector("text=No article matches.")
    assert page.evaluate(f"[{route}, {focused}]") == ["#/newest?day=2024-02-03", "filter-day"]
    page.keyboard.type("0204")
    page.focus("#filter-outlet")
    page.wait_for_selector("#filter-day[value='2024-02-04']")
    assert page.evaluate(f"[{route}, {focused}]") == ["#/newest?day=2024-02-04", "filter-outlet"]
    page.focus("#filter-day")
    page.keyboard.type("0205")
    go(page, "#/review")
    page.wait_for_selector("h1:has-text('For review')")
    settle(page)
    assert page.evaluate(route) == "#/review"


FETCHED = {"url": "https://example.org/a", "outlet": "example.org", "title": "Of the page", "text": "The army denied it.\nIt rained."}


@pytest.fixture
def fetching(open_page: Open) -> "Page":
    """The desk of a service with a database that fetches pages."""
    page = open_page(ready=False)
    page.route("**/v1/desk", lambda route: route.fulfill(json={"database": True, "fetch": True}))
    page.reload()
    page.wait_for_selector("html[data-ready]")
    return page


def test_source_of_a_page_goes_with_its_text(fetching: "Page") -> None:
    page = fetching
    page.route("**/v1/fetch", lambda route: route.fulfill(json=FETCHED))
    sent = posts(page, "/v1/articles")

    def fetch_and_change(change: Callable[[], None]) -> dict[str, Any]:
        """What is stored of a fetched page after a change."""
        page.fill("#address", "https://example.org/a")
        page.click("button:has-text('Fetch')")
        page.wait_for_selector(".source:has-text('https://example.org/a')")
        change()
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".reading")
        page.keyboard.press("a")
        page.wait_for_selector(".status:has-text('Review saved.')")
        page.click("button:has-text('New article')")
        page.wait_for_selector("form.paste")
        return sent[-1]

    kept = fetch_and_change(lambda: page.fill("#text", "The army denied it. It was seen.\nIt rained."))
    assert (kept["url"], kept["outlet"]) == ("https://example.org/a", "example.org")
    replaced = fetch_and_change(lambda: page.fill("#text", "Another text was put in its place."))
    removed = fetch_and_change(lambda: page.click(".source button"))
    for other in (replaced, removed):
        assert (other["url"], other["outlet"]) == (None, "")


def test_late_page_does_not_replace_what_was_typed(fetching: "Page") -> None:
    page = fetching
    held = hold(page, "**/v1/fetch")
    page.fill("#address", "https://example.org/a")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    wait_for(page, lambda: held)
    settle(page)
    assert len(held) == 1
    assert not page.is_enabled("button:has-text('Fetch')")
    page.fill("#text", "Typed meanwhile.")
    held[0].fulfill(json=FETCHED)
    page.wait_for_selector(".error:has-text('changed meanwhile')")
    assert (page.input_value("#title"), page.input_value("#text")) == ("", "Typed meanwhile.")
    assert page.inner_text(".source") == ""
    assert page.is_enabled("button:has-text('Fetch')")


def test_address_without_a_scheme_does_not_block_scoring(fetching: "Page") -> None:
    page = fetching
    page.fill("#address", "example.org/a")
    page.click("form.paste button.primary")
    page.wait_for_selector(".error:has-text('Paste a text first.')")
    score(page, "", "The army denied it.")
    assert texts(page, ".body .sentence") == ["The army denied it."]


def test_key_pasted_with_unseen_characters_is_used(open_page: Open, guarded_url: str, key: str) -> None:
    page = open_page(url=guarded_url, ready=False)
    page.fill("#key", f"\u200b{key} \u2026\u00a0")
    page.keyboard.press("Enter")
    page.wait_for_selector("html[data-ready]")
    assert page.evaluate("sessionStorage.getItem('newswatch-key')") == key
