"""Blocks of 16 × 16 values turned in registers: what LLVM does not make of loops.

A register of 16 values holds a row of a block. Four rounds of shuffles swap ever larger parts between pairs
of registers, after which each holds a column, and whole lines of the cache are written. As LLVM's own
vectors this is compiled for any processor: those with narrower registers take several for one.

These are no array accesses that numba knows of, so it would not check their indices, nor run them in the
interpreter. Where either is wanted (``NUMBA_BOUNDSCHECK``, ``NUMBA_DISABLE_JIT``) plain loops take their
place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from .jit import inlined

__all__ = ["BLOCK", "ordered_block", "turn_block"]

BLOCK: Final = 16
"""Values on a side of a block."""

_INDEX: Final = ir.IntType(64)
_WORDS: Final = ir.VectorType(ir.IntType(32), BLOCK)
_FLOATS: Final = ir.VectorType(ir.FloatType(), BLOCK)


def _turn_block(source: Any, row: Any, column: Any, target: Any, to_row: Any, to_column: Any) -> None:
    """A block turned: ``target[to_row + c, to_column + r] = source[row + r, column + c]``.

    Args:
        source: uint32, two dimensions, contiguous along the last.
        row: where the block begins.
        column: where it begins.
        target: uint32, two dimensions, contiguous along the last.
        to_row: where the turned block begins.
        to_column: where it begins.
    """
    for r in range(16):
        for c in range(16):
            target[to_row + c, to_column + r] = source[row + r, column + c]


def _ordered_block(words: Any, zeros: Any, scales: Any, places: Any, tile: Any, pair: Any, out: Any) -> None:
    """Sixteen inputs of 4 bits of sixteen outputs: ``(integer − zero) × scale``, of the group of each input.

    Args:
        words: uint32 (tiles, inputs / 8, 16), eight inputs each, the last dimension outputs.
        zeros: float32 (tiles, groups, 16).
        scales: float32 (tiles, groups, 16).
        places: uint32 (inputs,), the group of each.
        tile: which sixteen outputs.
        pair: which sixteen inputs.
        out: float32 (tiles × 16, inputs).
    """
    for i in range(16):
        group = places[16 * pair + i]
        for o in range(16):
            code = np.float32((words[tile, 2 * pair + i // 8, o] >> np.uint32(4 * (i % 8))) & np.uint32(15))
            out[16 * tile + o, 16 * pair + i] = (code - zeros[tile, group, o]) * scales[tile, group, o]


class _Array:
    """Places in an array argument of a compiled function."""

    def __init__(self, context: Any, builder: Any, kind: Any, value: Any) -> None:
        made = context.make_array(kind)(context, builder, value)
        self._builder = builder
        self._data = builder.ptrtoint(made.data, _INDEX)
        self._strides = cgutils.unpack_tuple(builder, made.strides)

    def load(self, kind: Any, *index: Any) -> Any:
        return self._builder.load(self._at(kind, index), align=4)

    def store(self, value: Any, *index: Any) -> None:
        self._builder.store(value, self._at(value.type, index), align=4)

    def _at(self, kind: Any, index: Sequence[Any]) -> Any:
        address = self._data
        for one, stride in zip(index, self._strides, strict=False):  # the last dimensions may be left out
            address = self._builder.add(address, self._builder.mul(one, stride))
        return self._builder.inttoptr(address, kind.as_pointer())


def _turned(builder: Any, rows: list[Any]) -> list[Any]:
    """Registers with the columns of a block, given those with its rows."""
    size = 1
    while size < BLOCK:
        kept = [lane if lane // size % 2 == 0 else BLOCK + lane - size for lane in range(BLOCK)]
        swapped = [lane + size if lane // size % 2 == 0 else BLOCK + lane for lane in range(BLOCK)]
        masks = [ir.Constant(_WORDS, mask) for mask in (kept, swapped)]
        rows = [
            builder.shuffle_vector(rows[row & ~size], rows[row | size], masks[row // size % 2])
            for row in range(BLOCK)
        ]
        size *= 2
    return rows


def _number(value: int) -> Any:
    return ir.Constant(_INDEX, value)


def _turn_block_code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    source, target = (_Array(context, builder, signature.args[n], arguments[n]) for n in (0, 3))
    row, column, to_row, to_column = (arguments[n] for n in (1, 2, 4, 5))
    rows = [source.load(_WORDS, builder.add(row, _number(n)), column) for n in range(BLOCK)]
    for n, turned in enumerate(_turned(builder, rows)):
        target.store(turned, builder.add(to_row, _number(n)), to_column)
    return context.get_dummy_value()


def _ordered_block_code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    words, zeros, scales, places = (
        _Array(context, builder, signature.args[n], arguments[n]) for n in range(4)
    )
    tile, pair = arguments[4:6]
    out = _Array(context, builder, signature.args[6], arguments[6])
    first = builder.mul(pair, _number(BLOCK))
    rows = []
    for half in range(2):
        packed = words.load(_WORDS, tile, builder.add(builder.mul(pair, _number(2)), _number(half)))
        for n in range(8):
            place = places.load(ir.IntType(32), builder.add(first, _number(8 * half + n)))
            group = builder.zext(place, _INDEX)
            shifted = builder.lshr(packed, ir.Constant(_WORDS, [4 * n] * BLOCK))
            code = builder.sitofp(builder.and_(shifted, ir.Constant(_WORDS, [15] * BLOCK)), _FLOATS)
            centred = builder.fsub(code, zeros.load(_FLOATS, tile, group))
            rows.append(builder.fmul(centred, scales.load(_FLOATS, tile, group)))
    row = builder.mul(tile, _number(BLOCK))
    for n, turned in enumerate(_turned(builder, rows)):
        out.store(turned, builder.add(row, _number(n)), first)
    return context.get_dummy_value()


# numba wants the arguments by name, and first its own.


def _turn_block_lowered(
    _: Any, source: Any, row: Any, column: Any, target: Any, to_row: Any, to_column: Any
) -> Any:
    index = types.intp
    return types.void(source, index, index, target, index, index), _turn_block_code


def _ordered_block_lowered(
    _: Any, words: Any, zeros: Any, scales: Any, places: Any, tile: Any, pair: Any, out: Any
) -> Any:
    index = types.intp
    return types.void(words, zeros, scales, places, index, index, out), _ordered_block_code


if config.DISABLE_JIT or config.BOUNDSCHECK:
    turn_block, ordered_block = inlined(_turn_block), inlined(_ordered_block)
else:
    turn_block, ordered_block = intrinsic(_turn_block_lowered), intrinsic(_ordered_block_lowered)
