"""Nomic's BERT: rotary positions; gated feed-forward, or experts in every other layer (version 2)."""

from collections.abc import Iterator
from typing import Any

from ...errors import ArchitectureError, FormatError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import modules, norms, renamed
from ..encoder import ENCODER_EPS, encoder
from ..keys import HEADS, INNER, LAYERS, WIDTH, ConstHF, Entry, Key, KeyRule, RequireEqual
from ..table import HFClass
from ..tensors import Drop, always
from ..traits import GraphTraits, Memory

_CONTEXTS = {8192: 2048, 2048: 512}
"""Positions the published models claim, and those they were trained on, which GGUF states."""

_REPOSITORY = "nomic-ai/nomic-bert-2048--"
CODE = ConstHF(
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
    """Checks of what llama.cpp takes for granted, in version 2 (``moe``) and before."""
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


def is_mixed(config: HFConfig) -> bool:
    """Whether a config is of version 2."""
    return bool(config.find("moe_every_n_layers"))


BLOCK = "encoder.layers.{i}"
KEYS = (
    LAYERS.named("n_layer"),
    _Context(),
    *(WIDTH.named("n_embd"), INNER.named("n_inner"), HEADS.named("n_head")),
    Key("rope.freq_base", "rotary_emb_base", type=ValueType.FLOAT32),
    ENCODER_EPS.named("layer_norm_epsilon"),
)
SHARED_TENSORS = (
    *renamed(
        ("embeddings.word_embeddings", "token_embd"), ("embeddings.token_type_embeddings", "token_types")
    ),
    *renamed(("emb_ln", "token_embd_norm"), bias=always),
    *modules(("norm1", "attn_output_norm"), ("norm2", "layer_output_norm"), block=BLOCK),
)
DEFAULTS = {"layer_norm_epsilon": 1e-5, "type_vocab_size": 2}

ARCHITECTURE = encoder(
    "nomic-bert",
    HFClass("NomicBertModel", "nomic_bert", DEFAULTS, when=lambda config: not is_mixed(config)),
    tokenizers=("unigram", "wordpiece"),
    keys=KEYS,
    own=(CODE, *required(moe=False)),
    activation=None,
    tensors=(
        *SHARED_TENSORS,
        *norms(
            ("attn.Wqkv", "attn_qkv"),
            ("attn.out_proj", "attn_output"),
            ("mlp.fc11", "ffn_up"),
            ("mlp.fc12", "ffn_gate"),
            ("mlp.fc2", "ffn_down"),
            block=BLOCK,
        ),
    ),
    prefix="",
    renames=((r"^bert\.", ""),),
    drops=(Drop(r"pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),),
    graph=GraphTraits(memory=Memory.NOTHING),
)
