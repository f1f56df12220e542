"""Llama, Mistral and Mixtral, and InternLM 3, which exports call a Llama."""

from dataclasses import replace

from ...recipes.traits import RecipeTraits
from ..config import HFConfig
from ..decoder import FFN, NO_WINDOW, decoder, routed
from ..keys import MLP_BIAS, ROPE_DIMENSION, HeadDim, Key, head_size
from ..mistral_yarn import YarnMultiplier
from ..rope import Llama3Factors, Rope
from ..table import HFClass
from ..tensors import limit_to, unless
from ..traits import GraphTraits, SpacePrefix
from ..vocabularies import LLAMA_VOCABULARY

_INTERNLM3 = replace(LLAMA_VOCABULARY, space_prefix=SpacePrefix.CONFIG_AFTER_TOKENS, turn_end=True)
_HEAD_SIZE = {"head_dim": head_size}


def _mixed(config: HFConfig, layer: int) -> bool:
    return config.find("num_local_experts") is not None


ARCHITECTURE = decoder(
    "llama",
    HFClass("LlamaForCausalLM", "llama", {}, _HEAD_SIZE),
    HFClass("LlamaModel", "llama", {}, _HEAD_SIZE),
    HFClass("LLaMAForCausalLM", "llama", {}, _HEAD_SIZE),
    HFClass("VLlama3ForCausalLM", "llama", {"num_attention_heads": 32}, _HEAD_SIZE),
    HFClass("VoxtralForConditionalGeneration", "voxtral", {}, _HEAD_SIZE),
    HFClass("MistralForCausalLM", "mistral"),
    HFClass("LlavaForConditionalGeneration", "llava", like="MistralForCausalLM"),
    HFClass("MixtralForCausalLM", "mixtral", {"sliding_window": None}),
    HFClass("InternLM3ForCausalLM", "internlm3", vocabulary=_INTERNLM3, like="LlamaForCausalLM"),
    choose=lambda facts: "LlamaForCausalLM" if facts.find("expert_count") is None else "MixtralForCausalLM",
    tokenizers=("tekken", "spm", "llama-hf", "bpe"),
    rope=Rope(kinds=("linear", "yarn", "llama3", "dynamic")),
    expert_keys=(
        Key("expert_count", "num_local_experts", optional=True),
        Key("expert_used_count", "num_experts_per_tok", optional=True),
    ),
    head_dim=HeadDim(always=lambda facts: facts.find("expert_count") is None),
    own=(Key("vocab_size", "vocab_size", optional=True), ROPE_DIMENSION, YarnMultiplier()),
    flags=(MLP_BIAS,),
    checks=(NO_WINDOW,),
    permuted=True,
    ffn=(
        *routed(
            "num_local_experts",
            router="block_sparse_moe.gate",
            module="block_sparse_moe.experts",
            names=("w1", "w3", "w2"),
            when=_mixed,
        ),
        *limit_to(unless(_mixed), FFN),
    ),
    computed=(Llama3Factors(),),
    vocabulary=LLAMA_VOCABULARY,
    graph=GraphTraits(normed_weights=True),
    recipe=RecipeTraits(large_layers=80, large_grouped=True),
)
