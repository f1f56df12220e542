"""Block formats: float32 rows to blocks and back, with the bytes ggml's reference makes.

>>> from gguf_tools.quants import dequantize, quantize
>>> blocks = quantize(weights, "Q4_K")                       # doctest: +SKIP
>>> again = dequantize(blocks, "Q4_K", weights.shape)        # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..compute.threads import Workers
from ..errors import NonFiniteError, QuantizationError, UnsupportedError
from ..source import row_count, row_length
from ..spec import BLOCK_SIZES, GGMLType
from ..system import available_cores
from .codec import Codec
from .table import DECODED_ONLY, MODULES, codec, tensor_type

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "Codec",
    "can_encode",
    "codec",
    "decode_rows",
    "dequantize",
    "encode_rows",
    "quantize",
    "warmup",
]

CHUNK_ELEMENTS: Final = 1 << 18
"""Values a thread takes at a time: 1 MiB of float32, well inside a core's cache."""

_INFINITY_BITS: Final = 0x7F80_0000


def can_encode(type_: str | GGMLType) -> bool:
    """Whether ``quantize`` knows this type, perhaps only with an importance matrix."""
    wanted = tensor_type(type_)
    return wanted in MODULES and wanted not in DECODED_ONLY


def quantize(
    x: ArrayLike,
    type: str | GGMLType,  # noqa: A002
    *,
    weights: ArrayLike | None = None,
    threads: int | None = None,
    name: str | None = None,
) -> NDArray[np.uint8]:
    """Encode an array, row by row along its last dimension.

    Args:
        x: values of any shape, converted to float32.
        type: a tensor type, such as ``"Q4_K"``.
        weights: importance of every column, of shape (row length,): the mean of its squared activations.
            Types whose encoder in ggml takes no notice of it take none here.
        threads: workers; default all available cores. The bytes do not depend on it.
        name: what errors call the tensor.

    Returns:
        uint8 of shape (rows, row bytes), the bytes ggml's reference quantizer makes.

    Raises:
        QuantizationError: unknown type, the rows are not whole blocks, ``weights`` do not fit or are not
            finite, or the type cannot be encoded without them.
        NonFiniteError: a block type met a NaN or an infinity.
        UnsupportedError: the type cannot be encoded.
    """
    wanted = codec(type).type
    values = np.asarray(x, dtype=np.float32)
    rows = np.ascontiguousarray(values).reshape(row_count(values.shape), row_length(values.shape))
    out = _empty_rows(rows.shape[0], rows.shape[1], wanted, name)
    columns = None if weights is None else np.ascontiguousarray(weights, np.float32)

    def encode(start: int, stop: int) -> None:
        part = rows[start:stop]
        try:
            encode_rows(part, wanted, out[start:stop], weights=columns, name=name, first_row=start)
        except NonFiniteError as error:
            row, column = error.index
            place = np.unravel_index(row * rows.shape[1] + column, values.shape)
            index = tuple(int(i) for i in place)
            raise NonFiniteError(error.type_name, error.value, index, tensor=name) from None

    _in_chunks(encode, rows.shape[0], rows.shape[1], threads)
    return out


