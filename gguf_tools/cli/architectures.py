"""``gguf-tools architectures``: which model families are supported, told by the tables themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import click

from .console import console, json_option, print_json, print_line, table

if TYPE_CHECKING:
    from ..architectures import Architecture

_TOKENIZERS: Final = {
    "spm": "SentencePiece",
    "llama-hf": "SentencePiece",
    "spm-replaced": "SentencePiece",
    "unscored": "SentencePiece",
    "bpe": "BPE",
    "rwkv": "RWKV World",
    "wordpiece": "WordPiece",
    "unigram": "Unigram",
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

    names = sorted({family.name for family in ARCHITECTURES})
    families = [_Row([family for family in ARCHITECTURES if family.name == name]) for name in names]
    if as_json:
        print_json([family.entry() for family in families])
    elif markdown:
        print_line("| GGUF architecture | Hugging Face classes | Tokenizers |")
        print_line("| --- | --- | --- |")
        for family in families:
            classes = ", ".join(f"`{name}`" for name in family.classes)
            print_line(f"| `{family.name}` | {classes} | {', '.join(family.tokenizers)} |")
    else:
        listing = table("architecture", "classes in config.json", "tokenizers")
        for family in families:
            listing.add_row(family.name, ", ".join(family.classes), ", ".join(family.tokenizers))
        out = console()
        out.print(listing)
        count = len({name for family in families for name in family.classes})
        out.print()
        out.print(f"{count} classes of {len(families)} architectures, in both directions")


class _Row:
    """All tables of one GGUF architecture; that for files no other claims comes first."""

    def __init__(self, tables: list[Architecture]) -> None:
        tables = sorted(tables, key=lambda family: family.matches_gguf is not None)
        self.name = tables[0].name
        self.classes = _once(name for family in tables for name in family.hf_classes)
        kinds = (kind for family in tables for kind in family.tokenizer_kinds)
        self.tokenizers = _once(_TOKENIZERS.get(kind, kind) for kind in kinds)
        self.export_notes = _once(note for family in tables for note in family.export_notes)

    def entry(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "classes": self.classes,
            "tokenizers": self.tokenizers,
            "export_notes": self.export_notes,
        }


def _once(items: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(items))
