"""``gguf-tools inspect``: from headers alone, so the answer is there at once.

One module for each part of the output, which prints itself from the `Inspected` model and gives its share of
the ``--json`` document.
"""

from __future__ import annotations

from pathlib import Path

import click

from ..console import console, json_option, print_json

__all__ = ["command"]


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools inspect model.gguf\n"
    "  gguf-tools inspect model.gguf --tensors | grep attn_v\n"
    "  gguf-tools inspect model.gguf --stats\n"
    "  gguf-tools inspect model.gguf --stats --html report.html\n"
    "  gguf-tools inspect model.gguf --json | jq .bits_per_weight",
)
@click.argument("path", type=click.Path())
@click.option("--map", "every_layer", is_flag=True, help="Map of types with every layer in its place.")
@click.option("--tensors", is_flag=True, help="List every tensor: name, shape, type, bytes, offset.")
@click.option("--metadata", is_flag=True, help="List every key with its type; long values are folded.")
@click.option("--stats", is_flag=True, help="Statistics of every tensor's values; reads them all.")
@click.option(
    "--html",
    type=click.Path(),
    metavar="FILE",
    help="Write everything as one page that needs no network; with --stats, with histograms.",
)
@click.option("--force", is_flag=True, help="Replace the page if it exists.")
@click.option(
    "--threads", type=click.IntRange(min=1), metavar="N", help="For --stats; default: all available cores."
)
@json_option
def command(
    path: str,
    every_layer: bool,
    tensors: bool,
    metadata: bool,
    stats: bool,
    html: str | None,
    force: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Show what PATH holds: model facts, tensor types, bits per weight.

    PATH is a GGUF file, a .safetensors file, or a directory as Hugging Face lays it out.
    """
    from ...analysis.inspection import open_inspected
    from ...files import check_target
    from . import keys, layers, page, panel, tensor_list
    from . import stats as statistics

    if html is not None:
        check_target(Path(html), force)
    with open_inspected(path) as opened:
        inspection = opened.inspection
        measured = statistics.measured(opened, inspection.tensors, threads=threads) if stats else None
        if html is not None:
            page.write(inspection, html, measured, force=force)
        if as_json:
            document = panel.to_json(inspection) | {"map": layers.to_json(inspection.tensors)}
            if tensors:
                document["tensor_list"] = tensor_list.to_json(inspection.tensors)
            if metadata:
                document["metadata"] = keys.to_json(inspection.metadata)
            if measured is not None:
                document["statistics"] = statistics.to_json(measured)
            print_json(document)
            return
        out = console()
        panel.show(out, inspection)
        layers.show(out, inspection.tensors, every_layer=every_layer)
        if metadata:
            keys.show(out, inspection.metadata)
        if tensors:
            tensor_list.show(out, inspection.tensors)
        if measured is not None:
            statistics.show(out, measured)
        if html is not None:
            page.show(out, html)
