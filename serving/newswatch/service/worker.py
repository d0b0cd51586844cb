"""The worker's process: it loads a bundle, then scores what comes in on standard input until that ends.

Run as `python -m newswatch.service.worker FOLDER SHA256 CASCADE`, it answers with one frame about the bundle, or about why it cannot
be loaded, and then with one frame of predictions for each frame of articles.
"""

import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from newswatch.bundle import Bundle
from newswatch.model import BundleError
from newswatch.scorer import Article, Scorer
from newswatch.service.wire import pack, read_frame


def main(folder: str, sha256: str, cascade: str) -> int:
    """Serve one bundle until standard input ends; status 1 if the bundle cannot be loaded."""
    for ignored in (signal.SIGINT, signal.SIGTERM):  # the service ends its workers itself, once they have finished
        signal.signal(ignored, signal.SIG_IGN)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not fall between the frames
    try:
        scorer = Scorer.load(Path(folder), sha256, cascade=cascade == "yes")
    except BundleError as error:
        _answer(answers, {"error": [error.received, error.expected, error.advice]})
        return 1
    _answer(answers, {"model": describe(scorer.bundle)})
    while (articles := read_frame(sys.stdin.buffer)) is not None:
        _answer(answers, [made.to_dict() for made in scorer.score([Article(*article) for article in articles])])
    return 0


def describe(bundle: Bundle) -> dict[str, Any]:
    """What /v1/model says of a bundle."""
    manifest = bundle.manifest
    return {
        "model": bundle.label,
        "name": manifest["name"],
        "version": manifest["version"],
        "sha256": bundle.sha256,
        "kind": manifest["model"]["kind"],
        "scheme": bundle.scheme.to_dict(),
        "thresholds": {
            name: {"threshold": rule.threshold, "review_low": rule.review_low, "review_high": rule.review_high}
            for name, rule in bundle.decision.rules.items()
        },
        "corpus": manifest.get("corpus", {}),
        "mlflow": manifest.get("mlflow", {}),
    }


def _answer(stream: IO[bytes], message: Any) -> None:
    stream.write(pack(message))
    stream.flush()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
