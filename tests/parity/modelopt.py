"""Checkpoints as NVIDIA's Model Optimizer exports them, and the values it unpacks from them itself.

It runs in a process of its own, because importing it changes torch and transformers.
"""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

VALUES = "values.safetensors"
_CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "head_dim": 32,
    "hidden_size": 64,
    "intermediate_size": 128,
    "max_position_embeddings": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "tie_word_embeddings": False,
}
ATTENTION, FEED_FORWARD = "*self_attn*", "*mlp*"


def export(directory: Path, config: str, vocabulary: int, *, others: dict[str, str] | None = None) -> Path:
    """A tiny Qwen3 of random weights, without a tokenizer; returns a file with the values of packed weights.

    Args:
        directory: of the checkpoint.
        config: name of a config of modelopt's.
        vocabulary: number of tokens.
        others: by pattern of quantizers' names, such as `ATTENTION`, the config for those.

    Raises:
        RuntimeError: it does not; with the last it said.
    """
    values = directory.with_name(f"{directory.name}-{VALUES}")
    question = json.dumps([str(directory), str(values), config, vocabulary, others or {}])
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "tests.parity.modelopt"],
        input=question,
        cwd=root,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"modelopt does not export: {done.stderr.strip()[-2000:]}")
    return values


def _main() -> None:
    import modelopt.torch.quantization as mtq
    import torch
    from modelopt.torch.export import export_hf_checkpoint
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForCausalLM, Qwen3Config

    directory, values, name, vocabulary, others = json.load(sys.stdin)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(Qwen3Config(**_CONFIG, vocab_size=vocabulary))
    settings = copy.deepcopy(getattr(mtq, name))
    for pattern, other in others.items():
        settings["quant_cfg"].append({"quantizer_name": pattern, "enable": False})
        for one in getattr(mtq, other)["quant_cfg"]:
            if (kind := one["quantizer_name"]) in ("*weight_quantizer", "*input_quantizer"):
                settings["quant_cfg"].append({**one, "quantizer_name": pattern + kind[1:]})
    model = mtq.quantize(model.to(torch.bfloat16), settings, lambda model: model(torch.arange(32)[None]))
    export_hf_checkpoint(model, export_dir=directory)
    tensors = load_file(f"{directory}/model.safetensors")
    save_file(
        {name: _unpacked(name, tensors) for name in tensors if f"{name}_scale" in tensors},
        values,
    )


def _unpacked(name: str, tensors: dict[str, Any]) -> Any:
    """The values of a packed weight by modelopt's own arithmetic, float32."""
    import torch
    from modelopt.torch.quantization.qtensor import FP8QTensor, NVFP4QTensor

    packed, scale = tensors[name], tensors[f"{name}_scale"]
    rows, columns = packed.shape
    if packed.dtype != torch.uint8:
        made = FP8QTensor(torch.Size((rows, columns)), torch.float32, packed)
        return made.dequantize(torch.float32, scale=scale, block_sizes=None)
    made = NVFP4QTensor(torch.Size((rows, 2 * columns)), torch.float32, packed)
    whole = tensors[f"{name}_scale_2"]
    return made.dequantize(torch.float32, scale=scale, double_scale=whole, block_sizes={-1: 16})


if __name__ == "__main__":
    _main()
