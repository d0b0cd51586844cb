"""Quality of the models on the shipped corpus, by event and by time, and on real articles.

    python benchmarks/quality.py [--models linear ensemble] [--real FILE] [--store FOLDER] [--json docs/quality.json]

Trains each model as `newswatch-train fit --newest` does: cross-validated by event (contrast pairs whole), and trained on the past and
measured on the newest fifth (--no-newest leaves that out; --folds 2 saves another third of the time). With --real, labelled real
articles are scored by the bundle that came out. The bundles stay in the store; the last one is its champion. Models not named keep
their figures in the JSON file. On two cores with bfloat16 in hardware about three quarters of an hour, without it two hours.
"""

import argparse
import json
import time
from pathlib import Path

from newswatch_labels import Scheme, read_corpus
from newswatch_labels.terminal import out, table
from newswatch_training.cli import OVERALL
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.evaluate import evaluate_bundle
from newswatch_training.fit import FitSettings, ModelSettings, run_fit
from newswatch_training.linear import LinearSettings
from newswatch_training.metrics import measure

MODELS = {
    "linear": ModelSettings(),
    "encoder": ModelSettings(linear=None, encoder=EncoderSettings()),
    "ensemble": ModelSettings(linear=LinearSettings(), encoder=EncoderSettings()),
}


def main() -> None:
    """Train each model, score the real articles, print and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["linear", "ensemble"])
    parser.add_argument("--corpus", type=Path, default=Path("labels/corpus"))
    parser.add_argument("--real", type=Path, help="labelled real articles, never trained on")
    parser.add_argument("--folds", type=int, default=FitSettings.folds, help="parts of the cross-validation by event")
    parser.add_argument("--newest", action=argparse.BooleanOptionalAction, default=True, help="also measure on the newest fifth")
    parser.add_argument("--store", type=Path, default=Path("mlruns"))
    parser.add_argument("--json", type=Path, default=Path("docs/quality.json"))
    arguments = parser.parse_args()
    scheme = Scheme.load()
    corpus = read_corpus(arguments.corpus, scheme)
    found = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    for name in arguments.models:
        started = time.perf_counter()
        settings = FitSettings(folds=arguments.folds, newest=arguments.newest, store=arguments.store)
        result = run_fit(corpus, str(arguments.corpus), scheme, MODELS[name], settings)
        metrics = dict(result.metrics)
        if arguments.real:
            outcome, _ = evaluate_bundle(result.bundle, arguments.real)
            metrics |= {f"real.{key}": value for key, value in measure(outcome).items()}
        found[name] = {
            "bundle": result.bundle.label,
            "records": len(corpus.records),
            "folds": arguments.folds,
            "settings": MODELS[name].to_dict(),
            "fit_seconds": result.seconds,
            "seconds": time.perf_counter() - started,
            "metrics": metrics,
        }
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
        parts = [part for part in ("cv", "cascade", "time", "real") if f"{part}.macro_f1" in metrics]
        rows = [(key, *(metrics.get(f"{part}.{key}", "") for part in parts)) for key in OVERALL]
        out.print(table(f"{name}, {result.seconds:.0f} s", ("figure", *parts), rows))


if __name__ == "__main__":
    main()
