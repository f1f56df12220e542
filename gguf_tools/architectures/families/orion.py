"""Orion: Llama's shape with layer norms."""

from ...spec import ValueType
from ..decoder import EMBEDDING, HEAD, LAST_LAYER_NORM, PRE_LAYER_NORMS, decoder
from ..keys import CONTEXT, HEADS, INNER, KV_HEADS, LAYERS, META_LAYOUT, WIDTH, AssumedByRuntime, Key
from ..table import HFClass

ARCHITECTURE = decoder(
    "orion",
    HFClass("OrionForCausalLM", "orion"),
    tokenizers=("spm",),
    keys=(),
    own=(
        META_LAYOUT,
        CONTEXT.named("max_sequence_length", "max_position_embeddings", "model_max_length"),
        *(WIDTH, LAYERS, INNER, HEADS, KV_HEADS),
        Key("attention.layer_norm_epsilon", "rms_norm_eps", type=ValueType.FLOAT32),
    ),
    bias=None,
    assumed={"rope_theta": 10000.0, "attention_bias": False},
    checks=(
        AssumedByRuntime("max_position_embeddings", lambda config: (config.integer("max_sequence_length"),)),
        AssumedByRuntime("rope_scaling", (None,), export=False),
    ),
    output=(EMBEDDING, *LAST_LAYER_NORM, HEAD),
    pre_norms=PRE_LAYER_NORMS,
)
