"""What a shell may offer for a half-typed value, where that is no file: names of types, keys, tensors.

Each is the ``shell_complete`` of an option or argument: it gets what has been typed so far. Case does not
matter where names are upper case throughout.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from ..container.reader import GGUFFile

__all__ = ["architectures", "folders", "keys", "recipes", "tensor_types", "tensors", "value_types"]


def recipes(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of recipes: ``Q4_K_M``."""
    from ..recipes import RECIPES

    return _beginning(incomplete.upper(), RECIPES)


def tensor_types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of tensor types: ``Q4_K``."""
    from ..spec import GGMLType

    return _beginning(incomplete.upper(), (kind.name for kind in GGMLType))


def value_types(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Types of metadata: ``uint32``, ``string[]``."""
    from ..editing.changes import TYPES

    return _beginning(incomplete.lower(), TYPES)


def architectures(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """GGUF names of model families: ``qwen3``."""
    from ..architectures import ARCHITECTURES

    return _beginning(incomplete, sorted({family.name for family in ARCHITECTURES}))


def keys(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Metadata keys of the file that stands on the command line already."""
    file = _given(ctx)
    return [] if file is None else _beginning(incomplete, file.metadata)


def tensors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the tensors in the file that stands on the command line already."""
    file = _given(ctx)
    return [] if file is None else _beginning(incomplete, file.tensors)


def folders(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Directories, as the shell finds them."""
    return [CompletionItem(incomplete, type="dir")]


def _given(ctx: click.Context) -> GGUFFile | None:
    """The command's GGUF file, closed again; None where there is none that can be read."""
    from ..container.opening import open_gguf
    from ..errors import GGUFToolsError

    # An option whose value is still to come stops click from telling arguments apart: it leaves them as text.
    named = [ctx.params.get(name) for name in ("file", "src", "path")] + ctx.args
    path = next((text for text in named if text), None)
    if path is None:
        return None
    try:
        with open_gguf(os.path.expanduser(path), check=False, whole=False) as file:
            return file
    except (GGUFToolsError, OSError):
        return None


def _beginning(text: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if name.startswith(text)]