def dequantize(
    data: ArrayLike,
    type: str | GGMLType,  # noqa: A002
    shape: tuple[int, ...],
    *,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Decode blocks into an array; the opposite of ``quantize``. Any bytes are decoded.

    Args:
        data: uint8 of any shape with the right number of bytes.
        type: a tensor type, such as ``"Q4_K"``.
        shape: the array's shape, last dimension the row.
        threads: workers; default all available cores.

    Returns:
        float32 of the given shape.

    Raises:
        QuantizationError: unknown type, rows that are not whole blocks, or another number of bytes.
    """
    wanted = codec(type).type
    flat = np.ascontiguousarray(data, dtype=np.uint8)
    rows, length = row_count(shape), row_length(shape)
    expected = rows * _row_bytes(length, wanted, None)
    if flat.size != expected:
        raise QuantizationError(
            f"{wanted.name} data of shape {shape} has another number of bytes",
            found=flat.size,
            expected=expected,
        )
    flat = flat.reshape(rows, expected // rows if rows else 0)
    out = np.empty((rows, length), np.float32)

    def decode(start: int, stop: int) -> None:
        decode_rows(flat[start:stop], wanted, length, out[start:stop])

    _in_chunks(decode, rows, length, threads)
    return out.reshape(shape)


def encode_rows(
    x: NDArray[np.float32],
    qtype: str | GGMLType,
    out: NDArray[np.uint8] | None = None,
    *,
    weights: NDArray[np.float32] | None = None,
    name: str | None = None,
    first_row: int = 0,
) -> NDArray[np.uint8]:
    """Encode rows on the calling thread; what conversions are made of.

    Args:
        x: float32 of shape (rows, row length); may be read-only. Copied where it is not C-contiguous.
        qtype: a tensor type.
        out: where to, C-contiguous uint8 of shape (rows, row bytes); made where not given.
        weights: importance of every column, float32 of shape (row length,).
        name: what errors call the tensor.
        first_row: which row of the tensor ``x[0]`` is, for errors.

    Returns:
        ``out``.

    Raises:
        As ``quantize``; the index in a NonFiniteError is (row, column).
    """
    found = codec(qtype)
    if weights is not None:
        _require_weights(weights, x.shape[1], name)
    elif found.needs_weights:
        raise QuantizationError(f"{found.type.name} needs an importance matrix", tensor=name)
    if found.encode is None and (weights is None or found.weighted is None):
        encodable = ", ".join(known.name for known in MODULES if can_encode(known))
        raise UnsupportedError(f"{found.type.name} cannot be encoded; {encodable} can", tensor=name)
    if out is None:
        out = _empty_rows(x.shape[0], x.shape[1], found.type, name)
    else:
        _require_shape(out, (x.shape[0], _row_bytes(x.shape[1], found.type, name)), np.uint8, name)
    if x.size == 0:
        return out
    x = _kernel_input(x, np.float32)
    if found.finite_only:
        _require_finite(x, found.type, name, first_row)
    values, blocks = x.reshape(-1, found.block_elements), out.reshape(-1, found.block_bytes)
    if weights is not None and found.weighted is not None:
        columns = _kernel_input(weights, np.float32).reshape(-1, found.block_elements)
        found.weighted(values, columns, blocks)
    elif found.encode is not None:
        found.encode(values, blocks)
    return out


def decode_rows(
    data: NDArray[np.uint8],
    qtype: str | GGMLType,
    row_elements: int,
    out: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Decode rows on the calling thread: the one decoder of every tensor type, plain numbers included.

    Args:
        data: uint8 of shape (rows, row bytes); may be read-only.
        qtype: a tensor type.
        row_elements: values per row.
        out: where to, C-contiguous float32 of shape (rows, row elements); made where not given.

    Returns:
        ``out``; where none was given and the type is F32, a view of ``data``.

    Raises:
        As ``dequantize``.
    """
    found = codec(qtype)
    _require_shape(
        data, (data.shape[0], _row_bytes(row_elements, found.type, None)), np.uint8, None, copied=True
    )
    if out is not None:
        _require_shape(out, (data.shape[0], row_elements), np.float32, None)
    elif found.type is GGMLType.F32:
        return np.ascontiguousarray(data).view(np.float32)
    else:
        out = np.empty((data.shape[0], row_elements), np.float32)
    if out.size:
        blocks = _kernel_input(data, np.uint8).reshape(-1, found.block_bytes)
        found.decode(blocks, out.reshape(-1, found.block_elements))
    return out


def warmup(types: Iterable[str | GGMLType]) -> None:
    """Compile what encoding and decoding these types needs, or load it from the cache."""
    for type_ in types:
        found = codec(type_)
        values = np.zeros((1, found.block_elements), np.float32)
        if found.encode is not None:
            encode_rows(values, found.type)
        if found.weighted is not None:
            encode_rows(values, found.type, weights=np.ones(found.block_elements, np.float32))
        decode_rows(np.zeros((1, found.block_bytes), np.uint8), found.type, found.block_elements)


def _in_chunks(work: Any, rows: int, length: int, threads: int | None) -> None:
    """Call ``work(start, stop)`` over all rows, on a pool where there is more than one chunk."""
    step = max(1, CHUNK_ELEMENTS // max(1, length))
    starts = range(0, rows, step)
    workers = min(len(starts), threads or available_cores())
    if workers <= 1:
        for start in starts:
            work(start, min(start + step, rows))
        return
    with Workers(workers) as pool:
        for _ in pool.map(lambda start: work(start, min(start + step, rows)), starts):
            pass


def _row_bytes(length: int, type_: GGMLType, name: str | None) -> int:
    block = BLOCK_SIZES[type_]
    if length % block.elements:
        raise QuantizationError(
            f"{type_.name} needs rows of whole blocks",
            tensor=name,
            found=f"a row of {length}",
            expected=f"a multiple of {block.elements}",
        )
    return length // block.elements * block.bytes


def _empty_rows(rows: int, length: int, type_: GGMLType, name: str | None) -> NDArray[np.uint8]:
    return np.empty((rows, _row_bytes(length, type_, name)), np.uint8)


def _require_shape(
    array: NDArray[Any],
    shape: tuple[int, int],
    dtype: type[np.generic],
    name: str | None,
    *,
    copied: bool = False,
) -> None:
    """Kernels check no bounds: an array of another shape would have them write past its end."""
    if array.shape != shape or array.dtype != dtype or not (copied or array.flags.c_contiguous):
        raise QuantizationError(
            "an array of another shape or type was given",
            tensor=name,
            found=f"{array.dtype} {array.shape}",
            expected=f"C-contiguous {np.dtype(dtype)} {shape}",
        )


def _require_weights(weights: NDArray[np.float32], length: int, name: str | None) -> None:
    _require_shape(weights[None], (1, length), np.float32, name, copied=True)
    if not np.isfinite(weights).all():
        raise QuantizationError(
            "an importance is not a finite number",
            tensor=name,
            found=f"{weights[~np.isfinite(weights)][0]} at column {np.flatnonzero(~np.isfinite(weights))[0]}",
        )


class _Unlocked:
    """The memory of a read-only array, which it keeps alive, without the mark of being read-only."""

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = array.__array_interface__ | {"data": (address, False)}


def _kernel_input(x: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """An array of the one kind kernels are compiled for: C-contiguous, aligned, writable.

    For read-only arrays, such as a mapped file's, numba would compile everything a second time. Kernels
    do not write to their input.
    """
    x = np.require(x, dtype, ["C", "A"])
    if x.ctypes.data % 2:  # bytes of F16 and BF16 are read two at a time
        x = x.copy()
    return x if x.flags.writeable else np.asarray(_Unlocked(x))


def _require_finite(x: NDArray[np.float32], type_: GGMLType, name: str | None, first_row: int) -> None:
    from .kernels.scan import largest_magnitude

    if largest_magnitude(x.reshape(-1).view(np.uint32)) < _INFINITY_BITS:
        return
    row, column = (int(i) for i in np.argwhere(~np.isfinite(x))[0])
    raise NonFiniteError(type_.name, float(x[row, column]), (first_row + row, column), tensor=name)
