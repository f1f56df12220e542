"""A computation as llama.cpp's allocator sees it: which values there are, how large, and until when.

llama.cpp places every intermediate value of the largest micro-batch in one buffer per device before it
computes anything. Values whose last user has run make room for later ones; some operations write over an
operand nobody else needs. Doing the same with sizes alone gives the buffer's size, and no tensor is made.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from math import prod
from typing import Final

__all__ = ["ACCELERATOR", "HOST", "Graph", "Value"]

HOST: Final = 0
ACCELERATOR: Final = 1

_ALIGNMENT: Final = {HOST: 32, ACCELERATOR: 128}
"""Of values in a buffer: that of the processor, and of CUDA."""

_OVERWRITING: Final = frozenset(
    {"add", "mul", "sub", "div", "scale", "unary", "rope", "rms_norm", "soft_max"}
)
"""Operations that can write over an operand of the same layout."""


class Value:
    """One value: the result of an operation, an input, a weight, or a view of another value.

    Attributes:
        shape: fastest dimension first.
        nbytes: what it takes in the buffer; 0 for weights and caches, which are elsewhere.
        operation: its name.
        sources: the operands.
        base: of a view, the value it looks at.
        dense: whether its elements lie in order, without gaps.
        place: the device it has to be on, or None.
        is_input: whether it is there before the computation starts.
        is_output: whether it is needed to the end.
    """

    __slots__ = ("base", "dense", "is_input", "is_output", "nbytes", "operation", "place", "shape", "sources")

    def __init__(
        self,
        shape: tuple[int, ...],
        operation: str,
        sources: tuple[Value, ...] = (),
        *,
        width: int = 4,
        base: Value | None = None,
        dense: bool = True,
        place: int | None = None,
        stored: bool = False,
        is_input: bool = False,
    ) -> None:
        self.shape = shape
        self.operation = operation
        self.sources = sources
        self.base: Value | None = base if base is None or base.base is None else base.base
        self.dense = dense
        self.place = place
        self.is_input = is_input
        self.is_output = False
        self.nbytes = 0 if stored or base is not None else prod(shape) * width

    @property
    def stored(self) -> bool:
        """Whether it is a weight or a cache."""
        return not self.nbytes and self.base is None

    @property
    def owner(self) -> Value:
        """Whose memory it is in."""
        return self.base or self


class Graph:
    """Operations in the order they run: operands first, as `expand` comes upon them."""

    def __init__(self) -> None:
        self.nodes: list[Value] = []
        self.inputs: list[Value] = []
        self._seen: set[int] = set()
        self._kept: list[Value] = []

    def expand(self, value: Value) -> None:
        """Append a value and all it needs that is not there yet."""
        pending = [(value, iter(value.sources))]
        if id(value) in self._seen:
            return
        self._seen.add(id(value))
        while pending:
            current, rest = pending[-1]
            for source in rest:
                if id(source) not in self._seen:
                    self._seen.add(id(source))
                    pending.append((source, iter(source.sources)))
                    break
            else:
                pending.pop()
                self._append(current)

    def _append(self, value: Value) -> None:
        self._kept.append(value)
        if value.operation == "leaf":
            if value.is_input:
                self.inputs.append(value)
        else:
            self.nodes.append(value)

    def buffer_sizes(self) -> dict[int, int]:
        """Bytes of the buffer on each device."""
        return _Placement(self).sizes()


class _Placement:
    """One run of the allocator over a graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._buffers = {HOST: _Buffer(_ALIGNMENT[HOST]), ACCELERATOR: _Buffer(_ALIGNMENT[ACCELERATOR])}
        self._users: dict[int, int] = {}
        self._views: dict[int, int] = {}
        self._where: dict[int, tuple[int, int]] = {}

    def sizes(self) -> dict[int, int]:
        devices = _assigned(self._graph)
        steps = list(_with_copies(self._graph.nodes, devices))
        for value in self._graph.inputs:
            self._allocate(value, HOST)
        for node, operands, _ in steps:
            if node.base is not None and node.operation != "leaf":
                self._views[id(node.base)] = self._views.get(id(node.base), 0) + 1
            for operand in operands:
                self._users[id(operand)] = self._users.get(id(operand), 0) + 1
        for node, operands, device in steps:
            if not node.stored and node.base is None and id(node) not in self._where:
                self._place(node, operands, device)
            for operand in operands:
                self._used(operand)
        return {device: buffer.size for device, buffer in self._buffers.items()}

    def _place(self, node: Value, operands: tuple[Value, ...], device: int) -> None:
        """Over an operand if that can be, or in room of its own."""
        for operand in operands if node.operation in _OVERWRITING else ():
            if id(operand) not in self._where or operand.is_output or not _same_layout(node, operand):
                continue  # views are never written over
            if self._users[id(operand)] == 1 and not self._views.get(id(operand), 0):
                self._where[id(node)] = self._where.pop(id(operand))
                return
        self._allocate(node, device)

    def _allocate(self, value: Value, device: int) -> None:
        self._where[id(value)] = (device, self._buffers[device].allocate(value.nbytes))

    def _used(self, value: Value) -> None:
        """One user of a value has run: after the last, its memory is free."""
        self._users[id(value)] -= 1
        if self._users[id(value)] or self._views.get(id(value), 0):
            return
        owner = value.owner
        if owner is not value:
            self._views[id(owner)] -= 1
            if self._views[id(owner)] or self._users.get(id(owner), 0):
                return
        if id(owner) in self._where and not owner.is_output:
            device, offset = self._where.pop(id(owner))
            self._buffers[device].free(offset, owner.nbytes)


