"""The alerts: what carries a wanted tag is told to a webhook, once a story.

An alert is noted in the same transaction as its article, and noted as sent after the webhook has taken it. So none is lost, whenever the
watcher ends. Ended between the webhook's answer and that note, the alert is sent again with the same `Idempotency-Key` header (and the same
`key` in its body): over a network once and only once cannot be had from the sender alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from newswatch.stored_article import StoredArticle
from newswatch.watch.address import RefusedError, check_url
from newswatch.watch.fetcher import Fetcher, FetchError
from newswatch.watch.ledger import Ledger
from newswatch_labels.errors import InputError, NewswatchError


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Which tags are told to which webhook."""

    tags: tuple[str, ...]
    webhook: str

    def check(self, names: Sequence[str], fetcher: Fetcher) -> None:
        """Check the rule before the watch begins.

        Args:
            names: the tags of the model's scheme.

        Raises:
            InputError: a tag is not of the scheme.
            RefusedError: the webhook may not be reached.
        """
        if unknown := [tag for tag in self.tags if tag not in names] or not self.tags:
            raise InputError(f"--alert {','.join(self.tags)}: {unknown}", f"tags out of {', '.join(names)}", "Mend --alert.")
        url = check_url(self.webhook)
        try:
            fetcher.guard.resolve(url.host, url.port or (443 if url.scheme == "https" else 80))
        except OSError as error:
            raise RefusedError(f"webhook {url.host}: {error}", "a host that can be resolved", "Mend --webhook.") from error

    def note(self, article: StoredArticle, ledger: Ledger) -> None:
        """Note an alert on an article that carries a wanted tag."""
        carried = article.prediction.tags if article.prediction else ()
        if wanted := [tag for tag in self.tags if tag in carried]:
            ledger.note_alert(article, wanted, self.webhook)

    def deliver(self, ledger: Ledger, fetcher: Fetcher) -> list[NewswatchError]:
        """Send what is noted and not sent, the oldest first.

        Returns:
            Why the webhook did not take an alert; that one, and after an outage the rest too, waits for the next round.
        """
        failed: list[NewswatchError] = []
        for alert in ledger.unsent(self.webhook):
            headers = {"Content-Type": "application/json", "Idempotency-Key": alert.key}
            try:
                fetcher.post(self.webhook, alert.body.encode(), headers)
            except RefusedError as error:
                return [*failed, error]
            except FetchError as error:
                failed.append(error)
                if error.transient:
                    return failed
            else:
                ledger.note_sent(alert)
        return failed
