from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gguf_tools.container import Array, Metadata, open_gguf, write_gguf
from gguf_tools.errors import FormatError
from gguf_tools.spec import ValueType
from tests import builders as b

V = ValueType

INTEGERS = {
    V.UINT8: 8,
    V.INT8: 8,
    V.UINT16: 16,
    V.INT16: 16,
    V.UINT32: 32,
    V.INT32: 32,
    V.UINT64: 64,
    V.INT64: 64,
}


def bounds(kind: ValueType) -> tuple[int, int]:
    bits = INTEGERS[kind]
    return (0, 2**bits - 1) if kind.name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


@pytest.mark.parametrize("kind", INTEGERS, ids=lambda kind: kind.name)
def test_integers_are_checked_at_their_bounds(kind: ValueType) -> None:
    low, high = bounds(kind)
    metadata = Metadata()
    for value in (low, high, np.int64(1)):
        metadata.set("x", value, kind)
        assert metadata["x"] == value
        assert type(metadata["x"]) is int
    for value in (low - 1, high + 1, 1.0, True, "1", None):
        with pytest.raises(FormatError, match=rf"key 'x': a value does not fit {kind.name} \(found"):
            metadata.set("x", value, kind)
        with pytest.raises(FormatError, match="does not fit"):
            Array(kind, [low, value])
    assert Array(kind, [low, high]) == [low, high]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (V.BOOL, 1),
        (V.BOOL, "true"),
        (V.STRING, 1),
        (V.STRING, None),
        (V.STRING, "\ud800"),
        (V.FLOAT32, "1"),
        (V.FLOAT32, True),
        (V.FLOAT32, 1e39),
        (V.FLOAT32, 10**400),
        (V.FLOAT64, 10**400),
        (V.ARRAY, [1, 2]),
    ],
)
def test_values_that_do_not_fit(kind: ValueType, value: Any) -> None:
    metadata = Metadata([("x", V.UINT8, 7)], path="model.gguf")
    with pytest.raises(FormatError, match=r"model\.gguf: key 'x': "):
        metadata.set("x", value, kind)
    assert metadata["x"] == 7


@pytest.mark.parametrize("value", [0.1, 1, np.float32(2.5), math.inf, -math.inf])
def test_floats(value: Any) -> None:
    metadata = Metadata([("x", V.FLOAT32, value), ("y", V.FLOAT64, value)])
    assert metadata["x"] == float(np.float32(value))
    assert metadata["y"] == float(value)
    assert type(metadata["x"]) is float


def test_strings_may_be_given_as_bytes() -> None:
    metadata = Metadata([("x", V.STRING, b"\xff")])
    assert metadata["x"] == "\udcff"
    assert Array(V.STRING, [b"\xff", "a"]) == ["\udcff", "a"]


@pytest.mark.parametrize("key", ["", "k" * 65536, "\ud800"])
def test_keys_that_are_not_allowed(key: str) -> None:
    with pytest.raises(FormatError, match="key"):
        Metadata().set(key, 1, V.UINT8)


class TestMapping:
    def metadata(self) -> Metadata:
        return Metadata([("a", V.UINT8, 1), ("b", V.STRING, "x"), ("c", V.BOOL, True)])

    def test_order_is_kept(self) -> None:
        metadata = self.metadata()
        metadata.set("b", 5, V.INT16)
        metadata.set("d", 6, V.INT16)
        del metadata["a"]
        assert list(metadata.entries()) == [("b", V.INT16, 5), ("c", V.BOOL, True), ("d", V.INT16, 6)]

    def test_copies_are_independent(self) -> None:
        metadata = self.metadata()
        copy = metadata.copy()
        copy.set("a", 2, V.UINT8)
        del copy["b"]
        assert metadata == self.metadata()
        assert metadata != copy

    def test_types_matter_to_equality(self) -> None:
        assert Metadata([("a", V.UINT8, 1)]) != Metadata([("a", V.INT8, 1)])
        assert Metadata([("a", V.UINT8, 1)]) == Metadata([("a", V.UINT8, 1)])

    def test_missing_keys(self) -> None:
        metadata = self.metadata()
        assert metadata.get("z") is None
        for access in (
            lambda: metadata["z"],
            lambda: metadata.type_of("z"),
            lambda: metadata.__delitem__("z"),
        ):
            with pytest.raises(KeyError):
                access()

    def test_require(self) -> None:
        metadata = self.metadata()
        metadata.path = "m.gguf"
        assert metadata.require("a", int) == 1
        assert metadata.require("c", bool) is True
        assert metadata.optional("z", int) is None
        assert metadata.optional("z", int, 3) == 3
        with pytest.raises(FormatError, match=r"m\.gguf: key 'z': the key is missing \(expected int\)"):
            metadata.require("z", int)
        with pytest.raises(FormatError, match=r"key 'b': .* wrong type \(found STRING, expected int\)"):
            metadata.require("b", int)
        for kind in (int, float):
            with pytest.raises(FormatError, match=r"found BOOL"):
                metadata.require("c", kind)
        with pytest.raises(FormatError, match=r"found UINT8, expected str"):
            metadata.optional("a", str)


