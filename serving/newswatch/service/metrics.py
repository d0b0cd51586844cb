"""Metrics of one service, in a Prometheus registry of its own."""

from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import GC_COLLECTOR, CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Counters, gauges and histograms. The share of articles for review is review_articles over articles."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.registry.register(GC_COLLECTOR)
        self.requests = self._counter("requests", "Answers by method, route and status.", "method", "route", "status")
        self.latency = Histogram(
            "newswatch_request_seconds", "Time from a request to its answer.", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.articles = self._counter("articles", "Articles scored.")
        self.tags = self._counter("tags", "Articles that carry the tag.", "tag")
        self.review_articles = self._counter("review_articles", "Articles of which a person should review a tag.")
        self.review_tags = self._counter("review_tags", "Articles of which a person should review the tag.", "tag")
        self.errors = self._counter("errors", "Worker deaths, bundles that do not load, unforeseen errors.", "kind")
        self.reloads = self._counter("reloads", "Loads of another bundle by result: live or kept_old.", "result")
        self._model = Gauge("newswatch_model_info", "The bundle that is live.", ["model", "sha256"], registry=self.registry)
        for kind in ("worker_death", "reload", "internal"):
            self.errors.labels(kind)

    def _counter(self, name: str, documentation: str, *labels: str) -> Counter:
        return Counter(f"newswatch_{name}", documentation, labels, registry=self.registry)

    def watch(self, name: str, documentation: str, value: Callable[[], float]) -> None:
        """Show what `value` returns at each scrape as the gauge `name`."""
        Gauge(f"newswatch_{name}", documentation, registry=self.registry).set_function(value)

    def show_model(self, model: str, sha256: str) -> None:
        """Name the live bundle, and no other."""
        self._model.clear()
        self._model.labels(model, sha256).set(1)

    def count(self, rows: Iterable[dict[str, Any]]) -> None:
        """Count predictions."""
        for row in rows:
            self.articles.inc()
            for tag in row["tags"]:
                self.tags.labels(tag).inc()
            for tag in row["review"]:
                self.review_tags.labels(tag).inc()
            if row["review"]:
                self.review_articles.inc()

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)
