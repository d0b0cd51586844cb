"""The plan of encoder_speed.py: streams of articles, and the models of every engine."""

import random
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from speed_engines import BOTH, CASCADE, ENCODER, FASTTEXT, LINEAR, SENTENCES

if TYPE_CHECKING:
    from newswatch.bundle import Bundle
    from newswatch.model import Model
    from newswatch_labels.record import Record

LONG = (380, 420)
UNTAGGED = 0.8
WARM = 300  # records, none of them timed, that fill the linear model's cache of words
FASTTEXT_RECORDS = 600


def long_stream(records: Sequence["Record"], count: int, rng: random.Random) -> list[str]:
    """Articles of `LONG` words: records of that length, then joined shorter ones."""
    low, high = LONG
    whole = [record.text for record in records if low <= record.words <= high]
    found = rng.sample(whole, min(count, len(whole)))
    short = sorted((record for record in records if record.words < low), key=lambda record: record.words)
    while len(found) < count:
        words, parts = 0, []
        while words < low and (fitting := [record for record in short if record.words <= high - words]):
            parts.append(rng.choice(fitting))
            words += parts[-1].words
        if not parts:
            raise SystemExit(f"no record of at most {high} words; expected shorter ones. Name another --corpus.")
        if words >= low:
            found.append("\n\n".join(part.text for part in parts))
    return found


def mixed_stream(records: Sequence["Record"], count: int, rng: random.Random) -> list[str]:
    """Four in five articles without a tag, one in five with tags, each in its own length."""
    untagged = round(UNTAGGED * count)
    found = []
    for wanted, pool in ((untagged, [r for r in records if not r.labels]), (count - untagged, [r for r in records if r.labels])):
        if wanted and not pool:
            raise SystemExit("no record with, or none without a tag; expected both. Name another --corpus.")
        texts = [record.text for record in rng.sample(pool, min(wanted, len(pool)))]
        found += texts
        found += [_reorder(texts[number % len(texts)], rng) for number in range(wanted - len(texts))]
    rng.shuffle(found)
    return found


def news_stream(file: Path, count: int, rng: random.Random) -> list[str]:
    """Articles of a file as they come."""
    from newswatch.reading import read_articles
    from newswatch.row import Fault

    texts = [row.text for row in read_articles([file]) if not isinstance(row, Fault)]
    if len(texts) < count:
        raise SystemExit(f"{file}: {len(texts)} articles; expected at least {count}. Ask for fewer --articles.")
    return rng.sample(texts, count)


def _reorder(text: str, rng: random.Random) -> str:
    paragraphs = [part for part in text.split("\n") if part.strip()]
    rng.shuffle(paragraphs)
    return "\n\n".join(paragraphs)


def make_plan(
    bundle: "Bundle", records: Sequence["Record"], count: int, backbone: str, work: Path, news: Path | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Draw the streams, write each member as a bundle of its own below `work`, and train what the references need.

    Args:
        count: articles of each stream.
        news: file of articles for the stream `news`.

    Returns:
        What the engines' workers read, and why which engines are left out.
    """
    left_out: dict[str, str] = {}
    rng = random.Random(0)
    streams = {"long": long_stream(records, count, rng), "mixed": mixed_stream(records, count, rng)}
    if news:
        streams["news"] = news_stream(news, count, rng)
    timed = {text for texts in streams.values() for text in texts}
    others = [record for record in records if record.text not in timed] or list(records)
    bundles = _member_bundles(bundle, records, work)
    for name, key in ((LINEAR, "linear"), (ENCODER, "encoder"), (BOTH, "whole"), (CASCADE, "whole")):
        if key not in bundles:
            left_out[name] = f"the bundle holds a {bundle.model.kind} model"
    if not find_spec("sentence_transformers"):
        left_out[SENTENCES] = "sentence-transformers is not installed"
    if fault := _train_fasttext(records[:: max(1, len(records) // FASTTEXT_RECORDS)], work):
        left_out[FASTTEXT] = fault
    plan = {
        "backbone": backbone,
        "tags": len(bundle.scheme.names),
        "bundles": bundles,
        "heads": _fit_heads(len(bundle.scheme.names), backbone, work),
        "fasttext": str(work / "fasttext.bin"),
        "streams": streams,
        "warm": [record.text for record in rng.sample(others, min(WARM, len(others)))],
        "short": min(others, key=lambda record: record.words).text,
    }
    return plan, left_out


def _member_bundles(bundle: "Bundle", records: Sequence["Record"], work: Path) -> dict[str, str]:
    """Folders of the linear member, the encoder and the whole, those that there are."""
    from newswatch.ensemble import EnsembleModel
    from newswatch_training.examples import Examples
    from newswatch_training.export import Provenance, write_bundle

    if not isinstance(bundle.model, EnsembleModel):
        return {bundle.model.kind: str(bundle.folder)}
    examples = Examples.prepare(sorted(records, key=lambda record: record.words)[:50], bundle.scheme)
    origin = Provenance("member", "0", {}, {}, {}, {})
    members: dict[str, Model] = {"linear": bundle.model.linear, "encoder": bundle.model.encoder}
    for name, member in members.items():
        write_bundle(work / name, member, bundle.decision, examples, origin, "")
    return {"whole": str(bundle.folder), **{name: str(work / name) for name in members}}


def read_config(backbone: str) -> Any:
    """Config of a backbone's folder."""
    from transformers import AutoConfig

    return AutoConfig.from_pretrained(backbone)


def _fit_heads(tags: int, backbone: str, work: Path) -> str:
    """Logistic regressions on random vectors and labels: their quality does not change their speed."""
    import joblib
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.multiclass import OneVsRestClassifier

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((200, read_config(backbone).hidden_size))
    heads = OneVsRestClassifier(LogisticRegression()).fit(vectors, rng.random((200, tags)) < 0.3)
    joblib.dump(heads, work / "heads.joblib")
    return str(work / "heads.joblib")


def _train_fasttext(records: Sequence["Record"], work: Path) -> str | None:
    """Write fasttext.bin; why not, if not."""
    try:
        import fasttext
    except ImportError as error:
        return str(error)
    rows = [f"{' '.join(f'__label__{tag}' for tag in r.labels)} {' '.join(r.text.split())}" for r in records if r.labels]
    (work / "fasttext.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")
    # 200,000 buckets are a tenth of fastText's default: less memory, nothing lost on so few records.
    model = fasttext.train_supervised(str(work / "fasttext.txt"), wordNgrams=2, loss="ova", bucket=200_000, verbose=0)
    model.save_model(str(work / "fasttext.bin"))
    return None
