"""``gguf-tools merge``: the files of a split model → one."""

from __future__ import annotations

import time
from pathlib import Path

import click

from .console import progress
from .options_output import print_outputs, write_options
from .options_run import Execution


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools merge model-00001-of-00003.gguf model.gguf\n"
    "  gguf-tools merge model-*-of-00003.gguf model.gguf\n"
    "  gguf-tools merge model-00001-of-00003.gguf model.gguf --resume\n"
    "  gguf-tools merge model-00001-of-00003.gguf model.gguf --keep-split-keys",
)
@click.argument("shards", type=click.Path(), nargs=-1, required=True)
@click.argument("dst", type=click.Path())
@click.option(
    "--keep-split-keys",
    is_flag=True,
    help="Leave split.no, split.tensors.count and split.count (0) in the file, as llama.cpp's tool does.",
)
@write_options
def command(
    shards: tuple[str, ...],
    dst: str,
    keep_split_keys: bool,
    dry_run: bool,
    how: Execution,
) -> None:
    """Join the files of a split model into the one file DST.

    One of SHARDS is enough: the others are found beside it by their names. DST is byte for byte the file
    that was split, and appears complete or not at all. With --resume, a run that was interrupted goes on
    where it stopped.
    """
    from ..container.opening import open_gguf
    from ..container.shards import shard_paths
    from ..editing.splitting import merge, plan_merge
    from ..errors import FormatError

    if len(shards) > 1:
        with open_gguf(shards[0], whole=False) as file:
            known = {Path(path).resolve() for path in shard_paths(file)}
        for shard in shards[1:]:
            if Path(shard).resolve() not in known:
                raise FormatError(f"not a file of the same model as {shards[0]}", path=shard)
    started = time.monotonic()
    if dry_run:
        output = plan_merge(shards[0], dst, keep_keys=keep_split_keys)
    else:
        with progress("merging", quiet=how.quiet or how.as_json) as report:
            output = merge(
                shards[0],
                dst,
                keep_keys=keep_split_keys,
                force=how.run.force,
                resume=how.run.resume,
                progress=report,
            )
    elapsed = None if dry_run else time.monotonic() - started
    print_outputs(shards[0], [output], elapsed, how)
