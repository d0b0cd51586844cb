"""The JSON object that stands in one line."""

import json
from typing import Any

from newswatch_labels.errors import InputError


def parse_object(line: str, place: str) -> dict[str, Any]:
    """The object in a line of JSONL.

    Args:
        place: file and line, for the error.

    Raises:
        InputError: the line is no JSON, nested too deep, or holds something else than an object.
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place}: {error}", "one whole JSON object a line", "Mend or remove the line.") from error
    if not isinstance(row, dict):
        raise InputError(f"{place}: {type(row).__name__}", "a JSON object", "Mend or remove the line.")
    return row
