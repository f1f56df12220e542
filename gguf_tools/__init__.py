"""Getting model weights in and out of GGUF.

>>> import gguf_tools
>>> gguf_tools.convert("SmolLM2-135M", "smollm2.gguf", type="Q4_K_M")        # doctest: +SKIP
>>> with gguf_tools.open("smollm2.gguf") as file:                            # doctest: +SKIP
...     print(file.metadata["general.architecture"])
...     weights = file.tensors["blk.0.attn_q.weight"].dequantize()           # float32
...     some = file.tensors["token_embd.weight"].rows(100, 108)
>>> gguf_tools.inspect("smollm2.gguf").summary.bits_per_weight                # doctest: +SKIP
>>> blocks = gguf_tools.quantize(weights, "Q4_K")                            # uint8 (rows, row bytes)
>>> again = gguf_tools.dequantize(blocks, "Q4_K", weights.shape)
>>> gguf_tools.export("smollm2.gguf", "SmolLM2-again", dtype="bf16")         # doctest: +SKIP

Importing this package is instant: each name is imported when it is first used, and numba only when
values of a type other than F32 are encoded or decoded.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .container.metadata import Array, Metadata
    from .container.opening import open_gguf as open  # noqa: A004 - the public name
    from .container.reader import GGUFFile, Tensor
    from .container.writer import write_gguf as write
    from .conversion.extract import extract
    from .conversion.lora import convert_lora
    from .conversion.predict import predict_sizes
    from .conversion.requantize import requantize
    from .conversion.to_gguf import convert
    from .conversion.to_hf import export
    from .editing.changes import Changes
    from .editing.edit import edit
    from .editing.splitting import merge, split
    from .errors import GGUFToolsError
    from .estimation import estimate
    from .inspection.diff import diff
    from .inspection.inspect import Inspection
    from .inspection.opening import inspect
    from .inspection.statistics import statistics
    from .inspection.summary import summarize
    from .quants import dequantize, quantize
    from .reports import report
    from .spec import FileType, GGMLType, ValueType
    from .verification.verify import verify

__all__ = [
    "Array",
    "Changes",
    "FileType",
    "GGMLType",
    "GGUFFile",
    "GGUFToolsError",
    "Inspection",
    "Metadata",
    "Tensor",
    "ValueType",
    "convert",
    "convert_lora",
    "dequantize",
    "diff",
    "edit",
    "estimate",
    "export",
    "extract",
    "inspect",
    "merge",
    "open",
    "predict_sizes",
    "quantize",
    "report",
    "requantize",
    "split",
    "statistics",
    "summarize",
    "verify",
    "write",
]

_WHERE = {
    "Array": ("container.metadata", "Array"),
    "Changes": ("editing.changes", "Changes"),
    "FileType": ("spec", "FileType"),
    "GGMLType": ("spec", "GGMLType"),
    "GGUFFile": ("container.reader", "GGUFFile"),
    "GGUFToolsError": ("errors", "GGUFToolsError"),
    "Inspection": ("inspection.inspect", "Inspection"),
    "Metadata": ("container.metadata", "Metadata"),
    "Tensor": ("container.reader", "Tensor"),
    "ValueType": ("spec", "ValueType"),
    "convert": ("conversion.to_gguf", "convert"),
    "convert_lora": ("conversion.lora", "convert_lora"),
    "dequantize": ("quants", "dequantize"),
    "diff": ("inspection.diff", "diff"),
    "edit": ("editing.edit", "edit"),
    "estimate": ("estimation", "estimate"),
    "export": ("conversion.to_hf", "export"),
    "extract": ("conversion.extract", "extract"),
    "inspect": ("inspection.opening", "inspect"),
    "merge": ("editing.splitting", "merge"),
    "open": ("container.opening", "open_gguf"),
    "predict_sizes": ("conversion.predict", "predict_sizes"),
    "quantize": ("quants", "quantize"),
    "report": ("reports", "report"),
    "requantize": ("conversion.requantize", "requantize"),
    "split": ("editing.splitting", "split"),
    "statistics": ("inspection.statistics", "statistics"),
    "summarize": ("inspection.summary", "summarize"),
    "verify": ("verification.verify", "verify"),
    "write": ("container.writer", "write_gguf"),
}


def __getattr__(name: str) -> Any:
    try:
        module, attribute = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f".{module}", __name__), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
