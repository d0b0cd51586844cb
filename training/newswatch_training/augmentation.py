"""Augmentation: what pages, editors and translators do to an article without changing what it says."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from newswatch_training.ranges import check_ranges

# Spellings of one name, as outlets vary them. Matching keeps to whole words; a variant is drawn a name and article.
SPELLINGS = (
    ("ISIS", "ISIL", "Daesh", "IS", "the Islamic State"),
    ("Peshmerga", "Pishmarga", "Peshmarga"),
    ("Dohuk", "Duhok"),
    ("Jalawla", "Jalula"),
    ("Erbil", "Arbil", "Hewler"),
    ("Sulaimani", "Sulaymaniyah", "Sulaimaniya"),
    ("Salahaddin", "Salah al-Din", "Saladin"),
    ("Nineveh", "Ninewa", "Nineva"),
    ("Makhmour", "Makhmur"),
    ("Khanaqin", "Khanaqeen"),
    ("Sinjar", "Shingal"),
    ("Tuz Khurmatu", "Tuz Khormato", "Tuzkhurmatu"),
    ("Qarachogh", "Qara Chokh", "Qaraçux"),
    ("Kadhimi", "Kazemi", "al-Kadhimi"),
    ("Yawar", "Yawer"),
    ("Zummar", "Zumar"),
    ("Hawija", "Hawijah"),
    ("Amedi", "Amadiya", "Amadiyah"),
    ("Qamishli", "Qamishlo"),
    ("Kobani", "Kobane"),
    ("Hasakah", "Hasaka", "al-Hasakah"),
    ("Deir ez-Zor", "Deir al-Zor", "Deir Ezzor"),
    ("Hashd al-Shaabi", "Hashd al-Shabi", "Popular Mobilization Forces", "Popular Mobilisation Forces", "PMF"),
    ("Asayish", "Asaish"),
    ("Barzani", "Barzanî"),
)
FURNITURE = (
    "Home", "News", "Politics", "Security", "Economy", "Sport", "Video", "Opinion", "Culture", "World", "Contact us", "About us",
    "Kurdistan", "Iraq", "Middle East", "Reports", "Interviews", "Photo gallery", "Live TV", "Frequencies", "Archive",
    "Share this article", "Share on Facebook", "Tweet", "Send by e-mail", "Print", "Copy link", "Telegram", "WhatsApp",
    "Font size A- A+", "Reading time: 2 minutes", "3 min read", "1,204 views", "Views: 857", "Last updated 14:32", "Yesterday, 21:05",
    "Photo: Archive", "Photo credit: agency", "File photo.", "Illustration", "(Photo: social media)", "Listen to this article",
    "Subscribe to our newsletter and never miss a story.", "Enter your e-mail address", "Sign up", "Log in", "Register",
    "Leave a comment", "Your e-mail address will not be published.", "Required fields are marked *", "Name *", "Comment *", "Post comment",
    "0 comments", "Be the first to comment.", "Comments are closed.", "Most read", "Editor's choice", "Trending now", "Latest news",
    "Related topics", "Tags:", "Related articles", "Previous article", "Next article", "Back to top", "Load more", "Advertisement",
    "This website uses cookies to improve your experience.", "Accept all cookies", "Privacy policy", "Terms of use", "All rights reserved.",
    "Copyright © 2023. All rights reserved.", "Follow us on social media", "Download our app", "English | Kurdish | Arabic", "Search ...",
    "Reporting by our staff; editing by the night desk.", "Got a tip? Write to the newsroom.", "Support independent journalism.",
    "Weather: Erbil 31°C", "USD 100 = 147,500 IQD", "Oil prices", "Prayer times", "Breaking", "Read more", "Watch the full episode below.",
)  # fmt: skip
TEASERS = ("Read also: {}", "Related: {}", "See also: {}", "Read more: {}", "Most read: 1. {}", "Next article: {}", "More on this: {}")


@dataclass(frozen=True)
class Passage:
    """A sentence on its way into an encoder: its text, whether it is of the title, and the tags (T,) it shows, where marked."""

    text: str
    marks: NDArray[np.bool_] | None
    title: bool


@dataclass(frozen=True)
class Augmentation:
    """How often, for each article and epoch, something happens to it; each a probability.

    Attributes:
        furniture: menus, counters, teasers and forms at the start, the end and between paragraphs.
        strangers: two to eight sentences of another article, which show no tag, are put in.
        drop: a quarter of the sentences that show no tag are left out, in articles whose evidence is marked.
        reorder: the text's two halves change places.
        untitled: the title is left out, unless it alone shows a tag.
        respell: names are written another way.
    """

    furniture: float = 0.0
    strangers: float = 0.0
    drop: float = 0.0
    reorder: float = 0.0
    untitled: float = 0.0
    respell: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, shares=("furniture", "strangers", "drop", "reorder", "untitled", "respell"))

    def apply(self, passages: Sequence[Passage], others: "Strangers", rng: random.Random) -> list[Passage]:
        """A changed copy of an article; its labels stay true."""
        changed = list(passages)
        if rng.random() < self.untitled:
            changed = _leave_title(changed)
        if rng.random() < self.drop:
            changed = [p for p in changed if p.marks is None or p.marks.any() or rng.random() > 0.25] or changed
        if rng.random() < self.reorder:
            changed = _swap_halves(changed, rng)
        if rng.random() < self.strangers:
            changed = _insert(changed, others.draw(rng), rng)
        if rng.random() < self.furniture:
            for _ in range(rng.randint(1, 3)):
                changed = _insert(changed, others.furniture(rng), rng)
        if rng.random() < self.respell:
            changed = _respell(changed, rng)
        return changed

    @property
    def active(self) -> bool:
        """Whether anything may happen."""
        return self != Augmentation()


USUAL = Augmentation(furniture=0.3, drop=0.3, untitled=0.2)  # what cost nothing that could be measured (docs/log.md)


class Strangers:
    """What may stand in an article without belonging to it: sentences that show no tag, and titles as teasers."""

    def __init__(self, articles: Sequence[Sequence[Passage]], tags: int) -> None:
        """Take the articles of the training rows; only those with marks give sentences."""
        self._none = np.zeros(tags, dtype=np.bool_)
        self._titles = [passage.text for article in articles for passage in article if passage.title]
        self._runs = [run for article in articles if len(run := _unmarked(article)) >= 2]

    def draw(self, rng: random.Random) -> list[Passage]:
        """Two to eight successive sentences of one article that show no tag."""
        if not self._runs:
            return []
        run = rng.choice(self._runs)
        length = min(len(run), rng.randint(2, 8))
        start = rng.randint(0, len(run) - length)
        return run[start : start + length]

    def furniture(self, rng: random.Random) -> list[Passage]:
        """A block of menu lines, counters, forms and teasers."""
        lines = rng.sample(FURNITURE, rng.randint(1, 8))
        if self._titles:
            lines += [rng.choice(TEASERS).format(rng.choice(self._titles)) for _ in range(rng.randint(0, 3))]
        rng.shuffle(lines)
        return [Passage(line, self._none, False) for line in lines]


def _unmarked(article: Sequence[Passage]) -> list[Passage]:
    return [passage for passage in article if not passage.title and passage.marks is not None and not passage.marks.any()]


def _leave_title(passages: list[Passage]) -> list[Passage]:
    rest = [passage for passage in passages if not passage.title]
    shown = [passage.marks for passage in passages if passage.title]
    if not rest or any(marks is None for marks in shown):
        return passages
    kept = np.any([passage.marks for passage in rest if passage.marks is not None], axis=0)
    lost = np.any([marks for marks in shown if marks is not None], axis=0) & ~kept if shown else np.zeros(1)
    return passages if lost.any() else rest


def _swap_halves(passages: list[Passage], rng: random.Random) -> list[Passage]:
    head = sum(passage.title for passage in passages)
    if len(passages) - head < 4:
        return passages
    cut = rng.randint(head + 2, len(passages) - 2)
    return passages[:head] + passages[cut:] + passages[head:cut]


def _insert(passages: list[Passage], block: list[Passage], rng: random.Random) -> list[Passage]:
    place = rng.choice((0, len(passages), rng.randint(0, len(passages))))
    return passages[:place] + block + passages[place:]


def _respell(passages: list[Passage], rng: random.Random) -> list[Passage]:
    chosen = {name.lower(): drawn for names in SPELLINGS for drawn in (rng.choice(names),) for name in names}
    return [Passage(_NAMES.sub(lambda found: chosen[found[0].lower()], p.text), p.marks, p.title) for p in passages]


_NAMES = re.compile(
    r"(?<![\w-])(?:"
    # "IS" and "the Islamic State" are written, not read: the one is a verb, the other has many continuations.
    + "|".join(sorted((re.escape(n) for names in SPELLINGS for n in names if n not in ("IS", "the Islamic State")), key=len, reverse=True))
    + r")(?![\w-])"
)
