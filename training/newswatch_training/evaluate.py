"""Evaluation of a bundle on labelled records."""

from pathlib import Path

from newswatch.bundle import Bundle
from newswatch_labels.corpus import Corpus, read_corpus
from newswatch_labels.errors import RecordError
from newswatch_training.examples import Examples
from newswatch_training.metrics import Outcome, decide


def evaluate_bundle(bundle: Bundle, data: Path) -> tuple[Outcome, Corpus]:
    """Score the records of `data` (JSONL or a folder, with labels or evidence) as the service would.

    Raises:
        RecordError: no record could be read.
    """
    corpus = read_corpus(data, bundle.scheme, plain=True)
    if not corpus.records:
        first = str(corpus.faults[0]) if corpus.faults else "no rows"
        raise RecordError(f"no readable record in {data}: {first}", "records labelled with the bundle's tags", "Check the file.")
    examples = Examples.prepare(corpus.records, bundle.scheme)
    return decide(bundle.model.logits(examples.documents), bundle.decision, examples), corpus
