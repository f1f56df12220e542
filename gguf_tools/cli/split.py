"""``gguf-tools split``: one GGUF file → several."""

from __future__ import annotations

import time

import click

from .console import progress
from .options_output import print_outputs, write_options
from .options_run import Execution
from .parameters import to_bytes


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools split model.gguf --max-size 2G --dry-run\n"
    "  gguf-tools split model.gguf parts/model --max-size 2G\n"
    "  gguf-tools split model.gguf --max-tensors 128",
)
@click.argument("src", type=click.Path())
@click.argument("stem", type=click.Path(), required=False)
@click.option(
    "--max-size",
    callback=to_bytes,
    metavar="SIZE",
    help="Most bytes of tensor data in a file: 500M, 2G, 1.5GiB. Metadata is not counted.",
)
@click.option("--max-tensors", type=click.IntRange(min=1), metavar="N", help="Most tensors in a file.")
@click.option(
    "--no-tensor-first-split", is_flag=True, help="Put the metadata into a first file without tensors."
)
@write_options
def command(
    src: str,
    stem: str | None,
    max_size: int | None,
    max_tensors: int | None,
    no_tensor_first_split: bool,
    dry_run: bool,
    how: Execution,
) -> None:
    """Cut the GGUF file SRC into STEM-00001-of-00003.gguf and so on.

    STEM is a name with its directory; by default it is that of SRC. Any of the files opens as the whole
    model, here and (the first one) in llama.cpp. Given a file of a split model, the whole is split anew.
    Tensors are copied as they are. The files appear all together or not at all.
    """
    from ..editing.splitting import plan_split, split

    if (max_size is None) == (max_tensors is None):
        raise click.UsageError("Give either --max-size or --max-tensors.")
    started = time.monotonic()
    if dry_run:
        outputs = plan_split(
            src, stem, max_size=max_size, max_tensors=max_tensors, empty_first=no_tensor_first_split
        )
    else:
        with progress("splitting", quiet=how.quiet or how.as_json) as report:
            outputs = split(
                src,
                stem,
                max_size=max_size,
                max_tensors=max_tensors,
                empty_first=no_tensor_first_split,
                force=how.run.force,
                resume=how.run.resume,
                progress=report,
            )
    elapsed = None if dry_run else time.monotonic() - started
    print_outputs(src, outputs, elapsed, how)
