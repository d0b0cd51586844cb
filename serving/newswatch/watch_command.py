"""`newswatch watch` and `newswatch store export`: score what arrives, and take out what is stored."""

import logging
from pathlib import Path
from typing import Annotated

import typer

from newswatch.options import BundleOption
from newswatch.scorer import Scorer
from newswatch.store import Store
from newswatch.stored_article import StoredArticle
from newswatch_labels.errors import InputError, MissingExtraError, NewswatchError
from newswatch_labels.terminal import err, new_app, out

LEFT_OUT = 3

store_app = new_app("Look into a store of watched articles.")

StorePath = Annotated[Path, typer.Option("--db", help="SQLite file of articles, predictions and reviews; made where there is none.")]


def watch(
    sources: Annotated[list[str], typer.Argument(help="Feeds (URLs of RSS or Atom), folders, files, or - for standard input.")],
    db: StorePath = Path("newswatch.db"),
    bundle: BundleOption = None,
    alert: Annotated[str | None, typer.Option(help="Tags, joined by commas, that are told to --webhook, once a story.")] = None,
    webhook: Annotated[str | None, typer.Option(envvar="NEWSWATCH_WEBHOOK", help="URL that alerts are posted to as JSON.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Go through the sources once and end, for schedulers.")] = False,
    every: Annotated[float, typer.Option(min=1.0, help="Seconds from the end of a round to the next.")] = 300.0,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="Host that may be reached though its address is not public; may be repeated.")
    ] = None,
    delay: Annotated[float, typer.Option(min=0.0, help="Least seconds between two requests to one host.")] = 1.0,
) -> None:
    """Score and store what is new in feeds, folders and standard input, each article once.

    With --once the exit status is 3 if anything was left out or failed.
    """
    try:
        from newswatch.watch.alerts import AlertRule
        from newswatch.watch.fetcher import Fetcher
        from newswatch.watch.lock import only_watcher
        from newswatch.watch.stopping import Stopping
        from newswatch.watch.watcher import Watcher, check_sources
    except ImportError as error:
        raise MissingExtraError(error.name or "httpx", "feeds") from error
    # What it cannot read is named below, once.
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    check_sources(sources)
    if alert is not None and webhook is None:
        raise InputError("--alert without --webhook", "both or neither", "Name the address that is told.")
    stopping = Stopping()
    rule = AlertRule(tuple(tag.strip() for tag in alert.split(",") if tag.strip()), webhook) if alert is not None and webhook else None
    with only_watcher(db), Store.open(db) as store, Fetcher(allow_host or (), delay, stopping) as fetcher:
        scorer = Scorer.load(bundle)
        if rule:
            rule.check(scorer.bundle.scheme.names, fetcher)
        watcher = Watcher(scorer, store, fetcher, stopping, rule, _tell)
        stopping.listen()
        done = watcher.run(sources)
        # Standard input ends once; what remains is looked at again and again.
        lasting = [] if once else [source for source in sources if source != "-"]
        while lasting and not stopping.is_set():
            stopping.wait(every)
            watcher.run(lasting)
    if not lasting and done.faults:
        raise typer.Exit(LEFT_OUT)


@store_app.command("export")
def export_store(
    path: Annotated[Path, typer.Argument(metavar="OUT", help="JSONL file to write.")],
    db: StorePath = Path("newswatch.db"),
) -> None:
    """Write every article of a store with its newest prediction and review, a JSON line each."""
    if not db.is_file():
        raise InputError(f"store {db}: no such file", "a newswatch.db", "Check --db.")
    with Store.open(db) as store:
        out.print(f"{path}: {store.export(path)} articles", markup=False, highlight=False, soft_wrap=True)


def _tell(met: StoredArticle | NewswatchError) -> None:
    if isinstance(met, StoredArticle):
        tags = ", ".join(met.prediction.tags) if met.prediction else ""
        line = f"{met.time} {met.outlet or '-'}: {met.title or met.id} [{tags}]"
        out.print(line, markup=False, highlight=False, soft_wrap=True)
    else:
        err.print(f"left out: {met}", style="yellow", markup=False, highlight=False, soft_wrap=True)
