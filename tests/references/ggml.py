"""ggml's own C quantizers and its reader of GGUF, called in process.

The library comes from the ``libggml-python`` package, built without fused multiply-add: its bytes are those
of a plain x86-64 build of llama.cpp.
"""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from gguf_tools.source import row_count, row_length
from gguf_tools.spec import BLOCK_SIZES, GGMLType, row_bytes

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["decode", "decode_into", "encode", "encode_into", "encode_possible", "library", "opens"]

_ROW_FUNCTIONS: Final = {
    GGMLType.F16: ("ggml_fp32_to_fp16_row", "ggml_fp16_to_fp32_row"),
    GGMLType.BF16: ("ggml_fp32_to_bf16_row_ref", "ggml_bf16_to_fp32_row"),
}
"""Types that are not made of blocks have functions of their own."""


_ASSERTING: Final = frozenset(type_ for type_ in GGMLType if type_.name.startswith(("IQ1", "IQ2", "IQ3")))
"""Types whose encoders end the process when their sums overflow."""


@cache
def library() -> ctypes.CDLL:
    """The shared library, with the signatures of what is called here.

    Raises:
        FileNotFoundError: ``libggml-python`` is not installed, or holds no library.
    """
    found = find_spec("libggml")
    folders = [Path(place) for place in (found.submodule_search_locations or [])] if found else []
    for folder in folders:
        for path in sorted(folder.glob("lib*/libggml-base.so*")):
            return _declare(ctypes.CDLL(str(path)))
    raise FileNotFoundError("no libggml-base.so: pip install libggml-python==0.20.2.post1")


class _InitParams(ctypes.Structure):
    """``gguf_init_params``: only the header is read, and no tensors are made."""

    _fields_ = (("no_alloc", ctypes.c_bool), ("ctx", ctypes.c_void_p))


def opens(path: Path) -> bool:
    """Whether ggml's own reader, ``gguf_init_from_file``, takes a file. What it objects to goes to stderr."""
    lib = library()
    lib.gguf_init_from_file.argtypes = [ctypes.c_char_p, _InitParams]
    lib.gguf_init_from_file.restype = ctypes.c_void_p
    lib.gguf_free.argtypes = [ctypes.c_void_p]
    lib.gguf_free.restype = None
    context = lib.gguf_init_from_file(os.fsencode(path), _InitParams(True, None))
    if context:
        lib.gguf_free(context)
    return bool(context)


@cache
def _newer_library() -> ctypes.CDLL:
    """The ggml in a newer llama.cpp, b11549."""
    found = find_spec("xllamacpp")
    for folder in (found.submodule_search_locations or []) if found else []:
        for path in sorted(Path(folder).glob("xllamacpp*.so")):
            return _declare(ctypes.CDLL(str(path)))
    raise FileNotFoundError("no xllamacpp.abi3.so: pip install xllamacpp==2026.10.11549")


def _encoders(type_: GGMLType) -> ctypes.CDLL:
    """ggml adds up the sums of IQ1_M in another order since 0.26, and what it adds up to is not the same."""
    return _newer_library() if type_ == GGMLType.IQ1_M else library()


def _declare(lib: ctypes.CDLL) -> ctypes.CDLL:
    pointer, size = ctypes.c_void_p, ctypes.c_int64
    lib.ggml_quantize_init.argtypes = [ctypes.c_int]
    lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, pointer, pointer, size, size, size, pointer]
    lib.ggml_quantize_chunk.restype = ctypes.c_size_t
    for name in sum(_ROW_FUNCTIONS.values(), ()):
        getattr(lib, name).argtypes = [pointer, pointer, size]
        getattr(lib, name).restype = None
    for type_ in GGMLType:
        name = f"dequantize_row_{_c_name(type_)}"
        if hasattr(lib, name):
            getattr(lib, name).argtypes = [pointer, pointer, size]
            getattr(lib, name).restype = None
    return lib


def _c_name(type_: GGMLType) -> str:
    """q4_K, but q4_0 and iq2_xxs: as in the names of C functions."""
    return type_.name.lower().replace("_k", "_K")


