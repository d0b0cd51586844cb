"""The model card: what a bundle is, written from the run that made it."""

from collections.abc import Mapping
from typing import Any

from newswatch_labels.census import Census
from newswatch_labels.scheme import Scheme

HEADLINE = {
    "macro_f1": "macro F1",
    "micro_f1": "micro F1",
    "core_f1": "macro F1 of the core tags",
    "example_f1": "example F1",
    "macro_average_precision": "macro average precision",
    "evidence_f1": "evidence sentence F1",
    "contrast_both_right": "contrast pairs with both right",
    "ece": "expected calibration error",
    "review_share": "articles with a tag for review",
    "review_missed": "true tags neither carried nor for review",
}


def write_card(
    name: str,
    kind: str,
    scheme: Scheme,
    census: Census,
    metrics: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    corpus: Mapping[str, Any],
) -> str:
    """Markdown text of the card.

    Args:
        metrics: `cv.*` cross-validated by event, `time.*` on the newest fifth, named as in `metrics.measure`.
        intervals: of figures by event, as `bootstrap.f1_intervals` gives them.
    """
    head = [(label, *(_figure(metrics, f"{part}.{key}") for part in ("cv", "time"))) for key, label in HEADLINE.items()]
    tags = [
        (
            tag,
            census.tags[tag],
            *(_figure(metrics, f"cv.{key}.{tag}") for key in ("precision", "recall", "f1")),
            _interval(intervals, f"f1.{tag}"),
            _figure(metrics, f"time.f1.{tag}"),
        )
        for tag in scheme.names
    ]
    return f"""# {name}

Tags security news with {len(scheme.names)} tags and shows the sentences that carry each. Model: {kind}.

## Data

{census.records} labelled records of {census.events} events, {census.no_tag} without a tag; median {census.words[2]} words.
Corpus sha256: `{corpus["sha256"]}`.

## Figures

Cross-validated so that no event, contrast pair or near-duplicate lies in two folds; calibration and thresholds chosen without the
fold they are measured on. Beside it: trained on the past, measured on the newest fifth.

{_table(("figure", "by event", "by time"), head)}

The 95 % interval of macro F1 by event is {_interval(intervals, "macro_f1")}: drawn by bootstrap over events, it says how far the
figure would move with other events of the same kind, not with other outlets.

{_table(("tag", "records", "precision", "recall", "F1", "95 % interval", "F1 by time"), tags)}

## Limits

English text alone. The training records are own-words reports: on whole articles of outlets it has not seen the figures are
lower. A probability says how often such tags were right on held-out records, not how grave the matter is. A tag says what the
article reports, not that it happened.

## Use

For sorting, searching and counting news, with a person reading the evidence. Not for targeting, watching or judging persons, and
not as the only ground of any decision about safety.
"""


def _figure(metrics: Mapping[str, float], key: str) -> str:
    return f"{metrics[key]:.3f}" if key in metrics else "-"


def _interval(intervals: Mapping[str, tuple[float, float]], key: str) -> str:
    return "{:.3f} to {:.3f}".format(*intervals[key]) if key in intervals else "-"


def _table(columns: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in (columns, ("---",) * len(columns), *rows)]
    return "\n".join(lines)
