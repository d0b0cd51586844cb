"""The serving graph: the trained encoder as ONNX, in int8 if it still says the same."""

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from newswatch.decision import probability
from newswatch.encoder import GRAPH, TOKENIZER, EncoderModel
from newswatch.model import Logits
from newswatch_training.encoder import EncoderTraining
from newswatch_training.encoder_settings import ParityError

OPSET = 17
PARITY_ROWS = 150
ARTICLE_FLIPS = 0.05
EVIDENCE_FLIPS = 0.1


@dataclass(frozen=True)
class Parity:
    """How far a graph departs from the trained model, on articles it was not quantised on.

    Attributes:
        articles: number of articles compared.
        article_flips: pairs of article and tag that change sides of 0.5, for each pair the trained model puts above it.
        evidence_flips: the same of pairs of sentence and tag.
        drift: mean absolute difference of article probabilities.
    """

    articles: int
    article_flips: float
    evidence_flips: float
    drift: float


class _Serving(nn.Module):
    """One window without padding: the attention mask is all ones."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, input_ids: Tensor, pooling: Tensor) -> Tensor:
        return self.net(input_ids, torch.ones_like(input_ids), pooling)  # type: ignore[no-any-return]


def export_encoder(training: EncoderTraining, folder: Path, precision: str) -> EncoderModel:
    """Write encoder.onnx and tokenizer.json into `folder`, and open them as a service would.

    For int8 each layer's attention becomes one operator, where ONNX Runtime knows the backbone's form of it, and matrices are
    quantised, each output channel by itself, activations as they come (ONNX Runtime's dynamic quantisation).

    Args:
        precision: "int8" or "fp32".
    """
    net = training.net
    dtype, device = net.head.weight.dtype, net.head.weight.device
    net.eval()
    net.to(device="cpu", dtype=torch.float32)
    try:
        with TemporaryDirectory(dir=folder) as work, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer, about shapes that tests prove dynamic
            whole = Path(work) / GRAPH
            torch.onnx.export(
                _Serving(net).eval(),
                (torch.full((1, 12), 5), torch.full((1, 2, 12), 0.1)),
                whole,
                input_names=["input_ids", "pooling"],
                output_names=["sentence_logits"],
                dynamic_axes={"input_ids": {1: "tokens"}, "pooling": {1: "runs", 2: "tokens"}, "sentence_logits": {1: "runs"}},
                opset_version=OPSET,
                dynamo=False,
            )
            if precision == "int8":
                fuse_attention(whole, net.backbone.config)
                quantise(whole, folder / GRAPH)
            else:
                whole.replace(folder / GRAPH)
    finally:
        net.to(device=device, dtype=dtype)
        net.backbone.to(training.hardware.dtype)
    training.cutter.tokenizer.save(str(folder / TOKENIZER))
    return EncoderModel(folder, training.settings.window, training.pooling(), precision, training.unit)


def fuse_attention(whole: Path, config: Any) -> None:
    """Make each layer's attention one operator in the graph at `whole`; a form that is not known stays as it is.

    Args:
        config: of the backbone.
    """
    from onnxruntime.transformers.fusion_options import FusionOptions
    from onnxruntime.transformers.optimizer import optimize_model

    options = FusionOptions("bert")
    # What else it fuses is slower on CPUs, or done when the graph is opened.
    for other in ("skip_layer_norm", "bias_skip_layer_norm", "embed_layer_norm", "bias_gelu", "gelu_approximation"):
        setattr(options, f"enable_{other}", False)
    heads, width = getattr(config, "num_attention_heads", 0), getattr(config, "hidden_size", 0)
    with _quiet_root_logger():
        model = optimize_model(str(whole), "bert", heads, width, optimization_options=options, opt_level=0)
        model.save_model_to_file(str(whole))


def quantise(whole: Path, target: Path) -> None:
    """Write the graph `whole` to `target` with its matrices in int8; leaves a file between the two beside `whole`."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared = whole.with_suffix(".prepared")
    with _quiet_root_logger():
        quant_pre_process(whole, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            target,
            per_channel=True,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["MatMul", "Attention"],
            extra_options={"MatMulConstBOnly": True, "DefaultTensorType": TensorProto.FLOAT},  # of what fused operators give
        )


@contextmanager
def _quiet_root_logger() -> Iterator[None]:
    """ONNX Runtime's tools warn through the root logger, of names they chose themselves."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)


def measure_parity(trained: Sequence[Logits], served: Sequence[Logits]) -> Parity:
    """Compare logits of the same articles by the trained model and by the graph."""
    before, after = (np.stack([own.article for own in logits]) for logits in (trained, served))
    own, new = (np.concatenate([own.sentences for own in logits]) for logits in (trained, served))
    return Parity(
        len(trained),
        float(((before > 0) != (after > 0)).sum() / max(1, (before > 0).sum())),
        float(((own > 0) != (new > 0)).sum() / max(1, (own > 0).sum())),
        float(np.abs(probability(before) - probability(after)).mean()),
    )


def check_parity(parity: Parity) -> None:
    """Refuse a graph past the limits.

    Raises:
        ParityError: more than `ARTICLE_FLIPS` or `EVIDENCE_FLIPS`.
    """
    if parity.article_flips > ARTICLE_FLIPS or parity.evidence_flips > EVIDENCE_FLIPS:
        raise ParityError(
            f"a graph that changes {parity.article_flips:.1%} of the articles' tags and {parity.evidence_flips:.1%} of the sentences'",
            f"at most {ARTICLE_FLIPS:.0%} and {EVIDENCE_FLIPS:.0%}",
            "Train with --precision fp32: the graph is four times larger and slower, and exact.",
        )
