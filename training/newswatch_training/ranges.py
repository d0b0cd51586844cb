"""Ranges: what settings refuse when they are made."""

from collections.abc import Callable
from typing import Any

from newswatch_labels.errors import InputError


def check_ranges(
    settings: Any,
    *,
    positive: tuple[str, ...] = (),
    shares: tuple[str, ...] = (),
    least_one: tuple[str, ...] = (),
    least_zero: tuple[str, ...] = (),
) -> None:
    """Check fields of a settings dataclass by name.

    Args:
        positive: above 0.
        shares: from 0 to 1.
        least_one: whole numbers from 1.
        least_zero: whole numbers from 0.

    Raises:
        InputError: naming the first field out of its range.
    """
    rules: tuple[tuple[tuple[str, ...], str, Callable[[Any], bool]], ...] = (
        (positive, "a number above 0", lambda value: value > 0),
        (shares, "a number from 0 to 1", lambda value: 0 <= value <= 1),
        (least_one, "a whole number from 1", lambda value: value >= 1),
        (least_zero, "a whole number from 0", lambda value: value >= 0),
    )
    for names, expected, holds in rules:
        for name in names:
            value = getattr(settings, name)
            if not holds(value):  # of a NaN, too, nothing holds
                raise InputError(f"{name} is {value!r}", expected, "Mend the setting.")
