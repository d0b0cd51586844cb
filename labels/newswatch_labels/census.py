"""The census: what a corpus holds, counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import quantiles
from typing import Any

from newswatch_labels.record import LONG_WORDS, Record
from newswatch_labels.scheme import Scheme


@dataclass(frozen=True)
class Census:
    """Counts of records; `words` holds the 5, 25, 50, 75, 95 % quantiles of the text's length in words."""

    records: int
    tags: dict[str, int]
    no_tag: int
    evidence_sentences: dict[str, int]
    tags_per_record: float
    words: tuple[int, ...]
    long_late: int
    furniture: int
    translation: int
    contrast_pairs: int
    invented: int
    events: int
    years: dict[str, int]
    styles: dict[str, int]
    outlets: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)


def take_census(records: Sequence[Record], scheme: Scheme) -> Census:
    """Count `records`; tags in the scheme's order, years ascending, the rest by frequency."""
    labels = Counter(label for record in records for label in record.labels)
    sentences = Counter(dict.fromkeys(scheme.names, 0))
    for record in records:
        sentences.update({tag: len(found) for tag, found in (record.evidence or {}).items()})
    lengths = [record.words for record in records]
    cuts = quantiles(lengths, n=20, method="inclusive") if len(lengths) > 1 else [float(sum(lengths))] * 19
    years = Counter(str(record.year) if record.year else "undated" for record in records)
    return Census(
        records=len(records),
        tags={name: labels[name] for name in scheme.names},
        no_tag=sum(not record.labels for record in records),
        evidence_sentences={name: sentences[name] for name in scheme.names},
        tags_per_record=round(labels.total() / max(1, len(records)), 2),
        words=tuple(round(cuts[i]) for i in (0, 4, 9, 14, 18)),
        long_late=sum(record.words >= LONG_WORDS and bool(record.late_labels()) for record in records),
        furniture=sum(record.furniture for record in records),
        translation=sum(record.translation for record in records),
        contrast_pairs=len({frozenset((r.id, r.contrast)) for r in records if r.contrast}),
        invented=sum(record.style == "invented" for record in records),
        events=len({record.event for record in records if record.event}),
        years=dict(sorted(years.items())),
        styles=dict(Counter(record.style or "unknown" for record in records).most_common()),
        outlets=dict(Counter(record.outlet or "unknown" for record in records).most_common()),
    )
