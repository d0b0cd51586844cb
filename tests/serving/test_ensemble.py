"""The encoder and the ensemble as a service runs them, from a real bundle."""

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from newswatch import Bundle, BundleError, InputError, Scorer
from newswatch.encoder import EncoderModel, Pooling
from newswatch.ensemble import EnsembleModel
from newswatch.model import ABSENT, Logits
from newswatch.text import Document

LONG = " ".join(f"Gunmen of the Islamic State attacked village number {n} near Daquq and killed two policemen." for n in range(60))


@pytest.fixture
def model(ensemble: Bundle) -> EnsembleModel:
    loaded = Bundle.load(ensemble.folder).model
    assert isinstance(loaded, EnsembleModel)
    half = dict.fromkeys(("linear", "encoder"), 0.5)  # so small an encoder may have no weight at all
    loaded.combination = replace(loaded.combination, article_weights=half, sentence_weights=half)
    return loaded


def test_bundle_holds_everything(ensemble: Bundle) -> None:
    files = {path.name for path in ensemble.folder.iterdir()}
    model = {"encoder.onnx", "linear.npz", "tokenizer.json", "vocabulary.txt"}
    assert files == {"README.md", "bundle.json", "golden.jsonl", "held_out.npz", "trained_on.txt"} | model
    settings = ensemble.manifest["model"]
    assert settings["kind"] == "ensemble"
    assert settings["encoder"]["precision"] == "int8"
    assert 0 <= settings["encoder"]["parity"]["article_flips"] <= 0.05
    assert 0 <= settings["encoder"]["parity"]["evidence_flips"] <= 0.1
    for weights in (settings["combination"]["article_weights"], settings["combination"]["sentence_weights"]):
        assert sum(weights.values()) == pytest.approx(1)


def test_pooling_lies_between_the_maximum_and_the_sum() -> None:
    z = np.array([[1.0, -2.0], [1.0, -9.0], [-4.0, -2.0]])
    pool = Pooling(2.0, (1.0, 1.0), (0.0, 0.0))
    expected = np.log(np.exp(2 * z).sum(axis=0)) / 2
    np.testing.assert_allclose(pool(z), expected)
    assert (pool(z) >= z.max(axis=0)).all()
    np.testing.assert_allclose(Pooling(2.0, (3.0, 0.5), (1.0, -1.0))(z), np.array([3.0, 0.5]) * expected + [1.0, -1.0])
    np.testing.assert_allclose(Pooling(200.0, (1.0, 1.0), (0.0, 0.0))(z), z.max(axis=0), atol=0.01)


def test_pooling_does_not_overflow() -> None:
    assert np.isfinite(Pooling(2.0, (1.0,), (0.0,))(np.array([[900.0], [-900.0]]))).all()


def test_sentences_longer_than_a_window_are_read_whole(model: EnsembleModel) -> None:
    """The logits of a cut sentence are the mean over its runs, weighed by their tokens."""
    text = "Gunmen " + "attacked the village and the army and the police " * 12 + "near Daquq"
    document = Document.read(text)
    (logits,) = model.encoder.logits([document])
    windows = model.encoder.cutter.cut(document)
    assert len(windows) > 1
    parts = [model.encoder._window_logits(window) for window in windows]
    lengths = [window.lengths[0] for window in windows]
    np.testing.assert_allclose(logits.sentences[0], np.average([part[0] for part in parts], axis=0, weights=lengths), rtol=1e-6)


def test_a_document_does_not_depend_on_the_others(ensemble: Bundle) -> None:
    texts = ["Gunmen attacked a village near Daquq.", LONG, "", "It rained in Erbil.", LONG[:500]]
    scorer = Scorer(ensemble)
    together = scorer.score(texts)
    alone = [scorer.score([text])[0] for text in reversed(texts)][::-1]
    assert together == alone


def test_windows_seen_before_come_from_the_cache(model: EnsembleModel) -> None:
    document = Document.read(LONG)
    first = model.encoder.logits([document])[0]
    misses = model.encoder._cached.cache_info().misses
    second = model.encoder.logits([document])[0]
    assert model.encoder._cached.cache_info().misses == misses
    assert misses > 1
    np.testing.assert_array_equal(first.sentences, second.sentences)
    assert model.encoder._cached.cache_info().maxsize == 4096


def test_same_tokens_in_other_sentences_are_not_confused(model: EnsembleModel) -> None:
    """One window, the same tokens, another cut: the cache must tell them apart."""
    one = model.encoder.logits([Document.read("Gunmen attacked. Nobody was hurt.")])[0]
    two = model.encoder.logits([Document.read("Gunmen attacked.\n\nNobody was hurt.")])[0]
    np.testing.assert_allclose(one.sentences, two.sentences, atol=1e-6)
    tokens = model.encoder.cutter.tokenize(["gunmen attacked. nobody was hurt."])[0]
    (whole,), (halved,) = model.encoder.cutter.pack([tokens]), model.encoder.cutter.pack([tokens[:3], tokens[3:]])
    assert model.encoder._window_logits(whole).shape[0] == 1
    assert model.encoder._window_logits(halved).shape[0] == 2


