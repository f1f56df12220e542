"""The summary: what the model is and what its files hold. What they do not say has no row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from ..console import facts, number, size
from ..report import print_types

if TYPE_CHECKING:
    from rich.console import Console

    from ...inspection.inspect import Inspection
    from ...inspection.model_description import ModelDescription
    from ...inspection.summary import Summary

__all__ = ["show", "to_json"]


_MAX_TEXT: Final = 60
"""Characters of a text from a file, such as a license, that stay on one line with its name."""

_MAX_FACTS: Final = 12
"""Of one row; real models have fewer."""


def show(out: Console, inspection: Inspection) -> None:
    """Facts, and the table of types."""
    summary = inspection.summary
    rows = _files(summary) | _network(summary.model) | _text(summary.model, inspection.metadata)
    out.print(facts({name: value for name, value in (rows | _origin(summary.model)).items() if value}))
    for note in inspection.notes:
        out.print(f"note  {note}")
    print_types(out, summary.types, summary.parameters)


def to_json(inspection: Inspection) -> dict[str, Any]:
    """All facts, and the notes."""
    return inspection.summary.to_dict() | {"notes": list(inspection.notes)}


def _files(summary: Summary) -> dict[str, str]:
    """What is said of the files."""
    bits, model = summary.bits_per_weight, summary.model
    return {
        "file": summary.path,
        "format": _format(summary),
        "architecture": model.architecture or "",
        "name": model.name or "",
        "parameters": f"{number(summary.parameters)} in {summary.tensors:,} tensors",
        "size": size(summary.file_bytes) + ("" if bits is None else f", {bits:.3f} bits per weight"),
        "file type": model.file_type or "",
        "packed": _packing(model.packing),
    }


def _packing(packing: Mapping[str, Any]) -> str:
    """The method, and what else is said: ``gptq, bits 4, group size 128``."""
    rest = {key: value for key, value in packing.items() if key != "quant_method"}
    return _joined(_short(str(packing.get("quant_method", ""))), _all_said(rest))


def _format(summary: Summary) -> str:
    files = f"{len(summary.files)} files" if len(summary.files) > 1 else ""
    if summary.kind != "gguf":
        return _joined("safetensors", files, summary.model.model_class)
    return _joined(
        f"GGUF v{summary.version}", f"{summary.byte_order} endian", f"alignment {summary.alignment}", files
    )


def _network(model: ModelDescription) -> dict[str, str]:
    """What is said of the network."""
    groups = model.query_groups
    return {
        "layers": _joined(
            _counted("{}", model.layers),
            _counted("embedding {}", model.embedding_length),
            _counted("feed-forward {}", model.feed_forward_length),
        ),
        "attention": _joined(
            _counted("heads {}", model.heads) + (_counted(" × {}", model.head_size) if model.heads else ""),
            _counted("kv heads {}", model.kv_heads)
            + (f" (GQA {groups}:1)" if groups is not None and groups > 1 else ""),
            _counted("values of {}", model.value_length) if model.value_length != model.head_size else "",
            _counted("sliding window {}", model.sliding_window),
        ),
        "experts": _joined(
            _counted("{}", model.experts),
            _counted("{} used", model.experts_used),
            _counted("{} shared", model.experts_shared),
            _counted("feed-forward {}", model.expert_feed_forward_length),
        )
        if model.experts
        else "",
        "state space": _all_said(model.ssm),
        "context": _counted("{}", model.context_length),
        "rope": _rope(model.rope),
        "pooling": _joined(model.pooling, "not causal" if model.causal is False else ""),
    }


def _rope(rope: Mapping[str, Any]) -> str:
    """Base, dimensions, and how it is scaled."""
    scaling = rope.get("scaling.type")
    return _joined(
        _counted("base {}", rope.get("freq_base")),
        _counted("base {} in windows", rope.get("freq_base_swa")),
        _counted("{} dimensions", rope.get("dimension_count")),
        f"{scaling} scaling" if isinstance(scaling, str) and scaling != "none" else "",
        _counted("factor {}", rope.get("scaling.factor")),
        _counted("from context {}", rope.get("scaling.original_context_length")),
    )


def _text(model: ModelDescription, metadata: Mapping[str, Any]) -> dict[str, str]:
    """What is said of the vocabulary and the template."""
    found = metadata.get("tokenizer.ggml.tokens")
    tokens = found if isinstance(found, Sequence) else ()
    special = [
        f"{kind} {token}" + (f" {_short(str(tokens[token]))!r}" if 0 <= token < len(tokens) else "")
        for kind, token in model.special_tokens.items()
    ]
    length = model.chat_template_length
    return {
        "tokenizer": _joined(
            model.tokenizer,
            model.pre_tokenizer and f"pre {model.pre_tokenizer}",
            _counted("{} tokens", model.vocabulary),
        ),
        "tokens": _joined(*special),
        "template": _joined(
            "none" if model.tokenizer and length is None else _counted("{} characters", length),
            _few(model.chat_templates),
        ),
    }


def _origin(model: ModelDescription) -> dict[str, str]:
    """Where the model is from, and how it was quantized."""
    general = model.general
    names = [general.get(key) for key in ("author", "organization", "quantized_by")]
    imatrix = model.imatrix
    return {
        "license": _short(str(general.get("license.name") or general.get("license") or "")),
        "by": _joined(*dict.fromkeys(_short(name) for name in names if isinstance(name, str))),
        "based on": _few(model.base_models),
        "languages": _few(general.get("languages", [])),
        "imatrix": _joined(
            _short(str(imatrix.get("file", ""))),
            _counted("{} tensors", imatrix.get("entries_count")),
            _counted("{} chunks", imatrix.get("chunks_count")),
        ),
    }


def _joined(*parts: str | None) -> str:
    return ", ".join(part for part in parts if part)


def _few(values: Any) -> str:
    """Texts, or one; of very many the first."""
    some = values[:_MAX_FACTS] if isinstance(values, list) else [values]
    return _joined(*(_short(str(value)) for value in some))


def _all_said(values: Mapping[str, Any]) -> str:
    """``state size 16, conv kernel 4``; of very many the first."""
    some = islice(values.items(), _MAX_FACTS)
    return _joined(*(f"{_short(key.replace('_', ' '))} {_count(value)}" for key, value in some))


def _counted(words: str, value: Any) -> str:
    """Words around a number, or around the range of several; nothing for none."""
    if value is None:
        return ""
    if not isinstance(value, list) or not all(isinstance(item, int | float) for item in value):
        return words.format(_count(value))
    low, high = min(value, default=0), max(value, default=0)
    return words.format(_count(low) if low == high else f"{_count(low)}–{_count(high)}")


def _count(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else _short(str(value))


def _short(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"
