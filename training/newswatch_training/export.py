"""Export: write a bundle whole, prove it, then give it its name."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from newswatch.bundle import CARD, FORMAT, GOLDEN, MANIFEST, Bundle
from newswatch.decision import Decision
from newswatch.model import Logits, Model
from newswatch.text import MAX_SENTENCE_CHARS
from newswatch_training.examples import Examples
from newswatch_training.held_out import write_held_out

GOLDEN_ROWS = 8
TRAINED_ON = "trained_on.txt"  # fingerprints of the training records, one a line


@dataclass(frozen=True)
class Provenance:
    """Where a model comes from; all of it is written into bundle.json.

    Attributes:
        corpus: hash, number of records and name of the training corpus.
        settings: what the fit was asked for.
        metrics: figures of the cross-validation by event.
        mlflow: run_id and tracking_uri, where tracked.
    """

    name: str
    version: str
    corpus: Mapping[str, Any]
    settings: Mapping[str, Any]
    metrics: Mapping[str, float]
    mlflow: Mapping[str, str]


def write_bundle(
    folder: Path, model: Model, decision: Decision, examples: Examples, origin: Provenance, card: str, held_out: Sequence[Logits] = ()
) -> Bundle:
    """Write the bundle into a temporary folder, load it as a service would, then rename it to `folder`.

    Args:
        held_out: logits of each of the `examples` by a model that did not see it, to which drift compares later texts.

    Returns:
        The loaded bundle, its golden rows scored.

    Raises:
        BundleError: what was written does not score as the model does.
        FileExistsError: `folder` exists.
    """
    if folder.exists():
        raise FileExistsError(folder)
    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        settings = {"kind": model.kind, **model.save(partial)}
        (partial / CARD).write_text(card, encoding="utf-8")
        _write_golden(partial / GOLDEN, model, decision, examples)
        seen = sorted({record.fingerprint for record in examples.records})
        (partial / TRAINED_ON).write_text("\n".join(seen) + "\n", encoding="utf-8")
        if held_out:
            write_held_out(partial, decision.article_probabilities(np.stack([own.article for own in held_out])), examples.records)
        manifest = {
            "format": FORMAT,
            "name": origin.name,
            "version": origin.version,
            "scheme": examples.scheme.to_dict(),
            "text": {"splitter": "sentencex", "language": "en", "max_sentence_chars": MAX_SENTENCE_CHARS},
            "model": settings,
            "decision": decision.to_dict(),
            "corpus": dict(origin.corpus),
            "settings": dict(origin.settings),
            "metrics": dict(origin.metrics),
            "mlflow": dict(origin.mlflow),
            "files": {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(partial.iterdir())},
        }
        (partial / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1), encoding="utf-8")
        Bundle.load(partial)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Bundle.load(folder)


def _write_golden(path: Path, model: Model, decision: Decision, examples: Examples) -> None:
    """The shortest record of each number of tags, up to eight rows: few words, many tags."""
    order = sorted(range(len(examples.records)), key=lambda row: len(examples.records[row].text))
    chosen = list({int(examples.labels[row].sum()): row for row in reversed(order)}.values())[:GOLDEN_ROWS]
    lines = []
    for row in chosen:
        record, logits = examples.records[row], model.logits([examples.documents[row]])[0]
        scores = dict(zip(examples.scheme.names, map(float, decision.article_probabilities(logits.article)), strict=True))
        title = record.title or None
        lines.append(json.dumps({"id": record.id, "title": title, "text": record.text, "scores": scores}, ensure_ascii=False))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_trained_on(bundle: Bundle) -> frozenset[str] | None:
    """Fingerprints of the records that the bundle was trained on; None if it does not say."""
    if TRAINED_ON not in bundle.manifest["files"]:
        return None
    return frozenset((bundle.folder / TRAINED_ON).read_text(encoding="utf-8").split())


def sweep(folder: Path) -> list[str]:
    """Remove what processes that are no more left half written in `folder`: `.<name>.<process>`; returns the names."""
    left = []
    for path in folder.glob(".*.*"):
        process = path.suffix[1:]
        if process.isdecimal() and not _lives(int(process)):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
            left.append(path.name)
    return left


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is another user's
        return True
    return True


def publish(bundle: Bundle, champion: Path) -> None:
    """Point the link `champion` at the bundle; a reader sees the old bundle or the new one, never neither."""
    champion.parent.mkdir(parents=True, exist_ok=True)
    link = champion.with_name(f".{champion.name}.{os.getpid()}")
    link.unlink(missing_ok=True)
    link.symlink_to(os.path.relpath(bundle.folder.resolve(), champion.parent.resolve()))
    link.replace(champion)
