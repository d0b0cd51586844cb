"""Fitting encoders fold by fold: epochs, checkpoints, early stopping, the graph that serves."""

import hashlib
import json
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from newswatch.encoder import EncoderModel
from newswatch_labels.folds import group_records, split_by_event
from newswatch_training.augmentation import Augmentation
from newswatch_training.backbone import check_backbone, save_backbone
from newswatch_training.deciding import fit_decision
from newswatch_training.encoder import EncoderTraining
from newswatch_training.encoder_settings import EncoderSettings, Precision
from newswatch_training.examples import Examples
from newswatch_training.graph import PARITY_ROWS, check_parity, export_encoder, measure_parity
from newswatch_training.hardware import Hardware, keep_memory, limit_threads
from newswatch_training.master_weights import MasterWeights
from newswatch_training.metrics import decide, measure

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"
WATCHED_SHARE = 0.1


def _ignore(*_: object) -> None:
    pass


@dataclass(frozen=True)
class Watch:
    """What a fit tells while it runs.

    Attributes:
        begin: called with the number of articles that all epochs of a fit will read.
        advance: called with the number of articles of each step.
        log: called with the name of a figure, its value and the step it belongs to.
    """

    begin: Callable[[int], object] = _ignore
    advance: Callable[[int], object] = _ignore
    log: Callable[[str, float, int], object] = _ignore


