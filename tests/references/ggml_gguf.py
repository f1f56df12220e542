"""ggml's own C reader of GGUF files, called in a process of its own.

A hostile file may make C code abort, or take all memory there is; to the caller that is an outcome like
any other. The process reads one file after the other, and another takes its place when it ends.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import pickle
import resource
import select
import signal
import struct
import warnings
from functools import cache
from typing import Any, Final, NamedTuple

from tests.references.ggml import library

__all__ = ["CReader", "Crashed", "KeyValue", "Read", "Refused", "TensorInfo"]

STRING, ARRAY = 8, 9
"""Value types that are no numbers."""

SIZES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Bytes of a number, by value type."""

MOST_MEMORY: Final = 1 << 30
"""Bytes of addresses the process gets beyond those it begins with."""

LONGEST: Final = 10
"""Seconds a file may take."""


MOST_PADDING: Final = 1 << 20
"""Alignment up to which a header is written again: it is padded to it."""

_HEAD: Final = 24
"""Bytes before the pairs."""


class KeyValue(NamedTuple):
    """A pair: a number as its bytes, a string up to its first NUL, an array as its type and its items."""

    key: bytes
    kind: int
    element: int | None
    value: bytes | list[bytes]


class TensorInfo(NamedTuple):
    """``dims`` are always four, fastest first; ``name`` goes up to its first NUL."""

    name: bytes
    dims: tuple[int, ...]
    type: int
    offset: int
    nbytes: int


class Read(NamedTuple):
    """What a reader found in a file.

    ``written`` is what it writes again: the pairs as version 3 has them, and of ggml's also what follows.
    """

    version: int
    alignment: int
    data_offset: int
    pairs: list[KeyValue]
    tensors: list[TensorInfo]
    written: bytes


class Refused(NamedTuple):
    """A reader refused a file, and said why."""

    why: str


class Crashed(NamedTuple):
    """A reader ended, or had to be ended, and the signal that did it; 0 where it left by itself."""

    signal: int


class _Params(ctypes.Structure):
    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)


@cache
def _declared() -> ctypes.CDLL:
    lib = library()
    file, index, size = ctypes.c_void_p, ctypes.c_int64, ctypes.c_size_t
    number, text = ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[Any, ...]] = {
        "gguf_init_from_buffer": (file, text, size, _Params),
        "gguf_free": (None, file),
        "gguf_get_version": (ctypes.c_uint32, file),
        "gguf_get_alignment": (size, file),
        "gguf_get_data_offset": (size, file),
        "gguf_get_n_kv": (index, file),
        "gguf_find_key": (index, file, text),
        "gguf_get_key": (text, file, index),
        "gguf_get_kv_type": (number, file, index),
        "gguf_get_arr_type": (number, file, index),
        "gguf_get_arr_n": (size, file, index),
        "gguf_get_arr_data": (file, file, index),
        "gguf_get_arr_str": (text, file, index, size),
        "gguf_get_val_str": (text, file, index),
        "gguf_get_val_data": (file, file, index),
        "gguf_get_n_tensors": (index, file),
        "gguf_get_tensor_name": (text, file, index),
        "gguf_get_tensor_ne": (ctypes.POINTER(ctypes.c_int64 * 4), file, index),
        "gguf_get_tensor_type": (number, file, index),
        "gguf_get_tensor_offset": (size, file, index),
        "gguf_get_tensor_size": (size, file, index),
        "gguf_get_meta_size": (size, file),
        "gguf_get_meta_data": (None, file, file),
        "ggml_log_set": (None, _LOG, file),
    }
    for name, (result, *arguments) in signatures.items():
        getattr(lib, name).restype = result
        getattr(lib, name).argtypes = arguments
    return lib


def _read(data: bytes) -> Read | Refused:
    """What `gguf_init_from_buffer` makes of a file's bytes; the first line it logs where it refuses them."""
    lib = _declared()
    lines: list[str] = []
    log = _LOG(lambda _, line, __: lines.append(line.decode(errors="replace").strip()))
    lib.ggml_log_set(log, None)
    file = lib.gguf_init_from_buffer(data, len(data), _Params(True, None))
    if not file:
        return Refused(lines[0] if lines else "")
    try:
        pairs = [_pair(lib, file, i) for i in range(lib.gguf_get_n_kv(file))]
        tensors = [
            TensorInfo(
                lib.gguf_get_tensor_name(file, i),
                tuple(lib.gguf_get_tensor_ne(file, i).contents),
                lib.gguf_get_tensor_type(file, i),
                lib.gguf_get_tensor_offset(file, i),
                lib.gguf_get_tensor_size(file, i),
            )
            for i in range(lib.gguf_get_n_tensors(file))
        ]
        return Read(
            lib.gguf_get_version(file),
            lib.gguf_get_alignment(file),
            lib.gguf_get_data_offset(file),
            pairs,
            tensors,
            _written(lib, file),
        )
    finally:
        lib.gguf_free(file)


