"""The manifest: which shards of a batch are done, and what from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from newswatch import __version__
from newswatch.output import OUTPUTS
from newswatch.shards import Shard
from newswatch.stream import printable
from newswatch.summary import Tally
from newswatch.whole_file import whole_file

MANIFEST = "manifest"
QUARANTINE = "quarantine"


def shard_key(digest: str, settings: Mapping[str, Any], before: str = "") -> str:
    """A hash of all that a shard's output depends on.

    Args:
        digest: sha256 of the input.
        settings: the bundle's hash and whatever else affects the output, as JSON data; this release is added.
        before: key of the shard before, where the output depends on earlier shards.
    """
    whole = json.dumps([__version__, digest, settings, before], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


@dataclass(frozen=True)
class Manifest:
    """One small file a finished shard, below the folder of the output; each is written whole, after the shard's output."""

    out: Path

    def output(self, shard: Shard, form: str) -> Path:
        """Where the output of a shard goes."""
        return self.out / f"{shard.name}.{form}"

    def quarantine(self, shard: Shard) -> Path:
        """Where rows of a shard go that cannot be scored."""
        return self.out / QUARANTINE / f"{shard.name}.jsonl"

    def find(self, shard: Shard, key: str) -> Tally | None:
        """What a shard came to if it is done with this key and its output lies there; else None: it is to be scored."""
        try:
            entry = json.loads(self._entry(shard).read_bytes())
            tally = Tally.from_dict(entry["tally"])
            whole = (self.out / entry["output"]).stat().st_size == entry["bytes"]
            whole = whole and self.quarantine(shard).exists() == bool(tally.quarantined)
            return tally if whole and entry["key"] == key else None
        except (OSError, ValueError, KeyError, TypeError):  # an entry that is missing or damaged proves nothing
            return None

    def record(self, shard: Shard, key: str, output: Path, tally: Tally) -> None:
        """Note that a shard is done, and remove what an earlier run with other settings or another input left of it."""
        if not tally.quarantined:
            self.quarantine(shard).unlink(missing_ok=True)
        for form in OUTPUTS:
            if (other := self.output(shard, form)) != output:
                other.unlink(missing_ok=True)
        entry = {
            "input": printable(shard.file),
            "output": output.name,
            "bytes": output.stat().st_size,
            "key": key,
            "tally": tally.to_dict(),
        }
        with whole_file(self._entry(shard)) as file:
            file.write(json.dumps(entry, ensure_ascii=False, indent=1).encode() + b"\n")

    def _entry(self, shard: Shard) -> Path:
        return self.out / MANIFEST / f"{shard.name}.json"
