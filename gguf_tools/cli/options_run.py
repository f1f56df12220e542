"""What all commands that write have in common: how a plan is carried out, and how that is told."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import click

from ..conversion.run_options import RunOptions
from .console import common_options
from .parameters import to_bytes

__all__ = ["Execution", "execution", "execution_options", "resume_option"]

_RUN = {field.name for field in fields(RunOptions)}


@dataclass(frozen=True, slots=True)
class Execution:
    """How the user wants a plan carried out.

    Attributes:
        run: for the engine, without a progress bar yet.
        quiet: no progress bar and no summary.
        as_json: one JSON document instead of tables.
    """

    run: RunOptions
    quiet: bool
    as_json: bool


def execution(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn what the command's options say of the execution into one argument ``how``.

    Those are ``--quiet`` and ``--json``, and whichever of `RunOptions` the command offers.
    """

    @functools.wraps(command)
    def wrapped(*arguments: Any, quiet: bool, as_json: bool, **others: Any) -> Any:
        run = RunOptions(**{name: others.pop(name) for name in _RUN & others.keys()})
        return command(*arguments, how=Execution(run, quiet, as_json), **others)

    return wrapped


resume_option = click.option(
    "--resume",
    is_flag=True,
    help="Go on where an interrupted run of the same job stopped, and let this one be gone on with.",
)


def execution_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """All options about the execution, given to the command as one argument ``how``."""
    for option in (
        execution,
        click.option(
            "--max-memory",
            metavar="SIZE",
            callback=to_bytes,
            help="Most memory for the work in flight, such as 500M; smaller chunks first, then fewer "
            "threads.",
        ),
        resume_option,
        common_options,
    ):
        command = option(command)
    return command
