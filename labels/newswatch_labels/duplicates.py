"""Near-duplicates: pairs of records that share too many words to be told apart."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from newswatch_labels.errors import MissingExtraError
from newswatch_labels.record import PUBLISHED, Record

SHINGLE_WORDS = 3
PERMUTATIONS = 128
MIN_SIMILARITY = 0.5
RUN_WORDS = 8
RUN_LOWER_CASE = 5

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two records (ids) and the Jaccard similarity (0 to 1) of their three-word shingles."""

    first: str
    second: str
    similarity: float


@dataclass(frozen=True, slots=True)
class SharedRun:
    """Two records (ids) and the first run of words that stands in both."""

    first: str
    second: str
    words: str


def near_duplicates(records: Sequence[Record], min_similarity: float = MIN_SIMILARITY) -> list[Duplicate]:
    """Pairs whose shingles have a Jaccard similarity of at least `min_similarity`.

    Candidates come from MinHash LSH (Broder 1997) by datasketch; their similarity is then counted exactly.

    Raises:
        MissingExtraError: datasketch is not installed.
    """
    try:
        from datasketch import MinHash, MinHashLSH
    except ImportError as error:
        raise MissingExtraError(error.name or "datasketch", "train") from error
    own = [shingles(f"{record.title} {record.text}") for record in records]
    # The index asks for less than the wanted similarity, so that its own error loses no pair.
    index = MinHashLSH(threshold=min_similarity * 0.8, num_perm=PERMUTATIONS)
    found = []
    hashes = MinHash.bulk([[s.encode() for s in runs] for runs in own], num_perm=PERMUTATIONS)
    for number, minhash in enumerate(hashes):
        for other in sorted(index.query(minhash)):
            union = len(own[other] | own[number])
            similarity = len(own[other] & own[number]) / union if union else 1.0
            if similarity >= min_similarity:
                found.append(Duplicate(records[other].id, records[number].id, similarity))
        index.insert(number, minhash)
    return found


def shared_runs(records: Sequence[Record]) -> list[SharedRun]:
    """Pairs that share a run of eight words, contrast pairs excepted; the first run of each pair.

    Published articles may share words with one another, as they do in print; near-duplicates among them stay in one fold. No record in own
    words may share any with them.
    Runs with fewer than five words in lower case are names and official titles, which no writer can vary.
    """
    seen: dict[str, Record] = {}
    pairs: dict[tuple[str, str], SharedRun] = {}
    for record in records:
        for run in _runs(record):
            other = seen.setdefault(run, record)
            published = record.style == other.style == PUBLISHED
            if other is not record and not published and record.contrast != other.id and other.contrast != record.id:
                pairs.setdefault((other.id, record.id), SharedRun(other.id, record.id, run))
    return list(pairs.values())


def shingles(text: str) -> set[str]:
    """The three-word runs of a text, in lower case; a shorter text is one run."""
    words = [word.lower() for word in _WORD.findall(text)]
    last = max(1, len(words) - SHINGLE_WORDS + 1)
    return {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(last)}


def _runs(record: Record) -> Iterator[str]:
    for part in (record.title, record.text):
        words = _WORD.findall(part)
        for start in range(len(words) - RUN_WORDS + 1):
            run = words[start : start + RUN_WORDS]
            if sum(word[0].islower() for word in run) >= RUN_LOWER_CASE:
                yield " ".join(run).lower()
