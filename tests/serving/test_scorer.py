import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from newswatch import Article, Bundle, InputError, Scorer, score
from newswatch.text import Document
from newswatch_labels.corpus import Corpus

ODD = {
    "empty": "",
    "nul": "\0",
    "right to left": "قتل اثنان في هجوم لداعش قرب داقوق",
    "Kurdish": "هێرشێکی داعش لە داقوق دوو پۆلیسی کوشت",
    "emoji": "🔥" * 500,
    "html": "<p>Two policemen <b>died</b> &amp; one was hurt.</p><script>x()</script>",
    "one long word": "x" * 100_000,
    "digits": "0" * 1000,
    "bidi marks": "\u202eISIS attacked\u202c the \u200fvillage",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_text_is_scored_finite(scorer: Scorer, name: str) -> None:
    (made,) = scorer.score([ODD[name]])
    assert np.isfinite(list(made.scores.values())).all()
    assert all(0 <= value <= 1 for value in made.scores.values())
    if not any(c.isalpha() for c in ODD[name]):
        assert made.tags == ()


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=300), max_size=4))
@settings(max_examples=500, deadline=None)
def test_fuzz_evidence_is_always_in_the_text(scorer: Scorer, texts: list[str]) -> None:
    for text, made in zip(texts, scorer.score(texts), strict=True):
        assert set(made.evidence) == set(made.tags)
        assert all(found for found in made.evidence.values())
        for found in made.evidence.values():
            assert all(text[e.start : e.end] == e.text for e in found)


def test_order_and_batch_size_do_not_matter(scorer: Scorer, corpus: Corpus) -> None:
    articles = [Article(r.text, r.id, r.title) for r in corpus.records[:40]]
    together = scorer.score(articles)
    assert together == [scorer.score([article])[0] for article in articles]
    assert together[::-1] == scorer.score(articles[::-1])


def test_score_is_the_scorer_with_the_default_bundle(bundle: Bundle, scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEWSWATCH_BUNDLE", str(bundle.folder))
    text = "Turkish artillery shelled a village near Amedi and two farmers were killed."
    assert score(text, id="a") == scorer.score([Article(text, "a")])[0]
    assert "turkish_shelling" in score(text).tags


@pytest.mark.parametrize(
    ("articles", "message"),
    [("text", "Put the text into a list"), (["ok", 3], "article 1"), (["a\udc80"], "article 0"), (5, "a list")],
)
def test_wrong_input_is_named(scorer: Scorer, articles: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        scorer.score(articles)  # type: ignore[arg-type]


def test_ten_megabytes_are_scored_whole(scorer: Scorer) -> None:
    """The one sentence that says something is the last of 110,000, and is found."""
    filler = "The municipality repaired the road to the market and the pumps of the northern quarter. "
    text = filler * (10_000_000 // len(filler)) + "\nTurkish artillery shelled villages in Amedi, the mayor said."
    started = time.perf_counter()
    document = Document.read(text)
    (logits,) = scorer.bundle.model.logits([document])
    assert time.perf_counter() - started < 60
    assert document.sentences[-1].end == len(text)
    column = logits.sentences[:, scorer.bundle.scheme.index("turkish_shelling")]
    assert len(column) > 100_000
    assert int(column.argmax()) == len(column) - 1
    assert np.isfinite(logits.article).all()
