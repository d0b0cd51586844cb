"""The desk's page and its files, served so that a browser runs and fetches nothing but them."""

from pathlib import Path

from fastapi.responses import FileResponse
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

FOLDER = Path(__file__).parent / "page"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


class Pages(StaticFiles):
    """The files under /desk, each with the headers above."""

    def __init__(self) -> None:
        super().__init__(directory=FOLDER)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, with the headers."""
        response = await super().get_response(path, scope)
        response.headers.update(HEADERS)
        return response


def front_page() -> FileResponse:
    """The page itself."""
    return FileResponse(FOLDER / "index.html", headers=HEADERS)
