"""Training the encoder: gradients, checkpoints, early stopping, the graph that serves."""

import ast
import os
import queue
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from newswatch.encoder import EncoderModel, Unit
from newswatch.model import Logits
from newswatch.runtime import RUNTIMES, open_graph
from newswatch_labels import InputError, Record, Scheme
from newswatch_training.augmentation import Augmentation
from newswatch_training.backbone import find_backbone
from newswatch_training.batches import Batch, Prepared, Row
from newswatch_training.encoder import EncoderTraining, pool_articles
from newswatch_training.encoder_fitter import CHECKPOINT, EncoderFitter, Watch
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, EncoderSettings, ParityError
from newswatch_training.examples import Examples
from newswatch_training.graph import Parity, check_parity, export_encoder, measure_parity
from newswatch_training.hardware import Hardware

EXACT = Hardware(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="module")
def examples(small_records: list[Record], scheme: Scheme) -> Examples:
    return Examples.prepare(small_records[:80], scheme)


def make(examples: Examples, settings: EncoderSettings, hardware: Hardware = EXACT) -> EncoderTraining:
    return EncoderTraining(examples, range(len(examples.records)), settings, Augmentation(), hardware)


def gradients(training: EncoderTraining, articles: list[Prepared]) -> tuple[float, list[torch.Tensor]]:
    training.net.zero_grad()
    training.net.eval()  # no dropout: both readings of a long article see the same network
    rows: list[Row] = []
    for number, article in enumerate(articles):
        rows = list(training._packer.place(rows, number, article))
    loss = training._backward(Batch(articles, rows))
    return loss, [p.grad.clone() for p in training.net.parameters() if p.grad is not None]


def assert_same(one: tuple[float, list[torch.Tensor]], two: tuple[float, list[torch.Tensor]]) -> None:
    assert one[0] == pytest.approx(two[0], rel=1e-5)
    assert len(one[1]) == len(two[1]) > 20
    for left, right in zip(one[1], two[1], strict=True):
        torch.testing.assert_close(left, right, rtol=1e-3, atol=1e-6)


