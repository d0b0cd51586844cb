"""The application: routes, errors and the engine put together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from newswatch import __version__
from newswatch.desk.mount import mount_desk, open_desk
from newswatch.service.access import refuse_compressed, refuse_strange_names
from newswatch.service.engine import Engine
from newswatch.service.keys import Keys
from newswatch.service.limits import MAX_BODY
from newswatch.service.messages import ErrorAnswer, Fault, InvalidBody, ScoreRequest
from newswatch.service.metrics import Metrics
from newswatch.service.observer import Observer
from newswatch.service.refusals import Refusal
from newswatch.service.routes import router
from newswatch.service.settings import ServiceSettings
from newswatch_labels.errors import NewswatchError


class _Service(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The schema, with the score request, whose body the route reads itself; without keys where none are needed."""
        if self.openapi_schema is None:
            _, models = models_json_schema([(ScoreRequest, "validation")], ref_template="#/components/schemas/{model}")
            made = super().openapi()
            made["components"]["schemas"].update(models["$defs"])
            if self.state.keys is None:
                del made["components"]["securitySchemes"]["ApiKey"]
                for operation in [
                    one for path in made["paths"].values() for one in path.values() if {"ApiKey": []} in one.get("security", [])
                ]:
                    del operation["security"]
        return super().openapi()


def create_app(settings: ServiceSettings) -> FastAPI:
    """The service as an ASGI application, whose lifespan starts and ends the workers.

    Its state gives other routers `score`, a coroutine of articles that returns their Predictions and goes through the queue,
    `engine`, `metrics` and `settings`. Any NewswatchError that a route raises is answered with a status of 4xx or 503.

    Raises:
        InputError: a file of keys is unreadable or malformed.
    """
    metrics = Metrics()
    engine = Engine(settings, metrics)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with open_desk(app, settings):
            await engine.start()
            try:
                yield
            finally:
                await engine.close()

    app = _Service(
        title="newswatch",
        version=__version__,
        description="Tags security news and shows the sentences that say so.",
        docs_url=None,  # both would load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        max_body_size=MAX_BODY,
        dependencies=[Depends(refuse_compressed), Depends(refuse_strange_names)],
    )
    app.state.settings, app.state.metrics, app.state.engine, app.state.score = settings, metrics, engine, engine.score
    app.state.keys = Keys.read(settings.keys) if settings.keys else None
    app.state.admin_keys = Keys.read(settings.admin_keys) if settings.admin_keys else None
    app.include_router(router)
    mount_desk(app)
    app.add_middleware(Observer, metrics=metrics)
    app.add_exception_handler(NewswatchError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    return app


def _answer(status: int, detail: str, errors: list[Fault] | None = None, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse(ErrorAnswer(detail=detail, errors=errors or []).model_dump(), status, headers)


async def _ours(_request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Refusal):
        headers = {"retry-after": str(error.retry_after)} if error.retry_after is not None else {}
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        return _answer(error.status, str(error), headers=headers)
    return _answer(422, str(error).encode("ascii", "backslashreplace").decode(), getattr(error, "faults", []))


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    invalid = InvalidBody([Fault.of(fault["loc"], fault["msg"]) for fault in faults])
    return _answer(422, str(invalid), invalid.faults)


async def _http(_request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, HTTPException):
        raise error
    return _answer(error.status_code, str(error.detail), headers=dict(error.headers or {}))
