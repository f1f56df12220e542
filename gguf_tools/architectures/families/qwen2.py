"""Qwen2 and Qwen2.5: biases on query, key and value."""

from ...recipes.traits import RecipeTraits
from ..decoder import attention, decoder, optional
from ..pooling import Pooling, pooling_files
from ..table import HFClass
from ..tensors import always

ARCHITECTURE = decoder(
    "qwen2",
    HFClass("Qwen2ForCausalLM", "qwen2"),
    HFClass("Qwen2Model", "qwen2"),
    HFClass("Qwen2AudioForConditionalGeneration", "qwen2_audio"),
    HFClass("AudioFlamingo3ForConditionalGeneration", "audioflamingo3", like="Qwen2ForCausalLM"),
    HFClass("DotsOCRForCausalLM", "dots_ocr", like="Qwen2ForCausalLM"),
    tokenizers=("spm", "bpe"),
    own=(Pooling(),),
    bias=None,
    assumed={"use_sliding_window": False},
    attn=attention(bias=always, output_bias=optional),
    extras=pooling_files,
    recipe=RecipeTraits(large_layers=80),
)
