"""Access: the dependencies by which routes ask for a key."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from newswatch.service.keys import Keys
from newswatch.service.refusals import Forbidden, Misdirected, WrongMedia
from newswatch.service.settings import ServiceSettings, is_loopback

_scheme = HTTPBearer(auto_error=False, scheme_name="ApiKey", description="A key of the file of API keys.")
_admin_scheme = HTTPBearer(auto_error=False, scheme_name="AdminKey", description="A key of the file of admin keys.")


def require_key(request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_scheme)]) -> None:
    """Let a request pass with one of the service's keys, or any where none are configured.

    Raises:
        Unauthorised: no key, or an unknown one.
    """
    keys: Keys | None = request.app.state.keys
    if keys is not None:
        request.state.caller = keys.owner(request.headers.get("authorization"))


def require_admin_key(request: Request, _shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_admin_scheme)]) -> None:
    """Let a request pass with an admin key alone.

    Raises:
        Forbidden: no admin key is configured.
        Unauthorised: no key, or an unknown one.
    """
    keys: Keys | None = request.app.state.admin_keys
    if keys is None:
        raise Forbidden("a reload where no admin key is configured", "a service with --admin-keys", "Start it with a file of admin keys.")
    request.state.caller = keys.owner(request.headers.get("authorization"))


Key = Depends(require_key)
AdminKey = Depends(require_admin_key)


def refuse_compressed(request: Request) -> None:
    """Let no compressed body pass: a small one could be a large one.

    Raises:
        WrongMedia: the body is compressed.
    """
    if (encoding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        raise WrongMedia(f"a body of encoding {encoding:.20}", "a body that is not compressed", "Send it without Content-Encoding.")


def refuse_strange_names(request: Request) -> None:
    """Let a service without keys be asked under this machine's own names alone.

    A web page whose name was made to lead to a loopback address would otherwise read and write through the reader's browser.

    Raises:
        Misdirected: the Host header holds another name.
    """
    settings: ServiceSettings = request.app.state.settings
    name = request.url.hostname or ""
    if request.app.state.keys is None and not is_loopback(name) and name not in {own.lower() for own in settings.names}:
        raise Misdirected(
            f"a request to the host {name:.80}", "localhost, or an address of it", f"If it is meant, allow it: --name {name:.80}"
        )
