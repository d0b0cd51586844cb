"""`newswatch serve`: the service over HTTP."""

from pathlib import Path
from typing import Annotated

import typer

from newswatch_labels.errors import MissingExtraError


def serve(
    settings: Annotated[Path | None, typer.Option(help="TOML file of settings; flags and variables NEWSWATCH_... come before it.")] = None,
    bundle: Annotated[
        Path | None, typer.Option(help="Folder of the bundle, or a link, which is watched; default: mlruns/champion.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen at; default: 127.0.0.1. Others need --keys.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen at, 0 for a free one; default: 8000.")] = None,
    keys: Annotated[Path | None, typer.Option(help="File of API keys, one name:key a line.")] = None,
    admin_keys: Annotated[Path | None, typer.Option(help="File of keys that may call /v1/reload.")] = None,
    database: Annotated[Path | None, typer.Option(help="SQLite file of stored articles, for the desk.")] = None,
    fetch: Annotated[bool | None, typer.Option(help="Let the desk ask for web pages, which the service fetches; default: no.")] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="Name under which a service without keys may be asked, such as a proxy's; localhost always.")
    ] = None,
    allow_host: Annotated[list[str] | None, typer.Option(help="Host that --fetch may reach although its address is private.")] = None,
    workers: Annotated[int | None, typer.Option(help="Scoring processes; default: one for every two processors, at most 4.")] = None,
    threads: Annotated[int | None, typer.Option(help="Threads of each worker; default: the processors divided by the workers.")] = None,
    cascade: Annotated[bool | None, typer.Option(help="Let an ensemble's linear model answer alone where it is certain.")] = None,
    queue: Annotated[int | None, typer.Option(help="Requests that may wait; one more is answered 429. Default: 64.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds for one request; then 504. Default: 30.")] = None,
    drain: Annotated[float | None, typer.Option(help="Seconds to finish what is in flight after SIGTERM; default: 6.")] = None,
    watch: Annotated[float | None, typer.Option(help="Seconds between two looks at the bundle's link; default: 1.")] = None,
) -> None:
    """Serve scores over HTTP: the desk at /, POST /v1/score, and /v1/model, /v1/reload, /healthz, /readyz, /metrics, /openapi.json."""
    try:
        from newswatch.service.server import run_server
        from newswatch.service.settings import ServiceSettings
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "fastapi", "serve") from error
    run_server(
        ServiceSettings.load(
            settings=settings,
            bundle=bundle,
            host=host,
            port=port,
            keys=keys,
            admin_keys=admin_keys,
            database=database,
            fetch=fetch,
            names=tuple(name) if name else None,
            allow_hosts=tuple(allow_host) if allow_host else None,
            workers=workers,
            threads=threads,
            cascade=cascade,
            queue=queue,
            timeout=timeout,
            drain=drain,
            watch=watch,
        )
    )
