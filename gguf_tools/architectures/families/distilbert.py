"""DistilBERT: half of BERT's layers, no kinds of texts, names of its own."""

from ...spec import ValueType
from ..classifier import chosen_by_head, dense_head
from ..config import rounded
from ..decoder import modules, renamed
from ..encoder import bert_classes, encoder
from ..keys import CONTEXT, HEADS, INNER, LAYERS, WIDTH, DerivedKey
from ..tensors import Drop, always

# not in its config
EPS = DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, lambda config: rounded(1e-12))
SIZES = (LAYERS.named("n_layers"), CONTEXT, WIDTH.named("dim"), INNER.named("hidden_dim"))

ARCHITECTURE = encoder(
    "bert",
    *bert_classes("DistilBert", "distilbert"),
    keys=(EPS, *SIZES, HEADS.named("n_heads")),
    activation="activation",
    token_types=False,
    tensors=(
        *renamed(("distilbert.embeddings.word_embeddings", "token_embd")),
        *renamed(("distilbert.embeddings.position_embeddings", "position_embd")),
        *renamed(("distilbert.embeddings.LayerNorm", "token_embd_norm"), bias=always),
        *modules(
            ("attention.q_lin", "attn_q"),
            ("attention.k_lin", "attn_k"),
            ("attention.v_lin", "attn_v"),
            ("attention.out_lin", "attn_output"),
            ("sa_layer_norm", "attn_output_norm"),
            ("ffn.lin1", "ffn_up"),
            ("ffn.lin2", "ffn_down"),
            ("output_layer_norm", "layer_output_norm"),
            block="distilbert.transformer.layer.{i}",
        ),
        *dense_head("pre_classifier", "classifier"),
    ),
    prefix="distilbert.",
    unprefixed=("vocab_", "pre_classifier.", "classifier."),
    matches_gguf=lambda facts: not facts.has("token_types.weight"),
    choose=chosen_by_head("DistilBertModel", "DistilBertForSequenceClassification"),
    drops=(Drop(r"vocab_.*", "the masked-word head: llama.cpp uses BERT for embeddings"),),
)