class TestArray:
    def test_numpy_in_and_out(self) -> None:
        values = np.array([1.5, -2.5], np.float32)
        array = Array(V.FLOAT32, values)
        values[0] = 7
        assert array.numpy().tolist() == [1.5, -2.5]
        assert Array(V.INT8, np.array([1, 2], np.int64)).numpy().dtype == np.int8
        assert Array(V.BOOL, np.array([True, False])) == [True, False]

    def test_numpy_values_that_would_wrap(self) -> None:
        with pytest.raises(FormatError, match="does not fit UINT8"):
            Array(V.UINT8, np.array([1, 300]))
        with pytest.raises(FormatError, match="does not fit INT32"):
            Array(V.INT32, np.array([1.5]))
        with pytest.raises(FormatError, match="one dimension"):
            Array(V.INT32, np.zeros((2, 2), np.int32))

    def test_nested(self) -> None:
        array = Array(V.ARRAY, [Array(V.UINT8, [1]), Array(V.STRING, [])])
        assert array[0] == [1]
        assert len(array[1]) == 0
        with pytest.raises(FormatError, match="must be an Array"):
            Array(V.ARRAY, [[1]])

    def test_equality(self) -> None:
        assert Array(V.UINT8, [1, 2]) == Array(V.UINT8, [1, 2])
        assert Array(V.UINT8, [1, 2]) != Array(V.INT8, [1, 2])
        assert Array(V.STRING, ["a"]) != Array(V.STRING, ["b"])
        assert Array(V.STRING, ["a"]) != ["a", "b"]

    def test_items_are_plain_python(self) -> None:
        assert [type(item) for item in Array(V.UINT8, [1])] == [int]
        assert type(Array(V.FLOAT32, [1])[0]) is float
        assert type(Array(V.BOOL, [True])[0]) is bool


def floats(width: int) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False)


def scalars() -> dict[ValueType, st.SearchStrategy[Any]]:
    strategies: dict[ValueType, st.SearchStrategy[Any]] = {
        kind: st.integers(*bounds(kind)) for kind in INTEGERS
    }
    strategies[V.FLOAT32] = floats(32)
    strategies[V.FLOAT64] = floats(64)
    strategies[V.BOOL] = st.booleans()
    # Any bytes: texts are only nominally UTF-8.
    strategies[V.STRING] = st.binary(max_size=300).map(lambda data: data.decode("utf-8", "surrogateescape"))
    return strategies


def arrays() -> st.SearchStrategy[Array]:
    flat = st.one_of(
        [
            st.lists(items, max_size=20).map(lambda x, kind=kind: Array(kind, x))
            for kind, items in scalars().items()
        ]
    )
    return st.recursive(
        flat, lambda inner: st.lists(inner, max_size=4).map(lambda x: Array(V.ARRAY, x)), max_leaves=6
    )


def entries() -> st.SearchStrategy[list[tuple[str, ValueType, Any]]]:
    keys = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(
        lambda key: key != "general.alignment"
    )
    value = st.one_of(
        *[st.tuples(st.just(kind), items) for kind, items in scalars().items()],
        st.tuples(st.just(V.ARRAY), arrays()),
    )
    return st.dictionaries(keys, value, max_size=12).map(
        lambda d: [(key, kind, x) for key, (kind, x) in d.items()]
    )


def depth(value: Any) -> int:
    return (
        1 + max(map(depth, value), default=0)
        if isinstance(value, Array) and value.element_type is V.ARRAY
        else 1
    )


@given(entries().filter(lambda es: all(depth(value) < 8 for _, _, value in es)))
@settings(max_examples=150)
def test_metadata_survives_writing_and_reading(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "round.gguf"
    metadata = Metadata(pairs)
    write_gguf(path, metadata, [], force=True)
    with open_gguf(path) as file:
        assert list(file.metadata) == [key for key, _, _ in pairs]
        assert file.metadata == metadata
        assert file.metadata.to_bytes() == metadata.to_bytes()


@pytest.mark.parametrize("order", ["little", "big"])
def test_the_bits_of_a_nan_survive(tmp_path: Path, order: str) -> None:
    wire = b.Bytes(order)
    bits = 0x7F80_0001  # a signalling NaN: arithmetic, even a conversion, would set its quiet bit
    single = wire.string("x") + wire.number("I", b.F32) + wire.number("I", bits)
    several = (
        wire.string("y")
        + wire.number("I", b.ARRAY)
        + wire.number("I", b.F32)
        + wire.length(1)
        + wire.number("I", bits)
    )
    (tmp_path / "a").write_bytes(b.build([single, several], order=order))
    with open_gguf(tmp_path / "a") as file:
        assert math.isnan(file.metadata["x"])
        assert file.metadata.to_bytes().count(struct.pack("<I", bits)) == 2
