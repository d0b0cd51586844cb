"""The observer: it gives each request an id, times it, counts it and logs it."""

import logging
import re
import time
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from newswatch.service.logs import request_id
from newswatch.service.metrics import Metrics

SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
QUIET = {"/healthz", "/readyz", "/metrics"}
log = logging.getLogger("newswatch.access")


class Observer:
    """Outermost part of the service. Neither headers, nor query strings, nor bodies are logged: they may hold keys."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        identity = given if SANE.fullmatch(given) else uuid.uuid4().hex
        token = request_id.set(identity)
        started = time.perf_counter()
        status = 500

        async def send_marked(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["x-request-id"] = identity
            await send(message)

        try:
            await self._app(scope, receive, send_marked)
        finally:
            self._note(scope, status, time.perf_counter() - started)
            request_id.reset(token)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.latency.labels(route).observe(seconds)
        if status == 500:
            self._metrics.errors.labels("internal").inc()
        if route not in QUIET or status >= 400:
            noted = scope.get("state", {})
            facts = {"method": method, "route": route, "status": status, "milliseconds": round(1000 * seconds, 2)}
            log.info("request", extra={**facts, **{name: noted[name] for name in ("caller", "articles") if name in noted}})
