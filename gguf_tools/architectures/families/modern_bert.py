"""ModernBERT: an encoder with rotary positions, gated feed-forward and windows in two layers of three."""

from collections.abc import Iterator
from typing import Any

from ...errors import ArchitectureError
from ...spec import ValueType
from ..classifier import Labels, classifies
from ..config import GGUFFacts, HFConfig
from ..keys import SIZES, AssumedByRuntime, DerivedKey, Entry, Key, Text
from ..pooling import Pooling, pooling_files
from ..table import Architecture, HFClass, class_name
from ..tensors import Drop, Rule
from ..traits import GraphTraits, Memory, VocabularyTraits, Window

_POOLINGS = {"mean": 1, "cls": 2}  # numbers of ``pooling_type``
_DEFAULTS = {
    "classifier_pooling": "cls",
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "local_attention": 128,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 8192,
    "norm_eps": 1e-5,
}


class _ClassifierPooling:
    """``classifier_pooling`` ↔ ``classifier.pooling_type``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        mode = config.find("classifier_pooling")
        if not isinstance(mode, str) or mode not in _POOLINGS:
            raise ArchitectureError(
                "a pooling llama.cpp does not have",
                path="config.json",
                key="classifier_pooling",
                found=mode,
                expected=" or ".join(_POOLINGS),
            )
        yield "classifier.pooling_type", ValueType.UINT32, _POOLINGS[mode]

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        number = facts.find("classifier.pooling_type")
        names = {value: name for name, value in _POOLINGS.items()}
        config["classifier_pooling"] = names.get(number, "mean")  # what the runtime takes without one


class _Eps:
    """``norm_eps`` ↔ the epsilon of layer norms, and of the other kind: llama.cpp's converter says both."""

    _KEYS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        for key in self._KEYS:
            yield key, ValueType.FLOAT32, config.number("norm_eps")

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        eps = facts.number(self._KEYS[1])
        if eps is not None:
            config["norm_eps"] = config["layer_norm_eps"] = eps


def _choose(facts: GGUFFacts) -> str:
    if facts.has("cls.output.weight"):
        return "ModernBertForSequenceClassification"
    return "ModernBertForMaskedLM" if facts.has("cls.weight") else "ModernBertModel"


def _has_head(config: HFConfig, layer: int) -> bool:
    return class_name(config) != "ModernBertModel"


def _normed(config: HFConfig, layer: int) -> bool:
    """All layers but the first, which takes the embeddings' norm, have one before attention."""
    return layer > 0


_BLOCK = "model.layers.{i}"

ARCHITECTURE = Architecture(
    name="modern-bert",
    classes=(
        HFClass("ModernBertModel", "modernbert", _DEFAULTS, prefixed=False),
        HFClass("ModernBertForMaskedLM", "modernbert", _DEFAULTS),
        HFClass("ModernBertForSequenceClassification", "modernbert", _DEFAULTS),
    ),
    tokenizer_kinds=("bpe",),
    unprefixed=("head.", "decoder.", "classifier."),
    choose=_choose,
    keys=(
        *SIZES,
        Key("rope.freq_base", "global_rope_theta", "rope_theta", type=ValueType.FLOAT32),
        Key("rope.freq_base_swa", "local_rope_theta", type=ValueType.FLOAT32),
        _Eps(),
    ),
    family_keys=(
        DerivedKey("attention.causal", ValueType.BOOL, lambda config: False),
        Pooling(),
        _ClassifierPooling(),
        Labels(),
        Key("attention.sliding_window", "local_attention"),
        Key("attention.sliding_window_pattern", "global_attn_every_n_layers"),
        DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "none"),
        Key("vocab_size", "vocab_size"),
        Text("hidden_activation", "hidden_activation"),
        AssumedByRuntime("classifier_activation", ("gelu",)),
    ),
    tensors=(
        Rule(("model.embeddings.tok_embeddings.weight",), ("token_embd.weight",)),
        Rule(("model.embeddings.norm.weight",), ("token_embd_norm.weight",)),
        Rule((f"{_BLOCK}.attn_norm.weight",), ("blk.{i}.attn_norm.weight",), when=_normed),
        *(
            Rule((f"{_BLOCK}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",))
            for hf, gguf in (
                ("attn.Wqkv", "attn_qkv"),
                ("attn.Wo", "attn_output"),
                ("mlp_norm", "ffn_norm"),
                ("mlp.Wi", "ffn_up"),
                ("mlp.Wo", "ffn_down"),
            )
        ),
        Rule(("model.final_norm.weight",), ("output_norm.weight",)),
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
