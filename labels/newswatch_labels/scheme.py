"""The label scheme: which tags there are and what each means."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import get_close_matches
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from newswatch_labels.errors import SchemeError


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag. `cameo` and `plover` name the nearest codes of those event ontologies."""

    name: str
    title: str
    core: bool = False
    definition: str = ""
    include: str = ""
    exclude: str = ""
    cameo: tuple[str, ...] = ()
    plover: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scheme:
    """An ordered set of tags; their order is the order of columns in every array of labels, logits and probabilities."""

    version: int
    tags: tuple[Tag, ...]
    scope: str = ""
    rules: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path | None = None) -> "Scheme":
        """Read a taxonomy.yaml; without `path`, the one that newswatch ships.

        Raises:
            SchemeError: the file is missing, is no YAML, or lacks a field.
        """
        import yaml

        source = files("newswatch_labels").joinpath("taxonomy.yaml") if path is None else path
        try:
            content = yaml.safe_load(source.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise SchemeError(f"scheme {source}: {error}", "a readable YAML file", "Name another file.") from error
        return cls.from_dict(content, str(source))

    @classmethod
    def from_dict(cls, content: Any, source: str = "scheme") -> "Scheme":
        """Build the scheme from the parsed content of a taxonomy.yaml or of a bundle.json.

        Raises:
            SchemeError: a field is missing or unknown, or a tag occurs twice.
        """
        try:
            tags = tuple(
                Tag(**{**tag, "cameo": tuple(tag.get("cameo", ())), "plover": tuple(tag.get("plover", ()))}) for tag in content["tags"]
            )
            scheme = cls(int(content["version"]), tags, content.get("scope", ""), dict(content.get("rules", {})))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise SchemeError(
                f"{source}: {error!r}", "version and tags, each with name and title", "Compare it with the shipped taxonomy.yaml."
            ) from error
        if not tags or len(set(scheme.names)) < len(tags):
            raise SchemeError(f"{source}: tags {list(scheme.names)}", "at least one tag, each once", "Remove the repeated tag.")
        return scheme

    @classmethod
    def of_names(cls, names: Iterable[str]) -> "Scheme":
        """A bare scheme for a plain data set that brings label names and no definitions."""
        return cls.from_dict({"version": 1, "tags": [{"name": name, "title": name.replace("_", " ")} for name in names]})

    def to_dict(self) -> dict[str, Any]:
        """The content that `from_dict` reads back."""
        return asdict(self)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Tag names in order."""
        return tuple(tag.name for tag in self.tags)

    @cached_property
    def core(self) -> tuple[str, ...]:
        """Names of the core tags."""
        return tuple(tag.name for tag in self.tags if tag.core)

    def index(self, name: str) -> int:
        """Column of the tag `name`.

        Raises:
            SchemeError: no such tag; names the nearest.
        """
        try:
            return self.names.index(name)
        except ValueError:
            near = get_close_matches(name, self.names, n=1)
            advice = f"Did you mean {near[0]!r}?" if near else "See taxonomy.yaml for the tags."
            raise SchemeError(f"tag {name!r}", f"one of {', '.join(self.names)}", advice) from None

    def __getitem__(self, name: str) -> Tag:
        return self.tags[self.index(name)]
