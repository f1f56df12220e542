"""How the values of tensors are distributed, from a streamed decode that never holds a whole tensor.

Two passes over each tensor, a chunk of rows at a time; all sums are float64 over the float32 values that a
tensor decodes to. With n finite values x:

    pass 1   min, max, zeros, NaNs, infinities
             mean = Σx / n,   σ = √(Σ(x − mean)² / n),   RMS = √(mean² + σ²)
    pass 2   low  = max(min, mean − 6σ),   high = min(max, mean + 6σ)
             outliers: x < low or x > high, counted on either side
             bin of every other x: ⌊(x − low) · 64 / (high − low)⌋, with high in the last bin

so that the histogram covers exactly what is no outlier. NaNs and infinities are counted and take no part in
anything else. σ is the population's. Each chunk has its own mean and Σ(x − mean)², and these are merged by
Chan, Golub and LeVeque's formula in the order of the chunks: the number of threads changes not a bit of the
result. Another chunk size changes the rounding of mean, σ and RMS only, by less than 1e-12 of the RMS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..compute.threads import Workers
from ..errors import UnsupportedError
from ..source import Source, row_count, row_length
from ..system import available_cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .inspect import Inspected, TensorDescription

__all__ = [
    "BINS",
    "OUTLIER_SIGMAS",
    "Histogram",
    "Measurement",
    "Statistics",
    "measure",
    "measure_model",
    "statistics",
]

Progress = Callable[[int, int, str], None]
"""Called with bytes of float32 read, in both passes; such bytes in all; and a tensor's name."""

BINS: Final = 64
"""Of a histogram: some five to a σ where there are outliers on both sides."""

OUTLIER_SIGMAS: Final = 6.0
"""How far from the mean a value is an outlier. Of normally distributed ones, two in a billion are."""

_CHUNK: Final = 1 << 18
"""Values a thread reads at once: a megabyte of float32."""

