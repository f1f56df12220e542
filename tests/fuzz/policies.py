"""Where our reader of GGUF files and ggml's are meant to differ, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Final, Literal, NamedTuple

from gguf_tools.container.header import Header
from gguf_tools.spec import (
    BLOCK_SIZES,
    MAX_ALIGNMENT,
    MAX_BESIDE_ZERO,
    MAX_ELEMENTS,
    MAX_KEY_BYTES,
    GGMLType,
    align,
)
from tests.fuzz.gguf_structure import layout
from tests.references.ggml_gguf import ARRAY, Crashed, Read, Refused, TensorInfo

__all__ = ["POLICIES", "Case", "Ours", "Policy", "policy_of"]


class Ours(NamedTuple):
    """A file as our reader took it."""

    read: Read
    header: Header


class Case(NamedTuple):
    """A file and what the two readers made of it."""

    data: bytes
    ours: Ours | Refused
    theirs: Read | Refused | Crashed
    differing: tuple[str, ...] = ()
    """What both say, but not the same; only where both take the file."""

    @property
    def taken(self) -> Read:
        """What the one that took it made of it; ours, where both did."""
        if isinstance(self.ours, Ours):
            return self.ours.read
        assert isinstance(self.theirs, Read)
        return self.theirs


class Policy(NamedTuple):
    """A difference that is meant.

    Attributes:
        by: who refuses; nobody, where both take the file and say something else of it.
        says: a part of what the refusal says.
        holds: whether a file is of this kind, by what the one that took it says of it.
        reason: why it is so.
    """

    name: str
    by: Literal["us", "ggml", "nobody"]
    says: str
    holds: Callable[[Case], bool]
    reason: str


def policy_of(case: Case) -> Policy | None:
    """The policy that a case falls under, the first of them."""
    refused = case.ours if isinstance(case.ours, Refused) else case.theirs
    by = "us" if refused is case.ours else "ggml" if isinstance(refused, Refused) else "nobody"
    if isinstance(case.theirs, Crashed):
        return None
    said = refused.why if isinstance(refused, Refused) else ""
    return next((p for p in POLICIES if p.by == by and p.says in said and p.holds(case)), None)


def _any_tensor(test: Callable[[TensorInfo], bool]) -> Callable[[Case], bool]:
    return lambda case: any(map(test, case.taken.tensors))


def _any_key(test: Callable[[bytes], bool]) -> Callable[[Case], bool]:
    """Whether a key is so; ggml's getters would end it at a NUL."""
    return lambda case: any(map(test, layout(case.data).keys))


def _is_not_utf8(text: bytes) -> bool:
    return text.decode(errors="replace").encode() != text


def _elements(tensor: TensorInfo) -> int:
    """Product of a tensor's dimensions, those of 0 left out."""
    return prod(size or 1 for size in tensor.dims)


def _near_limit(dims: Sequence[int]) -> bool:
    """Whether ggml's quotients, rounded down, find a product too large that fits 63 bits."""
    return any((prod(dims[:i]) + 1) * dims[i] > (1 << 63) - 1 for i in range(1, 4))


def _bytes(tensor: TensorInfo) -> int:
    """Bytes of a tensor, by arithmetic that does not overflow."""
    block = BLOCK_SIZES[GGMLType(tensor.type)]
    return prod(tensor.dims) // block.elements * block.bytes


def _is_cut_off(case: Case) -> bool:
    read = case.taken
    return any(read.data_offset + t.offset + t.nbytes > len(case.data) for t in read.tensors)


def _has_layout_of_32(case: Case) -> bool:
    """Whether the file ends where its tensors would end if the alignment were 32, and not by its own."""
    read, end = case.taken, layout(case.data).end

    def ends(alignment: int) -> Iterator[int]:
        position = 0
        for tensor in read.tensors:
            if tensor.offset != align(position, alignment):
                return
            position = tensor.offset + tensor.nbytes
        yield align(end or 0, alignment) + position
        yield align(end or 0, alignment) + align(position, alignment)

    return end is not None and len(case.data) in ends(32) and len(case.data) not in ends(read.alignment)


def _repeated_until_nul(case: Case) -> bool:
    names = [tensor.name for tensor in case.taken.tensors]
    return len({name.partition(b"\0")[0] for name in names}) < len(set(names))


