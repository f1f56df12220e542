"""Streamed statistics against numpy on whole tensors."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.errors import FormatError, UnsupportedError
from gguf_tools.inspection.inspect import Inspected
from gguf_tools.inspection.opening import open_inspected
from gguf_tools.inspection.statistics import BINS, Statistics, measure, measure_model, statistics
from gguf_tools.source import ArraySource, row_count, row_length
from gguf_tools.spec import GGMLType

TOLERANCE = 1e-12


def naive(values: NDArray[np.float32]) -> Statistics:
    """The slow twin: the whole tensor at once, by the formulas of the module's docstring."""
    flat = values.astype(np.float64).ravel()
    finite = flat[np.isfinite(flat)]
    nan, infinite = int(np.isnan(flat).sum()), int(np.isinf(flat).sum())
    if not finite.size:
        return Statistics(flat.size, nan, infinite, 0)
    mean, std = float(finite.mean()), float(finite.std())
    low, high = max(finite.min(), mean - 6 * std), min(finite.max(), mean + 6 * std)
    return Statistics(
        count=flat.size,
        nan=nan,
        infinite=infinite,
        zeros=int((finite == 0).sum()),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=mean,
        std=std,
        rms=float(np.sqrt(np.mean(finite**2))),
        outliers_below=int((finite < low).sum()),
        outliers_above=int((finite > high).sum()),
    )


def check(found: Statistics, values: NDArray[np.float32]) -> None:
    expected = naive(values)
    assert (found.mean is None) == (expected.mean is None)
    if expected.mean is not None and expected.std is not None and expected.rms is not None:
        scale = expected.rms * TOLERANCE
        assert found.mean == pytest.approx(expected.mean, rel=0, abs=scale)
        assert found.rms == pytest.approx(expected.rms, rel=0, abs=scale)
        assert found.std == pytest.approx(expected.std, rel=0, abs=scale)
    same = replace(found, mean=expected.mean, std=expected.std, rms=expected.rms, histogram=None)
    assert same == expected
    check_histogram(found, values)


def check_histogram(found: Statistics, values: NDArray[np.float32]) -> None:
    """Counts between edges: exact but for values that lie on an edge to within its rounding."""
    if found.minimum == found.maximum:
        assert found.histogram is None
        return
    assert found.histogram is not None
    low, high, counts = found.histogram.low, found.histogram.high, found.histogram.counts
    assert len(counts) == BINS
    assert sum(counts) == found.count - found.non_finite - found.outliers
    finite = np.sort(values.ravel()[np.isfinite(values.ravel())].astype(np.float64))
    running = np.cumsum(counts)
    slack = (high - low) * 1e-13
    for i in range(1, BINS):
        edge = low + (high - low) * i / BINS
        assert np.searchsorted(finite, edge - slack) - found.outliers_below <= running[i - 1]
        assert running[i - 1] <= np.searchsorted(finite, edge + slack, side="right") - found.outliers_below


def random(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


CASES = {
    "normal": random(300, 1000),
    "with outliers": np.concatenate([random(5000), np.array([40, -50, 60], np.float32)]),
    "far from zero": random(70, 70) * 1e-3 + 1e4,
    "constant": np.full((100, 33), 0.1, np.float32),
    "constant but one": np.r_[np.zeros(99_999, np.float32), np.float32(1)],
    "zeros of both signs": np.array([0.0, -0.0, 0.0], np.float32),
    "one value": np.array(-3.5, np.float32),
    "two values": np.array([np.nextafter(np.float32(1), np.float32(2)), 1], np.float32),
    "empty": np.zeros((0, 32), np.float32),
    "empty rows": np.zeros((32, 0), np.float32),
    "NaN": np.array([[1, np.nan], [np.nan, 3]], np.float32),
    "infinities": np.array([np.inf, -np.inf, 1, 2, 2], np.float32),
    "nothing finite": np.array([np.inf, np.nan], np.float32),
    "huge": np.array([3.4e38, -3.4e38, 3.4e38, 1], np.float32),
    "denormal": np.array([1e-45, -1e-45, 3e-45, 0, 1e-40], np.float32),
    "one long row": random(1, 700_001),
    "three dimensions": random(7, 11, 64),
}


@pytest.mark.parametrize("name", CASES)
def test_as_numpy_finds_it(name: str) -> None:
    values = CASES[name]
    check(statistics(ArraySource(values)), values)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 9)), elements=st.floats(width=32)),
    st.integers(1, 50),
)
def test_any_values_in_any_chunks(values: NDArray[np.float32], chunk: int) -> None:
    (found,) = measure([("x", ArraySource(values))], chunk_values=chunk, threads=2)
    assert found.statistics is not None
    check(found.statistics, values)


