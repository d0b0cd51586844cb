"""Parts that tests share: a small corpus, and a bundle trained on it once."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from newswatch.bundle import Bundle
from newswatch.scorer import Scorer
from newswatch_labels import Record, Scheme, read_corpus, write_corpus
from newswatch_labels.corpus import Corpus

if TYPE_CHECKING:
    from newswatch_training.encoder_settings import EncoderSettings

ROOT = Path(__file__).parent.parent
CORPUS = ROOT / "labels" / "corpus"
SAMPLES = ROOT / "labels" / "samples"
SHARED = ROOT.parent / "shared"
SMALL_PER_TAG = 22


@pytest.fixture(scope="session")
def samples() -> Path:
    return SAMPLES


@pytest.fixture(scope="session")
def scheme() -> Scheme:
    return Scheme.load()


@pytest.fixture(scope="session")
def corpus(scheme: Scheme) -> Corpus:
    return read_corpus(CORPUS, scheme)


@pytest.fixture(scope="session")
def small_records(corpus: Corpus, scheme: Scheme) -> list[Record]:
    """Short records, each tag on 22 of them or more, and as many without a tag."""
    chosen: dict[str, Record] = {}
    short = sorted(corpus.records, key=lambda record: len(record.text))
    for wanted in (*scheme.names, None):
        carriers = [r for r in short if (wanted in r.labels if wanted else not r.labels)]
        chosen.update((record.id, record) for record in carriers[:SMALL_PER_TAG])
    return [replace(r, contrast=r.contrast if r.contrast in chosen else None) for r in chosen.values()]


@pytest.fixture(scope="session")
def small_corpus(small_records: list[Record], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "small.jsonl"
    write_corpus(small_records, path)
    return path


@pytest.fixture(scope="session")
def store(small_corpus: Path, scheme: Scheme, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real MLflow store after one fit on the small corpus."""
    from newswatch_training.fit import FitSettings, ModelSettings, run_fit

    store = tmp_path_factory.mktemp("store") / "mlruns"
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        run_fit(read_corpus(small_corpus, scheme), str(small_corpus), scheme, ModelSettings(), FitSettings(folds=3, store=store))
    return store


@pytest.fixture(scope="session")
def bundle(store: Path) -> Bundle:
    return Bundle.load(store / "champion")


@pytest.fixture(scope="session")
def scorer(bundle: Bundle) -> Scorer:
    return Scorer(bundle)


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two small layers with the shipped backbone's tokenizer: any folder works as a backbone."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from newswatch_training.backbone import find_backbone
    from newswatch_training.encoder_settings import DEFAULT_BACKBONE

    folder = tmp_path_factory.mktemp("backbone")
    tokenizer = AutoTokenizer.from_pretrained(find_backbone(DEFAULT_BACKBONE))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=128,
        max_position_embeddings=128,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def encoder_settings(tiny_backbone: Path) -> "EncoderSettings":
    from newswatch_training.encoder_settings import EncoderSettings

    # Not balanced: a tiny encoder's logits would stay so near 0 that int8 turns many of its tags.
    return EncoderSettings(backbone=str(tiny_backbone), window=96, epochs=4, rate=3e-3, head_rate=1e-2, batch_tokens=2048, balance=0.0)


@pytest.fixture(scope="session")
def ensemble_store(
    small_corpus: Path, scheme: Scheme, encoder_settings: "EncoderSettings", tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A real MLflow store after a fit of the linear model and a tiny encoder together."""
    from newswatch_training.augmentation import Augmentation
    from newswatch_training.fit import FitSettings, ModelSettings, run_fit

    store = tmp_path_factory.mktemp("ensemble") / "mlruns"
    model = ModelSettings(encoder=encoder_settings, augmentation=Augmentation(strangers=0.2))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        settings = FitSettings(folds=2, jobs=1, newest=False, store=store)
        run_fit(read_corpus(small_corpus, scheme), str(small_corpus), scheme, model, settings)
    return store


@pytest.fixture(scope="session")
def ensemble(ensemble_store: Path) -> Bundle:
    return Bundle.load(ensemble_store / "champion")


@pytest.fixture(autouse=True)
def _no_outside_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEWSWATCH_BUNDLE", raising=False)
    monkeypatch.delenv("NEWSWATCH_BUNDLE_SHA256", raising=False)
    monkeypatch.delenv("NEWSWATCH_RUNTIME", raising=False)
    monkeypatch.delenv("NEWSWATCH_THREADS", raising=False)
