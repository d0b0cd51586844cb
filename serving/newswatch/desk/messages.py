"""Messages of the desk's routes: what they take and what they answer."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from newswatch.service.messages import Text
from newswatch.stored_article import Review, StoredArticle
from newswatch.text import Document, Sentence

LEAD = 280
MAX_URL = 4_000


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Desk(_Message):
    """What this service lets the desk do."""

    database: Annotated[bool, Field(description="Articles and reviews are kept.")]
    fetch: Annotated[bool, Field(description="The service fetches web pages that the desk asks for.")]


class Passage(_Message):
    """A text to be cut into sentences."""

    text: Text
    title: Text | None = None


class Place(_Message):
    """Where a sentence lies: `article[field][start:end]` in code points."""

    field: Literal["title", "text"]
    start: int
    end: int

    @classmethod
    def of(cls, sentence: Sentence) -> "Place":
        """The place of a sentence."""
        return cls(field=sentence.field, start=sentence.start, end=sentence.end)


class Sentences(_Message):
    """The sentences that the model reads, the title's before the text's."""

    sentences: list[Place]

    @classmethod
    def of(cls, text: str, title: str | None) -> "Sentences":
        """The sentences of an article.

        Raises:
            InputError: the text cannot be scored.
        """
        return cls(sentences=[Place.of(sentence) for sentence in Document.read(text, title).sentences])


class NewArticle(_Message):
    """An article to be scored and kept."""

    text: Text
    title: Text | None = None
    outlet: Annotated[Text, Field(max_length=200)] = ""
    url: Annotated[Text, Field(max_length=MAX_URL)] | None = None


class NewReview(_Message):
    """What a person decided on an article."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "article": "3f0c9a17be52d804",
                "reviewer": "Layla",
                "tags": {"denial": ["There is no truth to what has been posted about that, he said."]},
                "note": "",
            }
        }
    )

    article: Text
    reviewer: Annotated[Text, Field(max_length=100)] = ""
    tags: Annotated[
        dict[Text, Annotated[list[Text], Field(min_length=1, max_length=1_000)]],
        Field(description="The tags that apply, each with the sentences of title or text that say so; empty where none applies."),
    ]
    note: Annotated[Text, Field(max_length=2_000)] = ""


class Decided(_Message):
    """A review as it is kept."""

    article: str
    reviewer: str
    tags: dict[str, list[str]]
    note: str
    created: str

    @classmethod
    def of(cls, review: Review) -> "Decided":
        """A review out of the store."""
        tags = {tag: list(sentences) for tag, sentences in review.tags.items()}
        return cls(article=review.article, reviewer=review.reviewer, tags=tags, note=review.note, created=review.created)


class Listed(_Message):
    """An article as lists show it."""

    id: str
    outlet: str
    url: str | None
    title: str
    lead: Annotated[str, Field(description=f"The first {LEAD} characters of the text.")]
    time: Annotated[str, Field(description="When it was published, or stored where that is unknown; UTC.")]
    story: Annotated[str, Field(description="Near-duplicates share it.")]
    prediction: Annotated[dict[str, Any] | None, Field(description="The newest prediction, without its evidence.")]
    review: Decided | None

    @classmethod
    def of(cls, article: StoredArticle) -> "Listed":
        """What a list shows of a stored article."""
        row = article.prediction.to_dict() if article.prediction else None
        return cls(
            id=article.id,
            outlet=article.outlet,
            url=article.url,
            title=article.title,
            lead=article.text[:LEAD],
            time=article.time,
            story=article.story,
            prediction=row and {name: value for name, value in row.items() if name != "evidence"},
            review=Decided.of(article.review) if article.review else None,
        )


class Opened(Listed):
    """An article as it is read."""

    text: str
    partial: Annotated[bool, Field(description="Only the feed's own text could be had, not the page's.")]
    sentences: list[Place]

    @classmethod
    def of(cls, article: StoredArticle) -> "Opened":
        """All that is kept of an article, and where its sentences lie."""
        listed = Listed.of(article)
        return cls(
            **{name: getattr(listed, name) for name in Listed.model_fields if name != "prediction"},
            prediction=article.prediction.to_dict() if article.prediction else None,
            text=article.text,
            partial=article.partial,
            sentences=Sentences.of(article.text, article.title or None).sentences,
        )


class Page(_Message):
    """Some articles, the newest first."""

    articles: list[Listed]
    next: Annotated[str | None, Field(description="Pass it as `before` for the articles after these; null at the end.")] = None


class Day(_Message):
    """How many articles of a day carry each tag."""

    day: str
    tags: dict[str, int]


class Counts(_Message):
    """Articles per day and tag, the oldest day first."""

    days: list[Day]


class Outlets(_Message):
    """Outlets and how many articles each has, the largest first."""

    outlets: dict[str, int]


class Address(_Message):
    """A web page to take the text of."""

    url: Annotated[Text, Field(max_length=MAX_URL)]


class Fetched(_Message):
    """The text of a web page."""

    url: str
    outlet: str
    title: str
    text: str
