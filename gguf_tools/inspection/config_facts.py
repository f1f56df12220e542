"""Facts about a model from its config.json and the small files of its tokenizer.

What config.json means is read by the architecture's own table, so that a checkpoint and the GGUF file made
from it show the same facts; for architectures without a table the usual names are tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from .. import architectures
from ..architectures.config import HFConfig
from ..errors import GGUFToolsError
from ..io.remote import exists, size_of
from .model_description import ModelDescription, describe_model

if TYPE_CHECKING:
    from ..checkpoint import Checkpoint
    from ..source import Source

__all__ = ["brief", "config_facts", "tokenizer_facts"]

_USUAL: Final = {
    "block_count": ("num_hidden_layers", "n_layers", "n_layer", "num_layers"),
    "context_length": ("max_position_embeddings", "n_ctx", "n_positions", "max_seq_len"),
    "embedding_length": ("hidden_size", "n_embd", "d_model", "dim"),
    "feed_forward_length": ("intermediate_size", "n_inner", "ffn_dim", "d_ff", "hidden_dim"),
    "attention.head_count": ("num_attention_heads", "n_heads", "n_head", "num_heads"),
    "attention.head_count_kv": ("num_key_value_heads", "n_kv_heads"),
    "attention.key_length": ("head_dim",),
    "attention.sliding_window": ("sliding_window",),
    "expert_count": ("num_local_experts", "num_experts", "n_routed_experts"),
    "expert_used_count": ("num_experts_per_tok", "moe_topk"),
    "expert_shared_count": ("n_shared_experts",),
    "expert_feed_forward_length": ("moe_intermediate_size",),
    "rope.freq_base": ("rope_theta",),
}
"""Names in config.json of models without a table, by the GGUF key that means the same."""

_TOKENIZERS: Final = (
    "tokenizer.json",
    "tokenizer.model",
    "tekken.json",
    "spiece.model",
    "vocab.txt",
    "vocab.json",
)

_LONGEST_SETTINGS: Final = 1 << 25
"""Bytes of a tokenizer_config.json that is read for its template."""


def config_facts(
    config: Mapping[str, Any], tensors: Mapping[str, Source], read_json: Callable[[str], Any]
) -> tuple[ModelDescription, list[str]]:
    """Facts, and notes for the reader.

    Args:
        config: config.json as parsed.
        tensors: of the checkpoint, unpacked; some families' tables ask which there are.
        read_json: see `gguf_tools.architectures.Architecture.to_gguf`.
    """
    text = config.get("text_config")
    merged = {**config, **text} if isinstance(text, Mapping) else dict(config)
    notes = []
    try:
        table = architectures.find(config)
        values = HFConfig(table.complete(config, tensors), read_json=read_json, tensor_names=tensors)
        name = table.name
        metadata = {key: value for key, _, value in table.entries(values)}
    except GGUFToolsError as error:
        notes.append(f"cannot be converted as it is: {brief(error)}")
        name = str(merged.get("model_type", ""))
        metadata = {key: _first(merged, names) for key, names in _USUAL.items()}
    facts = describe_model(
        {"general.architecture": name, **{f"{name}.{key}": metadata[key] for key in metadata}}
    )
    packing = merged.get("quantization_config")
    return (
        replace(
            facts,
            architecture=name or None,
            vocabulary=_integer(merged.get("vocab_size")),
            special_tokens=_special_tokens(merged),
            model_class=_class_of(merged) or _class_of(config),
            packing=_scalars(packing) if isinstance(packing, Mapping) else {},
        ),
        notes,
    )


def tokenizer_facts(checkpoint: Checkpoint) -> dict[str, Any]:
    """The description's fields about the tokenizer: by which file there is, without reading a vocabulary."""
    file = next((name for name in _TOKENIZERS if exists(checkpoint.path / name)), None)
    template = _template(checkpoint)
    return {
        "tokenizer": file,
        "chat_template": template is not None,
        "chat_template_length": None if template is None else len(template),
    }


def _template(checkpoint: Checkpoint) -> str | None:
    try:
        text = checkpoint.read_text("chat_template.jinja")
        if text is not None:
            return text
        for name in ("chat_template.json", "tokenizer_config.json"):
            size = size_of(checkpoint.path / name)
            if size is not None and size <= _LONGEST_SETTINGS:
                settings = checkpoint.read_json(name)
                found = settings.get("chat_template") if isinstance(settings, Mapping) else None
                if isinstance(found, list):  # several with names
                    named = (item for item in found if isinstance(item, dict))
                    found = next((i.get("template") for i in named if i.get("name") == "default"), None)
                if isinstance(found, str):
                    return found
    except GGUFToolsError:
        return None  # a conversion says what is wrong with the file
    return None


def brief(error: GGUFToolsError) -> str:
    """What is wrong, without the list of all that would be right."""
    message = error.message.partition(";")[0]
    return f"{message} ({error.found})" if isinstance(error.found, str) else f"{message}: {error.key or ''}"


def _first(config: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((config[name] for name in names if config.get(name) is not None), None)


def _integer(value: Any) -> int | None:
    return value if type(value) is int else None


def _special_tokens(config: Mapping[str, Any]) -> dict[str, int]:
    """Ids as config.json has them; of several ends of text the first."""
    found = {}
    for kind, name in (("bos", "bos"), ("eos", "eos"), ("padding", "pad")):
        value = config.get(f"{name}_token_id")
        value = value[0] if isinstance(value, list) and value else value
        if type(value) is int:
            found[kind] = value
    return found


def _class_of(config: Mapping[str, Any]) -> str | None:
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else None


def _scalars(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if isinstance(value, str | int | float)}
