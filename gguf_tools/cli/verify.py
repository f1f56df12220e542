"""``gguf-tools verify``: a fault in the file is a finding and exit status 1, never a traceback."""

from __future__ import annotations

import sys

import click

from .console import console, json_option, print_json, printable, progress, table


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools verify model.gguf\n"
    "  gguf-tools verify model-00001-of-00003.gguf --json",
)
@click.argument("file", type=click.Path())
@click.option("--quiet", "-q", is_flag=True, help="Only the exit status: 0 sound, 1 faulty.")
@json_option
def command(file: str, quiet: bool, as_json: bool) -> None:
    """Check the GGUF file FILE: structure, sizes, gaps, overlaps, NaN and infinite scales.

    All of the file is read. The exit status is 1 if there is any error; warnings alone leave it 0.
    """
    from ..analysis.verify import verify

    with progress("verifying", quiet=quiet or as_json) as report:
        findings = verify(file, progress=report)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        found = [finding.to_dict() for finding in findings]
        print_json({"path": file, "sound": not errors, "errors": errors, "findings": found})
    elif not quiet:
        from rich.text import Text

        out = console()
        if findings:
            listing = table("", "code", "place", "finding")
            for finding in findings:
                colour = "red" if finding.severity == "error" else "yellow"
                words = finding.message + (f" → {finding.remedy}" if finding.remedy else "")
                listing.add_row(
                    Text(finding.severity, style=colour),
                    finding.code,
                    Text(printable(finding.place), overflow="fold"),
                    Text(printable(words), overflow="fold"),
                )
            out.print(listing)
        verdict = ("faulty", "red") if errors else ("sound", "green")
        counts = f", {_counted(errors, 'error')}, {_counted(len(findings) - errors, 'warning')}"
        out.print(Text.assemble(f"{printable(file)}: ", verdict, counts))
    if errors:
        sys.exit(1)


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
