import random
from collections import Counter

import numpy as np
import pytest

from newswatch_training.augmentation import FURNITURE, Augmentation, Passage, Strangers

NONE = np.zeros(2, dtype=np.bool_)
FIRST = np.array([True, False])
SECOND = np.array([False, True])


def article(name: str, length: int = 10) -> list[Passage]:
    """A title and sentences of which the third shows the first tag and the last the second."""
    marks = {2: FIRST, length - 1: SECOND}
    body = [Passage(f"{name} sentence {n}.", marks.get(n, NONE), False) for n in range(length)]
    return [Passage(f"{name} title", NONE, True), *body]


@pytest.fixture
def others() -> Strangers:
    return Strangers([article("other"), article("another")], 2)


def shown(passages: list[Passage]) -> Counter[str]:
    return Counter(p.text for p in passages if p.marks is not None and p.marks.any())


@pytest.mark.parametrize("name", ["furniture", "strangers", "drop", "reorder", "untitled"])
def test_what_shows_a_tag_stays_and_nothing_else_comes_to_show_one(name: str, others: Strangers) -> None:
    before = article("own")
    for seed in range(50):
        after = Augmentation(**{name: 1.0}).apply(before, others, random.Random(seed))
        assert shown(after) == shown(before)
        assert [p.text for p in before] == [p.text for p in article("own")]


def test_nothing_is_asked_for_nothing_happens(others: Strangers) -> None:
    before = article("own")
    assert Augmentation().apply(before, others, random.Random(0)) == before
    assert not Augmentation().active
    assert Augmentation(drop=0.1).active


def test_furniture_comes_in_blocks_of_menu_lines_and_teasers(others: Strangers) -> None:
    after = Augmentation(furniture=1.0).apply(article("own"), others, random.Random(3))
    added = [p for p in after if not p.text.startswith("own")]
    assert added
    assert all(p.text in FURNITURE or p.text.endswith("title") for p in added)
    assert all(p.marks is not None and not p.marks.any() for p in added)


def test_strangers_are_successive_sentences_of_one_article_without_a_tag(others: Strangers) -> None:
    for seed in range(50):
        after = Augmentation(strangers=1.0).apply(article("own"), others, random.Random(seed))
        added = [p.text for p in after if not p.text.startswith("own")]
        assert 2 <= len(added) <= 8
        assert len({text.split()[0] for text in added}) == 1


def test_drop_leaves_out_some_sentences_without_a_tag(others: Strangers) -> None:
    counts = [len(Augmentation(drop=1.0).apply(article("own"), others, random.Random(seed))) for seed in range(100)]
    assert 8 < np.mean(counts) < 10  # a quarter of nine of eleven


def test_reorder_keeps_the_title_first_and_every_sentence(others: Strangers) -> None:
    before = article("own")
    after = Augmentation(reorder=1.0).apply(before, others, random.Random(1))
    assert after[0].title
    assert after != before
    assert Counter(p.text for p in after) == Counter(p.text for p in before)


def test_a_title_that_alone_shows_a_tag_stays(others: Strangers) -> None:
    alone = [Passage("ISIS kills two", FIRST, True), Passage("More follows.", NONE, False)]
    again = [*alone, Passage("Two were killed by ISIS.", FIRST, False)]
    leave = Augmentation(untitled=1.0)
    assert leave.apply(alone, others, random.Random(0)) == alone
    assert [p.text for p in leave.apply(again, others, random.Random(0))] == ["More follows.", "Two were killed by ISIS."]


def test_names_are_respelt_alike_through_an_article(others: Strangers) -> None:
    before = [Passage("Dohuk and Duhok and Sinjar.", NONE, False), Passage("In Duhok, IS it said. Sinjarland stays.", NONE, False)]
    seen = set()
    for seed in range(30):
        one, two = Augmentation(respell=1.0).apply(before, others, random.Random(seed))
        city = one.text.split()[0]
        assert one.text.startswith(f"{city} and {city} and ")
        assert two.text.startswith(f"In {city}, IS it said.")
        assert two.text.endswith("Sinjarland stays.")
        seen.add(one.text)
    assert len(seen) == 4  # two spellings of each name


def test_unmarked_articles_lose_nothing_and_lend_nothing() -> None:
    plain = [Passage(f"sentence {n}", None, False) for n in range(6)]
    others = Strangers([plain], 2)
    assert others.draw(random.Random(0)) == []
    after = Augmentation(drop=1.0, untitled=1.0).apply(plain, others, random.Random(0))
    assert after == plain


def test_same_seed_same_article(others: Strangers) -> None:
    everything = Augmentation(furniture=0.5, strangers=0.5, drop=0.5, reorder=0.5, untitled=0.5, respell=0.5)
    one, two = (everything.apply(article("own"), others, random.Random(7)) for _ in range(2))
    assert [p.text for p in one] == [p.text for p in two]
