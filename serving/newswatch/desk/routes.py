"""Routes of the desk: stored articles, reviews, and what the page asks besides scores."""

from datetime import date
from hashlib import sha256
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse

from newswatch.desk.messages import (
    Address,
    Counts,
    Day,
    Decided,
    Desk,
    Fetched,
    Listed,
    NewArticle,
    NewReview,
    Opened,
    Outlets,
    Page,
    Passage,
    Sentences,
)
from newswatch.desk.page_reader import PageReader
from newswatch.desk.pages import front_page
from newswatch.prediction import Prediction
from newswatch.scorer import Article
from newswatch.service.access import Key
from newswatch.service.messages import ErrorAnswer
from newswatch.service.refusals import Forbidden, Refusal
from newswatch.store import Store
from newswatch.stored_article import StoredArticle
from newswatch_labels.errors import InputError

DAYS = 366
router = APIRouter(
    prefix="/v1", tags=["desk"], dependencies=[Key], responses={status: {"model": ErrorAnswer} for status in (401, 404, 422)}
)
public = APIRouter()


class Missing(Refusal):
    """There is no such article, or no database at all."""

    status: ClassVar[int] = 404


def _store(request: Request) -> Store:
    found: Store | None = request.app.state.store
    if found is None:
        raise Missing("a request for stored articles", "a service with a database", "Start it with --database newswatch.db.")
    return found


Stored = Annotated[Store, Depends(_store)]


def _find(store: Store, identity: str) -> StoredArticle:
    try:
        return store.get(identity)
    except InputError as error:
        raise Missing(error.received, error.expected, error.advice) from error


@public.get("/", response_class=FileResponse, include_in_schema=False)
def page() -> FileResponse:
    """The desk's page."""
    return front_page()


@public.get("/v1/desk", tags=["desk"])
def desk(request: Request) -> Desk:
    """What this service lets the desk do."""
    return Desk(database=request.app.state.store is not None, fetch=request.app.state.page_reader is not None)


@router.post("/sentences")
def sentences(passage: Passage) -> Sentences:
    """Where the sentences of a text lie, as the model reads them."""
    return Sentences.of(passage.text, passage.title)


@router.get("/articles")
def articles(
    store: Stored,
    tag: Annotated[str | None, Query(description="Only articles that carry it.")] = None,
    outlet: Annotated[str | None, Query(description="Only this outlet's.")] = None,
    day: Annotated[date | None, Query(description="Only this day's, UTC.")] = None,
    before: Annotated[str | None, Query(description="`next` of the page before.")] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
) -> Page:
    """Stored articles, the newest first."""
    if before is not None:
        _find(store, before)
    found = store.newest(limit + 1, before=before, tag=tag, outlet=outlet, day=day.isoformat() if day else None)
    shown = found[:limit]
    return Page(articles=[Listed.of(article) for article in shown], next=shown[-1].id if len(found) > limit else None)


@router.post("/articles", status_code=201)
async def keep(given: NewArticle, request: Request, store: Stored) -> Opened:
    """Score an article and keep it with its prediction; one that is kept already is scored again and left as it is.

    Another text or title at the same address is another article of the same story.
    """
    (prediction,) = await request.app.state.score([Article(given.text, None, given.title)])
    return Opened.of(await run_in_threadpool(_keep, store, given, prediction))


def _keep(store: Store, given: NewArticle, prediction: Prediction) -> StoredArticle:
    with store.transaction():
        kept = store.get(store.add_article(given.text, title=given.title or "", outlet=given.outlet, url=given.url))
        identity = kept.id
        if (kept.text, kept.title) != (given.text, given.title or ""):
            own = sha256(f"{given.url}\n{given.title}\n{given.text}".encode()).hexdigest()[:16]
            identity = store.add_article(given.text, title=given.title or "", outlet=given.outlet, url=given.url, id=own, story=kept.story)
        store.add_prediction(identity, prediction)
        return store.get(identity)


@router.get("/articles/{identity:path}")
def article(identity: Annotated[str, Path(max_length=1_000, description="Id of the article.")], store: Stored) -> Opened:
    """One article with its newest prediction and review."""
    return Opened.of(_find(store, identity))


@router.get("/counts")
def counts(store: Stored, days: Annotated[int, Query(ge=1, le=DAYS)] = 30) -> Counts:
    """How many articles carried each tag on each of the last days, today included."""
    return Counts(days=[Day(day=day, tags=tags) for day, tags in store.counts(days).items()])


@router.get("/outlets")
def outlets(store: Stored) -> Outlets:
    """The outlets of the stored articles."""
    return Outlets(outlets=store.outlets())


@router.get("/queue")
def queue(store: Stored, limit: Annotated[int, Query(ge=1, le=200)] = 50) -> Page:
    """Articles with a tag in the review band that nobody has read, the newest first."""
    return Page(articles=[Listed.of(found) for found in store.pending(limit)])


@router.post("/reviews", status_code=201)
def review(given: NewReview, store: Stored) -> Decided:
    """Keep what a person decided on an article; its newest review counts."""
    _find(store, given.article)
    return Decided.of(store.add_review(given.article, given.reviewer, given.tags, given.note))


@router.post("/fetch", responses={status: {"model": ErrorAnswer} for status in (403, 429, 502)})
def fetch(given: Address, request: Request) -> Fetched:
    """Take the text of a web page. Private addresses are refused; the service does this only where it was started with --fetch."""
    reader: PageReader | None = request.app.state.page_reader
    if reader is None:
        raise Forbidden("a page to fetch", "a service that may fetch", "Start it with --fetch, or paste the text.")
    url, article = reader.read(given.url)
    return Fetched(url=url, outlet=urlsplit(url).hostname or "", title=article.title or "", text=article.text)
