"""NVIDIA's Model Optimizer: FP8 and NVFP4 layers, told apart by the tensors they have.

Weights of W4A16_NVFP4 are those of NVFP4, for inputs of 16 bits: they have no scale for them. A checkpoint of
MIXED_PRECISION says for each layer in ``quantized_layers`` which it is.

Algorithms and tensors from modelopt 0.47 (``torch/export``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ...errors import UnsupportedError
from .components import Parts
from .nvfp4 import NVFP4
from .scaled import ScaledWeights, grid

__all__ = ["unpack"]

_WEIGHT_ONLY: Final = "W4A16_NVFP4"
_ALGORITHMS: Final = ("FP8", "NVFP4", _WEIGHT_ONLY, "MIXED_PRECISION")
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
        weight, scale, tensor_scale = (parts.take(base, name) for name in names)
        if weight is not None and scale is not None and tensor_scale is not None:
            inputs = parts.find(base, ".input_scale")
            made = NVFP4(
                weight.name,
                weight,
                scale,
                tensor_scale,
                inputs,
                divide=False,
                weight_only=_algorithm(settings, base) == _WEIGHT_ONLY,
            )
            parts.make(base, weight.name, made, at=weight.name, form="NVFP4", first=made.storage is not None)
    for base in list(parts.bases(".weight_scale")):
        weight, scale = parts.take(base, ".weight"), parts.take(base, ".weight_scale")
        if weight is not None and scale is not None:
            made_fp8 = ScaledWeights(weight.name, weight, scale, grid(tuple(weight.shape), scale))
            parts.make(base, weight.name, made_fp8, at=weight.name, form=weight.dtype)
    parts.drop(_UNUSED, "a scale of activations, which GGUF has no use for")


def _algorithm(settings: Mapping[str, Any], layer: str) -> Any:
    """What a layer is packed with: what is said of it or of the nearest module it is in, or of all."""
    layers = settings.get("quantized_layers")
    while layer and isinstance(layers, Mapping):
        if isinstance(said := layers.get(layer), Mapping):
            return said.get("quant_algo")
        layer = layer.rpartition(".")[0]
    return settings.get("quant_algo")
