"""Limits of one request, which the service keeps and the client respects."""

MAX_ARTICLES = 1_000
MAX_BODY = 2 * 1024 * 1024  # bytes
MAX_ID = 1_000  # characters of an article's id
