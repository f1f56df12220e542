"""``gguf-tools warmup``: compile kernels before they are needed."""

from __future__ import annotations

import time

import click

from .completers import tensor_types
from .console import console, json_option, print_json, seconds


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools warmup\n"
    "  gguf-tools warmup Q4_K Q6_K\n"
    "  NUMBA_CACHE_DIR=/var/cache/numba gguf-tools warmup --quiet",
)
@click.argument("types", nargs=-1, metavar="[TYPE]...", shell_complete=tensor_types)
@click.option("--quiet", "-q", is_flag=True, help="Print nothing.")
@json_option
def command(types: tuple[str, ...], quiet: bool, as_json: bool) -> None:
    """Compile what encoding and decoding the tensor types TYPE needs; without any, of all types.

    Every type is compiled when it is first used, which takes a few seconds, and kept for later
    processes. An image or a shared cache is best filled once, with this command.
    """
    from ..compute.jit import cache_directory
    from ..compute.kernel_cache import NO_DIRECTORY
    from ..quants import warmup
    from ..quants.table import MODULES, codec

    wanted = [codec(name).type for name in types] or list(MODULES)
    taken: dict[str, float] = {}
    out = console()
    started = time.monotonic()
    with console(stderr=True).status("compiling") as status:
        for kind in wanted:
            status.update(f"compiling {kind.name}")
            begun = time.monotonic()
            warmup([kind])
            taken[kind.name] = time.monotonic() - begun
    directory = cache_directory()
    if as_json:
        print_json({"directory": None if directory is None else str(directory), "seconds": taken})
    elif not quiet:
        count = f"{len(wanted)} type{'' if len(wanted) == 1 else 's'}"
        kept = f"kept in {directory}" if directory else f"kept nowhere: {NO_DIRECTORY}"
        out.print(f"{count} ready in {seconds(time.monotonic() - started)}, {kept}")
