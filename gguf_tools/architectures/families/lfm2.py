"""LFM2: layers of short convolutions between layers of attention."""

from typing import Any

from ...errors import ArchitectureError
from ...spec import MAX_LAYERS, ValueType
from ..config import HFConfig
from ..decoder import BLOCK, HEAD, decoder, head_count, norms, renamed
from ..keys import RMS_EPS, VOCABULARY_SIZE, DerivedKey, Key
from ..per_layer_keys import LayerArray
from ..table import HFClass
from ..tensors import Rule, limit_to, unless
from ..traits import GraphTraits, Memory, Mixer
from ..transforms import SQUEEZED

_ATTENTION, _CONVOLUTION = "full_attention", "conv"


def _attends(config: HFConfig, layer: int) -> bool:
    kinds, layers = config.find("layer_types"), config.integer("num_hidden_layers", most=MAX_LAYERS)
    if not isinstance(kinds, list) or len(kinds) != layers:
        raise ArchitectureError(
            "not a list with the kind of every layer",
            path="config.json",
            key="layer_types",
            expected=f"{layers} of {_ATTENTION} and {_CONVOLUTION}",
        )
    return bool(kinds[layer] != _CONVOLUTION)


def _layer_types(attends: list[bool], config: dict[str, Any]) -> None:
    config["layer_types"] = [_ATTENTION if there else _CONVOLUTION for there in attends]


def _inner(config: HFConfig) -> int:
    """The feed-forward's width, which the config states before it is shrunk and rounded up."""
    inner = config.integer("block_ff_dim", "intermediate_size")
    if config.flag("block_auto_adjust_ff_dim"):
        inner = int(2 * inner / 3)
        if config.find("block_ffn_dim_multiplier") is not None:
            inner = int(config.number("block_ffn_dim_multiplier") * inner)
        multiple = config.integer("block_multiple_of")
        inner = -(-inner // multiple) * multiple
    return inner


INNER = DerivedKey(
    "feed_forward_length",
    ValueType.UINT32,
    _inner,
    lambda facts, config: {
        "intermediate_size": facts.integer("feed_forward_length"),
        "block_auto_adjust_ff_dim": False,
    },
)
KV_HEADS = LayerArray(
    "attention.head_count_kv", "num_key_value_heads", _attends, _layer_types, none=head_count
)

ARCHITECTURE = decoder(
    "lfm2",
    HFClass("Lfm2ForCausalLM", "lfm2"),
    sizes={INNER.gguf: INNER, KV_HEADS.gguf: KV_HEADS},
    eps=RMS_EPS.named("norm_eps"),
    own=(VOCABULARY_SIZE, Key("shortconv.l_cache", "conv_L_cache")),
    bias=None,
    activation={},
    output=(
        *renamed(("model.embed_tokens", "token_embd"), ("model.embedding_norm", "token_embd_norm")),
        HEAD,
    ),
    pre_norms=norms(("operator_norm", "attn_norm"), ("ffn_norm", "ffn_norm")),
    attn=limit_to(
        _attends,
        norms(
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.out_proj", "attn_output"),
            ("self_attn.q_layernorm", "attn_q_norm"),
            ("self_attn.k_layernorm", "attn_k_norm"),
        ),
    ),
    ffn=norms(
        ("feed_forward.w1", "ffn_gate"), ("feed_forward.w2", "ffn_down"), ("feed_forward.w3", "ffn_up")
    ),
    tensors=limit_to(
        unless(_attends),
        (
            *norms(("conv.in_proj", "shortconv.in_proj"), ("conv.out_proj", "shortconv.out_proj")),
            Rule((f"{BLOCK}.conv.conv.weight",), ("blk.{i}.shortconv.conv.weight",), SQUEEZED),
        ),
    ),
    graph=GraphTraits(memory=Memory.EITHER, mixer=Mixer.SHORT_CONVOLUTION, residual_first=True),
)
