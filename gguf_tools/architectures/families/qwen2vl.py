"""The text model inside of Qwen2-VL and Qwen2.5-VL: Qwen2, rotated along several axes.

In text all axes count alike, so an export is the plain Qwen2 that computes the same.
"""

from dataclasses import replace

from ..decoder import attention, decoder, optional
from ..mrope import Axes
from ..table import HFClass
from ..tensors import always
from ..traits import GraphTraits
from . import qwen2

ARCHITECTURE = decoder(
    "qwen2vl",
    HFClass("Qwen2VLForConditionalGeneration", "qwen2_vl"),
    HFClass("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl"),
    replace(qwen2.ARCHITECTURE.classes[0], export_only=True),
    choose=lambda facts: "Qwen2ForCausalLM",
    tokenizers=("spm", "bpe"),
    rope=Axes(),
    bias=None,
    assumed={"use_sliding_window": False},
    attn=attention(bias=always, output_bias=optional),
    graph=GraphTraits(positions=4),
)
