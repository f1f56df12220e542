"""BitNet b1.58: weights of three values, and norms inside of attention and feed-forward.

Checkpoints have the weights as they were trained, of any value, and round them whenever they run; packed
ones have them rounded. GGUF has them rounded, so that is done here once.
"""

from collections.abc import Iterator
from typing import Any

from ...spec import ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import OUTPUT_WHERE_TIED, PRE_NORMS, decoder, norms, renamed
from ..keys import DerivedKey, Entry, Remark, head_size
from ..rope import Rope
from ..table import HFClass
from ..ternary import Ternary


class _Base:
    """The base of RoPE. Files say that it is scaled linearly, by one; configs, that it is not."""

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        return Rope(kinds=()).forward(config)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["rope_theta"] = facts.number("rope.freq_base") or 10000.0


ARCHITECTURE = decoder(
    "bitnet",
    HFClass("BitNetForCausalLM", "bitnet"),
    HFClass("BitnetForCausalLM", "llama", {"rms_norm_eps": 1e-5}, {"head_dim": head_size}),
    tokenizers=("spm", "llama-hf", "bpe"),
    rope=_Base(),
    own=(
        DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "linear"),
        DerivedKey("rope.scaling.factor", ValueType.FLOAT32, lambda config: 1.0),
    ),
    bias=None,
    assumed={"attention_bias": False, "tie_word_embeddings": True},
    output=renamed(("model.embed_tokens", "token_embd"), ("model.norm", "output_norm")),
    pre_norms=(
        *PRE_NORMS,
        *norms(("self_attn.attn_sub_norm", "attn_sub_norm"), ("mlp.ffn_sub_norm", "ffn_sub_norm")),
    ),
    attn=norms(
        ("self_attn.q_proj", "attn_q"),
        ("self_attn.k_proj", "attn_k"),
        ("self_attn.v_proj", "attn_v"),
        ("self_attn.o_proj", "attn_output"),
        transform=Ternary(),
    ),
    ffn=norms(
        ("mlp.gate_proj", "ffn_gate"),
        ("mlp.up_proj", "ffn_up"),
        ("mlp.down_proj", "ffn_down"),
        transform=Ternary(),
    ),
    # what the first models, and then transformers, call the norms inside
    renames=(
        (r"\.self_attn\.inner_attn_ln\.", ".self_attn.attn_sub_norm."),
        (r"\.mlp\.ffn_layernorm\.", ".mlp.ffn_sub_norm."),
    ),
    drops=(OUTPUT_WHERE_TIED,),
    export_notes=("the weights are those after rounding to three values",),
)
