"""The desk put into the service: its routes, its files, its store, and the fetching of pages where that is allowed."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from fastapi import FastAPI

from newswatch.desk.page_reader import PageReader
from newswatch.desk.pages import Pages
from newswatch.desk.routes import public, router
from newswatch.service.settings import ServiceSettings
from newswatch.store import Store


def mount_desk(app: FastAPI) -> None:
    """Add the desk's page and routes."""
    app.include_router(public)
    app.include_router(router)
    app.mount("/desk", Pages())


@contextmanager
def open_desk(app: FastAPI, settings: ServiceSettings) -> Iterator[None]:
    """Open what the desk's routes use, as far as the settings ask for it.

    Raises:
        InputError: the database is no store of ours.
        MissingExtraError: pages shall be fetched and the packages for that are not installed.
    """
    with ExitStack() as opened:
        app.state.store = opened.enter_context(Store.open(settings.database)) if settings.database else None
        app.state.page_reader = opened.enter_context(PageReader(settings.allow_hosts, app.state.engine.ending)) if settings.fetch else None
        yield
