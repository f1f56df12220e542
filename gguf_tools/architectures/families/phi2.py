"""Phi 1.5 and 2: attention and feed-forward side by side, partial rotary embeddings, biases everywhere."""

from ...spec import ValueType
from ..decoder import EMBEDDING, attention, decoder, head_count, modules, renamed
from ..keys import CONTEXT, HEADS, LAYER_EPS, LAYERS, WIDTH, DerivedKey
from ..rope import PartialRotary
from ..table import HFClass
from ..tensors import always
from ..traits import GraphTraits, VocabularyTraits

# The converter takes the feed-forward for four times as wide as the model, as it is in all releases.
INNER = DerivedKey(
    "feed_forward_length",
    ValueType.UINT32,
    lambda config: 4 * config.integer("hidden_size"),
    lambda facts, config: {"intermediate_size": facts.integer("feed_forward_length")},
)

ARCHITECTURE = decoder(
    "phi2",
    HFClass("PhiForCausalLM", "phi"),
    derived={"num_key_value_heads": head_count},
    keys=(
        *(CONTEXT, WIDTH, INNER, LAYERS, HEADS),
        DerivedKey("attention.head_count_kv", ValueType.UINT32, head_count),
        *(LAYER_EPS, PartialRotary(whole=True)),
    ),
    bias=None,
    activation=("gelu_new", "gelu", "gelu_pytorch_tanh"),
    assumed={"rope_theta": 10000.0, "qk_layernorm": False},
    output=(
        EMBEDDING,
        *renamed(("model.final_layernorm", "output_norm"), ("lm_head", "output"), bias=always),
    ),
    blocks=(
        *modules(("input_layernorm", "attn_norm"), ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down")),
        *attention(bias=always, output="self_attn.dense"),
    ),
    vocabulary=VocabularyTraits(adds={"bos": False}),
    graph=GraphTraits(scaled_queries=True, attention_first=True),
)
