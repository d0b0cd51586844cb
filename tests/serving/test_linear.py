from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from newswatch.linear import CHUNK_SENTENCES, LinearModel, Weights
from newswatch.ngrams import char_ngrams, tokens, word_ngrams
from newswatch.text import Document
from newswatch_labels import Record, Scheme
from newswatch_training.examples import Examples
from newswatch_training.linear import LinearFitter, LinearSettings


def test_char_ngrams_are_those_of_scikit_learn() -> None:
    text = "an agreement in al qaim"
    analyze = CountVectorizer(analyzer="char_wb", ngram_range=(3, 4)).build_analyzer()
    assert sorted(g for word in text.split() for g in char_ngrams(word)) == sorted(analyze(text))


def test_word_ngrams_are_those_of_scikit_learn() -> None:
    analyze = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+").build_analyzer()
    assert sorted(word_ngrams(tokens("Two men died in al-Qaim"))) == sorted(analyze("two men died in al qaim"))


def test_numbers_are_folded() -> None:
    assert tokens("In 2021, 13 died") == ["in", "0000", "00", "died"]


@pytest.fixture(scope="module")
def examples(small_records: list[Record], scheme: Scheme) -> Examples:
    return Examples.prepare(small_records, scheme)


@pytest.fixture(scope="module")
def fitted(examples: Examples) -> LinearModel:
    return LinearFitter(examples, LinearSettings(mix=0.0)).fit(np.arange(len(examples.records)))


def test_logits_equal_scikit_learn_s_own(examples: Examples, fitted: LinearModel) -> None:
    """A TfidfVectorizer pipeline fitted by scikit-learn alone, its arrays moved into our model: the same probabilities."""
    texts = [[s.text for s in document.sentences] for document in examples.documents]
    words, chars = fitted.vocabulary[: fitted.words], fitted.vocabulary[fitted.words :]
    blocks = make_union(
        TfidfVectorizer(analyzer=lambda own: [g for s in own for g in word_ngrams(tokens(s))], vocabulary=words, sublinear_tf=True),
        TfidfVectorizer(
            analyzer=lambda own: [g for s in own for w in tokens(s) for g in char_ngrams(w)], vocabulary=chars, sublinear_tf=True
        ),
    )
    regression = LogisticRegression(C=10, class_weight="balanced", solver="liblinear", dual=True, random_state=0)
    column = examples.scheme.index("denial")
    pipeline = make_pipeline(blocks, regression).fit(texts, examples.labels[:, column])
    idf = np.concatenate([vectorizer.idf_ for _, vectorizer in blocks.transformer_list]).astype(np.float32)
    weights = Weights(idf, regression.coef_.T.astype(np.float32), regression.intercept_)
    ours = LinearModel(fitted.vocabulary, fitted.words, weights, weights, 0.0).logits(examples.documents)
    probabilities = 1 / (1 + np.exp(-np.array([logits.article[0] for logits in ours])))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(texts)[:, 1], rtol=0, atol=1e-6)


def test_sentence_logits_equal_scikit_learn_s_own(examples: Examples, fitted: LinearModel) -> None:
    weights = fitted.sentence
    sentence = examples.documents[0].sentences[0].text
    words, chars = dict(enumerate(fitted.vocabulary[: fitted.words])), dict(enumerate(fitted.vocabulary[fitted.words :]))
    parts = []
    for own, grams, offset in (
        (words, list(word_ngrams(tokens(sentence))), 0),
        (chars, [g for w in tokens(sentence) for g in char_ngrams(w)], fitted.words),
    ):
        values = np.array([(1 + np.log(grams.count(g))) * weights.idf[offset + n] if g in grams else 0.0 for n, g in own.items()])
        parts.append(values / np.linalg.norm(values))
    expected = np.concatenate(parts) @ weights.coef + weights.intercept
    np.testing.assert_allclose(fitted.logits([examples.documents[0]])[0].sentences[0], expected, atol=1e-5)


def test_batch_order_and_size_do_not_matter(examples: Examples, fitted: LinearModel) -> None:
    documents = examples.documents[:20]
    together = fitted.logits(documents)
    backwards = fitted.logits(documents[::-1])[::-1]
    for number, document in enumerate(documents):
        alone = fitted.logits([document])[0]
        for other in (together[number], backwards[number]):
            np.testing.assert_array_equal(alone.article, other.article)
            np.testing.assert_array_equal(alone.sentences, other.sentences)


def test_long_document_in_chunks_scores_as_in_one(examples: Examples, fitted: LinearModel, monkeypatch: pytest.MonkeyPatch) -> None:
    sentences = tuple(s for document in examples.documents for s in document.sentences)[: CHUNK_SENTENCES + 50]
    whole = fitted.logits([Document(sentences)])[0]
    monkeypatch.setattr("newswatch.linear.CHUNK_SENTENCES", 7)
    chunked = fitted.logits([Document(sentences)])[0]
    np.testing.assert_allclose(whole.article, chunked.article, atol=1e-9)
    np.testing.assert_allclose(whole.sentences, chunked.sentences, atol=1e-9)


def test_save_and_load_keep_every_logit(tmp_path: Path, examples: Examples, fitted: LinearModel) -> None:
    settings = fitted.save(tmp_path)
    loaded = LinearModel.load(tmp_path, settings)
    for one, other in zip(fitted.logits(examples.documents[:9]), loaded.logits(examples.documents[:9]), strict=True):
        np.testing.assert_array_equal(one.article, other.article)


def test_mix_takes_the_highest_sentence() -> None:
    weights = Weights(np.ones(2), np.array([[2.0], [0.0]]), np.array([-1.0]))
    model = LinearModel((" aa ", "bb"), 0, weights, weights, 0.25)
    logits = model.logits([Document.read("Aa.\nZz.")])[0]
    # The word's only known n-gram has weight 1 after normalisation: 2 - 1; the other line knows none: -1.
    np.testing.assert_allclose(logits.sentences, [[1.0], [-1.0]])
    np.testing.assert_allclose(logits.article, [0.75 * 1.0 + 0.25 * 1.0])
