"""T5, mT5, umT5: an encoder and a decoder with biases by relative position."""

from collections.abc import Iterator
from typing import Any

from ...spec import MAX_LAYERS, ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import HEAD, TIED, VOCABULARY_ROWS, optional
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    LAYER_EPS,
    LAYERS,
    RMS_EPS,
    WIDTH,
    AssumedByRuntime,
    DerivedKey,
    Key,
    Note,
    Remark,
)
from ..table import Architecture, HFClass, class_name
from ..tensors import Rule, unless
from ..traits import GraphTraits, Stack

DEFAULTS = {"d_ff": 2048, "d_kv": 64, "d_model": 512, "n_positions": 512, "num_heads": 8, "num_layers": 6}
_MT5 = {**DEFAULTS, "d_ff": 1024, "num_heads": 6, "num_layers": 8, "tie_word_embeddings": False}
_DECODER_LAYERS = {"num_decoder_layers": lambda config: config.find("num_layers")}


class _FeedForward:
    """``feed_forward_proj``: GGUF tells a gated one by its tensors, and llama.cpp the activation by that."""

    def forward(self, config: HFConfig) -> Iterator[Remark]:
        expected = "gated-gelu" if _gated(config, 0) else "relu"
        if (found := config.find("feed_forward_proj")) != expected:
            yield Remark(
                f"config.json says feed_forward_proj = {found!r}; GGUF cannot carry it, llama.cpp will act "
                f"on {expected!r}"
            )

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["feed_forward_proj"] = "gated-gelu" if facts.has("enc.blk.0.ffn_gate.weight") else "relu"


def _gated(config: HFConfig, layer: int) -> bool:
    return str(config.find("feed_forward_proj")).startswith("gated")


def _biased(config: HFConfig, layer: int) -> bool:
    """Where a bias by relative position must be: umT5 has one in every layer, others share the first's."""
    return layer == 0 or class_name(config).startswith("UMT5")


def stack(side: str, feed_forward: int) -> tuple[Rule, ...]:
    """Rules of the ``encoder`` or ``decoder``; ``feed_forward`` is that part's number in a block."""
    layers = "num_decoder_layers" if side == "decoder" else None
    short = side[:3]

    def rule(hf: str, gguf: str, **settings: Any) -> Rule:
        return Rule(
            (f"{side}.block.{{i}}.layer.{hf}.weight",),
            (f"{short}.blk.{{i}}.{gguf}.weight",),
            layers=layers,
            **settings,
        )

    last = f"{feed_forward}.DenseReluDense"
    return (
        rule("0.SelfAttention.relative_attention_bias", "attn_rel_b", needed=_biased),
        rule("0.layer_norm", "attn_norm"),
        *(rule(f"0.SelfAttention.{part}", f"attn_{part}") for part in "qkvo"),
        rule(f"{feed_forward}.layer_norm", "ffn_norm"),
        rule(f"{last}.wi", "ffn_up", when=unless(_gated)),
        rule(f"{last}.wi_0", "ffn_gate", when=_gated),
        rule(f"{last}.wi_1", "ffn_up", when=_gated),
        rule(f"{last}.wo", "ffn_down"),
        Rule((f"{side}.final_layer_norm.weight",), (f"{short}.output_norm.weight",)),
    )


def _cross(hf: str, gguf: str, **settings: Any) -> Rule:
    return Rule(
        (f"decoder.block.{{i}}.layer.1.{hf}.weight",),
        (f"dec.blk.{{i}}.cross_attn_{gguf}.weight",),
        layers="num_decoder_layers",
        **settings,
    )


EMBEDDING = Rule(("shared.weight",), ("token_embd.weight",))
SIZES = (
    CONTEXT.named("n_positions"),
    WIDTH.named("d_model"),
    INNER.named("d_ff"),
    LAYERS.named("num_layers"),
)
ATTENTION_KEYS = (
    HEADS.named("num_heads"),
    Key("attention.key_length", "d_kv", optional=True),
    DerivedKey("attention.value_length", ValueType.UINT32, lambda config: config.integer("d_kv")),
    LAYER_EPS.named("layer_norm_epsilon"),
    Key("attention.relative_buckets_count", "relative_attention_num_buckets"),
    # llama.cpp's converter writes the epsilon under both names
    DerivedKey(RMS_EPS.gguf, ValueType.FLOAT32, lambda config: config.number("layer_norm_epsilon")),
)
CHECKS = (
    VOCABULARY_ROWS,
    _FeedForward(),
    AssumedByRuntime("relative_attention_max_distance", (128,)),
)


def _choose(facts: GGUFFacts) -> str:
    every = facts.has("enc.blk.1.attn_rel_b.weight")
    return "UMT5ForConditionalGeneration" if every else "T5ForConditionalGeneration"


ARCHITECTURE = Architecture(
    name="t5",
    classes=(
        HFClass("T5ForConditionalGeneration", "t5", DEFAULTS, _DECODER_LAYERS),
        HFClass("T5WithLMHeadModel", "t5", DEFAULTS, _DECODER_LAYERS),
        HFClass("MT5ForConditionalGeneration", "mt5", _MT5, _DECODER_LAYERS),
        HFClass("UMT5ForConditionalGeneration", "umt5", _MT5, _DECODER_LAYERS),
        HFClass("UMT5Model", "umt5", _MT5, _DECODER_LAYERS),
    ),
    tokenizer_kinds=("unigram", "spm"),
    prefix="",
    # the one embedding goes by any of these names, or several
    renames=((r"^(encoder|decoder)\.embed_tokens\.weight$", "shared.weight"),),
    repeated=("shared.weight",),
    choose=_choose,
    keys=(
        *SIZES,
        Key("decoder_block_count", "num_decoder_layers", most=MAX_LAYERS),
        *ATTENTION_KEYS,
        Key("decoder_start_token_id", "decoder_start_token_id", least=0),
    ),
    family_keys=(
        *CHECKS,
        TIED,
        Note(
            lambda config: config.flag("tie_word_embeddings"),
            "T5 scales what goes into a tied head by width^-0.5; llama.cpp does not, so its logits are "
            "√width times as large: a temperature must be, too",
        ),
    ),
    tensors=(
        EMBEDDING,
        *stack("encoder", 1),
        *stack("decoder", 2),
        _cross("layer_norm", "norm"),
        *(_cross(f"EncDecAttention.{part}", part) for part in "qkvo"),
        _cross("EncDecAttention.relative_attention_bias", "rel_b", needed=optional),
        HEAD,
    ),
    graph=GraphTraits(stack=Stack.ENCODER_DECODER, rotary=False),
)
