"""The routes that other programs use."""

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST

from newswatch.service.access import AdminKey, Key
from newswatch.service.docs_page import POLICY, render_docs
from newswatch.service.engine import Engine
from newswatch.service.messages import ErrorAnswer, ModelAnswer, ReloadAnswer, ScoreAnswer, ScoreRequest, StatusAnswer
from newswatch.service.metrics import Metrics
from newswatch.service.refusals import Slow, WrongMedia

router = APIRouter()


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorAnswer} for status in statuses}


SCORE_BODY = {
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ScoreRequest"}}}},
}


@router.post(
    "/v1/score",
    response_model=ScoreAnswer,
    dependencies=[Key],
    openapi_extra=SCORE_BODY,
    responses=_errors(400, 401, 408, 413, 415, 422, 429, 503, 504),
    tags=["scoring"],
)
async def score(
    request: Request,
    evidence: Annotated[bool, Query(description="Give the sentences that carry each tag.")] = True,
    scores: Annotated[bool, Query(description="Give the probability of every tag.")] = True,
) -> Response:
    """Tag 1 to 1,000 articles, in a body of at most 2 MiB."""
    engine: Engine = request.app.state.engine
    engine.check_room()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise WrongMedia("a body of another type", "the header Content-Type: application/json", "Send the articles as JSON.")
    try:
        async with asyncio.timeout(engine.settings.timeout):
            given = ScoreRequest.parse(await request.body())
    except TimeoutError as error:
        raise Slow("a body that does not arrive", f"it within {engine.settings.timeout:g} seconds", "Send it again.") from error
    request.state.articles = len(given.articles)
    rows = await engine.score_rows(given.to_articles())
    model = rows[0]["model"]
    for row in rows:
        if not evidence:
            del row["evidence"]
        if not scores:
            del row["scores"]
    return Response(json.dumps({"predictions": rows, "model": model}), media_type="application/json")


@router.get("/v1/model", response_model=ModelAnswer, dependencies=[Key], responses=_errors(401, 503), tags=["scoring"])
async def model(request: Request) -> Response:
    """Say which bundle is live: scheme, thresholds, corpus, MLflow run."""
    return JSONResponse(request.app.state.engine.model)


@router.post("/v1/reload", dependencies=[AdminKey], responses=_errors(401, 403, 409, 503), tags=["running"])
async def reload(request: Request) -> ReloadAnswer:
    """Look at the bundle's link now, and load what it points to. A bundle that does not load leaves the old one live."""
    engine: Engine = request.app.state.engine
    reloaded = await engine.reload()
    return ReloadAnswer(reloaded=reloaded, model=engine.model["model"], sha256=engine.model["sha256"])


@router.get("/healthz", tags=["running"])
async def healthz() -> StatusAnswer:
    """Say that the process answers."""
    return StatusAnswer(status="alive")


@router.get("/readyz", responses={503: {"model": StatusAnswer}}, tags=["running"])
async def readyz(request: Request, response: Response) -> StatusAnswer:
    """Say whether all workers are alive and the service is not ending."""
    if request.app.state.engine.ready:
        return StatusAnswer(status="ready")
    response.status_code = 503
    return StatusAnswer(status="not ready")


@router.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}}, tags=["running"])
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    own: Metrics = request.app.state.metrics
    return Response(own.render(), headers={"content-type": CONTENT_TYPE_LATEST})


@router.get("/docs", include_in_schema=False)
async def docs(request: Request) -> HTMLResponse:
    """Show the routes to people."""
    return HTMLResponse(render_docs(request.app.openapi()), headers={"content-security-policy": POLICY})
