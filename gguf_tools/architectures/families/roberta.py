"""RoBERTa: BERT whose positions are counted from after the padding token's id."""

from typing import Any

from ...spec import ValueType
from ..classifier import chosen_by_head, dense_head
from ..config import MAX_UINT32, GGUFFacts, HFConfig
from ..encoder import ENCODER_EPS, LOST_POOLER, bert_classes, blocks, embeddings, encoder, heads_without_use
from ..keys import HEADS, INNER, LAYERS, WIDTH, DerivedKey
from ..table import Architecture
from ..tensors import Drop, Rule
from ..transforms import SkipRows

_PADDING = 1  # its token's id where nothing is said


def _unused(config: HFConfig) -> int:
    """Rows of the position embedding before the first token's: positions start after the padding's id."""
    return config.integer("pad_token_id", least=0) + 1


def _usable(config: HFConfig) -> int:
    """Positions a text can have."""
    unused = _unused(config)
    return config.integer("max_position_embeddings", least=unused + 1) - unused


def _positions(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, int]:
    padding = facts.metadata.get("tokenizer.ggml.padding_token_id")
    made = {"pad_token_id": padding if type(padding) is int else _PADDING}
    if (length := facts.integer("context_length", most=MAX_UINT32 >> 1)) is not None:
        made["max_position_embeddings"] = length + _unused(HFConfig(made))
    return made


CONTEXT = DerivedKey("context_length", ValueType.UINT32, _usable, _positions)


def roberta(name: str, model_type: str, tokenizer_kind: str, tokenizer_model: str) -> Architecture:
    """The table of RoBERTa with one kind of tokenizer, by which GGUF files tell them apart."""
    return encoder(
        "bert",
        *bert_classes(name, model_type, {"pad_token_id": _PADDING}),
        tokenizers=(tokenizer_kind,),
        keys=(LAYERS, CONTEXT, WIDTH, INNER, HEADS, ENCODER_EPS),
        assumed={"position_embedding_type": "absolute"},
        tensors=(
            *embeddings("roberta."),
            Rule(
                ("roberta.embeddings.position_embeddings.weight",),
                ("position_embd.weight",),
                SkipRows(_unused),
            ),
            *blocks("roberta."),
            *dense_head("classifier.dense", "classifier.out_proj"),
        ),
        prefix="roberta.",
        unprefixed=("lm_head.", "classifier."),
        matches_gguf=lambda facts: facts.metadata.get("tokenizer.ggml.model") == tokenizer_model,
        choose=chosen_by_head(f"{name}Model", f"{name}ForSequenceClassification"),
        drops=(
            *heads_without_use("roberta."),
            Drop(r"lm_head\..*", "the masked-word head: llama.cpp uses RoBERTa for embeddings"),
        ),
        export_notes=(LOST_POOLER, "the position embedding's first rows, which no token uses, are zeros"),
    )


ARCHITECTURE = roberta("Roberta", "roberta", "bpe", "gpt2")
