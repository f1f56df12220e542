"""ModernBERT: an encoder with rotary positions, gated feed-forward and windows in two layers of three."""

from typing import Any

from ...errors import ArchitectureError
from ...spec import ValueType
from ..classifier import Labels, classifies
from ..config import GGUFFacts, HFConfig
from ..decoder import norms, renamed
from ..encoder import NOT_CAUSAL, bert_classes
from ..keys import NO_SCALING_TYPE, SIZES, VOCABULARY_SIZE, AssumedByRuntime, DerivedKey, Key, Text
from ..pooling import Pooling, pooling_files
from ..table import Architecture, class_name
from ..tensors import Drop, Rule, limit_to
from ..traits import GraphTraits, Memory, VocabularyTraits, Window

_POOLINGS = {"mean": 1, "cls": 2}  # numbers of ``pooling_type``


def _pooling(config: HFConfig) -> int:
    mode = config.find("classifier_pooling")
    if not isinstance(mode, str) or mode not in _POOLINGS:
        raise ArchitectureError(
            "a pooling llama.cpp does not have",
            path="config.json",
            key="classifier_pooling",
            found=mode,
            expected=" or ".join(_POOLINGS),
        )
    return _POOLINGS[mode]


def _pooling_name(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, str]:
    names = {value: name for name, value in _POOLINGS.items()}
    # without one the runtime takes the mean
    return {"classifier_pooling": names.get(facts.find("classifier.pooling_type"), "mean")}


def _restored_eps(facts: GGUFFacts, config: dict[str, Any]) -> dict[str, float]:
    eps = facts.number("attention.layer_norm_epsilon")
    return {} if eps is None else {"norm_eps": eps, "layer_norm_eps": eps}


def _eps(config: HFConfig) -> float:
    return config.number("norm_eps")


def _choose(facts: GGUFFacts) -> str:
    if facts.has("cls.output.weight"):
        return "ModernBertForSequenceClassification"
    return "ModernBertForMaskedLM" if facts.has("cls.weight") else "ModernBertModel"


def _has_head(config: HFConfig, layer: int) -> bool:
    return class_name(config) != "ModernBertModel"


def _normed(config: HFConfig, layer: int) -> bool:
    """All layers but the first, which takes the embeddings' norm, have one before attention."""
    return layer > 0


CLASSIFIER_POOLING = DerivedKey("classifier.pooling_type", ValueType.UINT32, _pooling, _pooling_name)
EPS = (  # llama.cpp's converter writes both
    DerivedKey("attention.layer_norm_rms_epsilon", ValueType.FLOAT32, _eps),
    DerivedKey("attention.layer_norm_epsilon", ValueType.FLOAT32, _eps, _restored_eps),
)

ARCHITECTURE = Architecture(
    name="modern-bert",
    classes=bert_classes("ModernBert", "modernbert"),
    tokenizer_kinds=("bpe",),
    unprefixed=("head.", "decoder.", "classifier."),
    choose=_choose,
    keys=(
        *SIZES,
        Key("rope.freq_base", "global_rope_theta", "rope_theta", type=ValueType.FLOAT32),
        Key("rope.freq_base_swa", "local_rope_theta", type=ValueType.FLOAT32),
        *EPS,
    ),
    family_keys=(
        *(NOT_CAUSAL, Pooling(), CLASSIFIER_POOLING, Labels()),
        Key("attention.sliding_window", "local_attention"),
        Key("attention.sliding_window_pattern", "global_attn_every_n_layers"),
        NO_SCALING_TYPE,
        VOCABULARY_SIZE,
        Text("hidden_activation", "hidden_activation"),
        AssumedByRuntime("classifier_activation", ("gelu",)),
    ),
    tensors=(
        *renamed(
            ("model.embeddings.tok_embeddings", "token_embd"),
            ("model.embeddings.norm", "token_embd_norm"),
            ("model.final_norm", "output_norm"),
        ),
        *limit_to(_normed, norms(("attn_norm", "attn_norm"))),
        *norms(
            ("attn.Wqkv", "attn_qkv"),
            ("attn.Wo", "attn_output"),
            ("mlp_norm", "ffn_norm"),
            ("mlp.Wi", "ffn_up"),
            ("mlp.Wo", "ffn_down"),
        ),
        Rule(("head.dense.weight",), ("cls.weight",), needed=_has_head),
        Rule(("head.norm.weight",), ("cls.norm.weight",), needed=_has_head),
        Rule(("classifier.weight",), ("cls.output.weight",), needed=classifies),
        Rule(("classifier.bias",), ("cls.output.bias",), needed=classifies),
    ),
    drops=(
        Drop(r"decoder\.weight", "the embedding again"),
        Drop(r"decoder\.bias", "the masked-word head: llama.cpp uses ModernBERT for embeddings"),
    ),
    extras=pooling_files,
    vocabulary=VocabularyTraits(adds={"bos": True, "eos": True, "sep": True}),
    graph=GraphTraits(memory=Memory.NOTHING, window=Window(3, first=True, symmetric=True)),
)