class EncoderFitter:
    """Fits encoders on rows of its examples.

    After each epoch a checkpoint is written below `work`; a fit of the same records and settings goes on from there. With
    `patience`, a tenth of the events is kept from the training, the epoch with the best macro F1 on it wins, and the fit ends when
    that many epochs brought nothing better.
    """

    kind = "encoder"

    def __init__(
        self,
        examples: Examples,
        settings: EncoderSettings,
        augmentation: Augmentation,
        work: Path,
        *,
        patience: int = 0,
        watch: Watch | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        """Check the backbone before anything is trained.

        Raises:
            InputError: as `check_backbone`.
        """
        check_backbone(settings)
        self.examples, self.settings, self.augmentation, self.work, self.patience = examples, settings, augmentation, work, patience
        self.watch = watch or Watch()
        self.hardware = hardware or Hardware.find()
        self._fits = 0
        self._folders: set[Path] = set()

    def fit(self, rows: NDArray[np.int64]) -> EncoderModel:
        """Fit on the examples at `rows`, export, and prove the graph.

        Raises:
            ParityError: the graph does not say what the trained model says.
        """
        self._fits += 1
        training, folder = self._train_rows(rows)
        model = export_encoder(training, folder, self.settings.precision)
        sample = np.random.default_rng(self.settings.seed).permutation(rows)[:PARITY_ROWS].tolist()
        served = model.logits([self.examples.documents[row] for row in sample])
        parity = measure_parity(training.logits(sample), served)
        check_parity(parity)
        model.parity = asdict(parity)
        return model

    def keep_backbone(self, rows: NDArray[np.int64], folder: Path) -> None:
        """Write the backbone of the fit on `rows`, which is taken from its checkpoint, as a folder that `backbone` may name."""
        training, _ = self._train_rows(rows)
        save_backbone(training.net.backbone, self.settings, folder)

    def forget(self) -> None:
        """Remove the checkpoints of this fitter's own fits; another fit may be under way beside them."""
        for folder in self._folders:
            shutil.rmtree(folder, ignore_errors=True)

    def train_side_by_side(self, many: Sequence[NDArray[np.int64]], jobs: int) -> None:
        """Train several fits at once on a CPU, in `jobs` processes that share its threads; `fit` then takes their checkpoints.

        Two processes of one thread each do more than one of two, whose threads wait for each other after every product.
        """
        jobs = min(jobs, len(many))
        if jobs < 2 or self.hardware.device.type != "cpu":
            return
        limit_threads()
        self.watch.begin(self.settings.epochs * sum(self._articles_per_epoch(rows) for rows in many))
        context = torch.multiprocessing.get_context("spawn")
        threads = max(1, torch.get_num_threads() // jobs)
        with context.Manager() as manager, ProcessPoolExecutor(jobs, context, torch.set_num_threads, (threads,)) as pool:
            news = manager.Queue()
            with self._listening(news):
                longest_first = sorted(range(len(many)), key=lambda number: -len(many[number]))
                for ended in [pool.submit(_train_apart, self._quiet(), many[number], number + 1, news) for number in longest_first]:
                    ended.result()

    def _articles_per_epoch(self, rows: Sequence[int] | NDArray[np.int64]) -> int:
        tagged = int(self.examples.labels[rows].any(axis=1).sum())
        return tagged + self.settings.untagged_drawn(tagged, len(rows) - tagged)

    def _quiet(self) -> "EncoderFitter":
        """The same without its watch, which stays in this process."""
        return EncoderFitter(self.examples, self.settings, self.augmentation, self.work, patience=self.patience, hardware=self.hardware)

    def _train_rows(self, rows: NDArray[np.int64]) -> tuple[EncoderTraining, Path]:
        """The trained module, and the folder of its checkpoint."""
        folder = self.work / self._fingerprint(rows)
        folder.mkdir(parents=True, exist_ok=True)
        self._folders.add(folder)
        watched = self._watched_rows(rows)
        kept = np.setdiff1d(rows, watched)
        if self.hardware.processes > 1:
            self._train_together(kept.tolist(), folder, watched.tolist())
        keep_memory()
        limit_threads()
        training = EncoderTraining(self.examples, kept.tolist(), self.settings, self.augmentation, self.hardware)
        self._train(training, folder, watched.tolist())
        return training, folder

    def _fingerprint(self, rows: NDArray[np.int64]) -> str:
        """Of everything that decides what a fit learns."""
        trained = replace(self.settings, precision=Precision.INT8.value)  # of the graph alone
        asked = [asdict(trained), asdict(self.augmentation), self.patience, str(self.hardware.dtype)]
        digest = hashlib.sha256(json.dumps(asked).encode())
        for row in rows:
            record = self.examples.records[row]
            digest.update(json.dumps([record.title, record.text, self.examples.labels[row].tolist(), record.disputed]).encode())
            marks = self.examples.evidence[row]
            digest.update(b"" if marks is None else marks.tobytes())
        return digest.hexdigest()[:16]

    def _watched_rows(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        if not self.patience:
            return np.empty(0, np.int64)
        records = [self.examples.records[row] for row in rows]
        parts = split_by_event(records, [1 - WATCHED_SHARE, WATCHED_SHARE], self.settings.seed, group_records(records))
        return np.asarray(rows[np.array(parts) == 1])

    def _train(self, training: EncoderTraining, folder: Path, watched: list[int]) -> None:
        epochs = self.settings.epochs
        articles = self._articles_per_epoch(list(training.passages))
        self.watch.begin(epochs * articles)
        weights = training.master_weights(epochs * training.steps_per_epoch())
        first, best, best_epoch = _resume(folder / CHECKPOINT, weights)
        self.watch.advance(first * articles)
        for epoch in range(first, epochs):
            if watched and epoch - best_epoch > self.patience:
                break

            def advance(articles: int, loss: float, weights: MasterWeights = weights) -> None:
                self.watch.advance(articles)
                if weights.done % 20 == 0:
                    self.watch.log(f"fit{self._fits}.loss", loss, weights.done)

            loss = training.epoch(epoch, weights, advance)
            self.watch.log(f"fit{self._fits}.epoch_loss", loss, weights.done)
            if watched:
                score = self._score(training, watched)
                self.watch.log(f"fit{self._fits}.watched_macro_f1", score, weights.done)
                if score > best:
                    best, best_epoch = score, epoch
                    if PartialState().is_main_process:
                        save_file(weights.masters, folder / BEST)
            _save(folder / CHECKPOINT, weights, epoch + 1, best, best_epoch)
        if watched and (folder / BEST).exists():
            weights.load_masters(load_file(folder / BEST))

    def _train_together(self, rows: list[int], folder: Path, watched: list[int]) -> None:
        """Train in a process for each GPU; the checkpoint that the first of them writes is the result."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = torch.multiprocessing.get_context("spawn")
        news: Any = context.SimpleQueue()
        workers = torch.multiprocessing.spawn(  # type: ignore[attr-defined, no-untyped-call]
            _work, (self.hardware.processes, port, self._quiet(), rows, folder, watched, news), self.hardware.processes, join=False
        )
        with self._listening(news):
            while not workers.join():
                pass

    @contextmanager
    def _listening(self, news: Any) -> Iterator[None]:
        """Pass on inside what other processes tell. What goes wrong with that is raised at the end: who tells must not wait for ever."""
        failures: list[Exception] = []

        def listen() -> None:
            while (heard := news.get()) is not None:
                name, arguments = heard
                try:
                    getattr(self.watch, name)(*arguments)
                except Exception as error:  # noqa: BLE001, raised below
                    failures.append(error)

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            yield
        finally:
            news.put(None)
            listener.join()
        if failures:
            raise failures[0]

    def _score(self, training: EncoderTraining, rows: Sequence[int]) -> float:
        examples = self.examples.take(rows)
        logits = training.logits(rows)
        return measure(decide(logits, fit_decision(logits, examples), examples))["macro_f1"]


def _work(
    rank: int, processes: int, port: int, fitter: EncoderFitter, rows: list[int], folder: Path, watched: list[int], news: Any
) -> None:
    """Train as one of several processes, which average their gradients."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
    }  # fmt: skip
    state = PartialState(cpu=fitter.hardware.device.type == "cpu")
    if state.is_main_process:
        fitter.watch = Watch(*(partial(_tell, news, name) for name in ("begin", "advance", "log")))
    hardware = replace(fitter.hardware, device=state.device)
    training = EncoderTraining(fitter.examples, rows, fitter.settings, fitter.augmentation, hardware)
    fitter._train(training, folder, watched)
    state.wait_for_everyone()
    state.destroy_process_group()


def _train_apart(fitter: EncoderFitter, rows: NDArray[np.int64], number: int, news: Any) -> None:
    """Train one of several fits, in a process of its own."""
    fitter._fits = number
    fitter.watch = Watch(advance=partial(_tell, news, "advance"), log=partial(_tell, news, "log"))
    fitter._train_rows(rows)


def _tell(news: Any, name: str, *arguments: Any) -> None:
    news.put((name, arguments))


def _save(path: Path, weights: MasterWeights, epochs: int, best: float, best_epoch: int) -> None:
    """Write a checkpoint whole, by the first process alone."""
    state = PartialState()
    if not state.is_main_process:
        return
    partial = path.with_suffix(".partial")
    about = {"epochs": str(epochs), "steps": str(weights.done), "best": str(best), "best_epoch": str(best_epoch)}
    save_file(weights.state(), partial, metadata=about)
    partial.replace(path)


def _resume(path: Path, weights: MasterWeights) -> tuple[int, float, int]:
    """Epochs done, best score and its epoch of a checkpoint; nothing done where there is none."""
    if not path.exists():
        return 0, -1.0, 0
    with safe_open(path, framework="pt") as file:
        about = file.metadata()
    weights.restore(load_file(path), int(about["steps"]))
    return int(about["epochs"]), float(about["best"]), int(about["best_epoch"])