POLICIES: Final[tuple[Policy, ...]] = (
    Policy(
        "big endian",
        "ggml",
        "mismatch between the host and model endianness",
        lambda case: isinstance(case.ours, Ours) and case.ours.header.wire.order == "big",
        "we read either byte order on any machine; ggml reads the machine's own",
    ),
    Policy(
        "version 1",
        "ggml",
        "GGUFv1 is no longer supported",
        lambda case: case.taken.version == 1,
        "files of 2023 can still be read and converted",
    ),
    Policy(
        "nested arrays",
        "ggml",
        "has invalid GGUF type 9",
        lambda case: any(pair.element == ARRAY for pair in case.taken.pairs),
        "the specification allows them; `verify` says that llama.cpp refuses them",
    ),
    Policy(
        "long tensor name",
        "ggml",
        "is too long",
        _any_tensor(lambda tensor: len(tensor.name) > 63),
        "such a file can be inspected and its tensors renamed; `verify` says that llama.cpp refuses it",
    ),
    Policy(
        "unknown tensor type",
        "ggml",
        "has invalid ggml type",
        _any_tensor(lambda tensor: tensor.type not in BLOCK_SIZES),
        "newer types must not keep anybody from reading the metadata and the other tensors",
    ),
    Policy(
        "removed tensor type",
        "ggml",
        "not a multiple of block size (0)",
        _any_tensor(lambda tensor: tensor.type not in BLOCK_SIZES),
        "as with unknown types; `verify` says that the type was removed",
    ),
    Policy(
        "names equal up to a NUL",
        "ggml",
        "duplicate tensor name",
        _repeated_until_nul,
        "ggml compares C strings; to the file, and to us, the names are different",
    ),
    Policy(
        "number of elements at the limit",
        "ggml",
        "total number of elements",
        _any_tensor(lambda tensor: _near_limit(tensor.dims)),
        "ggml's check divides, and refuses some products just below 2^63",
    ),
    Policy(
        "data cut off",
        "us",
        "the tensor's data goes past the end of the file",
        _is_cut_off,
        "ggml's reader does not look; llama.cpp's loader does, and refuses the file as we do",
    ),
    Policy(
        "size of a tensor overflows",
        "us",
        "the tensor's data goes past the end of the file",
        _any_tensor(lambda tensor: _bytes(tensor) != tensor.nbytes),
        "ggml multiplies by the block's bytes before it divides by its elements, in 64 bits",
    ),
    Policy(
        "size of a tensor beyond 2^63",
        "us",
        "the tensor's size overflows",
        _any_tensor(lambda tensor: _bytes(tensor) > MAX_ELEMENTS),
        "ggml counts bytes without a sign, up to 2^64; no file has so many",
    ),
    Policy(
        "alignment denied by the layout",
        "us",
        "the data is laid out for an alignment of 32",
        _has_layout_of_32,
        "every tensor would be read from the wrong place",
    ),
    Policy(
        "large alignment",
        "us",
        "the alignment is not usable",
        lambda case: case.taken.alignment > MAX_ALIGNMENT,
        "it would let a header of some bytes ask for gigabytes of padding",
    ),
    Policy(
        "long key",
        "us",
        "is of a length that is not allowed",
        _any_key(lambda key: len(key) > MAX_KEY_BYTES),
        "the specification allows 65,535 bytes; ggml does not check",
    ),
    Policy(
        "key not UTF-8",
        "us",
        "is not UTF-8",
        _any_key(_is_not_utf8),
        "the specification wants lower-case ASCII; ggml does not check",
    ),
    Policy(
        "number of elements overflows",
        "us",
        "the number of elements overflows",
        _any_tensor(lambda tensor: _elements(tensor) >= 1 << 63),
        "in ggml's 64 bits the product wraps around, and one of 0 or less passes its check",
    ),
    Policy(
        "absurd dimensions beside a 0",
        "us",
        "an empty tensor's other dimensions are absurd",
        _any_tensor(lambda tensor: 0 in tensor.dims and _elements(tensor) > MAX_BESIDE_ZERO),
        "no data bounds them, and strides and counts of rows are made of them",
    ),
    Policy(
        "no tensors, no data",
        "nobody",
        "",
        lambda case: not case.taken.tensors and case.differing == ("data_offset",),
        "without tensors, ggml has the data begin where the header ends, and we where it would be padded to",
    ),
)
