"""BERT encoders, for embeddings and classification."""

from ..classifier import chosen_by_head, projection
from ..encoder import LOST_POOLER, bert_classes, blocks, embeddings, encoder, heads_without_use
from ..tensors import Rule

ARCHITECTURE = encoder(
    "bert",
    *bert_classes("Bert", "bert"),
    assumed={"position_embedding_type": "absolute"},
    tensors=(
        *embeddings("bert."),
        Rule(("bert.embeddings.position_embeddings.weight",), ("position_embd.weight",)),
        *blocks("bert."),
        *projection(),
    ),
    prefix="bert.",
    unprefixed=("cls.", "classifier."),
    renames=((r"\.gamma$", ".weight"), (r"\.beta$", ".bias")),  # checkpoints that came from TensorFlow
    choose=chosen_by_head("BertModel", "BertForSequenceClassification"),
    drops=heads_without_use("bert."),
    export_notes=(LOST_POOLER,),
)
