"""The summary: what a batch of articles came to."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from newswatch.whole_file import whole_file

SUMMARY = "summary.json"


@dataclass
class Tally:
    """Counts of scored articles.

    Attributes:
        articles: articles in the output.
        tags: how many of them carry each tag; tags that none carries are absent.
        review: how many of them have a tag that a person should look at.
        quarantined: rows and files that could not be scored.
        duplicates: articles marked as copies of an earlier one.
    """

    articles: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    review: int = 0
    quarantined: int = 0
    duplicates: int = 0

    def count(self, tags: Mapping[str, object] | tuple[str, ...] | list[str], review: bool, duplicate: bool = False) -> None:
        """Count one article."""
        self.articles += 1
        self.tags.update(tags)
        self.review += review
        self.duplicates += duplicate

    def add(self, other: "Tally") -> None:
        """Count all that `other` counted."""
        self.articles += other.articles
        self.tags.update(other.tags)
        self.review += other.review
        self.quarantined += other.quarantined
        self.duplicates += other.duplicates

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "articles": self.articles,
            "tags": dict(sorted(self.tags.items())),
            "review": self.review,
            "quarantined": self.quarantined,
            "duplicates": self.duplicates,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Tally":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError: it is something else.
        """
        return cls(data["articles"], Counter(data["tags"]), data["review"], data["quarantined"], data["duplicates"])


@dataclass(frozen=True)
class Summary:
    """What a batch came to.

    Attributes:
        model: name and version of the bundle.
        tally: counts over all the output, that of skipped shards too.
        scored: articles scored in this run.
        shards: input files.
        skipped: those of them whose output was there already.
        seconds: what this run took.
    """

    model: str
    tally: Tally
    scored: int
    shards: int
    skipped: int
    seconds: float

    @property
    def review_share(self) -> float:
        """Share (0 to 1) of the articles that a person should look at."""
        return self.tally.review / self.tally.articles if self.tally.articles else 0.0

    @property
    def articles_per_second(self) -> float:
        """Articles scored in this run a second."""
        return self.scored / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return {
            "model": self.model,
            **self.tally.to_dict(),
            "review_share": round(self.review_share, 4),
            "scored": self.scored,
            "shards": self.shards,
            "skipped_shards": self.skipped,
            "seconds": round(self.seconds, 3),
            "articles_per_second": round(self.articles_per_second, 1),
        }

    def write(self, folder: Path) -> None:
        """Write `summary.json` into the folder of the output."""
        with whole_file(folder / SUMMARY) as file:
            file.write(json.dumps(self.to_dict(), ensure_ascii=False, indent=1).encode() + b"\n")
