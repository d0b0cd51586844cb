"""The frozen fold: test records that no retraining trains on, kept beside the store, growing and never shrinking."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path

from newswatch_labels.corpus import write_whole
from newswatch_labels.duplicates import shared_runs
from newswatch_labels.errors import NewswatchError
from newswatch_labels.folds import group_records, place_and_month, split_by_event
from newswatch_labels.record import Record

FOLD = "test_fold.json"
FORMAT = 1
SHARE = 0.2


class FoldError(NewswatchError):
    """The file of the frozen fold cannot be used."""


class Part(StrEnum):
    """Where a record goes; set aside is what may neither train (it is of a test event) nor test (a model was trained on it)."""

    TEST = "test"
    TRAINING = "training"
    ASIDE = "aside"


@dataclass(frozen=True, slots=True)
class Member:
    """A record known to a fold: its id, the fingerprint of title and text, and its event's place and month ("" if it has none)."""

    id: str
    text: str
    event: str

    @classmethod
    def of(cls, record: Record) -> "Member":
        """The member that a record is."""
        return cls(record.id, record.fingerprint, place_and_month(record.event) if record.event else "")


@dataclass(frozen=True)
class FrozenFold:
    """Which records test and which have trained, in the order in which they came. A record stays where it is, whatever is added."""

    test: tuple[Member, ...] = ()
    training: tuple[Member, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of the test records' fingerprints."""
        return hashlib.sha256("\n".join(sorted(member.text for member in self.test)).encode()).hexdigest()

    @classmethod
    def read(cls, path: Path) -> "FrozenFold | None":
        """Read what `write` wrote; None where there is no file yet.

        Raises:
            FoldError: the file is damaged or of another format.
        """
        if not path.exists():
            return None
        try:
            row = json.loads(path.read_bytes())
            found, parts = row["format"], [tuple(Member(*member) for member in row[part]) for part in ("test", "training")]
        except (ValueError, KeyError, TypeError) as error:
            raise FoldError(
                f"{path}: {error!r}", "the file that retrain wrote", "Restore it from a backup: a fold drawn anew has other records."
            ) from error
        if found != FORMAT:
            raise FoldError(f"{path}: format {found!r}", f"format {FORMAT}", "Use the release of newswatch that wrote it.")
        return cls(*parts)

    def write(self, path: Path) -> None:
        """Write the members as JSON, one a line, under a temporary name first."""
        parts = (
            f' "{name}": [\n' + ",\n".join(json.dumps(list(asdict(m).values()), ensure_ascii=False) for m in members) + "\n ]"
            for name, members in (("test", self.test), ("training", self.training))
        )
        write_whole(f'{{\n "format": {FORMAT},\n' + ",\n".join(parts) + "\n}\n", path)


@dataclass(frozen=True)
class Deal:
    """Records dealt out.

    Attributes:
        fold: the fold as it was, with the new records.
        parts, groups: of each record, where it goes and the number of its group.
        vanished: test records of the fold that are no longer among the records. They stay in the fold.
    """

    fold: FrozenFold
    parts: tuple[Part, ...]
    groups: tuple[int, ...]
    vanished: tuple[Member, ...]

    def rows(self, part: Part) -> list[int]:
        """Numbers of the records that go to `part`."""
        return [row for row, own in enumerate(self.parts) if own is part]


def deal_records(records: Sequence[Record], fold: FrozenFold | None) -> Deal:
    """Deal records into test and training; groups (see `newswatch_labels.folds.group_records`) stay whole.

    Without a fold, a fifth is drawn, with its share of each tag. With one, every record stays where it was. A new record of a
    test event, or nearly the same as a test record, tests too. A group that is new as a whole is dealt by a hash of its own text,
    so that neither order nor company matters. Set aside is a record that trained before and has come to share a group with a test
    record, and one that shares a run of eight words with a test record without being of its group.

    Raises:
        RecordError: there is no fold yet, and fewer than two separate events.
    """
    groups = group_records(records)
    if fold is None:
        drawn = split_by_event(records, [1 - SHARE, SHARE], 0, groups)
        parts = [Part.TEST if number else Part.TRAINING for number in drawn]
        fold = FrozenFold()
    else:
        parts = _deal_on(records, groups, fold)
    test = [record for record, part in zip(records, parts, strict=True) if part is Part.TEST]
    rest = [record for record, part in zip(records, parts, strict=True) if part is Part.TRAINING]
    tested = {record.id for record in test}
    alike = {run.second for run in shared_runs([*test, *rest]) if run.first in tested and run.second not in tested}
    parts = [Part.ASIDE if record.id in alike else part for record, part in zip(records, parts, strict=True)]
    present = {record.id for record in records} | {record.fingerprint for record in records}
    vanished = tuple(member for member in fold.test if not {member.id, member.text} & present)
    return Deal(_extend(fold, records, parts), tuple(parts), tuple(groups), vanished)


def _deal_on(records: Sequence[Record], groups: Sequence[int], fold: FrozenFold) -> list[Part]:
    """Deal by a fold that exists."""
    test, trained = _names(fold.test), _names(fold.training)
    events = {member.event for member in fold.test} - {""}
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    own = [Member.of(record) for record in records]
    parts = [Part.TRAINING] * len(records)
    for rows in members.values():
        tests = {row for row in rows if {own[row].id, own[row].text} & test}
        knows = {row for row in rows if {own[row].id, own[row].text} & trained} - tests
        if tests or any(own[row].event in events for row in rows):
            for row in rows:
                parts[row] = Part.ASIDE if row in knows else Part.TEST
        elif not knows and _drawn(min(own[row].text for row in rows)):
            for row in rows:
                parts[row] = Part.TEST
    return parts


def _names(members: Sequence[Member]) -> set[str]:
    return {member.id for member in members} | {member.text for member in members}


def _drawn(text: str) -> bool:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) < SHARE * 2**32


def _extend(fold: FrozenFold, records: Sequence[Record], parts: Sequence[Part]) -> FrozenFold:
    """The fold with the members that it does not hold yet."""
    found = [(Member.of(record), part) for record, part in zip(records, parts, strict=True)]
    test, training = (
        (*held, *(member for member, own in found if own is part and member not in known))
        for part, held, known in ((Part.TEST, fold.test, set(fold.test)), (Part.TRAINING, fold.training, set(fold.training)))
    )
    return FrozenFold(test, training)