def test_shipped_backbone_is_found_and_its_weights_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = Path(find_backbone(DEFAULT_BACKBONE))
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= {path.name for path in folder.iterdir()}
    assert find_backbone("some/other") == "some/other"
    monkeypatch.setattr("newswatch_training.backbone.SHIPPED_SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"model\.safetensors: sha256"):
        find_backbone(DEFAULT_BACKBONE)
    monkeypatch.setattr("newswatch_training.backbone.SHIPPED", {"no_such_package": ""})
    with pytest.raises(InputError, match=r"newswatch\[encoder\]"):
        find_backbone(DEFAULT_BACKBONE)


def long_articles(training: EncoderTraining) -> list[Prepared]:
    return [article for article in training._prepare(random.Random(0)) if len(article.windows) > 1][:4]


def test_articles_read_in_parts_have_the_gradients_of_the_whole(examples: Examples, encoder_settings: EncoderSettings) -> None:
    whole, parts = (make(examples, replace(encoder_settings, batch_tokens=tokens, window=64)) for tokens in (100_000, 128))
    assert parts._packer.rows_per_pass == 2
    assert_same(gradients(whole, long_articles(whole)), gradients(parts, long_articles(parts)))


def test_windows_that_share_a_row_do_not_see_each_other(examples: Examples, encoder_settings: EncoderSettings) -> None:
    packed, apart = (make(examples, replace(encoder_settings, window=48)) for _ in range(2))
    apart._packer = replace(apart._packer, shared=False)
    articles = packed._prepare(random.Random(0))
    rows: list[Row] = []
    for number, article in enumerate(articles):
        rows = list(packed._packer.place(rows, number, article))
    assert len(rows) < sum(len(article.windows) for article in articles)
    assert all(sum(len(window.ids) for _, window in row) <= 48 for row in rows)
    assert_same(gradients(packed, articles), gradients(apart, articles))


def test_every_article_is_in_one_batch_and_every_batch_fits(examples: Examples, encoder_settings: EncoderSettings) -> None:
    training = make(examples, replace(encoder_settings, batch_tokens=960, window=96))
    rng = random.Random(0)
    batches = training._packer.pack(training._prepare(rng), rng)
    assert sorted(article.row for batch in batches for article in batch.articles) == list(range(len(examples.records)))
    assert all(len(batch.rows) <= 10 or len(batch.articles) == 1 for batch in batches)
    assert len(batches) > 3
    for batch in batches:
        windows = sum(len(article.windows) for article in batch.articles)
        assert sum(len(row) for row in batch.rows) == windows


def test_epochs_draw_among_articles_without_a_tag(examples: Examples, encoder_settings: EncoderSettings) -> None:
    labels = examples.labels.copy()
    labels[10:] = False
    training = make(replace(examples, labels=labels), replace(encoder_settings, untagged=2.5))
    drawn = [{article.row for article in training._prepare(random.Random(epoch))} for epoch in range(20)]
    assert all(rows >= set(range(10)) for rows in drawn)
    assert {len(rows) for rows in drawn} == {10 + 25}
    assert set().union(*drawn) == set(range(len(labels)))
    nothing = make(replace(examples, labels=np.zeros_like(labels)), encoder_settings)
    assert len(nothing._prepare(random.Random(0))) == len(labels)


def test_pooling_in_training_is_the_pooling_that_serves(examples: Examples, encoder_settings: EncoderSettings) -> None:
    training = make(examples, encoder_settings)
    with torch.no_grad():
        training.net.scale.uniform_(0.5, 2)
        training.net.bias.uniform_(-1, 1)
    sentences = torch.randn(7, 17)
    owner = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    pooled = training.net.scale * pool_articles(sentences, owner, 2, encoder_settings.temperature) + training.net.bias
    serving = training.pooling()
    np.testing.assert_allclose(pooled[0].detach(), serving(sentences[:3].numpy()), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(pooled[1].detach(), serving(sentences[3:].numpy()), rtol=1e-4, atol=1e-5)


def test_rates_fall_from_layer_to_layer(examples: Examples, encoder_settings: EncoderSettings) -> None:
    training = make(examples, encoder_settings)
    rates = training.master_weights(10).rates
    by_name = {name: rates[parameter] for name, parameter in training.net.named_parameters()}
    assert by_name["head.weight"] == by_name["scale"] == encoder_settings.head_rate
    assert by_name["backbone.encoder.layer.1.output.dense.weight"] == encoder_settings.rate
    assert by_name["backbone.encoder.layer.0.output.dense.weight"] == pytest.approx(encoder_settings.rate * 0.85)
    assert by_name["backbone.embeddings.word_embeddings.weight"] == pytest.approx(encoder_settings.rate * 0.85**2)


def test_first_biases_are_the_shares_of_sentences(examples: Examples, encoder_settings: EncoderSettings) -> None:
    marks = np.vstack([own for own in examples.evidence if own is not None]).mean(axis=0)
    bias = make(examples, encoder_settings).net.head.bias.detach()
    np.testing.assert_allclose(torch.sigmoid(bias), (marks + 1e-3) / 1.002, rtol=1e-4)


def test_balance_gives_both_sides_of_a_tag_the_same_weight(examples: Examples, encoder_settings: EncoderSettings) -> None:
    training = make(examples, replace(encoder_settings, balance=1.0))
    marks = np.vstack([own for own in examples.evidence if own is not None])
    for weights, found in zip(training._weights, (examples.labels, marks), strict=True):
        share = (found.mean(axis=0) + 1e-3) / 1.002
        np.testing.assert_allclose(weights.numpy() * share, 1 - share, rtol=1e-4)
    torch.testing.assert_close(training.net.head.bias.detach(), torch.zeros(len(examples.scheme.names)))
    (weights, _) = make(examples, encoder_settings)._weights
    torch.testing.assert_close(weights, torch.ones(len(examples.scheme.names)))


def test_balanced_training_finds_more_of_what_is_rare(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    rows = np.arange(60)
    means = []
    for balance in (0.0, 1.0):
        model = EncoderFitter(examples, replace(encoder_settings, balance=balance), Augmentation(), tmp_path, hardware=EXACT).fit(rows)
        means.append(np.vstack([own.sentences for own in model.logits(examples.documents[60:])]).mean())
    assert means[1] > means[0] + 1


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_graph_says_what_the_trained_model_says(
    examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path, precision: str
) -> None:
    training = make(examples, encoder_settings)
    weights = training.master_weights(30)
    for epoch in range(2):
        training.epoch(epoch, weights, lambda *_: None)
    rows = range(30)
    before = training.logits(rows)
    model = export_encoder(training, tmp_path, precision)
    assert all(parameter.dtype is torch.float32 for parameter in training.net.parameters())
    parity = measure_parity(before, model.logits([examples.documents[row] for row in rows]))
    assert parity.drift < (1e-3 if precision == "fp32" else 0.02)
    check_parity(parity)
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.onnx", "tokenizer.json"}


def test_openvino_says_the_same(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    model = export_encoder(make(examples, encoder_settings), tmp_path, "fp32")
    window = model.cutter.cut(examples.documents[0])[0]
    given = [open_graph(tmp_path / "encoder.onnx", "fp32", runtime, 1)(window.ids, window.pooling()) for runtime in RUNTIMES]
    np.testing.assert_allclose(given[0], given[1], atol=0.05)


def test_int8_graph_has_attention_as_one_operator(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    training = make(examples, encoder_settings)
    export_encoder(training, tmp_path, "int8")
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "encoder.onnx").graph.node)
    assert operators["QAttention"] == training.net.backbone.config.num_hidden_layers
    assert not operators["Softmax"]


def test_parity_counts_flips_and_the_gate_refuses() -> None:
    before = [Logits(np.array([1.0, -1.0]), np.array([[1.0, -1.0], [2.0, 2.0]])), Logits(np.array([3.0, 1.0]), np.array([[1.0, 1.0]]))]
    after = [Logits(np.array([-1.0, -1.0]), np.array([[1.0, 1.0], [2.0, 2.0]])), Logits(np.array([3.0, 1.0]), np.array([[1.0, 1.0]]))]
    parity = measure_parity(before, after)
    assert parity.articles == 2
    assert parity.article_flips == pytest.approx(1 / 3)
    assert parity.evidence_flips == pytest.approx(1 / 5)
    assert parity.drift == pytest.approx((1 / (1 + np.exp(-1)) - 1 / (1 + np.exp(1))) / 4)
    check_parity(Parity(10, 0.05, 0.1, 0.01))
    for bad in (Parity(10, 0.051, 0, 0), Parity(10, 0, 0.101, 0)):
        with pytest.raises(ParityError, match="--precision fp32"):
            check_parity(bad)


def test_a_fit_past_the_gate_writes_no_bundle(
    small_corpus: Path, scheme: Scheme, encoder_settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from newswatch_labels import read_corpus
    from newswatch_training.fit import FitSettings, ModelSettings, run_fit

    monkeypatch.setattr("newswatch_training.graph.ARTICLE_FLIPS", -1.0)
    model = ModelSettings(linear=None, encoder=replace(encoder_settings, epochs=1))
    with pytest.raises(ParityError):
        run_fit(read_corpus(small_corpus), "c", scheme, model, FitSettings(folds=2, jobs=1, newest=False, store=tmp_path / "mlruns"))
    assert not (tmp_path / "mlruns" / "bundles").exists()
    assert not (tmp_path / "mlruns" / "champion").exists()


def test_disputed_tags_teach_neither_way(examples: Examples, encoder_settings: EncoderSettings) -> None:
    known = examples.known.copy()
    known[::2, :5] = False
    flipped, marks = examples.labels.copy(), []
    flipped[::2, :5] ^= True
    for row, own in enumerate(examples.evidence):
        assert own is not None
        marks.append(own.copy())
        if row % 2 == 0:
            marks[-1][:, :5] ^= True
    disputed = replace(examples, known=known)
    other = replace(disputed, labels=flipped, evidence=tuple(marks))
    losses = []
    for taught in (disputed, other, examples):
        training = make(taught, encoder_settings)
        losses.append(gradients(training, training._prepare(random.Random(0))[:1])[0])
    assert losses[0] == losses[1] != losses[2]


def test_a_checkpoint_is_of_what_is_learnt(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    def fingerprint(own: Examples, settings: EncoderSettings) -> str:
        return EncoderFitter(own, settings, Augmentation(), tmp_path, hardware=EXACT)._fingerprint(np.arange(3))

    first = fingerprint(examples, encoder_settings)
    assert fingerprint(examples, replace(encoder_settings, precision="fp32")) == first
    assert fingerprint(examples, replace(encoder_settings, seed=1)) != first
    disputed = replace(examples, records=(replace(examples.records[0], disputed=("talks",)), *examples.records[1:]))
    assert fingerprint(disputed, encoder_settings) != first


def test_what_goes_wrong_in_listening_is_raised_at_the_end(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    heard: list[int] = []
    watch = Watch(advance=heard.append, log=fail)
    fitter = EncoderFitter(examples, encoder_settings, Augmentation(), tmp_path, watch=watch, hardware=EXACT)
    news: queue.SimpleQueue[object] = queue.SimpleQueue()
    for word in (("log", ("loss", 1.0, 1)), ("advance", (4,)), ("log", ("loss", 1.0, 2)), ("advance", (5,))):
        news.put(word)
    with pytest.raises(OSError, match="the disk is full"), fitter._listening(news):
        pass
    assert heard == [4, 5]


def test_a_backbone_that_is_not_there_is_refused_before_anything_is_read(
    small_corpus: Path, scheme: Scheme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from newswatch_labels import read_corpus
    from newswatch_training.fit import FitSettings, ModelSettings, run_fit

    monkeypatch.setattr(Examples, "prepare", lambda *_: pytest.fail("sentences were read"))
    model = ModelSettings(linear=None, encoder=EncoderSettings(backbone=str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="nowhere"):
        run_fit(read_corpus(small_corpus), "c", scheme, model, FitSettings(store=tmp_path / "mlruns"))


def test_same_seed_same_model(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    rows = np.arange(len(examples.records))
    augmentation = Augmentation(furniture=0.3, strangers=0.3, respell=0.3)
    settings = replace(encoder_settings, epochs=2, precision="fp32")
    found = []
    for name in "ab":
        model = EncoderFitter(examples, settings, augmentation, tmp_path / name, hardware=EXACT).fit(rows)
        found.append(np.stack([own.article for own in model.logits(examples.documents[:20])]))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    other = EncoderFitter(examples, replace(settings, seed=1), augmentation, tmp_path / "c", hardware=EXACT).fit(rows)
    assert not np.allclose(found[0], np.stack([own.article for own in other.logits(examples.documents[:20])]), atol=1e-3)


KILLED = """
import sys
from pathlib import Path
import numpy as np, torch
from newswatch_labels import Scheme, read_corpus
from newswatch_training.augmentation import Augmentation
from newswatch_training.hardware import Hardware
from newswatch_training.encoder_fitter import EncoderFitter
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.examples import Examples

corpus, backbone, work = sys.argv[1:]
examples = Examples.prepare(read_corpus(Path(corpus)).records[:80], Scheme.load())
settings = EncoderSettings(backbone=backbone, window=96, epochs=60, rate=3e-3, head_rate=1e-2, batch_tokens=2048, precision="fp32")
fitter = EncoderFitter(examples, settings, Augmentation(strangers=0.3), Path(work), hardware=Hardware(torch.device("cpu"), torch.float32))
model = fitter.fit(np.arange(80))
print(repr(model.logits(examples.documents[:1])[0].article.tolist()))
"""


def test_a_killed_fit_goes_on_where_it_was(small_corpus: Path, tiny_backbone: Path, tmp_path: Path) -> None:
    def command(work: str) -> list[str]:
        return [sys.executable, "-c", KILLED, str(small_corpus), str(tiny_backbone), str(tmp_path / work)]

    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    unbroken = subprocess.run(command("unbroken"), capture_output=True, text=True, check=True, env=environment)
    with subprocess.Popen(command("broken"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment) as process:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "broken").glob(f"*/{CHECKPOINT}")):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGKILL)
    (checkpoint,) = (tmp_path / "broken").glob(f"*/{CHECKPOINT}")
    written = checkpoint.stat().st_mtime_ns
    resumed = subprocess.run(command("broken"), capture_output=True, text=True, check=True, env=environment)
    assert checkpoint.stat().st_mtime_ns > written
    np.testing.assert_allclose(ast.literal_eval(resumed.stdout), ast.literal_eval(unbroken.stdout), atol=1e-6)


def test_a_finished_fit_is_not_trained_again(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    rows, steps = np.arange(60), []
    watch = Watch(log=lambda *point: steps.append(point))
    fitter = EncoderFitter(examples, encoder_settings, Augmentation(), tmp_path, watch=watch, hardware=EXACT)
    first = fitter.fit(rows)
    trained = len(steps)
    assert trained >= encoder_settings.epochs
    again = fitter.fit(rows)
    assert len(steps) == trained
    one, two = (model.logits(examples.documents[:1])[0].article for model in (first, again))
    np.testing.assert_allclose(one, two, atol=1e-6)
    fitter.fit(np.arange(59))  # other rows are another fit
    assert len(steps) > trained


def test_kept_backbone_goes_on_from_what_was_learnt(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    settings = replace(encoder_settings, epochs=1)
    fitter = EncoderFitter(examples, settings, Augmentation(), tmp_path / "work", hardware=EXACT)
    rows = np.arange(40)
    fitter.fit(rows)
    trained = load_file(next((tmp_path / "work").rglob(CHECKPOINT)))
    fitter.keep_backbone(rows, tmp_path / "kept")
    kept = make(examples, replace(settings, backbone=str(tmp_path / "kept"))).net.backbone.state_dict()
    first = make(examples, settings).net.backbone.state_dict()
    assert first.keys() == kept.keys()
    for name, values in kept.items():
        torch.testing.assert_close(values, trained[f"backbone.{name}"], rtol=0, atol=0)
    assert any((first[name] != kept[name]).any() for name in first)


def test_patience_keeps_events_apart_and_the_best_epoch(
    examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve: dict[str, list[float]] = {}
    watch = Watch(log=lambda name, value, _: curve.setdefault(name, []).append(value))
    settings = replace(encoder_settings, epochs=6, precision="fp32")
    fitter = EncoderFitter(examples, settings, Augmentation(), tmp_path, patience=1, watch=watch, hardware=EXACT)
    scores = iter([0.1, 0.4, 0.3, 0.2, 0.9])
    heads: list[torch.Tensor] = []

    def score(training: EncoderTraining, rows: list[int]) -> float:
        heads.append(training.net.head.weight.detach().clone())
        assert not set(training.passages) & set(rows)
        assert 0 < len(rows) < 20
        return next(scores)

    monkeypatch.setattr(fitter, "_score", score)
    made: list[EncoderTraining] = []

    def export(training: EncoderTraining, folder: Path, precision: str) -> EncoderModel:
        made.append(training)
        return export_encoder(training, folder, precision)

    monkeypatch.setattr("newswatch_training.encoder_fitter.export_encoder", export)
    fitter.fit(np.arange(80))
    assert curve["fit1.watched_macro_f1"] == [0.1, 0.4, 0.3]
    torch.testing.assert_close(made[0].net.head.weight.detach(), heads[1])


def test_fits_side_by_side_are_the_fits_one_by_one(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    points: list[str] = []
    articles: list[int] = []
    watch = Watch(advance=articles.append, log=lambda name, *_: points.append(name))
    settings = replace(encoder_settings, epochs=2, precision="fp32")
    many = [np.arange(40), np.arange(30, 80)]
    beside = EncoderFitter(examples, settings, Augmentation(), tmp_path / "a", watch=watch, hardware=EXACT)
    beside.train_side_by_side(many, 2)
    assert sorted(set(points)) == ["fit1.epoch_loss", "fit2.epoch_loss"]
    assert sum(articles) == 2 * 90
    points.clear()
    plain = EncoderFitter(examples, settings, Augmentation(), tmp_path / "b", hardware=EXACT)
    for rows in many:
        one, two = (fitter.fit(rows).logits(examples.documents[:1])[0].article for fitter in (beside, plain))
        np.testing.assert_allclose(one, two, atol=1e-5)
    assert points == []  # nothing was trained again


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this build of torch has no gloo")
def test_two_processes_share_the_articles_and_agree(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    """What several GPUs do, on two processes of the CPU: half the steps of one process, and a model that learnt."""
    points: list[tuple[str, float, int]] = []
    watch = Watch(log=lambda *point: points.append(point))
    settings = replace(encoder_settings, epochs=6)
    two = Hardware(torch.device("cpu"), torch.float32, processes=2)
    fitter = EncoderFitter(examples, settings, Augmentation(), tmp_path, watch=watch, hardware=two)
    model = fitter.fit(np.arange(80))
    losses = [(value, step) for name, value, step in points if name.endswith("epoch_loss")]
    steps = make(examples, settings).steps_per_epoch()
    assert [step for _, step in losses] == [-(-steps // 2) * epoch for epoch in range(1, 7)]
    assert losses[-1][0] < losses[0][0]
    scores = np.stack([own.article for own in model.logits(examples.documents)])
    order = np.argsort(np.argsort(scores.ravel())) / scores.size
    assert order[examples.labels.ravel()].mean() > order[~examples.labels.ravel()].mean() + 0.2


@pytest.mark.parametrize("family", ["DistilBert", "Roberta", "MPNet", "Electra"])
def test_other_families_of_transformers_are_trained_and_exported(
    examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path, family: str
) -> None:
    import transformers

    sizes = {"dim": 32, "hidden_dim": 64, "n_layers": 2, "n_heads": 2} if family == "DistilBert" else {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "embedding_size": 32,
    }  # fmt: skip
    tokenizer = transformers.AutoTokenizer.from_pretrained(encoder_settings.backbone)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), max_position_embeddings=130, **sizes)
    getattr(transformers, f"{family}Model")(config).save_pretrained(tmp_path / "backbone")
    tokenizer.save_pretrained(tmp_path / "backbone")
    settings = replace(encoder_settings, backbone=str(tmp_path / "backbone"), epochs=1)
    points: list[float] = []
    watch = Watch(log=lambda name, value, _: points.append(value) if "loss" in name else None)
    model = EncoderFitter(examples, settings, Augmentation(), tmp_path / "work", watch=watch, hardware=EXACT).fit(np.arange(80))
    assert points
    assert model.parity["drift"] < 0.02
    assert all(np.isfinite(own.sentences).all() for own in model.logits(examples.documents[:5]))


@pytest.mark.parametrize("name", ["/no/such/folder", "{empty}"])
def test_a_backbone_that_is_none_is_refused_before_training(
    examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path, name: str
) -> None:
    settings = replace(encoder_settings, backbone=name.format(empty=tmp_path))
    with pytest.raises(InputError, match=r"expected a folder with config\.json"):
        EncoderFitter(examples, settings, Augmentation(), tmp_path / "work")


def test_a_window_beyond_the_backbones_positions_is_refused(examples: Examples, encoder_settings: EncoderSettings) -> None:
    with pytest.raises(InputError, match="a window of 256 tokens; expected at most 128"):
        make(examples, replace(encoder_settings, window=256))


def test_fewer_layers_are_the_backbones_first(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    settings = replace(encoder_settings, layers=1, epochs=1)
    whole, cut = (make(examples, own).net.backbone.state_dict() for own in (encoder_settings, settings))
    assert cut.keys() == {name for name in whole if "layer.1." not in name}
    assert all(torch.equal(values, whole[name]) for name, values in cut.items())
    fitter = EncoderFitter(examples, settings, Augmentation(), tmp_path / "work", hardware=EXACT)
    rows = np.arange(40)
    fitter.fit(rows)
    (graph,) = (tmp_path / "work").rglob("encoder.onnx")
    assert Counter(node.op_type for node in onnx.load(graph).graph.node)["QAttention"] == 1
    fitter.keep_backbone(rows, tmp_path / "kept")
    assert make(examples, replace(encoder_settings, backbone=str(tmp_path / "kept"))).net.backbone.state_dict().keys() == cut.keys()


def test_more_layers_than_the_backbone_has_are_refused(examples: Examples, encoder_settings: EncoderSettings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="3 layers; expected at most 2"):
        EncoderFitter(examples, replace(encoder_settings, layers=3), Augmentation(), tmp_path)


def test_unmarked_records_train_on_their_labels_alone(
    small_records: list[Record], encoder_settings: EncoderSettings, tmp_path: Path
) -> None:
    scheme = Scheme.load()
    plain = Examples.prepare([replace(record, evidence=None) for record in small_records[:60]], scheme)
    model = EncoderFitter(plain, replace(encoder_settings, epochs=8), Augmentation(), tmp_path, hardware=EXACT).fit(np.arange(60))
    assert model.unit is Unit.WINDOW
    found = model.logits(plain.documents)
    scores = np.stack([own.article for own in found])
    order = np.argsort(np.argsort(scores.ravel())) / scores.size
    assert order[plain.labels.ravel()].mean() > order[~plain.labels.ravel()].mean() + 0.3
    alone = next(row for row, document in enumerate(plain.documents) if len(model.cutter.cut(document)) == 1)
    assert (np.ptp(found[alone].sentences, axis=0) < 1e-6).all()  # one window: its sentences share its logits
    saved = model.save(tmp_path)
    again = EncoderModel.load(tmp_path, {**saved, "parity": {}})
    np.testing.assert_array_equal(again.logits(plain.documents[:3])[2].article, found[2].article)
