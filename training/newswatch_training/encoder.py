"""Training the encoder with transformers and torch."""

import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from newswatch.encoder import Pooling, Unit
from newswatch.model import ABSENT, Logits
from newswatch.windows import Window, WindowCutter
from newswatch_training.augmentation import Augmentation, Passage, Strangers
from newswatch_training.backbone import layers_of, load_backbone
from newswatch_training.batches import Batch, Packer, Prepared, Row, share_batches
from newswatch_training.encoder_settings import EncoderSettings
from newswatch_training.examples import BoolArray, Examples
from newswatch_training.hardware import Hardware
from newswatch_training.master_weights import MasterWeights

PACKABLE = {"bert", "electra"}  # backbones that take a mask of any form, and positions as they are counted here
LOSS_SCALE = 4.0  # of a mean over tags: keeps the clipped norm of 1 in the range the rates were chosen for


class SentenceEncoder(nn.Module):
    """A backbone, the mean over each sentence's token states, and a linear head of one logit per tag."""

    def __init__(self, backbone: Any, tags: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, tags)
        self.scale = nn.Parameter(torch.ones(tags))
        self.bias = nn.Parameter(torch.zeros(tags))

    def forward(self, input_ids: Tensor, attention_mask: Tensor, pooling: Tensor, **more: Tensor) -> Tensor:
        """Sentence logits (B, K, T) of tokens (B, L) whose runs `pooling` (B, K, L) averages; `more` goes to the backbone."""
        states = self.backbone(input_ids=input_ids, attention_mask=attention_mask, **more).last_hidden_state
        return self.head(self.dropout(pooling @ states.to(pooling.dtype)))  # type: ignore[no-any-return]


def pool_articles(logits: Tensor, owner: Tensor, count: int, temperature: float) -> Tensor:
    """`newswatch.encoder.Pooling` without scale and bias: (count, T) of logits (S, T) whose articles are `owner` (S,)."""
    index = owner[:, None].expand_as(logits)
    highest = logits.new_full((count, logits.shape[1]), -torch.inf).scatter_reduce(0, index, logits.detach(), "amax")
    total = torch.zeros_like(highest).index_add(0, owner, torch.exp(temperature * (logits - highest[owner])))
    return highest + torch.log(total) / temperature


