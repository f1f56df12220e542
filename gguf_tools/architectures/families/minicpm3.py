"""MiniCPM 3: MiniCPM with latent attention, run by code beside its checkpoints."""

from ..decoder import decoder
from ..keys import (
    CONTEXT,
    HEADS,
    INNER,
    KV_HEADS,
    LAYERS,
    RMS_EPS,
    VOCABULARY_SIZE,
    WIDTH,
    AssumedByRuntime,
    Key,
    head_size,
)
from ..latent_attention import FUSED_KEYS_AND_VALUES, LATENT_ATTENTION, KeyParts
from ..rope import LongropeFactors
from ..table import HFClass

ARCHITECTURE = decoder(
    "minicpm3",
    HFClass("MiniCPM3ForCausalLM", "minicpm3", {"tie_word_embeddings": True}),
    tokenizers=("spm",),
    keys=(),
    own=(
        *(CONTEXT, WIDTH, LAYERS, INNER, HEADS, KV_HEADS, RMS_EPS, VOCABULARY_SIZE),
        Key("attention.q_lora_rank", "q_lora_rank"),
        Key("attention.kv_lora_rank", "kv_lora_rank"),
        KeyParts("attention.key_length"),
    ),
    bias=None,
    # llama.cpp takes these from the only model there is
    assumed={"scale_emb": 12, "scale_depth": 1.4, "dim_model_base": 256, "rope_theta": 10000.0},
    checks=(AssumedByRuntime("v_head_dim", lambda config: (head_size(config),)),),
    computed=(LongropeFactors("long"), LongropeFactors("short")),
    attn=(*LATENT_ATTENTION, *FUSED_KEYS_AND_VALUES),
)
