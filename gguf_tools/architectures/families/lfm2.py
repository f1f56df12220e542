"""LFM2: layers of short convolutions between layers of attention."""

from collections.abc import Iterator
from typing import Any

from ...container.metadata import Array
from ...errors import ArchitectureError, FormatError
from ...spec import MAX_LAYERS, ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import BLOCK, TIED, has_head, norms, renamed
from ..keys import CAUSAL, CONTEXT, HEADS, LAYERS, WIDTH, Entry, FromTensorRows, HeadDim, Key
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Memory, Mixer
from ..transforms import Reshape

_ATTENTION, _CONVOLUTION = "full_attention", "conv"


def _attends(config: HFConfig, layer: int) -> bool:
    kinds = config.find("layer_types")
    return isinstance(kinds, list) and layer < len(kinds) and kinds[layer] != _CONVOLUTION


def _convolves(config: HFConfig, layer: int) -> bool:
    return not _attends(config, layer)


class _KeyHeads:
    """Heads of keys for every layer, none where it convolves."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        layers = config.integer("num_hidden_layers", most=MAX_LAYERS)
        kinds, heads = config.find("layer_types"), config.integer("num_key_value_heads")
        if not isinstance(kinds, list) or len(kinds) != layers:
            raise ArchitectureError(
                "not a list with the kind of every layer",
                path="config.json",
                key="layer_types",
                expected=f"{layers} of {_ATTENTION} and {_CONVOLUTION}",
            )
        values = [0 if kind == _CONVOLUTION else heads for kind in kinds]
        yield "attention.head_count_kv", ValueType.ARRAY, Array(ValueType.INT32, values)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        heads = facts.find("attention.head_count_kv")
        if not isinstance(heads, Array) or not any(heads):
            raise FormatError("not a list of heads", key=facts.key("attention.head_count_kv"), found=heads)
        config["num_key_value_heads"] = max(heads)
        config["layer_types"] = [_ATTENTION if count else _CONVOLUTION for count in heads]


class _Inner:
    """The feed-forward's width, which the config states before it is shrunk and rounded up."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        inner = config.integer("block_ff_dim", "intermediate_size")
        if config.flag("block_auto_adjust_ff_dim"):
            inner = int(2 * inner / 3)
            if config.find("block_ffn_dim_multiplier") is not None:
                inner = int(config.number("block_ffn_dim_multiplier") * inner)
            multiple = config.integer("block_multiple_of")
            inner = -(-inner // multiple) * multiple
        yield "feed_forward_length", ValueType.UINT32, inner

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["intermediate_size"] = facts.integer("feed_forward_length")
        config["block_auto_adjust_ff_dim"] = False


ARCHITECTURE = Architecture(
    name="lfm2",
    classes=(
        HFClass(
            "Lfm2ForCausalLM",
            "lfm2",
            {
                "block_auto_adjust_ff_dim": True,
                "block_ffn_dim_multiplier": 1.0,
                "block_multiple_of": 256,
                "conv_L_cache": 3,
                "conv_bias": False,
                "max_position_embeddings": 128000,
                "norm_eps": 1e-5,
                "num_key_value_heads": 8,
                "rope_theta": 1000000.0,
                "tie_word_embeddings": True,
            },
        ),
    ),
    tokenizer_kinds=("bpe",),
    keys=(
        LAYERS,
        CONTEXT,
        WIDTH,
        _Inner(),
        HEADS,
        _KeyHeads(),
        CAUSAL,
        Rope(),
        Key("attention.layer_norm_rms_epsilon", "norm_eps", type=ValueType.FLOAT32),
        HeadDim(always=False),
    ),
    family_keys=(
        Key("vocab_size", "vocab_size"),
        Key("shortconv.l_cache", "conv_L_cache"),
        FromTensorRows("vocab_size", "token_embd.weight"),
        TIED,
    ),
    tensors=(
        *renamed(("model.embed_tokens", "token_embd"), ("model.embedding_norm", "token_embd_norm")),
        Rule(("lm_head.weight",), ("output.weight",), needed=has_head),
        *norms(
            ("operator_norm", "attn_norm"),
            ("ffn_norm", "ffn_norm"),
            ("feed_forward.w1", "ffn_gate"),
            ("feed_forward.w2", "ffn_down"),
            ("feed_forward.w3", "ffn_up"),
        ),
        *(
            Rule(rule.hf, rule.gguf, when=_attends)
            for rule in norms(
                ("self_attn.q_proj", "attn_q"),
                ("self_attn.k_proj", "attn_k"),
                ("self_attn.v_proj", "attn_v"),
                ("self_attn.out_proj", "attn_output"),
                ("self_attn.q_layernorm", "attn_q_norm"),
                ("self_attn.k_layernorm", "attn_k_norm"),
            )
        ),
        Rule(
            (f"{BLOCK}.conv.conv.weight",),
            ("blk.{i}.shortconv.conv.weight",),
            Reshape(gguf=lambda shape: (shape[0], shape[-1]), hf=lambda shape: (shape[0], 1, shape[1])),
            when=_convolves,
        ),
        *(
            Rule(rule.hf, rule.gguf, when=_convolves)
            for rule in norms(("conv.in_proj", "shortconv.in_proj"), ("conv.out_proj", "shortconv.out_proj"))
        ),
    ),
    graph=GraphTraits(memory=Memory.EITHER, mixer=Mixer.SHORT_CONVOLUTION, residual_first=True),
)