def _pair(lib: ctypes.CDLL, file: int, i: int) -> KeyValue:
    key, kind = lib.gguf_get_key(file, i), lib.gguf_get_kv_type(file, i)
    if kind == STRING:
        return KeyValue(key, kind, None, lib.gguf_get_val_str(file, i))
    if kind != ARRAY:
        return KeyValue(key, kind, None, ctypes.string_at(lib.gguf_get_val_data(file, i), SIZES[kind]))
    element, count = lib.gguf_get_arr_type(file, i), lib.gguf_get_arr_n(file, i)
    if element == STRING:
        return KeyValue(key, kind, element, [lib.gguf_get_arr_str(file, i, k) for k in range(count)])
    size = count * SIZES[element]
    return KeyValue(
        key, kind, element, ctypes.string_at(lib.gguf_get_arr_data(file, i), size) if size else b""
    )


def _written(lib: ctypes.CDLL, file: int) -> bytes:
    """The pairs as ggml writes them: strings with the NULs its getters cannot return."""
    if lib.gguf_get_alignment(file) > MOST_PADDING:
        return b""
    size = lib.gguf_get_meta_size(file)
    buffer = ctypes.create_string_buffer(size)
    lib.gguf_get_meta_data(file, buffer)
    return buffer.raw[_HEAD:]


class CReader:
    """The process that reads; begun by the first file, and again by the first one after it ended.

    Args:
        seconds: that a file may take.

    Attributes:
        begun: how often.
    """

    def __init__(self, seconds: float = LONGEST) -> None:
        self.seconds = seconds
        self.begun = 0
        self.process = 0
        self._out = self._in = -1

    def read(self, data: bytes) -> Read | Refused | Crashed:
        """What ggml makes of a file's bytes."""
        if not self.process:
            self._begin()
        try:
            _send(self._out, data)
            answer = _received(self._in, self.seconds)
        except (BrokenPipeError, EOFError):
            return Crashed(self._end())
        except TimeoutError:
            os.kill(self.process, signal.SIGKILL)
            return Crashed(self._end())
        found: Read | Refused = pickle.loads(answer)
        return found

    def close(self) -> None:
        """End the process."""
        if self.process:
            self._end()

    def __enter__(self) -> CReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self) -> None:
        _declared()
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        with warnings.catch_warnings():
            # of forks beside threads, which do nothing here
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process = os.fork()
        if self.process == 0:
            os.close(self._out)
            os.close(self._in)
            _serve(theirs_in, theirs_out)
        os.close(theirs_in)
        os.close(theirs_out)
        self.begun += 1

    def _end(self) -> int:
        """The signal that ended the process; it ends by itself when nothing more can come."""
        os.close(self._out)
        os.close(self._in)
        _, status = os.waitpid(self.process, 0)
        self.process = 0
        return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0


def _serve(source: int, target: int) -> None:
    """Read what comes until nothing comes; never returns."""
    try:
        faulthandler.disable()
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        os.environ["GGML_NO_BACKTRACE"] = "1"
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        addresses = _addresses() + MOST_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (addresses, addresses))
        while True:
            _send(target, pickle.dumps(_read(_received(source, None))))
    finally:  # an EOFError, when nothing more comes
        os._exit(0)


def _addresses() -> int:
    """Bytes of addresses this process has."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _send(target: int, data: bytes) -> None:
    view = memoryview(struct.pack("<Q", len(data)) + data)
    while view:
        view = view[os.write(target, view) :]


def _received(source: int, seconds: float | None) -> bytes:
    """What was sent.

    Raises:
        EOFError: the sender has ended.
        TimeoutError: nothing came for so many seconds.
    """
    data = bytearray()
    while len(data) < 8 or len(data) < 8 + struct.unpack_from("<Q", data)[0]:
        if seconds is not None and not select.select([source], [], [], seconds)[0]:
            raise TimeoutError
        piece = os.read(source, 1 << 20)
        if not piece:
            raise EOFError
        data += piece
    return bytes(data[8:])
