"""Agreement: how far two readers of the same records gave the same tags and sentences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from newswatch_labels.errors import RecordError
from newswatch_labels.record import Record
from newswatch_labels.scheme import Scheme


@dataclass(frozen=True, slots=True)
class TagAgreement:
    """Two readers on one tag.

    Attributes:
        both, only_first, only_second, neither: records by who gave the tag.
        kappa: Cohen's (1960), chance-corrected; 1 where both readers always agree.
        f1: 2 * both / (records of the first + records of the second); 1 where neither used the tag.
        evidence_f1: the same for its sentences, over the records where both gave the tag.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    evidence_f1: float

    @property
    def f1(self) -> float:
        """See the class."""
        total = 2 * self.both + self.only_first + self.only_second
        return 2 * self.both / total if total else 1.0

    @property
    def kappa(self) -> float:
        """See the class."""
        n = self.both + self.only_first + self.only_second + self.neither
        observed = (self.both + self.neither) / n
        first, second = (self.both + self.only_first) / n, (self.both + self.only_second) / n
        chance = first * second + (1 - first) * (1 - second)
        return (observed - chance) / (1 - chance) if chance < 1 else 1.0


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A tag that one reader gave and the other did not, with the sentences of the one who did."""

    id: str
    tag: str
    given_by: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """Two readers on the records that both read; `micro` pools all tags."""

    records: int
    tags: Mapping[str, TagAgreement]
    micro: TagAgreement
    disagreements: tuple[Disagreement, ...]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of the tags that either reader used."""
        used = [tag.f1 for tag in self.tags.values() if tag.both or tag.only_first or tag.only_second]
        return sum(used) / len(used) if used else 1.0


def compare_readers(first: Sequence[Record], second: Sequence[Record], scheme: Scheme) -> Agreement:
    """Compare two readings, matched by id; disputed tags are left out.

    Raises:
        RecordError: no id occurs in both, or a matched text differs.
    """
    others = {record.id: record for record in second}
    pairs = [(record, others[record.id]) for record in first if record.id in others]
    if not pairs:
        raise RecordError("two readings without a common id", "readings of the same records", "Check the two paths.")
    for one, two in pairs:
        if (one.title, one.text) != (two.title, two.text):
            raise RecordError(f"{one.id}: two different texts", "readings of one text", "Label the same version of the record.")
    tags = {tag: _compare(pairs, (tag,)) for tag in scheme.names}
    disagreements = [
        Disagreement(one.id, tag, giver, tuple((record.evidence or {}).get(tag, ())))
        for one, two in pairs
        for tag in scheme.names
        if (tag in one.labels) != (tag in two.labels) and tag not in (*one.disputed, *two.disputed)
        for giver, record in (("first", one) if tag in one.labels else ("second", two),)
    ]
    return Agreement(len(pairs), tags, _compare(pairs, scheme.names), tuple(disagreements))


def _compare(pairs: Sequence[tuple[Record, Record]], names: Sequence[str]) -> TagAgreement:
    counts = [0, 0, 0, 0]
    shared = total = 0
    for one, two in pairs:
        for tag in names:
            if tag in one.disputed or tag in two.disputed:
                continue
            first, second = tag in one.labels, tag in two.labels
            counts[0 if first and second else 1 if first else 2 if second else 3] += 1
            if first and second and one.evidence is not None and two.evidence is not None:
                left, right = set(one.evidence.get(tag, ())), set(two.evidence.get(tag, ()))
                shared += 2 * len(left & right)
                total += len(left) + len(right)
    both, only_first, only_second, neither = counts
    return TagAgreement(both, only_first, only_second, neither, shared / total if total else 1.0)
