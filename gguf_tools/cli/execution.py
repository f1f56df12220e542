"""What ``convert``, ``quantize`` and ``export`` have in common: how a plan is carried out."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from .console import common_options
from .outputs import resume_option
from .parameters import to_bytes

__all__ = ["Execution", "execution_options"]


@dataclass(frozen=True, slots=True)
class Execution:
    """How the user wants a plan carried out.

    Attributes:
        threads: workers; None for all available cores.
        force: replace what exists.
        resume: go on where an interrupted run stopped.
        max_memory: bytes that work in flight may take, or None.
        quiet: no progress bar and no summary.
        as_json: one JSON document instead of tables.
    """

    threads: int | None
    force: bool
    resume: bool
    max_memory: int | None
    quiet: bool
    as_json: bool


def execution_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options about the execution, given to the command as one argument ``how``."""

    @common_options
    @resume_option
    @click.option(
        "--max-memory",
        metavar="SIZE",
        callback=to_bytes,
        help="Most memory for the work in flight, such as 500M; smaller chunks first, then fewer threads.",
    )
    @functools.wraps(command)
    def wrapped(
        *arguments: Any,
        threads: int | None,
        force: bool,
        resume: bool,
        max_memory: int | None,
        quiet: bool,
        as_json: bool,
        **others: Any,
    ) -> Any:
        how = Execution(threads, force, resume, max_memory, quiet, as_json)
        return command(*arguments, how=how, **others)

    return wrapped