def encode(
    x: ArrayLike,
    type: str | GGMLType,  # noqa: A002
    weights: NDArray[np.float32] | None = None,
) -> NDArray[np.uint8]:
    """What ggml's reference quantizer makes of an array: uint8 of shape (rows, row bytes).

    ``weights`` is a row of an importance matrix, one float32 for each column. Values of block types must be
    finite, and weights given where a type needs them: ggml's assertions end the process.
    """
    wanted = GGMLType[type] if isinstance(type, str) else type
    values = np.ascontiguousarray(x, dtype=np.float32)
    rows, length = row_count(values.shape), row_length(values.shape)
    out = np.zeros((rows, row_bytes(wanted, length)), np.uint8)
    encode_into(values.reshape(rows, length), wanted, out, weights)
    return out


def encode_possible(
    x: NDArray[np.float32], type_: GGMLType, weights: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """``encode`` of rows, some of which ggml may refuse; and which of them it does not.

    It refuses by ending the process, so for types that do this, processes of their own encode the rows.
    """
    rows, length = x.shape
    if type_ not in _ASSERTING:
        return encode(x, type_, weights), np.ones(rows, np.bool_)
    size = row_bytes(type_, length)
    shared = mmap.mmap(-1, rows * (size + 1))
    data = np.frombuffer(shared, np.uint8)
    out, done = data[rows:].reshape(rows, size), data[:rows]
    _encoders(type_).ggml_quantize_init(int(type_))
    first = 0
    while first < rows:
        with warnings.catch_warnings():
            # of forks beside threads, which do nothing here
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            try:
                faulthandler.disable()
                os.environ["GGML_NO_BACKTRACE"] = "1"
                for stream in (1, 2):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
                for row in range(first, rows):
                    encode_into(x[row : row + 1], type_, out[row : row + 1], weights)
                    done[row] = 1
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        unfinished = np.flatnonzero(done[first:] == 0)
        first += int(unfinished[0]) + 1 if unfinished.size else rows
    return out.copy(), done.astype(np.bool_)


def encode_into(
    values: NDArray[np.float32],
    type_: GGMLType,
    out: NDArray[np.uint8],
    weights: NDArray[np.float32] | None = None,
) -> None:
    """``encode`` of C-contiguous rows into ``out``; what benchmarks time."""
    lib = library()
    rows, length = values.shape
    if type_ is GGMLType.F32:
        out[:] = values.view(np.uint8)
    elif type_ in _ROW_FUNCTIONS:
        getattr(lib, _ROW_FUNCTIONS[type_][0])(values.ctypes.data, out.ctypes.data, values.size)
    else:
        if weights is not None and (weights.shape, weights.dtype) != ((length,), np.float32):
            raise ValueError(f"{length} float32 weights are needed, not {weights.dtype} {weights.shape}")
        row = None if weights is None else np.ascontiguousarray(weights).ctypes.data
        lib = _encoders(type_)
        lib.ggml_quantize_init(int(type_))
        lib.ggml_quantize_chunk(int(type_), values.ctypes.data, out.ctypes.data, 0, rows, length, row)


def decode(data: ArrayLike, type: str | GGMLType, shape: tuple[int, ...]) -> NDArray[np.float32]:  # noqa: A002
    """What ggml reads from blocks: float32 of the given shape."""
    wanted = GGMLType[type] if isinstance(type, str) else type
    blocks = np.ascontiguousarray(data, dtype=np.uint8)
    out = np.empty(shape, np.float32)
    decode_into(blocks, wanted, out)
    return out


def decode_into(data: NDArray[np.uint8], type_: GGMLType, out: NDArray[np.float32]) -> None:
    """``decode`` of C-contiguous bytes into ``out``; what benchmarks time."""
    block = BLOCK_SIZES[type_]
    if out.size // block.elements * block.bytes != data.nbytes:
        raise ValueError(f"{data.nbytes} bytes are no {type_.name} data of shape {out.shape}")
    if type_ is GGMLType.F32:
        out.reshape(-1).view(np.uint8)[:] = data.reshape(-1)
        return
    name = _ROW_FUNCTIONS[type_][1] if type_ in _ROW_FUNCTIONS else f"dequantize_row_{_c_name(type_)}"
    getattr(library(), name)(data.ctypes.data, out.ctypes.data, out.size)
