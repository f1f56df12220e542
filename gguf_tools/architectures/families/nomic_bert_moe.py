"""Nomic's BERT, version 2: experts in every other layer."""

from ..config import HFConfig
from ..decoder import modules
from ..encoder import encoder
from ..keys import Key
from ..table import HFClass
from ..tensors import Drop, Rule, limit_to, unless
from ..traits import GraphTraits, Memory
from ..transforms import Chain, Transpose, UnstackRows
from . import nomic_bert
from .nomic_bert import BLOCK


def _routed(config: HFConfig, layer: int) -> bool:
    return layer % config.integer("moe_every_n_layers") == 1


_EXPERTS = UnstackRows("num_experts")
ROUTED = (
    Rule((f"{BLOCK}.mlp.router.layer.weight",), ("blk.{i}.ffn_gate_inp.weight",)),
    Rule((f"{BLOCK}.mlp.experts.mlp.w1",), ("blk.{i}.ffn_up_exps.weight",), _EXPERTS),
    Rule((f"{BLOCK}.mlp.experts.mlp.w2",), ("blk.{i}.ffn_down_exps.weight",), Chain(_EXPERTS, Transpose())),
)

ARCHITECTURE = encoder(
    "nomic-bert-moe",
    HFClass("NomicBertModel", "nomic_bert", nomic_bert.DEFAULTS, when=nomic_bert.is_mixed),
    tokenizers=("unigram", "wordpiece"),
    keys=(*nomic_bert.KEYS, Key("expert_count", "num_experts")),
    own=(
        nomic_bert.CODE,
        Key("moe_every_n_layers", "moe_every_n_layers", least=2),
        Key("expert_used_count", "moe_top_k"),
        *nomic_bert.required(moe=True),
    ),
    activation=None,
    tensors=(
        *nomic_bert.SHARED_TENSORS,
        *modules(("attn.Wqkv", "attn_qkv"), ("attn.out_proj", "attn_output"), block=BLOCK),
        *limit_to(unless(_routed), modules(("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"), block=BLOCK)),
        *limit_to(_routed, ROUTED),
    ),
    prefix="",
    renames=nomic_bert.ARCHITECTURE.renames,
    drops=(
        *nomic_bert.ARCHITECTURE.drops,
        Drop(r".*\.mlp\.experts\.bias", "llama.cpp has no place for a bias after the experts"),
    ),
    export_notes=("biases after the experts (mlp.experts.bias) are not in GGUF",),
    graph=GraphTraits(memory=Memory.NOTHING),
)
