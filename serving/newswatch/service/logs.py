"""Logs of the service: a JSON object a line on standard error, with the request's id."""

import logging
from contextvars import ContextVar
from typing import Any

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


class RequestIdFilter(logging.Filter):
    """Adds the id of the request in whose course a line is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Always lets the line through."""
        if (current := request_id.get()) is not None:
            record.request_id = current
        return True


CONFIGURATION: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": RequestIdFilter}},
    "formatters": {
        "json": {
            "()": "pythonjsonlogger.json.JsonFormatter",
            "format": "%(levelname)s %(name)s %(message)s",
            "rename_fields": {"levelname": "level", "name": "logger"},
            "timestamp": "time",
        }
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"], "stream": "ext://sys.stderr"},
    },
    "root": {"handlers": ["stderr"], "level": "WARNING"},
    "loggers": {"newswatch": {"level": "INFO"}, "uvicorn": {"level": "WARNING"}},
}
"""For logging.config.dictConfig. uvicorn's own access log is off: it would hold whole query strings."""
