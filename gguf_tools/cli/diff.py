"""``gguf-tools diff``: what is different between two models."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from .console import console, json_option, print_json, progress, shape, table
from .format_values import compared

if TYPE_CHECKING:
    from rich.console import Console

    from ..inspection.diff import Comparison, TensorDifference


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools diff old.gguf new.gguf\n"
    "  gguf-tools diff model-f16.gguf model-q4_k_m.gguf --ignore 'general.*'\n"
    "  gguf-tools diff ./Qwen3-0.6B qwen3-0.6b-q8_0.gguf\n"
    "  gguf-tools diff old.gguf new.gguf --no-data --quiet || echo changed\n"
    "  gguf-tools diff model-q4_k_m.gguf hf://ORG/NAME/model-q4_k_m.gguf"
)
@click.argument("a", type=click.Path())
@click.argument("b", type=click.Path())
@click.option(
    "--data/--no-data",
    default=None,
    help="Compare values, or only metadata, tensor names, shapes and types. "
    "[default: values, but of URLs only what headers tell]",
)
@click.option(
    "--ignore",
    metavar="PATTERN",
    multiple=True,
    help="Keys and tensors not to look at, such as 'general.*'. Repeatable.",
)
@click.option("--quiet", "-q", is_flag=True, help="Only the exit status.")
@json_option
def command(a: str, b: str, data: bool | None, ignore: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Compare the models A and B: GGUF files, of any types, or Hugging Face checkpoints; or URLs of these.

    A checkpoint is read as the GGUF file it would become, so that names and permuted heads match. Values are
    compared where bytes differ; max, RMS and relative RMS are of the differences. The exit status is 0 if
    everything is the same, 1 if something is different, 2 if there is trouble.
    """
    from ..inspection.diff import diff

    with progress("comparing", quiet=quiet or as_json) as report:
        found = diff(a, b, data=data, ignore=ignore, progress=report)
    if as_json:
        print_json({"a": a, "b": b, **found.to_dict()})
    elif not quiet:
        _print(console(), found)
    if not found.equal:
        sys.exit(1)


def _print(out: Console, found: Comparison) -> None:
    from rich.text import Text

    if found.metadata:
        listing = table("key", "A", "B")
        for difference in found.metadata:
            before, after = compared(difference)
            listing.add_row(difference.key, Text(before, style="red"), Text(after, style="green"))
        out.print(listing)
        out.print()
    numbers = ("max", "RMS", "rel. RMS")
    if found.tensors:
        listing = table("tensor", "A", "B", *numbers, right=numbers)
        for tensor in found.tensors:
            listing.add_row(tensor.name, *_sides(tensor), *_numbers(tensor))
        out.print(listing)
        out.print()
    keys, tensors = len(found.metadata), len(found.tensors)
    some = f"{keys} key{'' if keys == 1 else 's'}"
    if found.equal:
        limits = "" if found.data else " by names, shapes and types; values were not compared (--data)"
        out.print(f"the same: all metadata and {found.same:,} tensors{limits}")
    else:
        out.print(f"{some} and {tensors:,} of {tensors + found.same:,} tensors differ")


def _sides(tensor: TensorDifference) -> tuple[str, str]:
    """Types; and shapes, where a difference of shapes is the matter."""
    sides = []
    shown = None in tensor.shapes or tensor.reason == "of different shapes"
    for size, kind in zip(tensor.shapes, tensor.types, strict=True):
        if size is None or kind is None:
            sides.append("–")
        else:
            sides.append(f"{kind} {shape(size)}" if shown else kind)
    return sides[0], sides[1]


def _numbers(tensor: TensorDifference) -> tuple[str, str, str]:
    distance = tensor.distance
    if distance is None:
        return "", "", ""
    relative = "–" if distance.relative_rms is None else f"{distance.relative_rms:.3g}"
    return f"{distance.maximum:.3g}", f"{distance.rms:.3g}", relative
