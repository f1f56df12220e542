"""Nomic's BERT: rotary positions; gated feed-forward, or experts in every other layer (version 2)."""

from collections.abc import Iterator
from typing import Any

from ...errors import ArchitectureError, FormatError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..keys import HEADS, INNER, LAYERS, WIDTH, ConstHF, Entry, FromTensorRows, Key, KeyRule, RequireEqual
from ..pooling import pooling_files
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, weight_and_bias
from ..traits import GraphTraits, Memory
from ..vocabularies import ENCODER_TYPES
from . import bert

_CONTEXTS = {8192: 2048, 2048: 512}
"""Positions the published models claim, and those they were trained on, which GGUF states."""

_REPOSITORY = "nomic-ai/nomic-bert-2048--"
_CODE = ConstHF(
    "auto_map",
    {
        "AutoConfig": _REPOSITORY + "configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": _REPOSITORY + "modeling_hf_nomic_bert.NomicBertModel",
    },
)


class _Context:
    """``n_positions`` ↔ ``context_length``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        claimed = config.integer("n_positions")
        if claimed not in _CONTEXTS or config.find("max_trained_positions") not in (None, 2048):
            raise ArchitectureError(
                "how many positions the model was trained on is known for the published ones only",
                path="config.json",
                key="n_positions",
                found=claimed,
                expected=" or ".join(map(str, _CONTEXTS)) + " with max_trained_positions 2048",
            )
        yield "context_length", ValueType.UINT32, _CONTEXTS[claimed]

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        trained = facts.integer("context_length")
        claimed = next((key for key, value in _CONTEXTS.items() if value == trained), None)
        if claimed is None:
            raise FormatError(
                "no published model has this context",
                key=facts.key("context_length"),
                found=trained,
                expected=" or ".join(map(str, _CONTEXTS.values())),
            )
        config |= {"n_positions": claimed, "max_trained_positions": 2048}


def required(*, moe: bool) -> tuple[KeyRule, ...]:
    biases = ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias")
    return (
        RequireEqual("activation_function", "gelu" if moe else "swiglu"),
        *(RequireEqual(name, moe) for name in biases),
        *(
            RequireEqual(name, False)
            for name in ("causal", "prenorm", "rotary_emb_interleaved", "use_rms_norm")
        ),
        RequireEqual("rotary_emb_fraction", 1.0),
        RequireEqual("rotary_emb_scale_base", None),
        RequireEqual("rotary_scaling_factor", None),
    )


def _layers(*modules: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule((f"encoder.layers.{{i}}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",)) for hf, gguf in modules
    )


KEYS = (
    LAYERS.named("n_layer"),
    _Context(),
    WIDTH.named("n_embd"),
    INNER.named("n_inner"),
    HEADS.named("n_head"),
    Key("rope.freq_base", "rotary_emb_base", type=ValueType.FLOAT32),
    bert.EPS.named("layer_norm_epsilon"),
)
FAMILY_KEYS = (
    *bert.EMBEDDING,
    FromTensorRows("vocab_size", "token_embd.weight"),
    FromTensorRows("type_vocab_size", "token_types.weight"),
    _CODE,
)
SHARED_TENSORS = (
    Rule(("embeddings.word_embeddings.weight",), ("token_embd.weight",)),
    Rule(("embeddings.token_type_embeddings.weight",), ("token_types.weight",)),
    *weight_and_bias("emb_ln", "token_embd_norm"),
    *bert.layers("encoder.layers.{i}", ("norm1", "attn_output_norm"), ("norm2", "layer_output_norm")),
)
DEFAULTS = {"layer_norm_epsilon": 1e-5, "type_vocab_size": 2}


def is_mixed(config: HFConfig) -> bool:
    return bool(config.find("moe_every_n_layers"))


ARCHITECTURE = Architecture(
    name="nomic-bert",
    classes=(HFClass("NomicBertModel", "nomic_bert", DEFAULTS, when=lambda config: not is_mixed(config)),),
    tokenizer_kinds=("unigram", "wordpiece"),
    prefix="",
    renames=((r"^bert\.", ""),),
    keys=KEYS,
    family_keys=(*FAMILY_KEYS, *required(moe=False)),
    tensors=(
        *SHARED_TENSORS,
        *_layers(
            ("attn.Wqkv", "attn_qkv"),
            ("attn.out_proj", "attn_output"),
            ("mlp.fc11", "ffn_up"),
            ("mlp.fc12", "ffn_gate"),
            ("mlp.fc2", "ffn_down"),
        ),
    ),
    drops=(Drop(r"pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),),
    extras=pooling_files,
    vocabulary=ENCODER_TYPES,
    graph=GraphTraits(memory=Memory.NOTHING),
)