class EncoderTraining:
    """One training of the encoder, on the rows of its examples."""

    def __init__(
        self, examples: Examples, rows: Sequence[int], settings: EncoderSettings, augmentation: Augmentation, hardware: Hardware
    ) -> None:
        """Load the backbone and cut the articles.

        Args:
            rows: of `examples`, to train on.
        """
        self.examples, self.settings, self.augmentation, self.hardware = examples, settings, augmentation, hardware
        torch.manual_seed(settings.seed)
        backbone, tokenizer = load_backbone(settings)
        self.net = SentenceEncoder(backbone, len(examples.scheme.names), settings.dropout)
        self.unit = Unit.SENTENCE if any(examples.evidence[row] is not None for row in rows) else Unit.WINDOW
        self._packer = Packer(settings.window, settings.batch_tokens, backbone.config.model_type in PACKABLE)
        self.cutter = WindowCutter.of(tokenizer, settings.window)
        self.passages = {row: _passages(examples, row) for row in rows}
        self._strangers = Strangers(list(self.passages.values()), len(examples.scheme.names))
        self._prepared: dict[int, Prepared] = {}
        odds = self._priors(rows)
        self._weights = [torch.exp(-settings.balance * own).to(hardware.device) for own in odds]
        self._start_from_priors(odds[1])
        self.net.to(hardware.device)
        self.net.backbone.to(hardware.dtype)

    def _priors(self, rows: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Log-odds (T,) that an article, and that a sentence, carries each tag."""
        examples, chosen = self.examples, list(rows)
        articles = _log_odds(examples.labels[chosen], examples.known[chosen])
        marked = [row for row in chosen if examples.evidence[row] is not None]
        if not marked:
            return articles, articles
        marks = np.vstack([marks for row in marked if (marks := examples.evidence[row]) is not None])
        return articles, _log_odds(marks, examples.known_sentences(marked))

    def _start_from_priors(self, odds: Tensor) -> None:
        """Biases at the log-odds (T,) of the sentences, so that the first steps do not learn that most sentences carry nothing."""
        with torch.no_grad():
            nn.init.normal_(self.net.head.weight, std=0.02)
            self.net.head.bias.copy_((1 - self.settings.balance) * odds)

    def steps_per_epoch(self) -> int:
        """Steps of an epoch, exact without augmentation and nearly so with it: the rates fall to nothing by then."""
        rng = random.Random(self.settings.seed)
        return len(share_batches(self._packer.pack(self._prepare(rng), rng)))

    def epoch(self, number: int, weights: MasterWeights, advance: Callable[[int, float], None]) -> float:
        """Train on every article once; `advance` is called with the articles and the loss of each step.

        Returns:
            Mean loss an article.
        """
        rng = random.Random(f"{self.settings.seed} {number}")
        torch.manual_seed(self.settings.seed * 1000 + number)
        self.net.train()
        total, seen = 0.0, 0
        for batch in share_batches(self._packer.pack(self._prepare(rng), rng)):
            loss = self._backward(batch)
            weights.step()
            articles = len(batch.articles)
            total, seen = total + loss * articles, seen + articles
            advance(articles, loss)
        return total / seen

    def _prepare(self, rng: random.Random) -> list[Prepared]:
        """Each article as it is in this epoch; those without a token are left out."""
        made = []
        for row in self._draw(rng):
            passages = self.passages[row]
            if self.augmentation.active:
                passages = self.augmentation.apply(passages, self._strangers, rng)
            elif row in self._prepared:
                made.append(self._prepared[row])
                continue
            windows = self.cutter.pack(self.cutter.tokenize([passage.text for passage in passages]))
            if self.unit is Unit.WINDOW:
                windows = [window.whole(number) for number, window in enumerate(windows)]
            if windows:
                shown = [passage.marks for passage in passages if passage.marks is not None]
                marks = np.stack(shown) if len(shown) == len(passages) else None
                self._prepared[row] = Prepared(windows, marks, row)
                made.append(self._prepared[row])
        return made

    def _draw(self, rng: random.Random) -> list[int]:
        """Rows of an epoch: all with a tag, and of the others at most `untagged` for each of them."""
        tagged = set(np.flatnonzero(self.examples.labels.any(axis=1)).tolist())
        others = [row for row in self.passages if row not in tagged]
        kept = set(rng.sample(others, self.settings.untagged_drawn(len(self.passages) - len(others), len(others))))
        return [row for row in self.passages if row in tagged or row in kept]

    def _backward(self, batch: Batch) -> float:
        """Add the gradients of a batch; an article too long for one pass is read twice, in parts (Gao et al. 2021)."""
        size = self._packer.rows_per_pass
        passes = [batch.rows[start : start + size] for start in range(0, len(batch.rows), size)]
        windows = [pair for row in batch.rows for pair in row]
        if len(passes) == 1:
            loss = self._loss(self._sentence_logits(batch.rows), windows, batch.articles)
            loss.backward()  # type: ignore[no-untyped-call]
            return loss.item()
        with torch.no_grad():
            whole = torch.cat([self._sentence_logits(rows) for rows in passes])
        whole.requires_grad_()
        loss = self._loss(whole, windows, batch.articles)
        loss.backward()  # type: ignore[no-untyped-call]
        start = 0
        for rows in passes:
            logits = self._sentence_logits(rows)
            logits.backward(whole.grad[start : start + len(logits)])  # type: ignore[index, no-untyped-call]
            start += len(logits)
        return loss.item()

    def _sentence_logits(self, rows: Sequence[Row]) -> Tensor:
        """Logits (R, T) of all runs of tokens of the rows' windows, in order.

        Windows that share a row do not see each other. Tensors keep to few shapes, whose kernels the CPU library compiles once.
        """
        count = max(len(rows), self._packer.rows_per_pass if self._packer.shared and self.net.training else 0)
        length = max(sum(len(window.ids) for _, window in row) for row in rows)
        length = self.settings.window if self._packer.shared else min(self.settings.window, _round_up(length, 32))
        slots = _round_up(max(sum(len(window.lengths) for _, window in row) for row in rows), 16)
        ids, positions, group = (np.zeros((count, length), np.int64) for _ in range(3))
        pooling = np.zeros((count, slots, length), np.float32)
        real = np.zeros((count, slots), np.bool_)
        for number, row in enumerate(rows):
            token = slot = 0
            for member, (_, window) in enumerate(row, 1):
                end, last = token + len(window.ids), slot + len(window.lengths)
                ids[number, token:end] = window.ids
                positions[number, token:end] = np.arange(len(window.ids))
                group[number, token:end] = member
                pooling[number, slot:last, token:end] = window.pooling()
                real[number, slot:last] = True
                token, slot = end, last
        device = self.hardware.device
        tensors = [torch.from_numpy(array).to(device) for array in (ids, group, pooling)]
        if self._packer.shared:
            apart = tensors[1][:, None, :, None] != tensors[1][:, None, None, :]
            floor = torch.finfo(self.hardware.dtype).min
            tensors[1] = torch.zeros(apart.shape, dtype=self.hardware.dtype, device=device).masked_fill_(apart, floor)
            logits = self.net(*tensors, position_ids=torch.from_numpy(positions).to(device))
        else:
            logits = self.net(*tensors)
        return logits.float()[torch.from_numpy(real).to(device)]  # type: ignore[no-any-return]

    def _join(self, runs: Tensor, windows: Sequence[tuple[int, Window]], articles: int) -> tuple[Tensor, Tensor, list[NDArray[np.int64]]]:
        """Logits of sentences (S, T) from those of runs, the article (S,) of each, and per article its sentences' numbers.

        A sentence that goes on in the next window is the mean over its runs, weighed by their tokens.
        """
        keys = np.concatenate([np.stack([np.full(len(w.sentences), number), w.sentences]) for number, w in windows], axis=1)
        found, place = np.unique(keys, axis=1, return_inverse=True)
        lengths = np.concatenate([window.lengths for _, window in windows]).astype(np.float32)
        shares = torch.from_numpy(lengths / np.bincount(place, lengths)[place]).float().to(runs.device)
        index = torch.from_numpy(place).to(runs.device)
        sentences = runs.new_zeros((found.shape[1], runs.shape[1])).index_add(0, index, runs * shares[:, None])
        owner = torch.from_numpy(found[0].copy()).to(runs.device)
        return sentences, owner, [found[1][found[0] == number] for number in range(articles)]

    def _loss(self, runs: Tensor, windows: Sequence[tuple[int, Window]], batch: list[Prepared]) -> Tensor:
        sentences, owner, numbers = self._join(runs, windows, len(batch))
        pooled = pool_articles(sentences, owner, len(batch), self.settings.temperature)
        articles = self.net.scale * pooled + self.net.bias
        rows = [article.row for article in batch]
        labels = torch.from_numpy(self.examples.labels[rows]).float().to(runs.device)
        known = torch.from_numpy(self.examples.known[rows]).to(runs.device)
        each = nn.functional.binary_cross_entropy_with_logits(articles, labels, reduction="none", pos_weight=self._weights[0])
        loss = self.settings.article_weight * each[known].mean()
        marked = [(number, article.marks[numbers[number]]) for number, article in enumerate(batch) if article.marks is not None]
        if marked and self.settings.evidence_weight:
            chosen = torch.isin(owner, torch.tensor([number for number, _ in marked], device=owner.device))
            marks = torch.from_numpy(np.concatenate([m for _, m in marked])).float().to(runs.device)
            shown = nn.functional.binary_cross_entropy_with_logits(sentences[chosen], marks, reduction="none", pos_weight=self._weights[1])
            loss = loss + self.settings.evidence_weight * shown[known[owner[chosen]]].mean()
        return loss * LOSS_SCALE

    @torch.no_grad()
    def logits(self, rows: Sequence[int]) -> list[Logits]:
        """Logits of the examples at `rows` by the module as it is, as `newswatch.encoder.EncoderModel` forms them."""
        self.net.eval()
        pooling = self.pooling()
        found = []
        for row in rows:
            document = self.examples.documents[row]
            windows = [(0, window) for window in self.cutter.cut(document)]
            sentences = np.full((len(document.sentences), self.examples.labels.shape[1]), ABSENT)
            article = np.full(sentences.shape[1], ABSENT)
            if windows and self.unit is Unit.SENTENCE:
                joined, _, numbers = self._join(self._sentence_logits([[pair] for pair in windows]), windows, 1)
                sentences[numbers[0]] = joined.cpu().numpy()
                article = pooling(sentences)
            elif windows:
                passages = self._sentence_logits([[(0, window.whole(n))] for n, (_, window) in enumerate(windows)])
                runs = torch.cat([one.expand(len(window.lengths), -1) for one, (_, window) in zip(passages, windows, strict=True)])
                joined, _, numbers = self._join(runs, windows, 1)
                sentences[numbers[0]] = joined.cpu().numpy()
                article = pooling(passages.cpu().numpy())
            found.append(Logits(article, sentences))
        return found

    def master_weights(self, steps: int) -> MasterWeights:
        """The optimiser of a training of so many steps: `rate` at the last layer, less below, `head_rate` for what is new."""
        settings = self.settings
        layers = layers_of(self.net.backbone)
        depth = {parameter: number for number, layer in enumerate(layers) for parameter in layer.parameters()}
        highest = len(layers) - 1
        rates = {p: settings.rate * settings.layer_decay ** (highest - depth.get(p, -1)) for p in self.net.backbone.parameters()}
        rates |= dict.fromkeys((*self.net.head.parameters(), self.net.scale, self.net.bias), settings.head_rate)
        return MasterWeights(self.net, rates, settings.weight_decay, settings.warmup, steps)

    def pooling(self) -> Pooling:
        """The pooling that serves."""
        scale, bias = (tuple(map(float, part.detach().cpu())) for part in (self.net.scale, self.net.bias))
        return Pooling(self.settings.temperature, scale, bias)


def _log_odds(carried: BoolArray, known: BoolArray) -> Tensor:
    """Log-odds (T,) of the share of known rows (N, T) that carry each tag, kept off 0 and 1."""
    share = (carried & known).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return torch.logit(torch.tensor((share + 1e-3) / 1.002, dtype=torch.float32))


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _passages(examples: Examples, row: int) -> list[Passage]:
    marks = examples.evidence[row]
    return [
        Passage(sentence.text, None if marks is None else marks[number], sentence.field == "title")
        for number, sentence in enumerate(examples.documents[row].sentences)
    ]
