"""Refusals: requests the service turns down although they are well formed."""

from typing import ClassVar

from newswatch_labels.errors import NewswatchError


class Refusal(NewswatchError):  # noqa: N818 - the service is well, it says no
    """Answered with `status`; the caller may try again after `retry_after` seconds where it is given."""

    status: ClassVar[int]
    retry_after: ClassVar[int | None] = None


class Overloaded(Refusal):
    """The queue is full."""

    status = 429
    retry_after = 1


class Unready(Refusal):
    """No worker can score now: it starts again after its death, or the service is ending."""

    status = 503
    retry_after = 1


class Late(Refusal):
    """The articles were not scored within the time limit."""

    status = 504


class Slow(Refusal):
    """The body did not arrive within the time limit."""

    status = 408


class Unauthorised(Refusal):
    """No key, or one that is not known."""

    status = 401


class Forbidden(Refusal):
    """Nobody may do this here, since no key for it is configured."""

    status = 403


class Misdirected(Refusal):
    """Asked under a name that is not this service's."""

    status = 421


class WrongMedia(Refusal):
    """The body is of another kind than JSON, or compressed."""

    status = 415


class KeptOld(Refusal):
    """The bundle could not be loaded; the one that was live is live still."""

    status = 409
