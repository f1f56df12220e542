"""Our reader of GGUF files against ggml's: a file for every policy, and thousands without another outcome."""

from __future__ import annotations

import itertools
import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import builders
from tests.builders import ARRAY, I32, STRING, U8, U32, Tensor, build, floats
from tests.fuzz.differential import DisagreementError, compare
from tests.fuzz.gguf_structure import files, layout
from tests.fuzz.policies import POLICIES, Policy
from tests.references.ggml_gguf import Crashed, CReader, Read, Refused

FILES = 2000

ONE = Tensor("x", (1,), 0, floats(1))
DIMS = (1 << 32, 1 << 32)
"""More elements than 64 bits count: their product is 0 there."""

EXAMPLES: dict[str, bytes] = {
    "big endian": build([("a", U32, 1)], [ONE], order="big"),
    "version 1": build([("a", U32, 1)], [ONE], version=1),
    "nested arrays": build([("a", ARRAY, (ARRAY, [(U8, [1])]))], [ONE]),
    "long tensor name": build([], [Tensor("n" * 64, (1,), 0, floats(1))]),
    "unknown tensor type": build([], [Tensor("x", (32,), 99, bytes(32))]),
    "removed tensor type": build([], [Tensor("x", (32,), 4, bytes(32))]),
    "names equal up to a NUL": build(
        [], [Tensor(b"n\0a", (1,), 0, floats(1)), Tensor(b"n\0b", (1,), 0, floats(1))]
    ),
    "number of elements at the limit": build([], [Tensor("x", ((1 << 63) - 1,), 99)]),
    "data cut off": build([], [Tensor("x", (64,), 0, floats(1))]),
    "size of a tensor overflows": build([], [Tensor("x", ((1 << 61) + 1024,), 13, bytes(176 * 4))]),
    "size of a tensor beyond 2^63": build([], [Tensor("x", (1 << 62,), 1)]),
    "alignment denied by the layout": build([("general.alignment", U32, 8), ("a", U32, 1)], [ONE]),
    "large alignment": build([("general.alignment", U32, 1 << 21)]),
    "long key": build([("k" * 65_536, U32, 1)], [ONE]),
    "key not UTF-8": build([(b"a\0\xff", U32, 1)], [ONE]),
    "number of elements overflows": build([], [Tensor("x", DIMS, 0)]),
    "absurd dimensions beside a 0": build([], [Tensor("x", (0, 1 << 33), 0)]),
    "no tensors, no data": build([("a", U32, 1)]),
}


@pytest.fixture(scope="module")
def reader() -> Iterator[CReader]:
    with CReader() as made:
        yield made


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_file_for_each_policy(policy: Policy, reader: CReader, tmp_path: Path) -> None:
    assert compare(tmp_path / "x.gguf", EXAMPLES[policy.name], reader) == policy.name


def test_no_example_without_a_policy() -> None:
    assert [*EXAMPLES] == [policy.name for policy in POLICIES]


def test_files_by_chance(reader: CReader, tmp_path: Path) -> None:
    counts = Counter(
        compare(tmp_path / "x.gguf", data, reader) for data in itertools.islice(files("tests"), FILES)
    )
    assert sum(counts.values()) == FILES
    assert counts["both"] > FILES // 8
    assert len(counts) > 10
    assert reader.begun == 1  # ggml crashed at none of them


def test_a_file_that_both_take_has_all_kinds_of_values(reader: CReader, tmp_path: Path) -> None:
    kinds = [(kind, 1) for kind in (0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12)]
    pairs = [(f"n{kind}", kind, value) for kind, value in kinds]
    pairs += [(f"a{kind}", ARRAY, (kind, [value] * 3)) for kind, value in kinds]
    pairs += [
        ("text", STRING, b"x\xff\0y"),
        ("texts", ARRAY, (STRING, [b"", b"x\0y", b"\xff"])),
        ("none", ARRAY, (U8, [])),
    ]
    data = build(pairs, builders.SMALL_TENSORS)
    assert compare(tmp_path / "x.gguf", data, reader) == "both"
    read = reader.read(data)
    assert isinstance(read, Read)
    assert len(read.pairs) == len(pairs)
    assert [tensor.dims for tensor in read.tensors] == [(3, 1, 1, 1), (32, 2, 1, 1)]
    assert read.pairs[-2].value == [b"", b"x", b"\xff"]


class _Other:
    """A reader that says something else than ggml does."""

    def __init__(self, reader: CReader, **changes: object) -> None:
        self.reader, self.changes = reader, changes

    def read(self, data: bytes) -> object:
        return self.reader.read(data)._replace(**self.changes)


@pytest.mark.parametrize(
    "changes",
    [{"version": 2}, {"alignment": 64}, {"data_offset": 0}, {"pairs": []}, {"tensors": []}, {"written": b""}],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_differs_is_found(changes: dict[str, object], reader: CReader, tmp_path: Path) -> None:
    data = build([("a", U32, 1)], [ONE])
    with pytest.raises(DisagreementError, match=next(iter(changes))):
        compare(tmp_path / "x.gguf", data, _Other(reader, **changes))


class _Constant:
    def __init__(self, outcome: object) -> None:
        self.outcome = outcome

    def read(self, data: bytes) -> object:
        return self.outcome


@pytest.mark.parametrize(
    "outcome", [Refused("has offset 32, expected 0"), Refused("is too long"), Refused(""), Crashed(6)]
)
def test_a_refusal_needs_a_reason_in_the_file(outcome: object, tmp_path: Path) -> None:
    with pytest.raises(DisagreementError, match="ours: taken"):
        compare(tmp_path / "x.gguf", build([("a", U32, 1)], [ONE]), _Constant(outcome))


def test_a_crash_is_an_outcome() -> None:
    with CReader() as reader:
        assert isinstance(reader.read(build()), Read)
        os.kill(reader.process, signal.SIGABRT)
        assert reader.read(build()) == Crashed(signal.SIGABRT)
        assert isinstance(reader.read(build()), Read)
        assert reader.begun == 2


def test_hanging_is_a_crash() -> None:
    with CReader(seconds=0.2) as reader:
        assert isinstance(reader.read(build()), Read)
        os.kill(reader.process, signal.SIGSTOP)
        assert reader.read(build()) == Crashed(signal.SIGKILL)


def test_a_layout_has_every_number_of_a_header() -> None:
    data = build([("general.alignment", U32, 8), ("b", ARRAY, (I32, [1, 2]))], [ONE], alignment=8)
    found = layout(data)
    assert found.keys == [b"general.alignment", b"b"]
    assert found.alignment == 8
    assert data[found.end :].strip(b"\0") == floats(1).strip(b"\0")
    roles = [number.role for number in found.numbers]
    assert roles == [
        *("version", "count", "count"),
        *("length", "type", "value"),
        *("length", "type", "type", "length", "value", "value"),
        *("length", "rank", "extent", "type", "offset"),
    ]
