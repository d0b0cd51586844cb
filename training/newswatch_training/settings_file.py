"""The settings file: settings of the models as JSON, as `tune` writes and `fit` and `retrain` take them."""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from newswatch_labels.corpus import write_whole
from newswatch_labels.errors import InputError
from newswatch_training.augmentation import Augmentation
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.fit import ModelSettings
from newswatch_training.linear import LinearSettings

SECTIONS: dict[str, type[Any]] = {"linear": LinearSettings, "encoder": EncoderSettings, "augmentation": Augmentation}


def apply_settings(path: Path, model: ModelSettings) -> ModelSettings:
    """The model's settings with the values of a file in their place; sections of members that the model leaves out are passed over.

    Raises:
        InputError: naming the file, the section and the key, of what is unknown, of another type or out of range.
    """
    sections = read_settings(path)
    linear, encoder = (_merge(own, sections.get(name, {})) for name, own in (("linear", model.linear), ("encoder", model.encoder)))
    return replace(model, linear=linear, encoder=encoder, augmentation=_merge(model.augmentation, sections.get("augmentation", {})))


def read_settings(path: Path) -> dict[str, dict[str, Any]]:
    """Sections of checked values.

    Raises:
        InputError: see `apply_settings`.
    """
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}", "a JSON object of sections", "newswatch-train tune writes one.") from error
    _check_keys(found, SECTIONS, str(path))
    for name, values in found.items():
        place, defaults = f"{path}: {name}", SECTIONS[name]()
        _check_keys(values, {field.name: None for field in fields(defaults)}, place)
        for key, value in values.items():
            wanted = type(getattr(defaults, key))
            if type(value) is not wanted and not (wanted is float and type(value) is int):
                raise InputError(f"{place}.{key} is {value!r:.60}", f"a value of type {wanted.__name__}", "Mend the file.")
        try:
            replace(defaults, **values)
        except InputError as error:
            raise InputError(f"{place}.{error.received}", error.expected, error.advice) from error
    return found  # type: ignore[no-any-return]


def write_settings(settings: LinearSettings | EncoderSettings, path: Path) -> None:
    """Write one member's settings, all of them."""
    (section,) = (name for name, kind in SECTIONS.items() if isinstance(settings, kind))
    write_whole(json.dumps({section: asdict(settings)}, indent=1) + "\n", path)


def _merge(settings: Any, values: Mapping[str, Any]) -> Any:
    return replace(settings, **values) if settings is not None else None


def _check_keys(found: Any, allowed: Mapping[str, Any], place: str) -> None:
    if not isinstance(found, dict):
        raise InputError(f"{place}: {type(found).__name__}", f"an object of {', '.join(allowed)}", "Mend the file.")
    for key in found:
        if key not in allowed:
            near = get_close_matches(key, allowed, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else "Remove it."
            raise InputError(f"{place}: key {key!r}", f"one of {', '.join(allowed)}", advice)
