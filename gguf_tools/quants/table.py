"""The codecs by tensor type. To add one: a module with a ``CODEC``, and a line here.

Modules are imported when their type is first asked for, so that a job compiles only what it needs.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from typing import Final

from ..errors import QuantizationError
from ..spec import GGMLType
from .codec import Codec
from .kernels.numbers import NUMBERS, number_codec

__all__ = ["DECODED_ONLY", "MODULES", "codec", "tensor_type"]

MODULES: Final[dict[GGMLType, str]] = {
    GGMLType.F32: "f32",
    GGMLType.F16: "f16",
    GGMLType.BF16: "bf16",
    GGMLType.Q8_0: "q8_0",
    GGMLType.Q4_0: "q4_0",
    GGMLType.Q4_1: "q4_1",
    GGMLType.Q5_0: "q5_0",
    GGMLType.Q5_1: "q5_1",
    GGMLType.Q2_K: "q2_k",
    GGMLType.Q3_K: "q3_k",
    GGMLType.Q4_K: "q4_k",
    GGMLType.Q5_K: "q5_k",
    GGMLType.Q6_K: "q6_k",
    GGMLType.IQ4_NL: "iq4_nl",
    GGMLType.IQ4_XS: "iq4_xs",
    GGMLType.IQ2_XXS: "iq2_xxs",
    GGMLType.IQ2_XS: "iq2_xs",
    GGMLType.IQ2_S: "iq2_s",
    GGMLType.IQ3_XXS: "iq3_xxs",
    GGMLType.IQ3_S: "iq3_s",
    GGMLType.IQ1_S: "iq1_s",
    GGMLType.IQ1_M: "iq1_m",
    GGMLType.TQ1_0: "tq1_0",
    GGMLType.TQ2_0: "tq2_0",
    GGMLType.MXFP4: "mxfp4",
    GGMLType.NVFP4: "nvfp4",
    GGMLType.Q1_0: "q1_0",
    GGMLType.Q2_0: "q2_0",
    GGMLType.Q8_1: "q8_1",
    GGMLType.Q8_K: "q8_k",
}

DECODED_ONLY: Final = frozenset({GGMLType.Q8_1, GGMLType.Q8_K})
"""What ggml makes of activations while it computes, and never writes to files. So are all of NUMBERS."""


def codec(type_: str | GGMLType) -> Codec:
    """The codec of a tensor type.

    Raises:
        QuantizationError: there is no type of this name.
    """
    wanted = tensor_type(type_)
    if wanted in NUMBERS:
        return number_codec(wanted)
    found: Codec = import_module(f".codecs.{MODULES[wanted]}", __package__).CODEC
    return found


def tensor_type(type_: str | GGMLType) -> GGMLType:
    """The tensor type of this name, in any case.

    Raises:
        QuantizationError: there is none; the message suggests the nearest.
    """
    if isinstance(type_, GGMLType):
        return type_
    try:
        return GGMLType[type_.upper()]
    except KeyError:
        near = get_close_matches(type_.upper(), GGMLType.__members__, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QuantizationError(f"no tensor type is called {type_!r}{hint}") from None
