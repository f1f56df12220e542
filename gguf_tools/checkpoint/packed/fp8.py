"""FP8: ``weight`` in F8_E4M3 or F8_E5M2 with scales beside it.

    NAME.weight            F8 (rows, columns)
    NAME.weight_scale_inv  (⌈rows / block⌉, ⌈columns / block⌉), DeepSeek-V3, Qwen3-FP8: what to multiply with
    NAME.weight_scale      (rows, 1), (rows,), (1,) or a scalar: fbgemm, modelopt
    NAME.qscale_weight     a scalar: Mistral

Names and meanings from transformers' ``finegrained_fp8`` and ``fbgemm_fp8`` integrations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import CheckpointError
from .components import Parts
from .scaled import ScaledWeights, grid

__all__ = ["unpack"]

_SCALES: Final = {
    ".weight_scale_inv": ".weight",
    "_scale_inv": "",  # stacked experts: gate_up_proj_scale_inv
    ".weight_scale": ".weight",
    ".qscale_weight": ".weight",
}
_UNUSED: Final = (
    ".activation_scale",
    "_activation_scale",
    ".input_scale",
    ".input_scale_ub",
    ".k_scale",
    ".v_scale",
    ".qscale_act",
)
_FP8: Final = ("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Weights of 8-bit floats times their scales."""
    block = _block(settings)
    for ending, weight in _SCALES.items():
        for base in list(parts.bases(ending)):
            scale = parts.take(base, ending)
            found = parts.take(base, weight)
            if scale is None or found is None:
                continue
            made = ScaledWeights(found.name, found, scale, grid(tuple(found.shape), scale, block))
            parts.make(base, found.name, made, at=found.name, form=found.dtype)
    parts.drop(_UNUSED, "a scale of activations, which GGUF has no use for")
    for name, tensor in parts.tensors.items():
        if tensor.dtype in _FP8 and not parts.is_used(name):
            parts.take(name, "_scale_inv")


def _block(settings: Mapping[str, Any]) -> tuple[int, int] | None:
    given = settings.get("weight_block_size")
    if given is None:
        return None
    sizes = given if isinstance(given, list) else []
    if len(sizes) != 2 or not all(type(size) is int and size > 0 for size in sizes):
        raise CheckpointError(
            "not two sizes",
            path="config.json",
            key="quantization_config.weight_block_size",
            found=given,
            expected="such as [128, 128]",
        )
    return sizes[0], sizes[1]
