"""OpenELM: layers of different widths, and a head tied to the embedding.

It has no class in transformers: code beside the checkpoints runs it.
"""

import math
from collections.abc import Iterator
from typing import Any

from ...container.metadata import Array
from ...errors import ArchitectureError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig, real, rounded, whole
from ..decoder import VOCABULARY_ROWS, norms, renamed
from ..keys import CONTEXT, HEAD_DIM, LAYERS, WIDTH, AssumedByRuntime, DerivedKey, Entry, Key
from ..table import Architecture, HFClass
from ..tensors import Rule
from ..traits import GraphTraits
from ..transforms import SplitMiddle

BLOCK = "transformer.layers.{i}"
COUNT = "num_transformer_layers"
_MAX_INT32 = 2**31 - 1


def _listed(config: HFConfig, key: str) -> list[Any]:
    """A list of the config with one value for each layer."""
    values, layers = config.find(key), config.integer(COUNT)
    if not isinstance(values, list) or len(values) != layers:
        raise ArchitectureError(
            "not a list with a value for each layer",
            path="config.json",
            key=key,
            expected=f"{layers} numbers",
        )
    return values


class _PerLayer:
    """A list of counts in both."""

    def __init__(self, gguf: str, hf: str) -> None:
        self.gguf, self.hf = gguf, hf

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        counts = [whole(count, self.hf, most=_MAX_INT32) for count in _listed(config, self.hf)]
        yield self.gguf, ValueType.ARRAY, Array(ValueType.INT32, counts)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config[self.hf] = facts.hyperparameters.one_for_each(self.gguf)


def _widths(config: HFConfig) -> Array:
    """The feed-forwards' widths, which the config gives as multiples of the model's, to be rounded."""
    width, divisor = config.integer("model_dim"), config.integer("ffn_dim_divisor")
    widths = []
    for factor in _listed(config, "ffn_multipliers"):
        real(factor, "ffn_multipliers")  # checks it; the product comes before any rounding
        inner = _divisible(float(factor) * width, divisor)
        widths.append(whole(inner, "ffn_multipliers", most=_MAX_INT32))
    return Array(ValueType.INT32, widths)


def _multipliers(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, Any]:
    widths = facts.hyperparameters.one_for_each("feed_forward_length")
    multipliers = [width / config["model_dim"] for width in widths]
    return {"ffn_multipliers": multipliers, "ffn_dim_divisor": math.gcd(*widths)}


def _divisible(value: float, divisor: int) -> int:
    """The nearest multiple, at least one, and not a tenth less than the value."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


KEYS = (
    LAYERS.named(COUNT),
    CONTEXT.named("max_context_length"),
    WIDTH.named("model_dim"),
    DerivedKey("feed_forward_length", ValueType.ARRAY, _widths, _multipliers),
    _PerLayer("attention.head_count", "num_query_heads"),
    _PerLayer("attention.head_count_kv", "num_kv_heads"),
    Key("rope.freq_base", "rope_freq_constant", type=ValueType.FLOAT32),
    DerivedKey("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, lambda config: rounded(1e-6)),
    DerivedKey("rope.dimension_count", ValueType.UINT32, lambda config: config.integer("head_dim")),
    HEAD_DIM,
)

ARCHITECTURE = Architecture(
    name="openelm",
    classes=(HFClass("OpenELMForCausalLM", "openelm"),),
    tokenizer_kinds=("spm",),
    prefix="transformer.",
    keys=KEYS,
    family_keys=(
        VOCABULARY_ROWS,
        AssumedByRuntime("activation_fn_name", ("swish", "silu")),
        AssumedByRuntime("ffn_with_glu", (True,)),
        AssumedByRuntime("normalize_qk_projections", (True,)),
        AssumedByRuntime("share_input_output_layers", (True,)),
    ),
    tensors=(
        *renamed(("transformer.token_embeddings", "token_embd"), ("transformer.norm", "output_norm")),
        *norms(
            ("attn_norm", "attn_norm"),
            ("attn.qkv_proj", "attn_qkv"),
            ("attn.q_norm", "attn_q_norm"),
            ("attn.k_norm", "attn_k_norm"),
            ("attn.out_proj", "attn_output"),
            ("ffn_norm", "ffn_norm"),
            ("ffn.proj_2", "ffn_down"),
            block=BLOCK,
        ),
        Rule(
            (f"{BLOCK}.ffn.proj_1.weight",),
            ("blk.{i}.ffn_gate.weight", "blk.{i}.ffn_up.weight"),
            SplitMiddle(),
        ),
    ),
    graph=GraphTraits(residual_first=True),
)
