"""The families: one module each, named as GGUF names the architecture, with its table in ``ARCHITECTURE``.

Adding one is its module and a line here.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

from ..table import Architecture

__all__ = ["ARCHITECTURES", "FAMILIES"]

FAMILIES: Final = (
    "roberta",  # these before BERT, which takes what they do not claim
    "xlm_roberta",
    "distilbert",
    "apertus",
    "bert",
    "bitnet",
    "command_r",
    "cohere2",
    "deepseek2",
    "dots1",
    "ernie4_5",
    "ernie4_5_moe",
    "exaone",
    "exaone4",
    "falcon_h1",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma3n",
    "gemma_embedding",
    "chatglm",
    "glm4",
    "glm4moe",
    "gpt2",
    "starcoder",
    "gptneox",
    "bloom",
    "falcon",
    "mpt",
    "gpt_oss",
    "granite",
    "granitemoe",
    "granitehybrid",
    "hunyuan_dense",
    "jamba",
    "jina_bert_v2",
    "lfm2",
    "llama",
    "llama4",
    "maincoder",
    "smollm3",
    "arcee",
    "orion",
    "xverse",
    "baichuan",
    "internlm2",
    "mamba",
    "mamba2",
    "minicpm",
    "minicpm3",
    "mistral3",
    "modern_bert",
    "nemotron",
    "nemotron_h",
    "nemotron_h_moe",
    "nomic_bert",
    "nomic_bert_moe",
    "olmo",
    "olmo2",
    "olmoe",
    "openelm",
    "phi2",
    "phi3",
    "phimoe",
    "plamo",
    "qwen2",
    "qwen3",
    "qwen3next",
    "qwen2moe",
    "qwen3moe",
    "rwkv6",
    "rwkv7",
    "qwen2vl",
    "qwen3vl",
    "qwen3vlmoe",
    "seed_oss",
    "stablelm",
    "starcoder2",
    "t5",
    "t5encoder",
)
"""Modules in the order in which their tables are asked for a checkpoint or a file."""


ARCHITECTURES: Final[tuple[Architecture, ...]] = tuple(
    import_module(f".{name}", __name__).ARCHITECTURE for name in FAMILIES
)
