"""``gguf-tools verify``: a fault in the file is a finding and exit status 1, never a traceback."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from .console import console, json_option, print_json, print_line, printable, progress

if TYPE_CHECKING:
    from rich.console import Console

    from ..verification.findings import Finding
    from ..verification.hashing import Hashes

_ALGORITHMS: Final = ("sha256", "blake3")
_FATAL: Final = frozenset({"format", "unsupported", "interrupted-edit", "shards"})


class _OptionalAlgorithm(click.Command):
    """``--hash`` alone means SHA-256, also where the file's name follows it."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for i, argument in enumerate(args):
            if argument == "--hash" and args[i + 1 : i + 2] not in ([name] for name in _ALGORITHMS):
                args[i] = f"--hash={_ALGORITHMS[0]}"
        return super().parse_args(ctx, args)


@click.command(
    cls=_OptionalAlgorithm,
    epilog="\b\nExamples:\n"
    "  gguf-tools verify model.gguf\n"
    "  gguf-tools verify model-00001-of-00003.gguf --json\n"
    "  gguf-tools verify model.gguf --hash --json > model.json\n"
    "  gguf-tools verify copy.gguf --against model.json\n"
    "  gguf-tools verify model.gguf --against SHA256SUMS\n"
    "  gguf-tools verify hf://ORG/NAME/model.gguf",
)
@click.argument("file", type=click.Path())
@click.option(
    "--hash",
    "algorithm",
    type=click.Choice(_ALGORITHMS),
    metavar="[sha256|blake3]",
    help="Print checksums of the file and of every tensor: SHA-256, or the one that is named. blake3 needs "
    "the package of that name.",
)
@click.option(
    "--against",
    type=click.Path(),
    metavar="MANIFEST",
    help="Compare checksums with those of `verify --hash --json`, or of sha256sum.",
)
@click.option(
    "--data/--no-data",
    default=None,
    help="Look at the tensors' data, or only at the header. [default: at the data, but not of a URL]",
)
@click.option("--quiet", "-q", is_flag=True, help="Only the exit status: 0 sound, 1 faulty.")
@json_option
def command(
    file: str, algorithm: str | None, against: str | None, data: bool | None, quiet: bool, as_json: bool
) -> None:
    """Check the GGUF file FILE, or all files of a split model, given one; or a URL of one.

    Structure, sizes, gaps and overlaps; keys, their types, tensors and shapes against the architecture's
    table; vocabulary and chat template; NaN and infinity in every block. All of the file is read, but of a
    URL only the header. The exit status is 1 if there is any error; warnings alone leave it 0.
    """
    from ..io.remote import is_url
    from ..verification.hashing import Hashing, compare_hashes, load_manifest
    from ..verification.verify import verify

    data = not is_url(file) if data is None else data
    expected = None if against is None else load_manifest(against)
    chosen = algorithm or (expected.algorithm if expected else None)
    hashing = Hashing(chosen) if chosen else None
    with progress("verifying", quiet=quiet or as_json) as report:
        findings = verify(file, data=data, hashing=hashing, progress=report)
    hashes = None
    if hashing is not None and not _unreadable(findings):
        hashes = hashing.result()
        if expected is not None:
            findings += compare_hashes(hashes, expected)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        found = [finding.to_dict() for finding in findings]
        document = {"path": file, "sound": not errors, "errors": errors, "findings": found, "data": data}
        if hashes is not None and algorithm:
            document["hashes"] = hashes.to_dict()
        print_json(document)
    elif not quiet:
        if hashes is not None and algorithm:
            _print_hashes(hashes)
        _print(console(), file, findings, errors, looked=data or hashes is not None)
    if errors:
        sys.exit(1)


def _unreadable(findings: list[Finding]) -> bool:
    """Whether the file did not even open."""
    return any(finding.code in _FATAL for finding in findings)


def _print_hashes(hashes: Hashes) -> None:
    """As ``sha256sum`` prints them, and not in a table: lines that other tools read must not be folded."""
    for digests in (hashes.files, hashes.tensors):
        for name, digest in digests.items():
            print_line(f"{digest}  {name}")
    print_line()


def _print(out: Console, file: str, findings: list[Finding], errors: int, *, looked: bool) -> None:
    from rich.text import Text

    for finding in findings:
        colour = "red" if finding.severity == "error" else "yellow"
        head = Text.assemble((finding.severity, colour), f" {finding.code}: {printable(finding.place)}")
        out.print(head, soft_wrap=not out.is_terminal)
        out.print(f"  {finding.message}", soft_wrap=not out.is_terminal)
        if finding.remedy:
            out.print(f"  → {finding.remedy}", style="dim", soft_wrap=not out.is_terminal)
    verdict = ("faulty", "red") if errors else ("sound", "green")
    counts = f", {_counted(errors, 'error')}, {_counted(len(findings) - errors, 'warning')}"
    out.print(Text.assemble(f"{printable(file)}: ", verdict, counts))
    if not looked:
        out.print("of the data nothing was looked at; --data does that", style="dim")
    unknown = _unknown_architecture(file) if not _unreadable(findings) else None
    if unknown is not None:
        out.print(f"not held against a table: {unknown!r} is unknown here")


def _unknown_architecture(file: str) -> str | None:
    """The architecture's name, where there is no table for it."""
    from ..container import open_gguf
    from ..errors import GGUFToolsError
    from ..verification.verify import known_architecture

    try:
        with open_gguf(file, check=False) as gguf:
            name = gguf.metadata.get("general.architecture")
            known = known_architecture(gguf.metadata, gguf.tensors) is not None
    except GGUFToolsError:
        return None
    return None if known or not isinstance(name, str) else name


def _counted(count: int, word: str) -> str:
    return f"{count} {word}" if count == 1 else f"{count} {word}s"
