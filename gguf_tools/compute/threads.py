"""Threads to work in."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

__all__ = ["Workers"]

_BEGINNING: Final = 1 << 20
"""Bytes of addresses that a thread needs to come as far as saying that it has begun, and many times more."""

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Workers(ThreadPoolExecutor):
    """A pool of threads that fails where there is no memory for another, and never waits for one for ever.

    A thread that finds no memory for its first call ends without a word, and whoever started it waits for
    its sign of life. So it is tried beforehand whether there is some.
    """

    def __init__(self, count: int) -> None:
        super().__init__(count, thread_name_prefix="gguf-tools")

    def submit(
        self, work: Callable[_Arguments, _Result], /, *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> Future[_Result]:
        """As of any pool.

        Raises:
            MemoryError: there is none left for a thread.
        """
        _require_memory()
        try:
            return super().submit(work, *args, **kwargs)
        except RuntimeError as error:
            if "start new thread" in str(error):  # not even a stack for it
                raise MemoryError("no memory for a thread") from error
            raise


def _require_memory() -> None:
    try:
        mmap.mmap(-1, _BEGINNING).close()
    except OSError as error:
        raise MemoryError("no memory for a thread") from error