_PIECE: Final = 1 << 15
"""Values a thread computes with at once. What is made of them stays in a core's cache, and is small enough
for its memory to be used again instead of being given back to the system each time."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of values in bins of equal width from ``low`` to ``high``."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Of one tensor. What needs a finite value is None where there is none.

    Attributes:
        count: values in all.
        nan: how many of them are NaN.
        infinite: how many are infinite.
        zeros: how many are 0, of either sign.
        minimum: the smallest finite value.
        maximum: the largest one.
        mean: of the finite values, as all below.
        std: their population standard deviation σ.
        rms: the root of their mean square.
        outliers_below: values smaller than mean − 6σ.
        outliers_above: values larger than mean + 6σ.
        histogram: of all finite values but the outliers; None where they are all the same.
    """

    count: int
    nan: int
    infinite: int
    zeros: int
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    std: float | None = None
    rms: float | None = None
    outliers_below: int = 0
    outliers_above: int = 0
    histogram: Histogram | None = None

    @property
    def non_finite(self) -> int:
        """NaNs and infinities together."""
        return self.nan + self.infinite

    @property
    def outliers(self) -> int:
        """Finite values farther than 6σ from the mean."""
        return self.outliers_below + self.outliers_above

    @property
    def zero_share(self) -> float | None:
        """Zeros per value; None of an empty tensor."""
        return self.zeros / self.count if self.count else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What was found out about a tensor: statistics, or the reason why there are none."""

    name: str
    statistics: Statistics | None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        found = None if self.statistics is None else self.statistics.to_dict()
        return {"name": self.name, "statistics": found, "reason": self.reason}


def statistics(source: Source, *, threads: int | None = None) -> Statistics:
    """Statistics of one tensor.

    Raises:
        UnsupportedError: its type cannot be decoded.
        GGUFToolsError: whatever else reading it raises.
    """
    with _pool(threads) as pool:
        return _statistics(source, pool, _CHUNK, lambda values: None)


def measure(
    tensors: Iterable[tuple[str, Source]],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
    chunk_values: int = _CHUNK,
) -> Iterator[Measurement]:
    """Statistics of many tensors, one after the other, in their order.

    A tensor whose type cannot be decoded does not end the work; its measurement tells the reason.

    Args:
        tensors: names and sources of rows.
        threads: workers; default all available cores.
        progress: see ``Progress``.
        chunk_values: values at once, for tests.

    Raises:
        GGUFToolsError: whatever else reading a source raises.
    """
    listed = list(tensors)
    meter = _Meter(sum(prod(source.shape) for _, source in listed), progress)
    with _pool(threads) as pool:
        for name, source in listed:
            advance = meter.at(name, prod(source.shape))
            try:
                yield Measurement(name, _statistics(source, pool, chunk_values, advance))
            except UnsupportedError as error:
                yield Measurement(name, None, error.message)


def measure_model(
    opened: Inspected,
    tensors: Sequence[TensorDescription] | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Measurement]:
    """Statistics of the tensors of an open model, all or some, in their order. Raises as `measure` does."""
    chosen = opened.inspection.tensors if tensors is None else tensors
    sources = [(one.name, opened.sources[one.name]) for one in chosen if one.name in opened.sources]
    found = {one.name: one for one in measure(sources, threads=threads, progress=progress)}
    unread = "a part of packed weights that are not unpacked"
    return [found.get(one.name) or Measurement(one.name, None, unread) for one in chosen]


@contextmanager
def _pool(threads: int | None) -> Iterator[Workers]:
    """Threads that, on an error or Ctrl-C, end after the chunk at hand."""
    pool = Workers(threads or available_cores())
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _statistics(
    source: Source, pool: Workers, chunk_values: int, advance: Callable[[int], None]
) -> Statistics:
    chunks = _chunks(source.shape, chunk_values)
    total = _Moments()
    for part in pool.map(lambda rows: _moments(source, rows), chunks):
        total = total.merged(part)
        advance(part.count)
    if not total.finite:
        return Statistics(total.count, total.nan, total.infinite, 0)
    # The sums' rounding would move the mean of a constant tensor, and out of its range even.
    mean = min(max(total.mean, total.minimum), total.maximum)
    std = sqrt(total.squares / total.finite) if total.minimum < total.maximum else 0.0
    low = max(total.minimum, mean - OUTLIER_SIGMAS * std)
    high = min(total.maximum, mean + OUTLIER_SIGMAS * std)
    below = above = 0
    histogram = None
    if low < high:
        counts = np.zeros(BINS, np.int64)
        for found in pool.map(lambda rows: _counts(source, rows, low, high), chunks):
            below, above = below + found.below, above + found.above
            counts += found.bins
            advance(found.count)
        histogram = Histogram(low, high, tuple(counts.tolist()))
    return Statistics(
        count=total.count,
        nan=total.nan,
        infinite=total.infinite,
        zeros=total.zeros,
        minimum=total.minimum,
        maximum=total.maximum,
        mean=mean,
        std=std,
        rms=sqrt(mean * mean + std * std),
        outliers_below=below,
        outliers_above=above,
        histogram=histogram,
    )


@dataclass(frozen=True, slots=True)
class _Moments:
    """Pass 1 over some values. ``squares`` is the sum of squared distances from their mean."""

    count: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    minimum: float = np.inf
    maximum: float = -np.inf
    mean: float = 0.0
    squares: float = 0.0

    @property
    def finite(self) -> int:
        return self.count - self.nan - self.infinite

    def merged(self, other: _Moments) -> _Moments:
        """Of both together, by the formula of Chan, Golub and LeVeque (1979)."""
        n = self.finite + other.finite
        share = other.finite / n if n else 0.0
        apart = other.mean - self.mean
        return _Moments(
            count=self.count + other.count,
            nan=self.nan + other.nan,
            infinite=self.infinite + other.infinite,
            zeros=self.zeros + other.zeros,
            minimum=min(self.minimum, other.minimum),
            maximum=max(self.maximum, other.maximum),
            mean=self.mean + apart * share,
            squares=self.squares + other.squares + apart * apart * share * self.finite,
        )


@dataclass(frozen=True, slots=True)
class _Counts:
    """Pass 2 over some values."""

    count: int
    below: int
    above: int
    bins: NDArray[np.int64]


def _moments(source: Source, rows: tuple[int, int]) -> _Moments:
    total = _Moments()
    for values in _pieces(source, rows):
        total = total.merged(_moments_of(values))
    return total


def _moments_of(values: NDArray[np.float32]) -> _Moments:
    finite = values
    nan = infinite = 0
    known = np.isfinite(values)
    if not known.all():
        finite = values[known]
        nan = int(np.count_nonzero(np.isnan(values)))
        infinite = values.size - finite.size - nan
    if not finite.size:
        return _Moments(values.size, nan, infinite)
    wide = finite.astype(np.float64)
    mean = float(wide.mean())
    wide -= mean
    np.multiply(wide, wide, out=wide)
    return _Moments(
        count=values.size,
        nan=nan,
        infinite=infinite,
        zeros=int(np.count_nonzero(finite == 0)),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        mean=mean,
        squares=float(wide.sum()),
    )


def _counts(source: Source, rows: tuple[int, int], low: float, high: float) -> _Counts:
    count = 0
    slots = np.zeros(BINS + 2, np.int64)  # the bins, then what lies below and above
    for values in _pieces(source, rows):
        count += values.size
        known = np.isfinite(values)
        wide = (values if known.all() else values[known]).astype(np.float64)
        below, above = wide < low, wide > high
        np.clip(wide, low, high, out=wide)
        wide -= low
        wide *= BINS / (high - low)
        slot = wide.astype(np.int32)  # not negative, so truncated is floored
        np.minimum(slot, BINS - 1, out=slot)
        slot[below] = BINS
        slot[above] = BINS + 1
        slots += np.bincount(slot, minlength=BINS + 2)
    return _Counts(count, int(slots[BINS]), int(slots[BINS + 1]), slots[:BINS])


def _chunks(shape: tuple[int, ...], chunk_values: int) -> list[tuple[int, int]]:
    """Runs of whole rows: at least one row, and at most ``chunk_values`` where a row is no longer."""
    if not prod(shape):
        return []
    rows = row_count(shape)
    step = max(1, chunk_values // row_length(shape))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


def _pieces(source: Source, rows: tuple[int, int]) -> Iterator[NDArray[np.float32]]:
    values = source.rows(*rows).reshape(-1)
    for start in range(0, values.size, _PIECE):
        yield values[start : start + _PIECE]


class _Meter:
    """Progress over all tensors; each is read twice, but for those that one pass tells all of."""

    def __init__(self, values: int, progress: Progress | None) -> None:
        self._total, self._progress = 2 * 4 * values, progress
        self._next = 0

    def at(self, name: str, values: int) -> Callable[[int], None]:
        """Start a tensor; returns what is to be told the values of each chunk that is done."""
        done = self._next
        self._next = done + 2 * 4 * values

        def advance(count: int) -> None:
            nonlocal done
            done += 4 * count
            if self._progress is not None:
                self._progress(done, self._total, name)

        return advance
