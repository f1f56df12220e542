"""Our reader of GGUF files against ggml's, on files of every kind of oddness.

What both take must read the same, to the bit. What only one of them takes must fall under a policy: a row of
a table with its reason, which recognises both what is odd about the file and the refusal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

from gguf_tools.container import open_gguf
from gguf_tools.container.array import Array
from gguf_tools.container.header_buffer import SCALAR_FORMATS
from gguf_tools.container.metadata import Metadata, encode_text
from gguf_tools.container.reader import GGUFFile
from gguf_tools.errors import GGUFToolsError
from gguf_tools.spec import ValueType
from tests.fuzz.policies import Case, Ours, policy_of
from tests.references.ggml_gguf import Crashed, CReader, KeyValue, Read, Refused, TensorInfo

__all__ = ["DisagreementError", "compare", "ours"]


class DisagreementError(AssertionError):
    """The readers disagree, and no policy says why they should."""


def compare(path: Path, data: bytes, reader: CReader) -> str:
    """Read a file with both, ours from ``path``.

    Returns:
        ``both`` where they take it and agree, ``neither``, or the name of a policy.

    Raises:
        DisagreementError: anything else.
    """
    here, there = ours(path, data), reader.read(data)
    if isinstance(here, Ours) and isinstance(there, Read):
        differences = dict(_differences(here.read, there))
        if not differences:
            return "both"
        case = Case(data, here, there, tuple(differences))
    elif isinstance(here, Refused) and isinstance(there, Refused):
        return "neither"
    else:
        differences = {"ours": _told(here), "ggml's": _told(there)}
        case = Case(data, here, there)
    if policy := policy_of(case):
        return policy.name
    raise DisagreementError("; ".join(f"{name}: {what}" for name, what in differences.items()))


def _told(outcome: Ours | Read | Refused | Crashed) -> str:
    return "taken" if isinstance(outcome, Ours | Read) else repr(outcome)


def ours(path: Path, data: bytes) -> Ours | Refused:
    """What our reader makes of a file."""
    path.write_bytes(data)
    try:
        with open_gguf(path, whole=False) as file:
            return Ours(_as_read(file), file.header)
    except GGUFToolsError as error:
        return Refused(error.message)


def _as_read(file: GGUFFile) -> Read:
    """A file as `CReader` describes it, but that no text ends at a NUL."""
    metadata = file.metadata
    return Read(
        file.version,
        file.alignment,
        file.data_offset,
        [_pair(key, kind, metadata) for key, kind, _ in metadata.entries()],
        [
            TensorInfo(
                encode_text(entry.name),
                (*reversed(entry.shape), 1, 1, 1, 1)[:4],
                int(entry.type),
                entry.relative,
                -1 if entry.nbytes is None else entry.nbytes,
            )
            for entry in file.header.entries
        ],
        metadata.to_bytes(),
    )


def _pair(key: str, kind: ValueType, metadata: Metadata) -> KeyValue:
    value = metadata[key]
    if isinstance(value, Array):
        return KeyValue(key.encode(), kind, int(value.element_type), _items(value))
    if isinstance(value, str):
        return KeyValue(key.encode(), kind, None, encode_text(value))
    if kind in (ValueType.FLOAT32, ValueType.FLOAT64):
        # through the number's bits: Python's float may not keep those of a NaN
        return KeyValue(key.encode(), kind, None, _bits(metadata, key))
    return KeyValue(key.encode(), kind, None, struct.pack("<" + SCALAR_FORMATS[kind], value))


def _bits(metadata: Metadata, key: str) -> bytes:
    """A float as it is written; equal to the number `Metadata` gives, or both are NaN."""
    alone = Metadata()
    alone._entries[key] = metadata._entries[key]
    code = SCALAR_FORMATS[metadata.type_of(key)]
    bits = alone.to_bytes()[-struct.calcsize("<" + code) :]
    number, given = struct.unpack("<" + code, bits)[0], metadata[key]
    if number != given and (number == number or given == given):
        raise DisagreementError(f"{key!r} is {given!r}, but is written as {number!r}")
    return bits


def _items(value: Array) -> bytes | list[bytes]:
    if value.element_type is ValueType.STRING:
        return [encode_text(item) for item in value]
    if value.element_type is ValueType.ARRAY:
        return value.to_bytes()
    numbers = value.numpy()
    return numbers.astype(numbers.dtype.newbyteorder("<")).tobytes()


def _differences(here: Read, there: Read) -> Iterator[tuple[str, str]]:
    """What two readers say otherwise about a file; ggml's getters end a text at a NUL."""
    for name in ("version", "alignment", "data_offset"):
        if getattr(here, name) != getattr(there, name):
            yield name, f"{getattr(here, name)}, ggml's {getattr(there, name)}"
    pairs = [_cut(pair) for pair in here.pairs]
    if pairs != there.pairs:
        yield "pairs", _first_unequal(pairs, there.pairs)
    tensors = [tensor._replace(name=_until_nul(tensor.name)) for tensor in here.tensors]
    if tensors != there.tensors:
        yield "tensors", _first_unequal(tensors, there.tensors)
    if not there.written.startswith(here.written):
        yield "written", "the pairs are written in other bytes"


def _first_unequal(here: Sequence[object], there: Sequence[object]) -> str:
    """The first in which two lists differ."""
    unequal = ((a, b) for a, b in zip(here, there, strict=False) if a != b)
    return f"{next(unequal, (len(here), len(there)))!r:.300}"


def _cut(pair: KeyValue) -> KeyValue:
    value = pair.value
    if pair.kind == ValueType.STRING and isinstance(value, bytes):
        value = _until_nul(value)
    elif isinstance(value, list):
        value = [_until_nul(item) for item in value]
    return pair._replace(key=_until_nul(pair.key), value=value)


def _until_nul(text: bytes) -> bytes:
    return text.partition(b"\0")[0]
