"""BERT encoders, for embeddings and classification, and what their descendants share with them."""

from ...spec import ValueType
from ..classifier import Labels, chosen_by_head, projection
from ..keys import SIZES, AssumedByRuntime, DerivedKey, FromTensorRows, Key
from ..pooling import Pooling, pooling_files
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, weight_and_bias
from ..traits import GraphTraits, Memory
from ..vocabularies import ENCODER_TYPES

__all__ = [
    "ARCHITECTURE",
    "DEFAULTS",
    "EMBEDDING",
    "EPS",
    "GELU",
    "LOST_POOLER",
    "attention",
    "embeddings",
    "encoder",
    "heads_without_use",
    "layers",
]

DEFAULTS = {
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
}
"""transformers' values where config.json says nothing."""

EPS = Key("attention.layer_norm_epsilon", "layer_norm_eps", "layer_norm_epsilon", type=ValueType.FLOAT32)
EMBEDDING = (
    DerivedKey("attention.causal", ValueType.BOOL, lambda config: False),
    Pooling(),
    Labels(),
)
"""What llama.cpp's converter says of all encoders after the sizes."""

GELU = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
"""Names of the one activation llama.cpp knows here, and of its approximations."""

LOST_POOLER = "pooler.dense is not in GGUF; transformers will start it at random values"


def embeddings(prefix: str) -> tuple[Rule, ...]:
    """Embeddings of tokens and of kinds of texts, and the norm after them."""
    return (
        Rule((f"{prefix}embeddings.word_embeddings.weight",), ("token_embd.weight",)),
        Rule((f"{prefix}embeddings.token_type_embeddings.weight",), ("token_types.weight",)),
        *weight_and_bias(f"{prefix}embeddings.LayerNorm", "token_embd_norm"),
    )


def layers(block: str, *pairs: tuple[str, str]) -> tuple[Rule, ...]:
    """Weights and biases of each layer: (HF module, GGUF name)."""
    return tuple(rule for hf, gguf in pairs for rule in weight_and_bias(f"{block}.{hf}", f"blk.{{i}}.{gguf}"))


def attention(prefix: str) -> tuple[Rule, ...]:
    """Attention of every layer, and the norm after it."""
    return layers(
        f"{prefix}encoder.layer.{{i}}.attention",
        ("self.query", "attn_q"),
        ("self.key", "attn_k"),
        ("self.value", "attn_v"),
        ("output.dense", "attn_output"),
        ("output.LayerNorm", "attn_output_norm"),
    )


def encoder(prefix: str) -> tuple[Rule, ...]:
    """All layers."""
    feed_forward = layers(
        f"{prefix}encoder.layer.{{i}}",
        ("intermediate.dense", "ffn_up"),
        ("output.dense", "ffn_down"),
        ("output.LayerNorm", "layer_output_norm"),
    )
    return (*attention(prefix), *feed_forward)


def heads_without_use(prefix: str) -> tuple[Drop, ...]:
    """Buffers and heads an embedding model in llama.cpp has no use for."""
    name = prefix.replace(".", r"\.")
    return (
        Drop(rf"{name}embeddings\.(position|token_type)_ids", "a buffer: follows from the sizes"),
        Drop(rf"{name}pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),
        Drop(r"cls\.predictions\..*", "the masked-word head: llama.cpp uses BERT for embeddings"),
        Drop(r"cls\.seq_relationship\..*", "the next-sentence head: llama.cpp uses BERT for embeddings"),
    )


ARCHITECTURE = Architecture(
    name="bert",
    classes=(
        HFClass("BertModel", "bert", DEFAULTS, prefixed=False),
        HFClass("BertForMaskedLM", "bert", DEFAULTS),
        HFClass("BertForSequenceClassification", "bert", DEFAULTS),
    ),
    tokenizer_kinds=("wordpiece",),
    prefix="bert.",
    unprefixed=("cls.", "classifier."),
    renames=((r"\.gamma$", ".weight"), (r"\.beta$", ".bias")),  # checkpoints that came from TensorFlow
    choose=chosen_by_head("BertModel", "BertForSequenceClassification"),
    keys=(*SIZES, EPS),
    family_keys=(
        *EMBEDDING,
        FromTensorRows("vocab_size", "token_embd.weight"),
        FromTensorRows("type_vocab_size", "token_types.weight"),
        AssumedByRuntime("hidden_act", GELU),
        AssumedByRuntime("position_embedding_type", ("absolute",)),
    ),
    tensors=(
        *embeddings("bert."),
        Rule(("bert.embeddings.position_embeddings.weight",), ("position_embd.weight",)),
        *encoder("bert."),
        *projection(),
    ),
    drops=heads_without_use("bert."),
    export_notes=(LOST_POOLER,),
    extras=pooling_files,
    vocabulary=ENCODER_TYPES,
    graph=GraphTraits(memory=Memory.NOTHING, rotary=False),
)
