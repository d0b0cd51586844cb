"""Additions: new records for a retraining, checked against the corpus they join."""

from collections.abc import Sequence
from pathlib import Path

from newswatch_labels.check import contrast_faults
from newswatch_labels.corpus import Corpus, read_corpus
from newswatch_labels.errors import RecordError
from newswatch_labels.scheme import Scheme


def read_additions(paths: Sequence[Path], corpus: Corpus, scheme: Scheme) -> Corpus:
    """Read files and folders of records that are to join the corpus, as `newswatch-labels check` would have them.

    A row at fault, an id or an article that is there already, and a contrast that does not hold are left out and named in `faults`.

    Raises:
        RecordError: a path does not exist or holds no file.
    """
    ids = {record.id: "the corpus" for record in corpus.records}
    texts = {record.fingerprint: record.id for record in corpus.records}
    faults: list[RecordError] = []
    records = []
    for path in paths:
        found = read_corpus(path, scheme)
        faults += found.faults
        for record in found.records:
            if record.id in ids:
                faults.append(
                    RecordError(f"{path.name} ({record.id}): an id that {ids[record.id]} has", "an id that occurs once", "Rename it.")
                )
            elif record.fingerprint in texts:
                other = texts[record.fingerprint]
                faults.append(RecordError(f"{path.name} ({record.id}): title and text of {other}", "an article once", "Keep one of them."))
            else:
                ids[record.id], texts[record.fingerprint] = path.name, record.id
                records.append(record)
    wrong = dict(contrast_faults([*corpus.records, *records]))
    for record in records:
        if record.id in wrong:
            advice = "Name both as each other's contrast, or neither."
            faults.append(RecordError(f"{record.id}: {wrong[record.id]}", "two records that differ in a tag", advice))
    return Corpus(tuple(record for record in records if record.id not in wrong), tuple(faults))