def test_cascade_answers_alone_only_below_its_bound(model: EnsembleModel) -> None:
    documents = [Document.read(text) for text in ("It rained in Erbil and the football match was put off.", LONG)]
    alone = [model.combination.alone("linear", own) for own in model.linear.logits(documents)]
    highest = [float(own.article.max()) for own in alone]
    assert highest[0] < highest[1]
    model.certain = sum(highest) / 2
    model.encoder._cached.cache_clear()
    found = model.logits(documents)
    np.testing.assert_array_equal(found[0].article, alone[0].article)
    assert not np.allclose(found[1].article, alone[1].article)
    model.certain = -np.inf
    assert not np.allclose(model.logits(documents)[0].article, alone[0].article)


def test_cascade_can_be_switched_off(ensemble: Bundle) -> None:
    model = Scorer.load(ensemble.folder, cascade=False).bundle.model
    assert isinstance(model, EnsembleModel)
    assert model.certain == -np.inf


def test_combination_is_the_weighted_mean_of_calibrated_logits(model: EnsembleModel) -> None:
    tags = len(model.encoder.pooling.scale)
    own = {name: Logits(np.full(tags, value), np.full((2, tags), value)) for name, value in (("linear", 1.0), ("encoder", -2.0))}
    joined = model.combination.join(own)
    weights, pairs = model.combination.article_weights, model.combination.article
    expected = sum(weights[name] * (pairs[name][:, 0] * own[name].article + pairs[name][:, 1]) for name in own)
    np.testing.assert_allclose(joined.article, expected)
    assert joined.sentences.shape == (2, tags)


@pytest.mark.parametrize("text", ["", "\0\0", "123 456 !!!", "\u200b", "😀😀", "a" * 5000, "داعش هاجم القرية قرب كركوك.", "x\u0301" * 3000])
def test_odd_texts_are_scored_finite(ensemble: Bundle, text: str) -> None:
    (made,) = Scorer(ensemble).score([text])
    assert all(0 <= score <= 1 for score in made.scores.values())


def test_a_text_without_letters_carries_no_tag(ensemble: Bundle) -> None:
    (made,) = Scorer(ensemble).score(["123 456 !!!"])
    assert made.tags == made.review == ()


def test_a_sentence_without_tokens_is_absent(model: EnsembleModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("newswatch.windows.WindowCutter.tokenize", lambda _self, texts: [[] for _ in texts])
    (logits,) = model.encoder.logits([Document.read("Gunmen attacked.")])
    assert (logits.article == ABSENT).all()
    assert (logits.sentences == ABSENT).all()


def test_threads_share_a_scorer(ensemble: Bundle) -> None:
    scorer = Scorer.load(ensemble.folder, cascade=False)
    texts = [f"Gunmen attacked village {n} near Daquq and killed {n} policemen." for n in range(40)]
    expected = Scorer.load(ensemble.folder, cascade=False).score(texts)
    found: dict[int, list[object]] = {}
    threads = [threading.Thread(target=lambda n=n: found.update({n: list(scorer.score(texts))})) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found[n] == expected for n in range(4))


def test_encoder_alone_loads_and_scores(ensemble: Bundle, model: EnsembleModel) -> None:
    encoder = EncoderModel.load(ensemble.folder, ensemble.manifest["model"]["encoder"])
    document = Document.read(LONG)
    np.testing.assert_array_equal(encoder.logits([document])[0].article, model.encoder.logits([document])[0].article)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RUNTIME", "cuda", "'cuda'"),
        ("RUNTIME", "openvino", "openvino for an int8 graph"),
        ("THREADS", "0", "'0' threads"),
        ("THREADS", "many", "'many' threads"),
    ],
)
def test_bad_settings_are_named(ensemble: Bundle, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str) -> None:
    monkeypatch.setenv(f"NEWSWATCH_{name}", value)
    with pytest.raises(InputError, match=said):
        Bundle.load(ensemble.folder)


def test_damaged_graph_is_refused(ensemble: Bundle, tmp_path: Path) -> None:
    """Also where the manifest vouches for it."""
    copy = Path(shutil.copytree(ensemble.folder, tmp_path / "copy"))
    (copy / "encoder.onnx").write_bytes(b"not a graph")
    with pytest.raises(BundleError, match=r"encoder\.onnx: sha256"):
        Bundle.load(copy)
    import hashlib

    manifest = json.loads((copy / "bundle.json").read_text())
    manifest["files"]["encoder.onnx"] = hashlib.sha256(b"not a graph").hexdigest()
    (copy / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"a readable encoder\.onnx"):
        Bundle.load(copy)
