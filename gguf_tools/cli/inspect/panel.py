"""The summary: what the model is and what its files hold. What they do not say has no row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..console import facts, number, printable, size
from ..report import print_types

if TYPE_CHECKING:
    from rich.console import Console

    from ...analysis.inspection import Inspection
    from ...analysis.model_facts import ModelFacts
    from ...analysis.summary import Summary

__all__ = ["show", "to_json"]


def show(out: Console, inspection: Inspection) -> None:
    """Facts, and the table of types."""
    summary = inspection.summary
    rows = _files(summary) | _model(summary.model)
    out.print(facts({name: value for name, value in rows.items() if value}))
    for note in inspection.notes:
        out.print(f"note  {printable(note)}", markup=False)
    print_types(out, summary.types, summary.parameters)


def to_json(inspection: Inspection) -> dict[str, Any]:
    """All facts, and the notes."""
    return inspection.summary.to_dict() | {"notes": list(inspection.notes)}


def _files(summary: Summary) -> dict[str, str]:
    """What is said of the files."""
    bits = summary.bits_per_weight
    return {
        "file": summary.path,
        "format": _format(summary),
        "architecture": summary.model.architecture or "",
        "name": summary.model.name or "",
        "parameters": f"{number(summary.parameters)} in {summary.tensors:,} tensors",
        "size": size(summary.file_bytes) + ("" if bits is None else f", {bits:.3f} bits per weight"),
    }


def _format(summary: Summary) -> str:
    if summary.kind == "gguf":
        return f"GGUF v{summary.version}, {summary.byte_order} endian, alignment {summary.alignment}"
    return "safetensors"


def _model(model: ModelFacts) -> dict[str, str]:
    """What is said of the model."""
    return {
        "file type": model.file_type or "",
        "layers": _joined(
            _counted(model.layers, ""),
            _counted(model.embedding_length, "embedding "),
            _counted(model.feed_forward_length, "feed-forward "),
        ),
        "attention": _joined(_counted(model.heads, "heads "), _counted(model.kv_heads, "kv heads ")),
        "experts": _joined(_counted(model.experts, ""), _counted(model.experts_used, "used ")),
        "context": _counted(model.context_length, ""),
        "tokenizer": _joined(
            model.tokenizer,
            model.pre_tokenizer and f"pre {model.pre_tokenizer}",
            model.vocabulary is not None and f"{model.vocabulary:,} tokens",
            model.tokenizer and ("chat template" if model.chat_template else "no chat template"),
        ),
    }


def _joined(*parts: str | bool | None) -> str:
    return ", ".join(part for part in parts if isinstance(part, str) and part)


def _counted(value: int | list[int] | None, prefix: str) -> str:
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{prefix}{value:,}"
    low, high = min(value, default=0), max(value, default=0)
    return f"{prefix}{low:,}" if low == high else f"{prefix}{low:,}–{high:,}"
