"""Nemotron and Minitron: layer norms stored as the distance from one, squared ReLU without gate."""

from ...spec import ValueType
from ..decoder import BLOCK, EMBEDDING, HEAD, decoder, flag, modules
from ..keys import HEAD_DIM, NO_SCALING_TYPE, VOCABULARY_SIZE, FromTensorPresence, Key, head_size
from ..rope import PartialRotary, Rope
from ..table import HFClass
from ..tensors import Rule
from ..traits import VocabularyTraits
from ..transforms import AddOne

_NORMS = {
    "model.norm": "output_norm",
    f"{BLOCK}.input_layernorm": "blk.{i}.attn_norm",
    f"{BLOCK}.post_attention_layernorm": "blk.{i}.ffn_norm",
}

ARCHITECTURE = decoder(
    "nemotron",
    HFClass("NemotronForCausalLM", "nemotron"),
    derived={"head_dim": head_size},
    tokenizers=("spm",),
    rope=Rope(kinds=()),
    eps=Key("attention.layer_norm_rms_epsilon", "norm_eps", type=ValueType.FLOAT32),
    head_dim=HEAD_DIM,
    own=(
        VOCABULARY_SIZE,
        Key("attention.layer_norm_epsilon", "norm_eps", type=ValueType.FLOAT32),
        PartialRotary(whole=True),
        NO_SCALING_TYPE,
    ),
    activation=("relu2",),
    flags=(FromTensorPresence("mlp_bias", "blk.0.ffn_up.bias"),),
    output=(EMBEDDING, HEAD),
    pre_norms=(
        *(Rule((f"{hf}.weight",), (f"{gguf}.weight",), AddOne()) for hf, gguf in _NORMS.items()),
        *(Rule((f"{hf}.bias",), (f"{gguf}.bias",)) for hf, gguf in _NORMS.items()),
    ),
    ffn=modules(("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"), bias=flag("mlp_bias")),
    vocabulary=VocabularyTraits(ids={"pad": 0, "unk": 1}),
)
