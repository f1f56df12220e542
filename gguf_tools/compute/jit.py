"""The one place for numba's flags and for where compiled kernels are kept.

Flags: lazy compilation (an eager signature would compile at import), ``nogil`` (threads run kernels side
by side), ``error_model="numpy"`` (division by zero gives an infinity, as in C, and no branch), and never
``fastmath``: it reorders float operations, and the bytes would differ from ggml's.

Cache: numba's own notices an edit in a kernel's own file, but not in another module the kernel calls, and
would then serve stale code; it runs whatever lies in its directory, and fails where that is damaged. So
`gguf_tools.compute.kernel_cache` keeps the kernels, in a directory named by a hash of all sources of kernels,
of the versions of what compiles them, and of the processor.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import llvmlite
import llvmlite.binding as llvm
import numba
import numpy as np
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from .kernel_cache import find_directory, read_kernel, write_kernel

__all__ = ["cache_directory", "inlined", "kernel"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SOURCES = ("compute/jit.py", "compute/simd_transpose.py", "quants/**/*.py", "checkpoint/packed/*.py")
"""What compiled kernels are made of: they call helpers of their own package, and `registers`."""


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
    compiled: Any = numba.njit(nogil=True, error_model="numpy", **flags)(function)
    if compiled is not function:  # it is where numba is told not to compile
        compiled._cache = _KernelCache(function)
    result: _Function = compiled
    return result


class _KernelCache(_Cache):  # type: ignore[misc]
    """What a numba dispatcher asks before it compiles a kernel, and tells afterwards."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._enabled = True

    @property
    def cache_path(self) -> str | None:
        directory = cache_directory()
        return None if directory is None else str(directory)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The kernel for arguments of these types, or None."""
        target_context.refresh()
        directory = cache_directory()
        if directory is None or not self._enabled:
            return None
        identity = self._identity(sig, target_context.codegen())
        data = read_kernel(directory, self._file_name(identity))
        if data is None:
            return None
        try:
            found, parts = pickle.loads(data)  # our own: `read_kernel` has seen to that
            return CompileResult._rebuild(target_context, *parts) if found == identity else None
        except Exception:  # whatever it is, the kernel can be compiled
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what was compiled for arguments of these types."""
        directory = cache_directory()
        if directory is None or not self._enabled or data.lifted or data.library.has_dynamic_globals:
            return
        identity = self._identity(sig, data.codegen)
        write_kernel(directory, self._file_name(identity), dumps((identity, data._reduce())))

    def enable(self) -> None:
        self._enabled = True

    def disable(self) -> None:
        self._enabled = False

    def flush(self) -> None:
        """Nothing: what is kept is never out of date."""

    def _identity(self, sig: Any, codegen: Any) -> str:
        """All that the machine code depends on, besides what names the directory."""
        code = self._function.__code__
        cells = tuple(cell.cell_contents for cell in self._function.__closure__ or ())
        made_of = hashlib.sha256(code.co_code + repr(code.co_consts).encode() + dumps(cells)).hexdigest()
        name = f"{self._function.__module__}.{self._function.__qualname__}"
        return f"{name}\n{sig}\n{codegen.magic_tuple()}\n{made_of}"

    def _file_name(self, identity: str) -> str:
        module = self._function.__module__.rpartition(".")[2]
        digest = hashlib.sha256(identity.encode()).hexdigest()
        return f"{module}.{self._function.__name__}-{digest[:32]}.kernel"


@cache
def cache_directory() -> Path | None:
    """Where compiled kernels are kept; None where no directory is safe from other users.

    The package's own directory is never written to, so a read-only install works like any other.
    """
    return find_directory(f"kernels-{_key()}")


def _key() -> str:
    digest = hashlib.sha256()
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    for part in (*versions, llvm.get_host_cpu_name(), _features()):
        digest.update(part.encode() + b"\0")
    package = Path(__file__).parent.parent
    for source in (path for pattern in _SOURCES for path in sorted(package.glob(pattern))):
        place = source.relative_to(package).as_posix()
        digest.update(place.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _features() -> str:
    try:
        return str(llvm.get_host_cpu_features().flatten())
    except RuntimeError:  # LLVM cannot tell on every system
        return ""