def test_threads_change_nothing_and_chunks_only_the_rounding() -> None:
    values = random(801, 777)
    source = ArraySource(values)
    one = statistics(source, threads=1)
    assert [statistics(source, threads=n) for n in (2, 3, 8)] == [one, one, one]
    for chunk in (1000, 4096, 1 << 20):
        (found,) = measure([("x", source)], chunk_values=chunk)
        assert found.statistics is not None
        check(found.statistics, values)


@pytest.mark.parametrize("name", ["F32", "F16", "BF16", "Q8_0", "Q4_K", "IQ4_NL", "TQ2_0"])
def test_tensors_of_a_file(name: str, tmp_path: Path) -> None:
    values = random(64, 512)
    path = tmp_path / "x.gguf"
    blocks = gguf_tools.quantize(values, name)
    gguf_tools.write(path, gguf_tools.Metadata(), [("x", blocks, GGMLType[name], values.shape)])
    with gguf_tools.open(path) as file:
        (found,) = measure(file.tensors.items())
        assert found.name == "x"
        assert found.statistics is not None
        check(found.statistics, file.tensors["x"].dequantize())


def test_tensors_of_a_checkpoint_packed_ones_too(tiny_checkpoints: dict[str, Path]) -> None:
    with open_inspected(tiny_checkpoints["gpt-oss-mxfp4"]) as opened:
        types = {tensor.name: tensor.type for tensor in opened.inspection.tensors}
        found = measure_model(opened, threads=2)
        assert [one.name for one in found] == list(types)
        assert {"BF16", "MXFP4"} <= set(types.values())
        for one in found:
            source = opened.sources[one.name]
            assert one.statistics is not None
            check(one.statistics, source.rows(0, row_count(source.shape)))


def test_a_tensor_without_rows_is_told_and_the_rest_measured(tmp_path: Path) -> None:
    gguf_tools.write(tmp_path / "x.gguf", gguf_tools.Metadata(), [(name, random(9)) for name in "abc"])
    with open_inspected(tmp_path / "x.gguf") as opened:
        part = Inspected(opened.inspection, {name: opened.sources[name] for name in "ac"}, lambda: None)
        found = measure_model(part)
        assert [(one.name, one.statistics is None) for one in found] == [
            ("a", False),
            ("b", True),
            ("c", False),
        ]
        assert "not unpacked" in found[1].reason


class Watched(ArraySource):
    """Remembers the largest piece that was asked for; may refuse."""

    def __init__(self, array: NDArray[np.float32], error: Exception | None = None) -> None:
        super().__init__(array)
        self.largest = 0
        self.error = error

    @property
    def storage(self) -> GGMLType | None:
        return None

    def rows(self, start: int, stop: int) -> NDArray[np.float32]:
        self.largest = max(self.largest, (stop - start) * row_length(self.shape))
        if self.error is not None:
            raise self.error
        assert stop <= row_count(self.shape)
        return super().rows(start, stop)


def test_never_more_than_a_chunk_is_asked_for() -> None:
    source = Watched(random(1000, 100))
    list(measure([("x", source)], chunk_values=2000))
    assert source.largest == 2000


def test_what_cannot_be_decoded_is_told_and_the_rest_measured() -> None:
    odd = Watched(random(3), UnsupportedError("no such codec", tensor="odd"))
    found = list(measure([("odd", odd), ("x", ArraySource(random(3)))]))
    assert [(one.name, one.reason, one.statistics is None) for one in found] == [
        ("odd", "no such codec", True),
        ("x", "", False),
    ]
    assert found[0].to_dict() == {"name": "odd", "statistics": None, "reason": "no such codec"}


def test_other_errors_end_it() -> None:
    broken = Watched(random(100, 100), FormatError("the file changed"))
    with pytest.raises(FormatError, match="the file changed"):
        list(measure([("x", broken)], chunk_values=10))


def test_progress_only_grows_and_ends_at_the_total() -> None:
    tensors = {"a": random(50, 60), "constant": np.ones((9, 9), np.float32), "b": random(70, 80, seed=1)}
    calls: list[tuple[int, int, str]] = []
    list(
        measure(
            [(name, ArraySource(values)) for name, values in tensors.items()],
            progress=lambda *call: calls.append(call),
            chunk_values=500,
        )
    )
    total = 8 * sum(prod(values.shape) for values in tensors.values())
    assert [call[0] for call in calls] == sorted(call[0] for call in calls)
    assert {call[1] for call in calls} == {total}
    assert calls[-1][0] == total
    assert {call[2] for call in calls} == set(tensors)


def test_to_dict_is_plain_and_complete() -> None:
    found = statistics(ArraySource(np.array([0, 1, np.nan], np.float32))).to_dict()
    assert found["count"] == 3
    assert found["nan"] == 1
    assert found["mean"] == 0.5
    assert found["histogram"] == {"low": 0.0, "high": 1.0, "counts": (1, *[0] * (BINS - 2), 1)}
