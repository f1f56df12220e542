"""How a plan is carried out. Apart from the engine, which takes long to import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Progress", "RunOptions"]

Progress = Callable[[int, int, str], None]
"""Called after every chunk, from the workers, with output bytes done, bytes in all, and a tensor's name.
Nothing has got its name before all bytes were reported: whoever interrupts the last call finds none."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How a plan is carried out, whatever it is a plan of; none of this changes a byte of the output.

    Attributes:
        threads: workers; None for all cores this process may use.
        force: replace an existing destination.
        resume: go on where an interrupted run of the same plan stopped; and when this one is interrupted,
            keep what it has done for the next. A run that is killed keeps it in any case.
        max_memory: bytes all workers together may hold, see `engine.fitting`; None for no limit.
        progress: see ``Progress``; chunks finish out of order, the byte count only grows.
    """

    threads: int | None = None
    force: bool = False
    resume: bool = False
    max_memory: int | None = None
    progress: Progress | None = None
