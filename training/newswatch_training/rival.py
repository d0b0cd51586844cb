"""The rival: what a challenger is compared with, as fair as can be to both."""

from dataclasses import dataclass, fields

import numpy as np

from newswatch.bundle import Bundle
from newswatch_labels.corpus import Corpus
from newswatch_labels.folds import group_records
from newswatch_training.cross_validation import Advance, cross_validate
from newswatch_training.examples import Examples
from newswatch_training.export import read_trained_on
from newswatch_training.linear import LinearFitter, LinearSettings
from newswatch_training.metrics import Outcome, decide


@dataclass(frozen=True)
class Rival:
    """What the champion, or its stand-in, says of the test records; `note` tells of what is not as it should be."""

    outcome: Outcome
    note: str = ""


def find_rival(champion: Bundle, test: Examples, training: Corpus, advance: Advance) -> Rival:
    """Score the test records with the champion.

    A champion that was trained on some of them would recall them. If it is a linear model, a stand-in takes its place: its
    settings, fitted on those of the training records that it was trained on. Otherwise it is compared as it is, and the note says
    that it is flattered: that makes promotion harder, never easier.
    """
    trained_on = read_trained_on(champion)
    recalled = sum(record.fingerprint in trained_on for record in test.records) if trained_on is not None else 0
    if trained_on is not None and recalled and champion.model.kind == "linear":
        advance("the champion's stand-in, without the test records")
        outcome = _stand_in(champion, test, training, trained_on)
        return Rival(outcome, f"the champion was trained on {recalled} test records: its settings were fitted again without them")
    advance("the champion on the test records")
    outcome = decide(champion.model.logits(test.documents), champion.decision, test)
    if trained_on is None:
        return Rival(outcome, "the champion's bundle does not say what it was trained on: if test records were among it, it is flattered")
    note = f"the champion was trained on {recalled} of {len(test.records)} test records and is flattered" if recalled else ""
    return Rival(outcome, note)


def _stand_in(champion: Bundle, test: Examples, training: Corpus, trained_on: frozenset[str]) -> Outcome:
    records = [record for record in training.records if record.fingerprint in trained_on]
    asked = champion.manifest["settings"]
    settings = LinearSettings(**{field.name: asked[field.name] for field in fields(LinearSettings)})
    examples = Examples.prepare(records, test.scheme)
    fitter = LinearFitter(examples, settings)
    validation = cross_validate(fitter, examples, group_records(records), asked["folds"], asked["seed"], lambda _: None)
    return decide(fitter.fit(np.arange(len(records))).logits(test.documents), validation.decision, test)
