"""Folds: splits that never part records of one event, a contrast pair, or near-duplicates."""

import random
import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from newswatch_labels.duplicates import near_duplicates
from newswatch_labels.errors import RecordError
from newswatch_labels.record import Record

_EVENT = re.compile(r".+?-\d{6}(?=-)")


def group_records(records: Sequence[Record]) -> list[int]:
    """Number the groups that no split may part: one place in one month, a contrast pair, near-duplicates, and what these join.

    Place and month, not the whole event key: two writers may name one event in two ways.

    Returns:
        Per record the number of its group, counted from 0 in reading order.
    """
    position = {record.id: number for number, record in enumerate(records)}
    parent = list(range(len(records)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(first: int, second: int) -> None:
        low, high = sorted((root(first), root(second)))
        parent[high] = low

    events: dict[str, int] = {}
    for number, record in enumerate(records):
        if record.event:
            join(events.setdefault(place_and_month(record.event), number), number)
        if record.contrast in position:
            join(position[record.contrast], number)
    for pair in near_duplicates(records):
        join(position[pair.first], position[pair.second])
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(number), len(numbers)) for number in range(len(records))]


def split_by_event(records: Sequence[Record], shares: Sequence[float], seed: int = 0, groups: Sequence[int] | None = None) -> list[int]:
    """Share the groups out so that every part gets its share of the records and of each tag.

    Groups are dealt largest first, each to the part whose shares then deviate least: scikit-learn's StratifiedGroupKFold, for many labels.

    Args:
        shares: positive share of each part; equal shares give folds.
        groups: what `group_records` said, if known already.

    Returns:
        Per record the number of its part.

    Raises:
        RecordError: there are fewer groups than parts.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for number, group in enumerate(groups or group_records(records)):
        members[group].append(number)
    if len(members) < len(shares):
        raise RecordError(f"{len(members)} separate events", f"at least {len(shares)}", "Add records or ask for fewer parts.")
    counts = {group: _counts([records[n] for n in numbers]) for group, numbers in members.items()}
    totals: Counter[str] = Counter()
    for count in counts.values():
        totals.update(count)
    order = sorted(members)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda group: len(members[group]), reverse=True)
    filled: list[Counter[str]] = [Counter() for _ in shares]
    parts = [0] * len(records)
    for group in order:

        def cost(part: int, count: Counter[str] = counts[group]) -> float:
            # Only the terms that this group changes: how much fuller, against its share, the part becomes.
            return sum(
                ((filled[part][key] + n) ** 2 - filled[part][key] ** 2) / (totals[key] ** 2 * shares[part]) for key, n in count.items()
            )

        best = min(range(len(shares)), key=cost)
        filled[best].update(counts[group])
        for number in members[group]:
            parts[number] = best
    return parts


def split_by_time(records: Sequence[Record], test_share: float = 0.2, groups: Sequence[int] | None = None) -> list[int]:
    """Put the newest groups into part 1 until it holds `test_share` of the dated records; the rest, the undated too, is part 0.

    A group is as old as its newest record.
    """
    newest: dict[int, str] = {}
    sizes: Counter[int] = Counter()
    groups = groups or group_records(records)
    for record, group in zip(records, groups, strict=True):
        sizes[group] += 1
        if record.source_date:
            newest[group] = max(newest.get(group, ""), record.source_date)
    wanted = test_share * sum(sizes[group] for group in newest)
    test: set[int] = set()
    for group in sorted(newest, key=lambda g: (newest[g], g), reverse=True):
        if sum(sizes[g] for g in test) >= wanted:
            break
        test.add(group)
    return [int(group in test) for group in groups]


def place_and_month(event: str) -> str:
    """The part of an event's key that records of one group share; the whole key where it is of another make."""
    found = _EVENT.match(event)
    return found[0] if found else event


def _counts(records: Sequence[Record]) -> Counter[str]:
    """How often each tag occurs, with the records and the untagged records counted as keys of their own."""
    counts = Counter(label for record in records for label in record.labels)
    counts["(records)"] = len(records)
    if untagged := sum(not record.labels for record in records):
        counts["(none)"] = untagged
    return counts
