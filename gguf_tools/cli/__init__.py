"""The ``gguf-tools`` command. One module per command, each imported only when it runs.

``--help`` must be instant, so the list of commands and their one-line summaries is data here, and
numba or the ``gguf`` package are imported by none of these modules at their top.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from ..errors import GGUFToolsError
from ..printable import printable
from .completers import guard_completions
from .console import print_error
from .transfer_report import counting

__all__ = ["main"]

COMMANDS: Final[dict[str, str]] = {
    "convert": "Hugging Face checkpoint → GGUF, quantized in the same pass.",
    "convert-lora": "LoRA adapter (PEFT) → GGUF adapter.",
    "quantize": "GGUF → GGUF of another type.",
    "export": "GGUF → Hugging Face checkpoint (safetensors).",
    "inspect": "Show what a GGUF file or a checkpoint holds.",
    "verify": "Check a GGUF file for faults; exit status 1 if it has any.",
    "diff": "Compare two models; exit status 0 same, 1 different, 2 trouble.",
    "estimate": "Tell how much memory running a model takes, and what fits.",
    "extract": "Tensors of a GGUF file → .npy or safetensors.",
    "edit": "Change the metadata of a GGUF file.",
    "split": "Cut a GGUF file into several.",
    "merge": "Join the files of a split model.",
    "architectures": "List the supported model families.",
    "warmup": "Compile the quantizers ahead of their first use.",
    "completion": "Print the script for completion by bash, zsh or fish.",
}

FAILURE: Final = 1

INTERRUPTED: Final = 130
"""Exit status after Ctrl-C: 128 and the number of the signal, as shells have it."""

FAILURES: Final = {"diff": 2}
"""Exit status of an error, by command, where it is not 1: to `diff`, that means a difference."""


class _Commands(click.Group):
    """Commands by name from ``COMMANDS``; typed errors become one line on stderr."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".{cmd_name.replace('-', '_')}", __name__)
        command = copy(module.command)
        assert isinstance(command, click.Command)
        assert command.callback is not None
        command.callback = counting(command.callback)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands without importing them all: somebody is waiting with a finger on the Tab key."""
        found = [CompletionItem(name, help=text) for name, text in COMMANDS.items()]
        named = [item for item in found if item.value.startswith(incomplete)]
        return named + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            return super().parse_args(ctx, args)  # the help
        with _printable_usage():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _printable_usage():
                return super().invoke(ctx)
        except GGUFToolsError as error:
            _fail(ctx, str(error))
        except BrokenPipeError:
            raise  # click ends quietly when the reader of a pipe has gone
        except OSError as error:
            _fail(ctx, f"{error.filename}: {error.strerror}" if error.filename else str(error))
        except MemoryError:
            _fail(ctx, "out of memory; fewer --threads need less")
        except KeyboardInterrupt:
            from .console import print_aborted

            print_aborted()
            sys.exit(INTERRUPTED)


@contextmanager
def _printable_usage() -> Iterator[None]:
    """What click says of wrong arguments, which may be names of files, becomes one printable line."""
    try:
        yield
    except click.MissingParameter:
        raise  # the program's own words, on several lines where there is a choice
    except click.UsageError as error:
        raise click.UsageError(printable(error.format_message()), error.ctx) from error


def _fail(ctx: click.Context, message: str) -> None:
    print_error(message)
    sys.exit(FAILURES.get(ctx.invoked_subcommand or "", FAILURE))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="\b\nExamples:\n"
    "  gguf-tools convert ./SmolLM2-135M smollm2-q4_k_m.gguf --type Q4_K_M\n"
    "  gguf-tools inspect smollm2-q4_k_m.gguf --tensors\n"
    "  gguf-tools export smollm2-q4_k_m.gguf ./smollm2-bf16 --dtype bf16",
)
@click.version_option(package_name="gguf-tools", prog_name="gguf-tools")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Of a URL: how long to wait for an answer, or its next bytes. [default: 30]",
)
def main(timeout: float | None) -> None:
    """Get model weights in and out of GGUF: convert, quantize, export, inspect, verify."""


guard_completions()
