"""Nomic's BERT, version 2: experts in every other layer."""

from dataclasses import replace

from ..config import HFConfig
from ..keys import Key
from ..table import HFClass
from ..tensors import Drop, Rule, weight_and_bias
from ..traits import GraphTraits, Memory
from ..transforms import Chain, Transpose, UnstackRows
from . import bert, nomic_bert


def _routed(config: HFConfig, layer: int) -> bool:
    return layer % config.integer("moe_every_n_layers") == 1


def _dense(config: HFConfig, layer: int) -> bool:
    return not _routed(config, layer)


_EXPERTS = UnstackRows("num_experts")

ARCHITECTURE = replace(
    nomic_bert.ARCHITECTURE,
    name="nomic-bert-moe",
    classes=(HFClass("NomicBertModel", "nomic_bert", nomic_bert.DEFAULTS, when=nomic_bert.is_mixed),),
    keys=(*nomic_bert.KEYS, Key("expert_count", "num_experts")),
    family_keys=(
        *nomic_bert.FAMILY_KEYS,
        Key("moe_every_n_layers", "moe_every_n_layers", least=2),
        Key("expert_used_count", "moe_top_k"),
        *nomic_bert.required(moe=True),
    ),
    tensors=(
        *nomic_bert.SHARED_TENSORS,
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
        *nomic_bert.ARCHITECTURE.drops,
        Drop(r".*\.mlp\.experts\.bias", "llama.cpp has no place for a bias after the experts"),
    ),
    export_notes=("biases after the experts (mlp.experts.bias) are not in GGUF",),
    graph=GraphTraits(memory=Memory.NOTHING),
)
