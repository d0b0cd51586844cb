"""The check of a corpus: everything that would spoil a training run or flatter its figures."""

from collections.abc import Sequence
from dataclasses import dataclass

from newswatch_labels.corpus import Corpus
from newswatch_labels.duplicates import Duplicate, SharedRun, near_duplicates, shared_runs
from newswatch_labels.folds import group_records, split_by_event
from newswatch_labels.record import Record

FOLDS = 5


@dataclass(frozen=True)
class CheckReport:
    """What a check found. `faults` are errors; near-duplicates (contrast pairs aside) are reported, and kept in one fold."""

    faults: tuple[str, ...]
    duplicates: tuple[Duplicate, ...]
    runs: tuple[SharedRun, ...]

    @property
    def passed(self) -> bool:
        """Whether the corpus may train a model: no fault, and no sentence of one record in another."""
        return not self.faults and not self.runs


def check_corpus(corpus: Corpus) -> CheckReport:
    """Check rows, contrast pairs, shared wording, and that five folds keep every event and pair whole."""
    records = corpus.records
    faults = [str(fault) for fault in corpus.faults]
    faults += _contrast_faults(records)
    groups = group_records(records)
    if len(set(groups)) >= FOLDS:
        faults += _fold_faults(records, groups)
    contrasts = {frozenset((record.id, record.contrast)) for record in records}
    duplicates = [pair for pair in near_duplicates(records) if frozenset((pair.first, pair.second)) not in contrasts]
    return CheckReport(tuple(faults), tuple(duplicates), tuple(shared_runs(records)))


def _contrast_faults(records: Sequence[Record]) -> list[str]:
    by_id = {record.id: record for record in records}
    faults = []
    for record in records:
        if record.contrast is None:
            continue
        other = by_id.get(record.contrast)
        if other is None:
            faults.append(f"{record.id}: its contrast {record.contrast!r} is not in the corpus")
        elif other.contrast != record.id:
            faults.append(f"{record.id}: its contrast {other.id} does not name it back")
        elif set(other.labels) == set(record.labels):
            faults.append(f"{record.id}: its contrast {other.id} carries the same tags")
    return faults


def _fold_faults(records: Sequence[Record], groups: Sequence[int]) -> list[str]:
    homes: dict[str, int] = {}
    faults = []
    for record, fold in zip(records, split_by_event(records, [1 / FOLDS] * FOLDS, groups=groups), strict=True):
        for key in filter(
            None,
            (
                f"event {record.event}" if record.event else "",
                f"pair {min(record.id, record.contrast or '')}" if record.contrast else "",
            ),
        ):
            if homes.setdefault(key, fold) != fold:
                faults.append(f"{record.id}: {key} lies in two folds")
    return faults
