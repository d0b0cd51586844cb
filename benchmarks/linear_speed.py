"""Speed of the linear scorer against scikit-learn's own vectoriser and the same weights, interleaved in one run.

    python benchmarks/linear_speed.py mlruns/champion FILE.jsonl

Scores every text of FILE (rows with text) one by one on one thread, both ways in turn, five rounds; prints the median CPU
milliseconds an article of each, their ratio, and the largest difference of any article's logit.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import normalize

from newswatch import Scorer
from newswatch.linear import LinearModel
from newswatch.ngrams import char_ngrams, tokens, word_ngrams
from newswatch.text import Document

ROUNDS = 5


def scikit_learn_scorer(model: LinearModel) -> Callable[[Document], np.ndarray]:
    """Article logits by CountVectorizer, tf-idf weights and normalise; features and weights are the model's."""
    words, chars = model.vocabulary[: model.words], model.vocabulary[model.words :]
    counters = (
        (CountVectorizer(analyzer=lambda s: list(word_ngrams(tokens(s))), vocabulary=words), slice(0, model.words)),
        (CountVectorizer(analyzer=lambda s: [g for w in tokens(s) for g in char_ngrams(w)], vocabulary=chars), slice(model.words, None)),
    )

    def score(document: Document) -> np.ndarray:
        sentences = [sentence.text for sentence in document.sentences]
        article = np.array(model.article.intercept)
        each = np.tile(model.sentence.intercept, (len(sentences), 1))
        for counter, part in counters:
            counts = counter.transform(sentences).astype(np.float64)
            for rows, weights in ((counts, model.sentence), (counts.sum(axis=0), model.article)):
                values = rows if rows is counts else type(counts)(rows)
                values = values.tocsr(copy=True)
                values.data = 1 + np.log(values.data)
                logits = normalize(values.multiply(weights.idf[part]).tocsr()) @ weights.coef[part]
                if weights is model.sentence:
                    each = each + logits
                else:
                    article = article + logits[0]
        return (1 - model.mix) * article + model.mix * each.max(axis=0)

    return score


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    options = parser.parse_args()
    scorer = Scorer.load(options.bundle)
    model = scorer.bundle.model
    if not isinstance(model, LinearModel):
        raise SystemExit(f"{options.bundle} holds a {model.kind} model; expected a linear one")
    texts = [json.loads(line)["text"] for line in options.data.open(encoding="utf-8")]
    theirs = scikit_learn_scorer(model)
    cpu: dict[str, list[float]] = {"newswatch": [], "scikit-learn": []}
    drift = 0.0
    for _ in range(ROUNDS):
        started = time.process_time()
        for text in texts:
            scorer.score([text])
        cpu["newswatch"].append(time.process_time() - started)
        started = time.process_time()
        found = [theirs(Document.read(text)) for text in texts]
        cpu["scikit-learn"].append(time.process_time() - started)
        ours = [model.logits([Document.read(text)])[0].article for text in texts]
        drift = max(drift, float(np.abs(np.array(ours) - np.array(found)).max()))
    words = sum(len(text.split()) for text in texts) / len(texts)
    each = {name: 1000 * median(seconds) / len(texts) for name, seconds in cpu.items()}
    print(f"{len(texts)} articles of {words:.0f} words, CPU ms an article: {', '.join(f'{n} {ms:.2f}' for n, ms in each.items())}")
    print(
        f"ratio {each['scikit-learn'] / each['newswatch']:.2f}, {1000 / each['newswatch']:.0f} articles/s; largest difference {drift:.1e}"
    )


if __name__ == "__main__":
    main()
