"""Messages: what the service's routes take and give, with examples."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.config import JsonDict

from newswatch.scorer import Article
from newswatch.service.limits import MAX_ARTICLES, MAX_ID
from newswatch.text import check_text
from newswatch_labels.errors import InputError

TEXT = "Turkish artillery shelled a village near Amedi, the mayor said."
PREDICTION: JsonDict = {
    "id": "a1",
    "tags": ["turkish_shelling"],
    "scores": {"turkish_shelling": 0.985012, "casualties": 0.021554},
    "evidence": {"turkish_shelling": [{"start": 0, "end": 63, "text": TEXT, "score": 0.991803, "field": "text"}]},
    "review": [],
    "model": "newswatch@20261122T082521-f65822",
}


def _valid(text: str) -> str:
    try:
        return check_text(text)
    except InputError as error:
        raise ValueError(error.received) from error


Text = Annotated[str, AfterValidator(_valid)]


class GivenArticle(BaseModel):
    """An article to score."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[Text, Field(description="The article's text.")]
    id: Annotated[Text, Field(max_length=MAX_ID, description="Comes back with the prediction.")] | None = None
    title: Annotated[Text, Field(description="Scored with the text where given.")] | None = None


class ScoreRequest(BaseModel):
    """Articles to score, in the order in which their predictions come back."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"articles": [{"id": "a1", "title": "Shelling", "text": TEXT}, {"text": "It rained."}]}]},
    )

    articles: Annotated[list[GivenArticle], Field(min_length=1, max_length=MAX_ARTICLES)]

    @classmethod
    def parse(cls, raw: bytes) -> "ScoreRequest":
        """Read a body. NaN, unknown fields, lone surrogates and deep nesting have no place in it.

        Raises:
            InvalidBody: naming each field that is wrong, without what it held.
        """
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            raise InvalidBody([Fault.of(fault["loc"], fault["msg"]) for fault in error.errors(include_url=False)[:MAX_FAULTS]]) from None

    def to_articles(self) -> list[Article]:
        """As the scorer takes them."""
        return [Article(article.text, article.id, article.title) for article in self.articles]


class EvidenceSentence(BaseModel):
    """A sentence that carries a tag; start and end count code points of the article's field as given."""

    start: int
    end: int
    text: str
    score: float
    field: str


class ScoredArticle(BaseModel):
    """A prediction. `scores` and `evidence` are left out where the query says so."""

    model_config = ConfigDict(json_schema_extra={"examples": [PREDICTION]})

    id: str | None
    tags: list[str]
    scores: dict[str, float] | None = None
    evidence: dict[str, list[EvidenceSentence]] | None = None
    review: list[str]
    model: str


class ScoreAnswer(BaseModel):
    """One prediction an article, in order, all of one model."""

    predictions: list[ScoredArticle]
    model: str


class ModelAnswer(BaseModel):
    """The live bundle."""

    model: str
    name: str
    version: str
    sha256: str
    kind: str
    scheme: dict[str, Any]
    thresholds: dict[str, dict[str, float]]
    corpus: dict[str, Any]
    mlflow: dict[str, Any]


class StatusAnswer(BaseModel):
    """How the service is."""

    status: str


class ReloadAnswer(BaseModel):
    """The live bundle after a reload; `reloaded` is false if it was live already."""

    reloaded: bool
    model: str
    sha256: str


class Fault(BaseModel):
    """A field and what is wrong with it."""

    field: str
    message: str

    @classmethod
    def of(cls, location: tuple[int | str, ...], message: str) -> "Fault":
        """Of a place as pydantic gives it."""
        return cls(field=".".join(map(str, location)) or "body", message=message)


class ErrorAnswer(BaseModel):
    """Why a request was not answered as wished."""

    detail: str
    errors: list[Fault] = []


MAX_FAULTS = 20


class InvalidBody(InputError):  # noqa: N818 - it names what came in
    """A body or query that does not follow the schema."""

    def __init__(self, faults: list[Fault]) -> None:
        self.faults = faults
        named = "; ".join(f"{fault.field}: {fault.message}" for fault in faults)
        super().__init__(named, "a request as in /openapi.json", "Mend the fields named.")
