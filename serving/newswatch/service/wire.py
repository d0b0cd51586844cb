"""The wire between the service and its workers: JSON frames, each after its length in four bytes."""

import asyncio
import json
from typing import IO, Any

_LENGTH = 4


def pack(message: Any) -> bytes:
    """A message as one frame."""
    raw = json.dumps(message).encode("ascii")
    return len(raw).to_bytes(_LENGTH, "big") + raw


def read_frame(stream: IO[bytes]) -> Any:
    """The next message of a blocking stream; None at its end."""
    head = stream.read(_LENGTH)
    size = int.from_bytes(head, "big")
    raw = stream.read(size) if len(head) == _LENGTH else b""
    return json.loads(raw) if raw and len(raw) == size else None


async def receive_frame(stream: asyncio.StreamReader) -> Any:
    """The next message of an asyncio stream.

    Raises:
        asyncio.IncompleteReadError: the other side has gone.
    """
    head = await stream.readexactly(_LENGTH)
    return json.loads(await stream.readexactly(int.from_bytes(head, "big")))
