"""The audit: an append-only log of every decision about the champion."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from newswatch.bundle import Bundle
from newswatch_labels.errors import NewswatchError
from newswatch_training.gate import Gate
from newswatch_training.lock import user_at_host

AUDIT = "audit.jsonl"


class Action(StrEnum):
    """What was decided. `found` is no decision: the champion was not the one last written down."""

    PROMOTED = "promoted"
    KEPT = "kept"
    ROLLED_BACK = "rolled back"
    FOUND = "found"


@dataclass(frozen=True)
class Named:
    """A bundle as the audit names it: label, sha256 of its bundle.json, folder relative to the store where it lies below it."""

    bundle: str
    sha256: str
    folder: str

    @classmethod
    def of(cls, bundle: Bundle, store: Path) -> "Named":
        """The name of a loaded bundle."""
        folder, home = bundle.folder.resolve(), store.resolve()
        return cls(bundle.label, bundle.sha256, str(folder.relative_to(home) if folder.is_relative_to(home) else folder))


@dataclass(frozen=True)
class Entry:
    """One line of the audit.

    Attributes:
        who: user@host, or who was named.
        when: UTC, ISO 8601.
        subject: the bundle decided about; None if none was written.
        previous: the champion before; None if there was none.
        champion: the champion from here on; None if there is none.
        run_id, corpus: MLflow run and hash of the training records of `subject`.
        gates: the figures that decided; empty for a decision by hand.
    """

    action: Action
    who: str
    when: str
    subject: Named | None
    previous: Named | None
    champion: Named | None
    why: str
    run_id: str = ""
    corpus: str = ""
    gates: tuple[Gate, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Entry":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        named = {name: Named(**row[name]) if row[name] else None for name in ("subject", "previous", "champion")}
        gates = tuple(Gate(**gate) for gate in row["gates"])
        return cls(**{**row, **named, "action": Action(row["action"]), "gates": gates})


def make_entry(
    action: Action,
    subject: Bundle | None,
    previous: Named | None,
    store: Path,
    why: str,
    by: str | None = None,
    gates: Iterable[Gate] = (),
    *,
    champion: Named | None,
) -> Entry:
    """An entry of this moment and user.

    Args:
        by: who decides; default: user@host.
    """
    manifest = subject.manifest if subject else {}
    return Entry(
        action,
        by or user_at_host(),
        datetime.now(UTC).isoformat(timespec="seconds"),
        Named.of(subject, store) if subject else None,
        previous,
        champion,
        why,
        manifest.get("mlflow", {}).get("run_id", ""),
        manifest.get("corpus", {}).get("sha256", ""),
        tuple(gates),
    )


def append(store: Path, entry: Entry) -> None:
    """Append one line and bring it to the disk; a line that does not fit is taken back whole.

    Raises:
        OSError: the disk is full or the file cannot be written.
    """
    line = json.dumps(entry.to_dict(), ensure_ascii=False).encode() + b"\n"
    store.mkdir(parents=True, exist_ok=True)
    file = os.open(store / AUDIT, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(file).st_size
        torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"  # a machine that stopped in mid-line
        left = b"\n" + line if torn else line
        try:
            while left:
                left = left[os.write(file, left) :]
            os.fsync(file)
        except OSError:
            os.ftruncate(file, size)
            raise
    finally:
        os.close(file)


def read_audit(store: Path) -> tuple[list[Entry], list[NewswatchError]]:
    """All entries, oldest first, and the lines that are none, each as the error that names it."""
    path = store / AUDIT
    entries: list[Entry] = []
    faults: list[NewswatchError] = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], 1):
        try:
            entries.append(Entry.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError) as error:
            faults.append(NewswatchError(f"{path}:{number}: {error!r:.120}", "a line that newswatch-train wrote", "It is passed over."))
    return entries, faults
