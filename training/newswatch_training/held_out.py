"""Held-out scores: what the cross-validation said of the texts that a bundle was then trained on."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from newswatch.bundle import Bundle
from newswatch.model import FloatArray
from newswatch_labels.record import Record

HELD_OUT = "held_out.npz"


def text_key(text: str, title: str | None) -> str:
    """Sixteen hexadecimal digits that stand for an article's title and text."""
    return hashlib.sha256(f"{title or ''}\0{text}".encode()).hexdigest()[:16]


def write_held_out(folder: Path, probabilities: FloatArray, records: Sequence[Record]) -> None:
    """Write held_out.npz: keys (N,) of the records and their probabilities (N, T)."""
    keys = np.array([text_key(record.text, record.title) for record in records], dtype="S16")
    with (folder / HELD_OUT).open("wb") as file:
        np.savez_compressed(file, keys=keys, probabilities=probabilities.astype(np.float32))


def read_held_out(bundle: Bundle) -> dict[str, FloatArray]:
    """Probabilities (T,) by the key of each text that the bundle was trained on; empty if the bundle is older than this record."""
    if HELD_OUT not in bundle.manifest["files"]:
        return {}
    with np.load(bundle.folder / HELD_OUT, allow_pickle=False) as arrays:
        return dict(zip((key.decode() for key in arrays["keys"]), arrays["probabilities"].astype(np.float64), strict=True))
