"""DistilBERT: half of BERT's layers, no kinds of texts, names of its own."""

from ...spec import ValueType
from ..classifier import chosen_by_head, dense_head
from ..config import rounded
from ..keys import CONTEXT, HEADS, INNER, LAYERS, WIDTH, AssumedByRuntime, DerivedKey, FromTensorRows
from ..pooling import pooling_files
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, weight_and_bias
from ..traits import GraphTraits, Memory
from ..vocabularies import ENCODER_TYPES
from . import bert

_EPS = 1e-12  # not in its config
_DEFAULTS = {"max_position_embeddings": 512}

ARCHITECTURE = Architecture(
    name="bert",
    classes=(
        HFClass("DistilBertModel", "distilbert", _DEFAULTS, prefixed=False),
        HFClass("DistilBertForMaskedLM", "distilbert", _DEFAULTS),
        HFClass("DistilBertForSequenceClassification", "distilbert", _DEFAULTS),
    ),
    tokenizer_kinds=("wordpiece",),
    prefix="distilbert.",
    unprefixed=("vocab_", "pre_classifier.", "classifier."),
    matches_gguf=lambda facts: not facts.has("token_types.weight"),
    choose=chosen_by_head("DistilBertModel", "DistilBertForSequenceClassification"),
    keys=(
        DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(_EPS)),
        LAYERS.named("n_layers"),
        CONTEXT,
        WIDTH.named("dim"),
        INNER.named("hidden_dim"),
        HEADS.named("n_heads"),
    ),
    family_keys=(
        *bert.EMBEDDING,
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("activation", bert.GELU),
    ),
    tensors=(
        Rule(("distilbert.embeddings.word_embeddings.weight",), ("token_embd.weight",)),
        Rule(("distilbert.embeddings.position_embeddings.weight",), ("position_embd.weight",)),
        *weight_and_bias("distilbert.embeddings.LayerNorm", "token_embd_norm"),
        *bert.layers(
            "distilbert.transformer.layer.{i}",
            ("attention.q_lin", "attn_q"),
            ("attention.k_lin", "attn_k"),
            ("attention.v_lin", "attn_v"),
            ("attention.out_lin", "attn_output"),
            ("sa_layer_norm", "attn_output_norm"),
            ("ffn.lin1", "ffn_up"),
            ("ffn.lin2", "ffn_down"),
            ("output_layer_norm", "layer_output_norm"),
        ),
        *dense_head("pre_classifier", "classifier"),
    ),
    drops=(Drop(r"vocab_.*", "the masked-word head: llama.cpp uses BERT for embeddings"),),
    extras=pooling_files,
    vocabulary=ENCODER_TYPES,
    graph=GraphTraits(memory=Memory.NOTHING, rotary=False),
)
