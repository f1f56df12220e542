"""What a shell may offer for a half-typed value, where that is no file: names of types, keys, tensors.

Each is the ``shell_complete`` of an option or argument: it gets what has been typed so far. Case does not
matter where names are upper case throughout.

A shell runs what it completes: bash puts an offer on the command line as it is, so that a tensor named
``x$(command)`` would be run by the Enter key, and a line end in a name would forge offers of its own. Of a
file's names only those are offered that mean nothing to any shell; and whatever is offered is looked at once
more, by the classes of `guard_completions`, before a shell is told.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)

from ..printable import printable

if TYPE_CHECKING:
    from ..container.reader import GGUFFile

__all__ = [
    "architectures",
    "folders",
    "guard_completions",
    "keys",
    "recipes",
    "tensor_types",
    "tensors",
    "value_types",
]

_HARMLESS: Final = re.compile(r"[A-Za-z0-9._:/][A-Za-z0-9._:/-]*")
"""Names from files that are offered: without what any shell acts on, and not like an option."""

_OFFERED: Final = re.compile(r"[A-Za-z0-9._:/-]+(\[\])?")
"""What may be offered at all: such names, and the program's own ``--force`` and ``uint32[]``."""


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
    return [] if file is None else _beginning(incomplete, filter(_HARMLESS.fullmatch, file.metadata))


def tensors(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Names of the tensors in the file that stands on the command line already."""
    file = _given(ctx)
    return [] if file is None else _beginning(incomplete, filter(_HARMLESS.fullmatch, file.tensors))


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


class _Guarded(ShellComplete):
    """Lets nothing through to a shell that it could take for anything but a name and its description."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        items = super().get_completions(args, incomplete)
        return [_guarded(item) for item in items if item.type != "plain" or _OFFERED.fullmatch(item.value)]


def _guarded(item: CompletionItem) -> CompletionItem:
    """Of files and directories, which the shell finds itself, the value is what was typed so far."""
    value = item.value if item.value.isprintable() else ""
    return CompletionItem(value, item.type, None if item.help is None else printable(item.help))


class _Bash(_Guarded, BashComplete):
    pass


class _Zsh(_Guarded, ZshComplete):
    pass


class _Fish(_Guarded, FishComplete):
    pass


def guard_completions() -> None:
    """Have click answer shells by these classes instead of its own."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
