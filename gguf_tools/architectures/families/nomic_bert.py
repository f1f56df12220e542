"""Nomic's BERT: rotary positions; gated feed-forward, or experts in every other layer (version 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final

from ...errors import ArchitectureError, FormatError
from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..keys import HEADS, INNER, LAYERS, WIDTH, ConstHF, Entry, FromTensorRows, Key, KeyRule, RequireEqual
from ..pooling import pooling_files
from ..table import Architecture, HFClass
from ..tensors import Drop, Rule, weight_and_bias
from ..transforms import Chain, Transpose, UnstackRows
from . import bert

_CONTEXTS: Final = {8192: 2048, 2048: 512}
"""Positions the published models claim, and those they were trained on, which GGUF states."""

_REPOSITORY: Final = "nomic-ai/nomic-bert-2048--"
_CODE: Final = ConstHF(
    "auto_map",
    {
        "AutoConfig": _REPOSITORY + "configuration_hf_nomic_bert.NomicBertConfig",
        "AutoModel": _REPOSITORY + "modeling_hf_nomic_bert.NomicBertModel",
    },
)


class _Context:
    """``n_positions`` ↔ ``context_length``."""

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        claimed = config.integer("n_positions")
        if claimed not in _CONTEXTS or config.find("max_trained_positions") not in (None, 2048):
            raise ArchitectureError(
                "how many positions the model was trained on is known for the published ones only",
                path="config.json",
                key="n_positions",
                found=claimed,
                expected=" or ".join(map(str, _CONTEXTS)) + " with max_trained_positions 2048",
            )
        yield "context_length", ValueType.UINT32, _CONTEXTS[claimed]

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        trained = facts.integer("context_length")
        claimed = next((key for key, value in _CONTEXTS.items() if value == trained), None)
        if claimed is None:
            raise FormatError(
                "no published model has this context",
                key=facts.key("context_length"),
                found=trained,
                expected=" or ".join(map(str, _CONTEXTS.values())),
            )
        config |= {"n_positions": claimed, "max_trained_positions": 2048}


def _fixed(*, moe: bool) -> tuple[KeyRule, ...]:
    biases = ("qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias")
    return (
        RequireEqual("activation_function", "gelu" if moe else "swiglu"),
        *(RequireEqual(name, moe) for name in biases),
        *(
            RequireEqual(name, False)
            for name in ("causal", "prenorm", "rotary_emb_interleaved", "use_rms_norm")
        ),
        RequireEqual("rotary_emb_fraction", 1.0),
        RequireEqual("rotary_emb_scale_base", None),
        RequireEqual("rotary_scaling_factor", None),
    )


def _layers(*modules: tuple[str, str]) -> tuple[Rule, ...]:
    return tuple(
        Rule((f"encoder.layers.{{i}}.{hf}.weight",), (f"blk.{{i}}.{gguf}.weight",)) for hf, gguf in modules
    )


_KEYS: Final[tuple[KeyRule, ...]] = (
    LAYERS.named("n_layer"),
    _Context(),
    WIDTH.named("n_embd"),
    INNER.named("n_inner"),
    HEADS.named("n_head"),
    Key("rope.freq_base", "rotary_emb_base", type=ValueType.FLOAT32),
    bert.EPS.named("layer_norm_epsilon"),
)
_OWN_KEYS: Final[tuple[KeyRule, ...]] = (
    *bert.EMBEDDING,
    FromTensorRows("vocab_size", "token_embd.weight"),
    FromTensorRows("type_vocab_size", "token_types.weight"),
    _CODE,
)
_SHARED: Final = (
    Rule(("embeddings.word_embeddings.weight",), ("token_embd.weight",)),
    Rule(("embeddings.token_type_embeddings.weight",), ("token_types.weight",)),
    *weight_and_bias("emb_ln", "token_embd_norm"),
    *bert.layers("encoder.layers.{i}", ("norm1", "attn_output_norm"), ("norm2", "layer_output_norm")),
)
_DEFAULTS: Final[dict[str, Any]] = {"layer_norm_epsilon": 1e-5, "type_vocab_size": 2}


def _moe(config: HFConfig) -> bool:
    return bool(config.find("moe_every_n_layers"))


NOMIC_BERT: Final = Architecture(
    name="nomic-bert",
    classes=(HFClass("NomicBertModel", "nomic_bert", _DEFAULTS, when=lambda config: not _moe(config)),),
    tokenizer_kinds=("unigram", "wordpiece"),
    prefix="",
    renames=((r"^bert\.", ""),),
    keys=_KEYS,
    family_keys=(*_OWN_KEYS, *_fixed(moe=False)),
    tensors=(
        *_SHARED,
        *_layers(
            ("attn.Wqkv", "attn_qkv"),
            ("attn.out_proj", "attn_output"),
            ("mlp.fc11", "ffn_up"),
            ("mlp.fc12", "ffn_gate"),
            ("mlp.fc2", "ffn_down"),
        ),
    ),
    drops=(Drop(r"pooler\.dense\.(weight|bias)", "llama.cpp pools without it"),),
    extras=pooling_files,
)


def _routed(config: HFConfig, layer: int) -> bool:
    return layer % config.integer("moe_every_n_layers") == 1


def _dense(config: HFConfig, layer: int) -> bool:
    return not _routed(config, layer)


_EXPERTS: Final = UnstackRows("num_experts")

NOMIC_BERT_MOE: Final = replace(
    NOMIC_BERT,
    name="nomic-bert-moe",
    classes=(HFClass("NomicBertModel", "nomic_bert", _DEFAULTS, when=_moe),),
    keys=(*_KEYS, Key("expert_count", "num_experts")),
    family_keys=(
        *_OWN_KEYS,
        Key("moe_every_n_layers", "moe_every_n_layers", least=2),
        Key("expert_used_count", "moe_top_k"),
        *_fixed(moe=True),
    ),
    tensors=(
        *_SHARED,
        *bert.layers("encoder.layers.{i}", ("attn.Wqkv", "attn_qkv"), ("attn.out_proj", "attn_output")),
        *(
            rule
            for hf, gguf in (("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"))
            for rule in weight_and_bias(f"encoder.layers.{{i}}.{hf}", f"blk.{{i}}.{gguf}", when=_dense)
        ),
        Rule(
            ("encoder.layers.{i}.mlp.router.layer.weight",),
            ("blk.{i}.ffn_gate_inp.weight",),
            when=_routed,
        ),
        Rule(
            ("encoder.layers.{i}.mlp.experts.mlp.w1",),
            ("blk.{i}.ffn_up_exps.weight",),
            _EXPERTS,
            when=_routed,
        ),
        Rule(
            ("encoder.layers.{i}.mlp.experts.mlp.w2",),
            ("blk.{i}.ffn_down_exps.weight",),
            Chain(_EXPERTS, Transpose()),
            when=_routed,
        ),
    ),
    drops=(
        *NOMIC_BERT.drops,
        Drop(r".*\.mlp\.experts\.bias", "llama.cpp has no place for a bias after the experts"),
    ),
    export_notes=("biases after the experts (mlp.experts.bias) are not in GGUF",),
)

ARCHITECTURES: Final = (NOMIC_BERT, NOMIC_BERT_MOE)
