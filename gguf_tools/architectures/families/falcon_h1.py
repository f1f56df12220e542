"""Falcon H1: Mamba 2 and attention side by side, and multipliers that become part of the weights."""

from ..config import HFConfig
from ..decoder import BLOCK, decoder, flag, has_head
from ..keys import (
    CONTEXT,
    HEAD_DIM,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    VOCABULARY_SIZE,
    WIDTH,
    AssumedByRuntime,
    Key,
    Note,
    head_size,
)
from ..mamba_parts import LOST, mamba2_mixer
from ..per_layer_keys import AnyTensor, Heads
from ..rope import Rope
from ..scaling import Factors, Multipliers, Scaled
from ..table import HFClass
from ..tensors import Rule
from ..traits import GraphTraits, Memory

MULTIPLIERS = Multipliers(
    single=(
        "attention_in_multiplier",
        "attention_out_multiplier",
        "embedding_multiplier",
        "key_multiplier",
        "lm_head_multiplier",
        "ssm_in_multiplier",
        "ssm_out_multiplier",
    ),
    listed={"mlp_multipliers": 2, "ssm_multipliers": 5},
)
_times = MULTIPLIERS.times


def _in_projection(config: HFConfig) -> list[tuple[int | None, Factors]]:
    """Rows of gate, x, B, C and the time steps."""
    (whole,) = MULTIPLIERS.of(config, "ssm_in_multiplier")
    inner, heads = config.integer("mamba_d_ssm"), config.integer("mamba_n_heads")
    state = config.integer("mamba_n_groups") * config.integer("mamba_d_state")
    sizes = (inner, inner, state, state, heads)
    own = MULTIPLIERS.of(config, "ssm_multipliers")
    return [(size, (whole, factor)) for size, factor in zip(sizes, own, strict=True)]


def _inner(config: HFConfig) -> int:
    return config.integer("mamba_d_ssm")


def _expanded(config: HFConfig) -> int:
    return config.integer("mamba_expand") * config.integer("hidden_size")


def _norm_orders(config: HFConfig) -> tuple[bool, ...]:
    """llama.cpp norms what the gate has passed; without a norm there is no order."""
    return (False,) if config.flag("mamba_rms_norm") else (False, True)


def _matrix(hf: str, gguf: str, *keys: str, at: int = 0) -> Rule:
    """A matrix of a block, times the multipliers of some keys."""
    return Rule((f"{BLOCK}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",), _times(*keys, at=at))


ARCHITECTURE = decoder(
    "falcon-h1",
    HFClass("FalconH1ForCausalLM", "falcon_h1"),
    defaults={**MULTIPLIERS.ones(), "mamba_expand": 2},
    derived={
        **MULTIPLIERS.where_null(),
        "head_dim": head_size,
        "mamba_d_ssm": _expanded,
    },
    keys=(
        *(CONTEXT, WIDTH, INNER, HEADS, LAYERS),
        Key("ssm.conv_kernel", "mamba_d_conv"),
        Key("ssm.inner_size", "mamba_d_ssm"),
        Key("ssm.state_size", "mamba_d_state"),
        Heads(_inner),
        Key("ssm.group_count", "mamba_n_groups"),
        RMS_EPS,
    ),
    own=(VOCABULARY_SIZE, KV_HEADS, HEAD_DIM, Rope(kinds=()), MULTIPLIERS),
    bias=None,
    assumed={"attention_bias": False, "mamba_proj_bias": False, "mlp_bias": False, "projectors_bias": False},
    checks=(
        AnyTensor("mamba_conv_bias", ".ssm_conv1d.bias"),
        AnyTensor("mamba_rms_norm", ".ssm_norm.weight"),
        AssumedByRuntime("mamba_norm_before_gate", _norm_orders),
        Note(
            lambda config: (
                config.flag("tie_word_embeddings")
                and config["lm_head_multiplier"] != config["embedding_multiplier"]
            ),
            "lm_head_multiplier is not honoured: the output is the embedding, which has its own",
        ),
    ),
    output=(
        Rule(("model.embed_tokens.weight",), ("token_embd.weight",), _times("embedding_multiplier")),
        Rule(("model.final_layernorm.weight",), ("output_norm.weight",)),
        Rule(("lm_head.weight",), ("output.weight",), _times("lm_head_multiplier"), needed=has_head),
    ),
    pre_norms=(
        Rule((f"{BLOCK}.input_layernorm.weight",), ("blk.{i}.attn_norm.weight",)),
        Rule((f"{BLOCK}.pre_ff_layernorm.weight",), ("blk.{i}.ffn_norm",)),  # without an ending
    ),
    attn=(
        _matrix("self_attn.q_proj", "attn_q", "attention_in_multiplier"),
        _matrix("self_attn.k_proj", "attn_k", "key_multiplier", "attention_in_multiplier"),
        _matrix("self_attn.v_proj", "attn_v", "attention_in_multiplier"),
        _matrix("self_attn.o_proj", "attn_output", "attention_out_multiplier"),
        *mamba2_mixer(
            f"{BLOCK}.mamba",
            "mamba_n_groups",
            conv_bias="mamba_conv_bias",
            normed=flag("mamba_rms_norm"),
            inputs=Scaled(_in_projection),
            outputs=_times("ssm_out_multiplier"),
        ),
    ),
    ffn=(
        _matrix("feed_forward.gate_proj", "ffn_gate", "mlp_multipliers"),
        _matrix("feed_forward.up_proj", "ffn_up"),
        _matrix("feed_forward.down_proj", "ffn_down", "mlp_multipliers", at=1),
    ),
    export_notes=(*LOST, "the multipliers are part of the weights, and said to be one"),
    graph=GraphTraits(memory=Memory.BOTH),
)
