"""API keys: who may score, who may reload."""

import hmac
from collections.abc import Mapping
from pathlib import Path

from newswatch.service.refusals import Unauthorised
from newswatch_labels.errors import InputError

LEAST_CHARS = 16
FORM = f"one name:key a line, keys of {LEAST_CHARS} characters or more"


class Keys:
    """Keys by the name of their owner. Names go into the log, keys never do."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._keys = {name: key.encode() for name, key in keys.items()}

    @classmethod
    def read(cls, path: Path) -> "Keys":
        """Read a file of `name:key` lines; empty lines and lines that begin with # are left out.

        Raises:
            InputError: the file cannot be read, holds no key, or a line is malformed. It never quotes a line.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: {type(error).__name__}", "a readable file of API keys", "Name another file.") from error
        keys: dict[str, str] = {}
        for number, line in enumerate(map(str.strip, lines), 1):
            if not line or line.startswith("#"):
                continue
            name, colon, key = map(str.strip, line.partition(":"))
            if not (name and colon and key.isascii() and len(key) >= LEAST_CHARS) or name in keys:
                raise InputError(f"{path}:{number}: no key, or its name a second time", FORM, "Mend the line.")
            keys[name] = key
        if not keys:
            raise InputError(f"{path}: no key", FORM, "Write one, for instance with: openssl rand -hex 24")
        return cls(keys)

    def owner(self, authorization: str | None) -> str:
        """The name of the owner of a header's key, compared with each key in constant time.

        Args:
            authorization: the header's content, `Bearer KEY`.

        Raises:
            Unauthorised: no key, or none of ours.
        """
        kind, _, given = (authorization or "").partition(" ")
        raw = given.strip().encode("utf-8", "surrogateescape")
        found = [name for name, key in self._keys.items() if hmac.compare_digest(raw, key)]
        if kind.lower() != "bearer" or not found:
            raise Unauthorised(
                "a request with an unknown key" if authorization else "a request without a key",
                "the header Authorization: Bearer KEY",
                "Ask whoever runs the service for a key.",
            )
        return found[0]
