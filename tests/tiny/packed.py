"""Checkpoints whose weights are packed, in forms that are kept as they are and not only unpacked."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.architectures.families.gpt_oss import OSS, OSS_CONFIG
from tests.architectures.parts.base import Tensors, Tiny
from tests.architectures.parts.decoders import layers


def codes(name: str, shape: tuple[int, ...], low: int = 0, high: int = 256) -> NDArray[np.uint8]:
    """Bytes from ``low`` to below ``high``, a function of ``name``."""
    count = int(np.prod(shape))
    raw = np.frombuffer(hashlib.shake_256(name.encode()).digest(2 * count), "<u2")
    return (low + raw % (high - low)).astype(np.uint8).reshape(shape)


def _mxfp4(config: dict[str, Any]) -> Tensors:
    """gpt-oss as OpenAI publishes it: the experts' matrices in blocks of 32, rows of outputs."""
    made: dict[str, Any] = {}
    for name, values in layers(*OSS).items():
        if name.endswith(("gate_up_proj", "down_proj")):
            experts, inputs, outputs = values.shape
            made[f"{name}_blocks"] = codes(f"{name}_blocks", (experts, outputs, inputs // 32, 16))
            made[f"{name}_scales"] = codes(f"{name}_scales", (experts, outputs, inputs // 32), 119, 123)
        else:
            made[name] = values
    return made


PACKED = {
    "gpt-oss-mxfp4": Tiny(
        config=OSS_CONFIG
        | {
            "quantization_config": {
                "modules_to_not_convert": [
                    "model.layers.*.self_attn",
                    "model.layers.*.mlp.router",
                    "model.embed_tokens",
                    "lm_head",
                ],
                "quant_method": "mxfp4",
            },
            "rope_scaling": None,
        },
        tensors=_mxfp4,
        tokenizer="llama3",
        pre="llama-bpe",
        kinds=("F32", "F16", "BF16", "Q8_0"),
    ),
}