def _same_layout(node: Value, operand: Value) -> bool:
    return node.shape == operand.shape and node.nbytes == operand.nbytes


def _bytes(value: Value) -> int:
    """Bytes of a value or of what a view shows."""
    return value.nbytes or 4 * prod(value.shape)


def _assigned(graph: Graph) -> list[int]:
    """The device of every node: that of its weight or cache, or of its neighbours, the accelerator first."""
    devices = [node.place for node in graph.nodes]
    for order in (range(len(devices)), range(len(devices) - 1, -1, -1)):
        current: int | None = None
        for index in order:
            if devices[index] is not None:
                current = devices[index]
            elif current == ACCELERATOR:
                devices[index] = ACCELERATOR
    return [HOST if device is None else device for device in devices]


def _with_copies(nodes: list[Value], devices: list[int]) -> Iterable[tuple[Value, tuple[Value, ...], int]]:
    """Nodes with their operands and devices; where the device changes, copies of what is on the other."""
    where = {id(node): device for node, device in zip(nodes, devices, strict=True)}
    copies: dict[tuple[int, int], Value] = {}
    index = 0
    while index < len(nodes):
        device, stop = devices[index], index
        while stop < len(nodes) and devices[stop] == device:
            stop += 1
        for node in nodes[index:stop]:
            for operand in node.sources:
                key = (id(operand), device)
                if operand.stored or _elsewhere(operand, where, device) is False or key in copies:
                    continue
                copies[key] = copy = Value(operand.shape, "copy", (operand,))
                copy.nbytes = _bytes(operand)
                yield copy, (operand,), device
        for node in nodes[index:stop]:
            yield node, tuple(copies.get((id(o), device), o) for o in node.sources), device
        index = stop


def _elsewhere(operand: Value, where: dict[int, int], device: int) -> bool:
    owner = operand.owner
    return not owner.stored and where.get(id(operand), where.get(id(owner), HOST)) != device


class _Buffer:
    """Memory handed out from the lowest address, the smallest free block that fits first."""

    def __init__(self, alignment: int) -> None:
        self._alignment = alignment
        self._free: list[tuple[int, int]] = []  # offset and size, by offset; the end is free without limit
        self._end = 0
        self.size = 0

    def rounded(self, nbytes: int) -> int:
        return -(-nbytes // self._alignment) * self._alignment

    def allocate(self, nbytes: int) -> int:
        wanted = self.rounded(nbytes)
        fitting = [(size, -offset) for offset, size in self._free if size >= wanted]
        if not fitting:
            offset, self._end = self._end, self._end + wanted
            self.size = max(self.size, self._end)
            return offset
        size, negative = min(fitting)
        offset = -negative
        self._free.remove((offset, size))
        if size > wanted:
            insort(self._free, (offset + wanted, size - wanted))
        return offset

    def free(self, offset: int, nbytes: int) -> None:
        size = self.rounded(nbytes)
        for block in list(self._free):
            if block[0] + block[1] == offset:
                self._free.remove(block)
                offset, size = block[0], block[1] + size
            elif offset + size == block[0]:
                self._free.remove(block)
                size += block[1]
        if offset + size == self._end:
            self._end = offset
        elif size:
            insort(self._free, (offset, size))
