"""``gguf-tools architectures``: which model families are supported, told by the tables themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from .console import console, json_option, print_json, table

if TYPE_CHECKING:
    from ..architectures import Architecture

_TOKENIZERS: Final = {
    "spm": "SentencePiece",
    "llama-hf": "SentencePiece",
    "internlm2": "SentencePiece",
    "unscored": "SentencePiece",
    "bpe": "BPE",
    "wordpiece": "WordPiece",
}


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools architectures\n"
    "  gguf-tools architectures --json | jq -r '.[].classes[]'"
)
@click.option("--markdown", is_flag=True, help="Print a table for a README.")
@json_option
def command(markdown: bool, as_json: bool) -> None:
    """List the architectures that `convert` and `export` know.

    Each is one table that reads in both directions, so all that can be converted can be exported.
    """
    from ..architectures import ARCHITECTURES

    families = sorted(ARCHITECTURES, key=lambda family: family.name)
    if as_json:
        print_json([_entry(family) for family in families])
    elif markdown:
        click.echo("| GGUF architecture | Hugging Face classes | Tokenizers |\n| --- | --- | --- |")
        for family in families:
            classes = ", ".join(f"`{name}`" for name in family.hf_classes)
            click.echo(f"| `{family.name}` | {classes} | {', '.join(_tokenizers(family))} |")
    else:
        listing = table("architecture", "classes in config.json", "tokenizers")
        for family in families:
            listing.add_row(family.name, ", ".join(family.hf_classes), ", ".join(_tokenizers(family)))
        out = console()
        out.print(listing)
        count = sum(len(family.hf_classes) for family in families)
        out.print(f"\n{count} classes of {len(families)} architectures, in both directions")


def _tokenizers(family: Architecture) -> list[str]:
    return list(dict.fromkeys(_TOKENIZERS.get(kind, kind) for kind in family.tokenizer_kinds))


def _entry(family: Architecture) -> dict[str, Any]:
    return {
        "name": family.name,
        "classes": list(family.hf_classes),
        "tokenizers": _tokenizers(family),
        "lost": list(family.lost),
    }
