"""What ``convert`` and ``quantize`` have in common: the options that say which tensor gets which type."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

import click

from ..conversion.options import QuantizeOptions
from ..recipes import RECIPES, Overrides, combine, read_overrides_file
from .completers import recipes, tensor_types
from .parameters import renamed_option, to_bytes

__all__ = ["Wanted", "epilog", "quantizing_options"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user wants of the types.

    Attributes:
        types: which they are.
        dry_run: only show the plan.
        explain: tell for every tensor why it gets its type.
    """

    types: QuantizeOptions
    dry_run: bool
    explain: bool


def epilog(*examples: str) -> str:
    """The end of a command's help: all recipes, and examples."""
    names = "\n  ".join(wrap(" ".join(RECIPES), 76))
    lines = "\n".join(f"  gguf-tools {example}" for example in examples)
    return f"\b\nTypes:\n  {names}\n\b\nExamples:\n{lines}"


def quantizing_options(default: str | None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options about types, given to the command as one argument ``wanted``.

    Args:
        default: the recipe where neither ``--type`` nor ``--overrides`` names one; None makes that an error.
    """
    shown = f"  [default: {default}]" if default else ""
    options = (
        click.option(
            "--type",
            "-t",
            "recipe",
            metavar="TYPE",
            shell_complete=recipes,
            help=f"What to quantize to.{shown}",
        ),
        click.option(
            "--imatrix",
            type=click.Path(),
            metavar="FILE",
            help="Importance matrix, of llama-imatrix, in either of its formats.",
        ),
        click.option(
            "--tensor-type",
            "tensor_types",
            multiple=True,
            metavar="REGEX=TYPE",
            help="Type of all tensors whose name matches; may be repeated, the first match decides.",
        ),
        click.option(
            "--output-tensor-type",
            "output",
            metavar="TYPE",
            shell_complete=tensor_types,
            help="Type of the output matrix.",
        ),
        click.option(
            "--token-embedding-type",
            "embedding",
            metavar="TYPE",
            shell_complete=tensor_types,
            help="Type of the token embeddings.",
        ),
        click.option("--pure", is_flag=True, help="The recipe's main type for all tensors."),
        click.option(
            "--no-fallback",
            is_flag=True,
            help="Fail where rows do not divide into blocks, instead of taking another type.",
        ),
        renamed_option(
            "--overrides",
            "overrides_file",
            was="--recipe",
            type=click.Path(),
            metavar="FILE",
            help="A TOML file that says all this.",
        ),
        click.option(
            "--split-max-size",
            metavar="SIZE",
            callback=to_bytes,
            help="Write shards DST-00001-of-00003.gguf of at most so much tensor data, such as 2G; each is "
            "there as soon as it is complete.",
        ),
        click.option("--explain", is_flag=True, help="Tell for every tensor why it gets its type."),
        click.option(
            "--dry-run", is_flag=True, help="Show the plan, with the exact output size; write nothing."
        ),
    )

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(
            *arguments: Any,
            recipe: str | None,
            imatrix: str | None,
            tensor_types: tuple[str, ...],
            output: str | None,
            embedding: str | None,
            pure: bool,
            no_fallback: bool,
            overrides_file: str | None,
            split_max_size: int | None,
            explain: bool,
            dry_run: bool,
            **others: Any,
        ) -> Any:
            named, from_file = read_overrides_file(overrides_file) if overrides_file else (None, Overrides())
            overrides = combine(
                from_file,
                tensor_types=tensor_types,
                output=output,
                embedding=embedding,
                pure=pure,
                fallback=not no_fallback,
            )
            name = recipe or named or default
            if name is None:
                raise click.UsageError("Missing option '--type' / '-t'.")
            types = QuantizeOptions(name, imatrix, overrides, split_max_size)
            wanted = Wanted(types, dry_run, explain)
            return command(*arguments, wanted=wanted, **others)

        for option in reversed(options):
            wrapped = option(wrapped)
        return wrapped

    return decorate
