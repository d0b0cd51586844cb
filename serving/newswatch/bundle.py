"""The bundle: one folder with everything that affects a score, checked before it scores."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from newswatch.decision import Decision
from newswatch.model import BundleError, Model, load_model
from newswatch.text import Document
from newswatch_labels.errors import NewswatchError
from newswatch_labels.scheme import Scheme

FORMAT = 1
MANIFEST = "bundle.json"
GOLDEN = "golden.jsonl"
CARD = "README.md"
CHAMPION = Path("mlruns/champion")
_REQUIRED = ("name", "version", "scheme", "decision", "model", "files")


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle. `sha256` is the hash of bundle.json, which holds the hashes of all other files."""

    folder: Path
    sha256: str
    manifest: Mapping[str, Any]
    scheme: Scheme
    decision: Decision
    model: Model

    @property
    def label(self) -> str:
        """`<name>@<version>`, as predictions carry it."""
        return f"{self.manifest['name']}@{self.manifest['version']}"

    @classmethod
    def load(cls, path: str | Path | None = None, sha256: str | None = None) -> "Bundle":
        """Load a bundle and prove it whole: format, checksum of every file, golden rows.

        Args:
            path: the bundle's folder; default: NEWSWATCH_BUNDLE, then mlruns/champion.
            sha256: hash that bundle.json must have; default: NEWSWATCH_BUNDLE_SHA256, else any.

        Raises:
            BundleError: naming the file, what it holds and what it should hold.
        """
        folder, digest, manifest = read_manifest(path, sha256)
        for name, expected in manifest["files"].items():
            _check_name(folder, name)
            found = _hash(folder / name)
            if found != expected:
                raise _damaged(folder / name, f"sha256 {found}", f"sha256 {expected}")
        if missing := {GOLDEN, CARD} - set(manifest["files"]):
            raise _damaged(folder / MANIFEST, f"no checksum of {', '.join(sorted(missing))}", "a checksum of every file")
        try:
            scheme = Scheme.from_dict(manifest["scheme"], str(folder / MANIFEST))
            decision = Decision.from_dict(scheme, manifest["decision"])
            model = load_model(manifest["model"]["kind"], folder, manifest["model"])
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise _damaged(folder, repr(error), "the content that this release writes") from error
        bundle = cls(folder, digest, manifest, scheme, decision, model)
        bundle._check_golden()
        return bundle

    def _check_golden(self) -> None:
        rows = [json.loads(line) for line in _read(self.folder, GOLDEN).splitlines()]
        documents = [Document.read(row["text"], row["title"]) for row in rows]
        for row, logits in zip(rows, self.model.logits(documents), strict=True):
            scores = self.decision.article_probabilities(logits.article)
            expected = np.array([row["scores"][name] for name in self.scheme.names])
            drift = float(np.abs(scores - expected).max())
            if not drift <= self.model.tolerance:
                raise _damaged(self.folder / GOLDEN, f"a score {drift:.2g} off on {row['id']!r}", f"at most {self.model.tolerance}")


def read_manifest(path: str | Path | None = None, sha256: str | None = None) -> tuple[Path, str, dict[str, Any]]:
    """The folder of a bundle, the hash of its bundle.json and what that holds; the other files are not looked at.

    Args:
        path, sha256: as for `Bundle.load`.

    Raises:
        BundleError: there is no bundle, or bundle.json is not the one pinned, or of a form this release does not know.
    """
    folder = find_bundle(path)
    raw = _read(folder, MANIFEST)
    digest = hashlib.sha256(raw).hexdigest()
    pinned = sha256 or os.environ.get("NEWSWATCH_BUNDLE_SHA256")
    if pinned and digest != pinned:
        raise _damaged(folder / MANIFEST, f"sha256 {digest}", f"the pinned sha256 {pinned}")
    return folder, digest, _parse(folder, raw)


def find_bundle(path: str | Path | None = None) -> Path:
    """The folder of the bundle to use: `path`, else NEWSWATCH_BUNDLE, else mlruns/champion below the working folder.

    Raises:
        BundleError: there is no such folder.
    """
    named = path or os.environ.get("NEWSWATCH_BUNDLE")
    folder = Path(named) if named else CHAMPION
    if not folder.is_dir():
        raise BundleError(
            f"no bundle at {folder}",
            "the folder of a trained bundle",
            "Name one with --bundle or NEWSWATCH_BUNDLE, or train one: newswatch-train fit.",
        )
    return folder.resolve()


def _parse(folder: Path, raw: bytes) -> dict[str, Any]:
    try:
        manifest = json.loads(raw)
        version = manifest["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / MANIFEST, repr(error), "a JSON object with a format") from error
    if version != FORMAT:
        raise BundleError(
            f"{folder / MANIFEST}: format {version!r}",
            f"format {FORMAT}",
            "Update newswatch, or train the bundle again with this release.",
        )
    if missing := [name for name in _REQUIRED if name not in manifest]:
        raise _damaged(folder / MANIFEST, f"no {', '.join(missing)}", f"the fields {', '.join(_REQUIRED)}")
    return manifest  # type: ignore[no-any-return]


def _check_name(folder: Path, name: str) -> None:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name or ":" in name:
        raise _damaged(folder / MANIFEST, f"file name {name!r}", "a name inside the bundle")


def _hash(path: Path) -> str:
    """sha256, without the whole file in memory."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise _damaged(path, error.strerror or repr(error), "a readable file") from error


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as error:
        raise _damaged(folder / name, error.strerror or repr(error), "a readable file") from error


def _damaged(path: Path, received: str, expected: str) -> NewswatchError:
    return BundleError(f"{path}: {received}", expected, "Copy the bundle again or train a new one.")
