"""Where tensors may lie: the same answers as ggml's own reader, over a family of small files."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product
from pathlib import Path

import pytest

from gguf_tools.container import open_gguf
from gguf_tools.errors import FormatError
from tests import builders as b
from tests.references import ggml

DATA = bytes(512)
"""More than any of the tensors below reaches to, so that nothing is wrong but the places."""

FULL, SMALL, EMPTY, EMPTY_ROWS = (16, 2), (3,), (0,), (5, 0)
"""128 bytes, 12 that are padded to 32, and two ways to have none."""


def sizes(dims: tuple[int, ...]) -> int:
    count = 4
    for size in dims:
        count *= size
    return count


def packed(shapes: tuple[tuple[int, ...], ...]) -> list[int]:
    """Where tensors lie that follow each other."""
    places, end = [], 0
    for dims in shapes:
        places.append(end)
        end += -(-sizes(dims) // 32) * 32
    return places


def file_of(shapes: tuple[tuple[int, ...], ...], places: list[int]) -> bytes:
    tensors = [
        b.Tensor(f"t{i}", dims, 0, b"", place)
        for i, (dims, place) in enumerate(zip(shapes, places, strict=True))
    ]
    tensors[-1] = b.Tensor(tensors[-1].name, tensors[-1].dims, 0, DATA, places[-1])
    return b.build([b.ARCHITECTURE], tensors)


def family() -> Iterator[tuple[str, bytes]]:
    """Right places; each tensor of each elsewhere; two changed about; all permuted."""
    shapes_of = [
        *product((FULL, SMALL, EMPTY), repeat=2),
        *product((FULL, EMPTY), (SMALL, EMPTY, EMPTY_ROWS), (FULL, EMPTY)),
    ]
    for shapes in shapes_of:
        places = packed(shapes)
        yield f"{shapes} dense", file_of(shapes, places)
        for i, place in product(range(len(shapes)), (0, 16, 32, 64, 96, 128, 160, 256, 288)):
            if place != places[i]:
                yield f"{shapes} t{i} at {place}", file_of(shapes, [*places[:i], place, *places[i + 1 :]])
        for order in permutations(range(len(shapes))):
            if list(order) != sorted(order):
                yield f"{shapes} as {order}", file_of(shapes, [places[i] for i in order])


def test_ours_opens_what_ggml_opens(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.gguf"
    taken, refused, apart = 0, 0, []
    for name, data in family():
        path.write_bytes(data)
        theirs = ggml.opens(path)
        try:
            open_gguf(path).close()
            ours = True
        except FormatError:
            ours = False
        taken, refused = taken + theirs, refused + (not theirs)
        if ours != theirs:
            apart.append((name, "ggml opens it" if theirs else "ggml refuses it"))
    capfd.readouterr()
    assert not apart
    assert taken > 20  # the family has both kinds
    assert refused > 200


@pytest.mark.parametrize(
    ("shapes", "places", "wrong"),
    [
        ((EMPTY, FULL), [128, 0], "t1"),
        ((FULL, EMPTY), [0, 0], "t1"),
        ((FULL, EMPTY, FULL), [0, 0, 128], "t1"),
        ((FULL, EMPTY, FULL), [0, 256, 128], "t2"),
        ((FULL, EMPTY), [0, 160], "t1"),
        ((EMPTY,), [32], "t0"),
    ],
)
def test_an_empty_tensor_at_a_wrong_place_is_named(
    shapes: tuple[tuple[int, ...], ...], places: list[int], wrong: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(file_of(shapes, places))
    with pytest.raises(FormatError) as caught:
        open_gguf(path)
    assert caught.value.tensor == wrong
    with open_gguf(path, check=False) as file:
        assert len(file.tensors) == len(shapes)
