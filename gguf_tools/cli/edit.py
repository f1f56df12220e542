"""``gguf-tools edit``: change metadata, in place where that can be."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import click

from ..errors import GGUFToolsError
from .completers import architectures, keys, value_types
from .console import console, json_option, print_json, print_line, progress, seconds, size, table
from .format_values import compared
from .options_run import Execution, execution, resume_option
from .parameters import pairs, to_bytes

if TYPE_CHECKING:
    from ..editing.changes import Changes, Difference
    from ..editing.edit import Edit

MAX_VALUE_BYTES = 1 << 28
"""Of a file that becomes a value: several times the largest vocabulary."""


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools edit model.gguf --set general.name='My model' --dry-run\n"
    "  gguf-tools edit model.gguf --set tokenizer.ggml.eos_token_id=2\n"
    "  gguf-tools edit model.gguf --set-template chat.jinja --in-place\n"
    "  gguf-tools edit model.gguf --set my.key=7 --type uint32 -o other.gguf\n"
    "  gguf-tools edit model.gguf --delete general.url --rename my.key=your.key\n"
    "  gguf-tools edit model.gguf --rename-arch llama\n"
    "  gguf-tools edit model.gguf --recover"
)
@click.argument("file", type=click.Path())
@click.option(
    "--set",
    "values",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=keys,
    callback=pairs,
    help="Give a key a value of the type it has; arrays as JSON.",
)
@click.option(
    "--set-from-file",
    "files",
    metavar="KEY=FILE",
    multiple=True,
    shell_complete=keys,
    callback=pairs,
    help="The same with the contents of a file.",
)
@click.option(
    "--set-template",
    "template",
    type=click.Path(),
    metavar="FILE",
    help="Set tokenizer.chat_template from a Jinja file.",
)
@click.option(
    "--type",
    "type_",
    metavar="TYPE",
    shell_complete=value_types,
    help="Type of new keys: string, bool, uint32, float32, int32[] …",
)
@click.option("--delete", metavar="KEY", multiple=True, shell_complete=keys, help="Remove a key.")
@click.option(
    "--rename",
    metavar="OLD=NEW",
    multiple=True,
    callback=pairs,
    shell_complete=keys,
    help="Give a key another name.",
)
@click.option(
    "--rename-arch",
    metavar="NAME",
    shell_complete=architectures,
    help="Set general.architecture and rename the keys that begin with it.",
)
@click.option("--output", "-o", type=click.Path(), metavar="OUT", help="Write to OUT and leave FILE alone.")
@click.option(
    "--in-place",
    is_flag=True,
    help="Never write the file anew: fill the room of shorter metadata with the key _padding; fail where it "
    "is longer.",
)
@click.option(
    "--reserve",
    metavar="SIZE",
    callback=to_bytes,
    help="If the file is written anew, leave room for later edits: 64K.",
)
@click.option("--recover", is_flag=True, help="Undo an edit that a crash interrupted; change nothing else.")
@click.option("--dry-run", is_flag=True, help="Show before and after; write nothing.")
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@resume_option
@click.option("--quiet", "-q", is_flag=True, help="No progress bar and no summary.")
@json_option
@execution
def command(
    file: str,
    values: dict[str, str],
    files: dict[str, str],
    template: str | None,
    type_: str | None,
    delete: tuple[str, ...],
    rename: dict[str, str],
    rename_arch: str | None,
    output: str | None,
    in_place: bool,
    reserve: int | None,
    recover: bool,
    dry_run: bool,
    how: Execution,
) -> None:
    """Change the metadata of the GGUF file FILE. Tensors stay as they are, to the byte.

    Where the metadata still ends in the same place, only the changed bytes are written, provided that no
    program has the file open. Otherwise it is written anew beside FILE, compared, and renamed over it.
    Either way readers find the old file or the new one, never a mix. Of a split model the first file is
    changed, whichever is given.
    """
    from ..editing.edit import edit, plan_edit

    if recover:
        _recover(file, how)
        return
    changes = _changes(values, files, template, type_, delete, rename, rename_arch)
    started = time.monotonic()
    if dry_run:
        done = plan_edit(file, changes, output=output, insist=in_place, reserve=reserve or 0)
    else:
        with progress("copying", quiet=how.quiet or how.as_json) as report:
            done = edit(
                file,
                changes,
                output=output,
                insist=in_place,
                reserve=reserve or 0,
                force=how.run.force,
                resume=how.run.resume,
                progress=report,
            )
    elapsed = None if dry_run else time.monotonic() - started
    if how.as_json:
        print_json({**done.to_dict(), "written": not dry_run, "seconds": elapsed})
    elif dry_run or not how.quiet:
        _print(done, elapsed)


def _changes(
    values: dict[str, str],
    files: dict[str, str],
    template: str | None,
    type_: str | None,
    delete: tuple[str, ...],
    rename: dict[str, str],
    architecture: str | None,
) -> Changes:
    from ..editing.changes import TEMPLATE_KEY, Changes

    given: dict[str, Any] = dict(values)
    contents = dict(files)
    if template is not None:
        contents[TEMPLATE_KEY] = template
    if twice := sorted(given.keys() & contents.keys()):
        raise click.UsageError(f"{twice[0]} is set twice.")
    given |= {key: _contents(name) for key, name in contents.items()}
    if template is not None:
        _check_template(template, given[TEMPLATE_KEY])
    if not (given or delete or rename or architecture):
        raise click.UsageError("Say what to change; see --help.")
    return Changes(architecture, rename, delete, given, type_, list(contents.values()))


def _contents(name: str) -> bytes:
    from ..io.input_files import read_small

    return read_small(name, MAX_VALUE_BYTES, GGUFToolsError)


def _check_template(name: str, contents: bytes) -> None:
    """Refuse a template that nothing could use. (One given with --set is taken as it is.)"""
    from ..verification.templates import template_fault

    fault = template_fault(contents.decode("utf-8", "replace"))
    if fault is not None:
        raise GGUFToolsError(f"the template {fault}", path=name)


def _recover(file: str, how: Execution) -> None:
    from ..editing.edit import recover

    recovered = recover(file)
    if how.as_json:
        print_json({"path": file, "recovered": recovered})
    elif not how.quiet:
        undone = "the interrupted edit is undone" if recovered else "no edit was interrupted"
        print_line(f"{file}: {undone}")


def _print(done: Edit, elapsed: float | None) -> None:
    from rich.text import Text

    out = console()
    rows = [(difference, *compared(difference)) for difference in done.differences]
    renamed = [row[0] for row in rows if row[0].renamed_from is not None and row[1] == row[2]]
    rows = [row for row in rows if row[0] not in renamed]
    if rows:
        listing = table("key", "before", "after")
        for difference, before, after in rows:
            listing.add_row(_name(difference), Text(before, style="red"), Text(after, style="green"))
        out.print(listing)
        out.print()
    for difference in renamed:
        out.print(_name(difference))
    if renamed:
        out.print()
    if done.how == "nothing":
        out.print("nothing to change: the file is as asked already")
        return
    where = "" if done.output == done.path else f" to {done.output}"
    how = done.how + (f"{where}: {done.reason}" if done.reason else "")
    amount = size(done.written) if done.written >= 10_000 else f"{done.written:,} bytes"
    amount = "1 byte" if done.written == 1 else amount
    ending = "(dry run: nothing written)" if elapsed is None else f"written in {seconds(elapsed)}"
    out.print(f"{how}; {amount} {ending}")


def _name(difference: Difference) -> str:
    """The key, and its old name where it has a new one."""
    old = difference.renamed_from
    return difference.key if old is None else f"{old} → {difference.key}"
