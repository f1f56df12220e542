"""NVIDIA's Model Optimizer: FP8 and NVFP4 layers, told apart by the tensors they have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import UnsupportedError
from .nvfp4 import NVFP4
from .parts import Parts
from .scaled import Scaled, grid

__all__ = ["unpack"]

_ALGORITHMS: Final = ("FP8", "NVFP4", "MIXED_PRECISION")
_UNUSED: Final = (
    ".input_scale",
    ".k_scale",
    ".v_scale",
    ".q_scale",
    ".k_proj.output_scale",
    ".v_proj.output_scale",
)


def unpack(settings: Mapping[str, Any], parts: Parts) -> None:
    """Layers with two scales are NVFP4, those with one FP8."""
    algorithm = settings.get("quant_algo")
    if algorithm is not None and algorithm not in _ALGORITHMS:
        raise UnsupportedError(
            "this algorithm of modelopt",
            key="quantization_config.quant_algo",
            found=algorithm,
            expected=", ".join(_ALGORITHMS),
        )
    for base in list(parts.bases(".weight_scale_2")):
        names = (".weight", ".weight_scale", ".weight_scale_2")
        weight, scale, tensor_scale = (parts.take(base + name) for name in names)
        if weight is not None and scale is not None and tensor_scale is not None:
            inputs = parts.find(base + ".input_scale")
            made = NVFP4(weight.name, weight, scale, tensor_scale, inputs, divide=False)
            parts.make(weight.name, made, at=weight.name, form="NVFP4", first=made.storage is not None)
    for base in list(parts.bases(".weight_scale")):
        weight, scale = parts.take(base + ".weight"), parts.take(base + ".weight_scale")
        if weight is not None and scale is not None:
            made_fp8 = Scaled(weight.name, weight, scale, grid(tuple(weight.shape), scale))
            parts.make(weight.name, made_fp8, at=weight.name, form=weight.dtype)
    parts.drop(_UNUSED, "a scale of activations, which GGUF has no use for")
