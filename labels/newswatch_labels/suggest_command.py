"""`newswatch-labels suggest`: which articles to label next."""

from pathlib import Path
from typing import Annotated

import typer

from newswatch_labels.corpus import write_corpus
from newswatch_labels.errors import InputError
from newswatch_labels.pool import read_pool, read_scores
from newswatch_labels.suggest import suggest as choose
from newswatch_labels.terminal import out, report_faults, table

LEFT_OUT = 3


def suggest(
    pool: Annotated[Path, typer.Argument(help="Unlabelled articles: JSONL of id, text and, where there, title.")],
    path: Annotated[Path, typer.Argument(metavar="OUT", help="JSONL file to write the chosen articles into, the best first.")],
    predictions: Annotated[Path, typer.Option(help="What newswatch score said of the pool.")],
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many to choose.")] = 50,
) -> None:
    """Choose the articles of a pool that teach a model most: unsure ones, spread over the tags and over different texts.

    Score the pool first: newswatch score --no-evidence POOL > PREDICTIONS. What is chosen can be labelled as it is, or in
    Label Studio: newswatch-labels export OUT tasks.json --to label-studio. Exit status 3 if rows of the pool were left out.
    """
    articles, faults = read_pool(pool)
    report_faults(faults)
    if not articles:
        raise InputError(f"{pool} without a readable article", "at least one", "Mend the rows named above.")
    chosen = choose(articles, read_scores(predictions), count)
    write_corpus([suggestion.record for suggestion in chosen], path)
    rows = [(s.record.id, ", ".join(s.tags), f"{s.gain:.2f}") for s in chosen]
    out.print(table(f"{len(chosen)} of {len(articles)} articles", ("article", "unsure of", "gain"), rows))
    out.print(f"{path}: {len(chosen)} articles to label", highlight=False, soft_wrap=True)
    if faults:
        raise typer.Exit(LEFT_OUT)
