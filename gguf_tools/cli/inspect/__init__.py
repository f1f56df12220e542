"""``gguf-tools inspect``: from headers alone, so the answer is there at once; only ``--stats`` reads more.

One module for each part of the output, imported where it is wanted: it prints itself from the `Inspected`
model and gives its share of the ``--json`` document. To add a part: a module with ``show`` and ``to_json``,
an option, and a line or two in `_show` and `_document`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ...inspection.sorting import ORDERS, arranged
from ..console import console, json_option, print_json
from ..parameters import expression, renamed_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...inspection.inspect import Inspected, TensorDescription
    from ...inspection.statistics import Measurement

__all__ = ["command"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants to see. With none of the parts it is the overview.

    Attributes:
        every_layer, tensors, metadata, sizes, stats: parts.
        pattern: what names of tensors and keys must match.
        types: what tensors must be of; none for any.
        sort, reverse: the order of tensors.
    """

    every_layer: bool
    tensors: bool
    metadata: bool
    sizes: bool
    stats: bool
    pattern: re.Pattern[str] | None
    types: Sequence[str]
    sort: str | None
    reverse: bool

    @property
    def overview(self) -> bool:
        """Whether nothing in particular was asked for."""
        parts = (self.every_layer, self.tensors, self.metadata, self.sizes, self.stats)
        return not any(parts)


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools inspect model.gguf\n"
    "  gguf-tools inspect model.gguf --map\n"
    "  gguf-tools inspect model.gguf --tensors --sort size | head\n"
    "  gguf-tools inspect model.gguf --type Q6_K --filter ffn_down\n"
    "  gguf-tools inspect model.gguf --metadata --filter rope\n"
    "  gguf-tools inspect model.gguf --key tokenizer.chat_template > chat.jinja\n"
    "  gguf-tools inspect model.gguf --stats --filter ffn_down\n"
    "  gguf-tools inspect model.gguf --stats --html report.html\n"
    "  gguf-tools inspect ./Qwen3-0.6B --sizes\n"
    "  gguf-tools inspect model.gguf --json | jq .bits_per_weight",
)
@click.argument("path", type=click.Path())
@click.option("--map", "every_layer", is_flag=True, help="Types by layer and role, every layer in its place.")
@click.option("--tensors", is_flag=True, help="List every tensor: name, shape, type, size, offset.")
@click.option(
    "--filter",
    "pattern",
    metavar="REGEX",
    callback=expression,
    help="Only tensors (with --metadata, keys) whose names match somewhere.",
)
@click.option("--type", "types", metavar="TYPE", multiple=True, help="Only tensors of this type. Repeatable.")
@click.option(
    "--sort",
    type=click.Choice(tuple(ORDERS)),
    help="Order of the tensors: size and bits from the largest down, all else up. "
    "[default: as they are stored]",
)
@click.option("--reverse", is_flag=True, help="Tensors in the opposite order.")
@click.option("--metadata", is_flag=True, help="List every key with its type; long values are folded.")
@renamed_option(
    "--sizes",
    "sizes",
    was="--recipes",
    is_flag=True,
    help="What size a file of it would have under each recipe, to the byte, and how much would fall back.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="Print the value of one key and nothing else: text as it is, an array one item a line.",
)
@click.option(
    "--stats", is_flag=True, help="Min, max, mean, σ, zeros and outliers of every tensor; reads all values."
)
@click.option(
    "--html",
    type=click.Path(),
    metavar="FILE",
    help="Write it all as one page for a browser, and print nothing; with --stats, with histograms.",
)
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worker threads for --stats; default: all available cores.",
)
@json_option
def command(
    path: str,
    every_layer: bool,
    tensors: bool,
    pattern: re.Pattern[str] | None,
    types: tuple[str, ...],
    sort: str | None,
    reverse: bool,
    metadata: bool,
    sizes: bool,
    key: str | None,
    stats: bool,
    html: str | None,
    force: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show what PATH holds: model facts, tensor types, bits per weight.

    PATH is a GGUF file (of a split model, any of its files), a .safetensors file, or a directory as Hugging
    Face lays it out; or a URL of one of these. Only headers are read, but for --stats.

    The map has a row for layers that are alike and a column for each role; norms, biases and other vectors
    share the last one.

    --filter, --type, --sort and --reverse imply --tensors, unless --metadata or --stats is given.

    The page needs no network. It always lists all tensors; --filter and --type choose which are measured.

    The --json document has the facts of the summary (path, files, architecture, parameters, tensor_bytes,
    bits_per_weight, types, layers, heads, kv_heads, context_length, …; null for what is not said) and the
    map; with --tensors also tensor_list and tensor_totals, with --metadata metadata, with --sizes recipes,
    with --stats statistics. With --key it is the value.
    """
    from ...inspection.opening import open_inspected

    chosen = pattern is not None or types or sort is not None or reverse
    tensors = tensors or (bool(chosen) and not metadata and not stats)
    wanted = Wanted(every_layer, tensors, metadata, sizes, stats, pattern, types, sort, reverse)
    if key is not None and (stats or html is not None):
        raise click.UsageError("--key prints a value and nothing else; it does not go with --stats or --html")
    with open_inspected(path) as opened:
        if html is not None:
            from . import page

            page.check(opened.inspection, html, force=force)  # before all values are read
        if key is not None:
            from . import keys

            keys.print_value(opened.inspection.metadata, key, path, as_json=as_json)
            return
        measured = None
        if stats:
            from . import statistics

            measured = statistics.measured(opened, _listed(opened, wanted), threads)
        if html is not None:
            page.write(opened.inspection, html, measured, force=force)
        if as_json:
            print_json(_document(opened, wanted, measured))
        elif html is not None:
            page.show(console(), html)
        else:
            _show(opened, wanted, measured)


def _show(opened: Inspected, wanted: Wanted, measured: Sequence[Measurement] | None) -> None:
    out = console()
    inspection = opened.inspection
    if wanted.overview:
        from . import panel

        panel.show(out, inspection)
    if wanted.overview or wanted.every_layer:
        from . import layers

        layers.show(out, inspection.tensors, every_layer=wanted.every_layer)
    if wanted.metadata:
        from . import keys

        keys.show(out, inspection.metadata, wanted.pattern)
    if wanted.tensors:
        from . import tensor_list

        tensor_list.show(out, _listed(opened, wanted), len(inspection.tensors))
    if wanted.sizes:
        from . import sizes

        sizes.show(out, inspection.summary.path)
    if measured is not None:
        from . import statistics

        statistics.show(out, measured)


def _document(opened: Inspected, wanted: Wanted, measured: Sequence[Measurement] | None) -> dict[str, Any]:
    """Facts and the map always; lists where they are asked for."""
    from . import keys, layers, panel, sizes, statistics, tensor_list

    inspection = opened.inspection
    document = panel.to_json(inspection) | {"map": layers.to_json(inspection.tensors)}
    if wanted.tensors:
        document |= tensor_list.to_json(_listed(opened, wanted))
    if wanted.metadata:
        document["metadata"] = keys.to_json(inspection.metadata, wanted.pattern)
    if wanted.sizes:
        document["recipes"] = sizes.to_json(inspection.summary.path)
    if measured is not None:
        document["statistics"] = statistics.to_json(measured)
    return document


def _listed(opened: Inspected, wanted: Wanted) -> list[TensorDescription]:
    return arranged(
        opened.inspection.tensors,
        pattern=wanted.pattern,
        types=wanted.types,
        sort=wanted.sort,
        reverse=wanted.reverse,
    )
