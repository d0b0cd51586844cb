"""The desk's page in a real browser."""

import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newswatch.prediction import Prediction
from newswatch.scorer import Article, Scorer
from newswatch.store import Store
from newswatch.text import Document

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
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
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" and "401" not in said.text else None)
        page.goto(f"{url}/{route}")
        if ready:
            page.wait_for_selector("html[data-ready]")
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
