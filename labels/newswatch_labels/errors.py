"""Errors: what was received, what was expected, what to do."""


class NewswatchError(Exception):
    """Root of every error newswatch raises on purpose.

    Args:
        received: what came in, with its place (file, line, field).
        expected: what would have been right.
        advice: what to do next.
    """

    def __init__(self, received: str, expected: str, advice: str) -> None:
        self.received, self.expected, self.advice = received, expected, advice
        super().__init__(f"{received}; expected {expected}. {advice}")

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        return type(self), (self.received, self.expected, self.advice)


class SchemeError(NewswatchError):
    """The scheme file is malformed, or a tag is not in the scheme."""


class RecordError(NewswatchError):
    """A record breaks the corpus rules."""


class InputError(NewswatchError):
    """A text, row or file cannot be scored or read."""


class MissingExtraError(NewswatchError):
    """A part of newswatch needs packages that are not installed."""

    def __init__(self, package: str, extra: str) -> None:
        self.package, self.extra = package, extra
        super().__init__(
            f"package {package!r} is not installed",
            f"the extra {extra!r}",
            f"Run: pip install 'newswatch[{extra}]'",
        )

    def __reduce__(self) -> tuple[type, tuple[str, str]]:  # type: ignore[override]
        return type(self), (self.package, self.extra)
