"""The one place for numba's flags and for where compiled kernels are kept.

Flags: lazy compilation (an eager signature would compile at import), ``nogil`` (threads run kernels side
by side), ``error_model="numpy"`` (division by zero gives an infinity, as in C, and no branch), and never
``fastmath``: it reorders float operations, and the bytes would differ from ggml's.

Cache: numba notices an edit in a kernel's own file, but not in another module the kernel calls, and would
then serve stale code. So compiled kernels live in a directory named by a hash of all sources of kernels, of
numba's and numpy's versions, and of the processor.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core import config

__all__ = ["cache_directory", "inlined", "kernel"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SOURCES = ("jit.py", "registers.py", "quants/*.py", "checkpoint/packed/*.py")
"""What compiled kernels are made of: they call helpers of their own package, and `registers`."""

_DECORATING = Lock()
"""Codecs are imported when first used, perhaps by several threads at once, and numba's setting is global."""


def kernel(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep the machine code for the next process."""
    return _compile(function)


def inlined(function: _Function) -> _Function:
    """A kernel that becomes part of those that call it.

    Around a call numba counts references to arrays, with atomic operations that cost more than a short
    function does.
    """
    return _compile(function, forceinline=True)


def _compile(function: _Function, **flags: bool) -> _Function:
    with _DECORATING:
        previous = config.CACHE_DIR
        config.CACHE_DIR = str(cache_directory())  # read while decorating; the user's own setting comes back
        try:
            compiled: _Function = numba.njit(cache=True, nogil=True, error_model="numpy", **flags)(function)
        finally:
            config.CACHE_DIR = previous
    return compiled


@cache
def cache_directory() -> Path:
    """Where compiled kernels are kept: below ``NUMBA_CACHE_DIR`` or the user's cache.

    Where neither can be written to, a temporary directory lasts as long as the process. The package's own
    directory is never written to, so a read-only install works like any other.
    """
    key = _key()
    bases = [
        os.environ.get("NUMBA_CACHE_DIR"),
        os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "gguf-tools"),
    ]
    for base in filter(None, bases):
        directory = Path(base, f"kernels-{key}")
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(directory, os.W_OK | os.X_OK):
            return directory
    return _private_temporary(key)


def _private_temporary(key: str) -> Path:
    """A directory for this process alone: machine code from a place others can write to is not to be run."""
    directory = tempfile.mkdtemp(prefix=f"gguf-tools-kernels-{key}-")
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return Path(directory)


def _key() -> str:
    digest = hashlib.sha256()
    for part in (numba.__version__, np.__version__, llvm.get_host_cpu_name(), _features()):
        digest.update(part.encode() + b"\0")
    package = Path(__file__).parent
    for source in (path for pattern in _SOURCES for path in sorted(package.glob(pattern))):
        place = source.relative_to(package).as_posix()
        digest.update(place.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _features() -> str:
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM cannot tell on every system
        return ""
