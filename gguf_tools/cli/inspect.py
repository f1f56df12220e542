"""``gguf-tools inspect``: from the header alone, so the answer is there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
import numpy as np

from .console import console, facts, json_option, number, print_json, printable, shape, size, table
from .report import print_types

if TYPE_CHECKING:
    from rich.console import Console

    from ..analysis.summary import Summary
    from ..container.metadata import Metadata
    from ..container.reader import GGUFFile
    from ..editing.changes import Difference

MAX_ITEMS_SHOWN = 6
"""Of a long array; a vocabulary has hundreds of thousands."""

MAX_TEXT_SHOWN = 160
"""Characters of a long string, such as a chat template."""


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools inspect model.gguf\n"
    "  gguf-tools inspect model.gguf --tensors | grep attn_v\n"
    "  gguf-tools inspect model.gguf --json | jq .bits_per_weight",
)
@click.argument("file", type=click.Path())
@click.option("--tensors", is_flag=True, help="List every tensor: name, shape, type, bytes, offset.")
@click.option("--metadata", is_flag=True, help="List every key with its type; long values are folded.")
@json_option
def command(file: str, tensors: bool, metadata: bool, as_json: bool) -> None:
    """Show what the GGUF file FILE holds: model facts, tensor types, bits per weight."""
    from ..analysis.summary import summarize
    from ..container import open_gguf

    with open_gguf(file) as gguf:
        summary = summarize(gguf)
        if as_json:
            document = summary.to_dict()
            if tensors:
                document["tensor_list"] = _tensor_list(gguf)
            if metadata:
                document["metadata"] = _metadata_list(gguf.metadata)
            print_json(document)
            return
        out = console()
        _print_summary(out, summary)
        if metadata:
            _print_metadata(out, gguf.metadata)
        if tensors:
            _print_tensors(out, gguf)


def _print_summary(out: Console, summary: Summary) -> None:
    out.print(facts(_facts(summary)))
    print_types(out, summary.types, summary.parameters)


def _facts(summary: Summary) -> dict[str, str]:
    """The rows of the summary; what a file does not say has no row."""
    bits = summary.bits_per_weight
    rows = {
        "file": summary.path,
        "format": f"GGUF v{summary.version}, {summary.byte_order} endian, alignment {summary.alignment}",
        "architecture": summary.architecture,
        "name": summary.name,
        "parameters": f"{number(summary.parameters)} in {summary.tensors:,} tensors",
        "size": size(summary.file_bytes) + ("" if bits is None else f", {bits:.3f} bits per weight"),
        "file type": summary.file_type,
        "layers": _joined(
            _counted(summary.layers, ""),
            _counted(summary.embedding_length, "embedding "),
            _counted(summary.feed_forward_length, "feed-forward "),
        ),
        "attention": _joined(_counted(summary.heads, "heads "), _counted(summary.kv_heads, "kv heads ")),
        "experts": _joined(_counted(summary.experts, ""), _counted(summary.experts_used, "used ")),
        "context": _counted(summary.context_length, ""),
        "tokenizer": _joined(
            summary.tokenizer,
            summary.pre_tokenizer and f"pre {summary.pre_tokenizer}",
            summary.vocabulary is not None and f"{summary.vocabulary:,} tokens",
            summary.tokenizer and ("chat template" if summary.chat_template else "no chat template"),
        ),
    }
    return {name: value for name, value in rows.items() if value}


def _joined(*parts: str | bool | None) -> str:
    return ", ".join(part for part in parts if isinstance(part, str) and part)


def _counted(value: int | list[int] | None, prefix: str) -> str | None:
    if value is None:
        return None
    if isinstance(value, int):
        return f"{prefix}{value:,}"
    low, high = min(value, default=0), max(value, default=0)
    return f"{prefix}{low:,}" if low == high else f"{prefix}{low:,}–{high:,}"


def _print_metadata(out: Console, metadata: Metadata) -> None:
    from rich.text import Text

    from ..spec import ValueType

    listing = table("key", "type", "value")
    for key in metadata:
        single = metadata.type_of(key) is ValueType.FLOAT32
        listing.add_row(
            Text(printable(key)),
            _type_name(metadata, key),
            Text(shortest(metadata[key]) if single else folded(metadata[key])),
        )
    out.print(listing)
    out.print()


def _print_tensors(out: Console, gguf: GGUFFile) -> None:
    from rich.text import Text

    listing = table("tensor", "shape", "type", "size", "offset", right=("size", "offset"))
    for tensor in gguf.tensors.values():
        stored = "?" if tensor.nbytes is None else size(tensor.nbytes)
        listing.add_row(
            Text(printable(tensor.name)), shape(tensor.shape), tensor.type_name, stored, str(tensor.offset)
        )
    out.print(listing)


def _type_name(metadata: Metadata, key: str) -> str:
    """``uint32``, or for an array its element type and length: ``string[32,000]``."""
    from ..container.metadata import Array

    value = metadata[key]
    if isinstance(value, Array):
        return f"{value.element_type.name.lower()}[{len(value):,}]"
    return metadata.type_of(key).name.lower()


def shortest(value: Any) -> str:
    """The fewest digits that round to the same float32: 1e-06, not 9.999999974752427e-07."""
    return str(np.float32(value))


def folded(value: Any) -> str:
    """A value on one line, long ones cut with their length told."""
    if isinstance(value, str):
        line = printable(value).replace("\n", "⏎")
        return (
            line if len(line) <= MAX_TEXT_SHOWN else f"{line[:MAX_TEXT_SHOWN]}… ({len(value):,} characters)"
        )
    if isinstance(value, list) or hasattr(value, "element_type"):
        shown = ", ".join(printable(repr(item)) for item in value[:MAX_ITEMS_SHOWN])
        return f"[{shown}{', …' if len(value) > MAX_ITEMS_SHOWN else ''}]"
    return str(value)


def compared(difference: Difference) -> tuple[str, str]:
    """Two values on a line each, with their types where these differ; of long arrays, where they part."""
    before, after = difference.before, difference.after
    sides = []
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after) > MAX_ITEMS_SHOWN:
        places = [i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1]]
        if places:
            first = places[0]
            left, right = (printable(repr(side[first])) for side in (before, after))
            return f"[{first}] {left}", f"[{first}] {right} ({len(places):,} of {len(after):,} items differ)"
    for value, kind in ((before, difference.before_type), (after, difference.after_type)):
        if kind is None:
            sides.append("–")
            continue
        shown = (shortest(value) if kind == "float32" else folded(value)) or "(empty text)"
        if isinstance(value, list) and len(value) > MAX_ITEMS_SHOWN:
            shown += f" ({len(value):,} items)"
        known = {difference.before_type, difference.after_type} - {None}
        sides.append(f"{shown} ({kind})" if len(known) > 1 else shown)
    return sides[0], sides[1]


def _tensor_list(gguf: GGUFFile) -> list[dict[str, Any]]:
    return [
        {
            "name": tensor.name,
            "shape": list(tensor.shape),
            "type": tensor.type_name,
            "bytes": tensor.nbytes,
            "offset": tensor.offset,
        }
        for tensor in gguf.tensors.values()
    ]


def _metadata_list(metadata: Metadata) -> list[dict[str, Any]]:
    return [
        {"key": key, "type": _type_name(metadata, key), "value": _plain(metadata[key])} for key in metadata
    ]


def _plain(value: Any) -> Any:
    """Arrays as lists, whole: JSON is for machines, and they may want all of a vocabulary."""
    return [_plain(item) for item in value] if hasattr(value, "element_type") else value
