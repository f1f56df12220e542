"""RoBERTa: BERT whose positions are counted from after the padding token's id."""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..classifier import chosen_by_head, dense_head
from ..config import MAX_UINT32, GGUFFacts, HFConfig
from ..keys import HEADS, INNER, LAYERS, WIDTH, AssumedByRuntime, Entry, FromTensorRows
from ..pooling import pooling_files
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule
from ..traits import GraphTraits, Memory
from ..transforms import SkipRows
from ..vocabularies import ENCODER_TYPES
from . import bert

_DEFAULTS = bert.DEFAULTS | {"pad_token_id": 1}


def _unused(config: HFConfig) -> int:
    """Rows of the position embedding before the first token's: positions start after the padding's id."""
    return config.integer("pad_token_id", least=0) + 1


class _Context:
    """``max_position_embeddings`` ↔ ``context_length``, which counts usable positions only."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        unused = _unused(config)
        rows = config.integer("max_position_embeddings", least=unused + 1)
        yield "context_length", ValueType.UINT32, rows - unused

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        padding = facts.metadata.get("tokenizer.ggml.padding_token_id")
        config["pad_token_id"] = padding if type(padding) is int else _DEFAULTS["pad_token_id"]
        if (length := facts.integer("context_length", most=MAX_UINT32 >> 1)) is not None:
            config["max_position_embeddings"] = length + _unused(HFConfig(config))


def _tokenized_by(model: str) -> Any:
    return lambda facts: facts.metadata.get("tokenizer.ggml.model") == model


def roberta(name: str, model_type: str, tokenizer_kind: str, tokenizer_model: str) -> Architecture:
    classifier = f"{name}ForSequenceClassification"
    return Architecture(
        name="bert",
        classes=(
            HFClass(f"{name}Model", model_type, _DEFAULTS, prefixed=False),
            HFClass(f"{name}ForMaskedLM", model_type, _DEFAULTS),
            HFClass(classifier, model_type, _DEFAULTS),
        ),
        tokenizer_kinds=(tokenizer_kind,),
        prefix="roberta.",
        unprefixed=("lm_head.", "classifier."),
        matches_gguf=_tokenized_by(tokenizer_model),
        choose=chosen_by_head(f"{name}Model", classifier),
        keys=(LAYERS, _Context(), WIDTH, INNER, HEADS, bert.EPS),
        family_keys=(
            *bert.EMBEDDING,
            FromTensorRows("vocab_size", "token_embd.weight"),
            FromTensorRows("type_vocab_size", "token_types.weight"),
            AssumedByRuntime("hidden_act", bert.GELU),
            AssumedByRuntime("position_embedding_type", ("absolute",)),
        ),
        tensors=(
            *bert.embeddings("roberta."),
            Rule(
                ("roberta.embeddings.position_embeddings.weight",),
                ("position_embd.weight",),
                SkipRows(_unused),
            ),
            *bert.encoder("roberta."),
            *dense_head("classifier.dense", "classifier.out_proj"),
        ),
        drops=(
            *bert.heads_without_use("roberta."),
            Drop(r"lm_head\..*", "the masked-word head: llama.cpp uses RoBERTa for embeddings"),
        ),
        export_notes=(
            bert.LOST_POOLER,
            "the position embedding's first rows, which no token uses, are zeros",
        ),
        extras=pooling_files,
        vocabulary=ENCODER_TYPES,
        graph=GraphTraits(memory=Memory.NOTHING, rotary=False),
    )


ARCHITECTURE = roberta("Roberta", "roberta", "bpe", "gpt2")
