"""What is different between two models: metadata, tensors, shapes, types, and by how much the values.

Either side may be a GGUF file (or any file of a split one) or a Hugging Face checkpoint. A checkpoint is
looked at through its architecture's table, as the GGUF file that a conversion would make of it: names are
translated, heads permuted, experts stacked. What only tells of a conversion, its types and a few keys
(`CHOSEN_KEYS`), is not compared then: a tensor of the same values is the same.

Tensors of one type whose bytes are equal are not decoded. All others are, a few rows at a time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from math import prod, sqrt
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..container.header import parse_header
from ..container.metadata import Metadata
from ..container.opening import open_gguf
from ..container.reader import Tensor, type_name
from ..conversion.to_gguf import plan_conversion
from ..editing.changes import Difference, differences
from ..errors import GGUFToolsError, RemoteError
from ..io.closing import Closing, closed_on_error
from ..io.input_files import MemoryPages
from ..io.remote import is_url, locate
from ..source import Source, row_count, row_length

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["CHOSEN_KEYS", "Comparison", "Distance", "TensorDifference", "diff"]

Progress = Callable[[int, int, str], None]
"""Called with bytes of float32 compared, such bytes in all, and a tensor's name."""

CHOSEN_KEYS: Final = ("general.file_type", "general.quantization_version", "quantize.*")
"""Keys (patterns) that a checkpoint does not determine."""

_CHUNK: Final = 1 << 19
"""Values compared at once; with their float64 differences, a dozen megabytes."""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the values of a tensor are apart.

    Attributes:
        maximum: the largest absolute difference; infinite where a NaN or infinity is on one side only.
        rms: the root of the mean squared difference.
        relative_rms: that over the root mean square of the first side's values; None where these are all 0.
        differing: how many values differ.
    """

    maximum: float
    rms: float
    relative_rms: float | None
    differing: int


@dataclass(frozen=True, slots=True)
class TensorDifference:
    """A tensor that is not the same on both sides; None is what a side does not have.

    ``distance`` is None where values were not compared: on one side only, of another shape, of a type that
    cannot be decoded, or not asked for.
    """

    name: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    types: tuple[str | None, str | None]
    distance: Distance | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        first, second = (None if shape is None else list(shape) for shape in self.shapes)
        return {
            "name": self.name,
            "shape_a": first,
            "shape_b": second,
            "type_a": self.types[0],
            "type_b": self.types[1],
            "distance": None if self.distance is None else asdict(self.distance),
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences of two models.

    Attributes:
        metadata: keys that differ.
        tensors: tensors that differ, in the first model's order, then those only the second has.
        same: how many tensors are the same to the last bit, or as far as they were compared.
        data: whether values were compared; else only metadata, names, shapes and types were.
    """

    metadata: list[Difference]
    tensors: list[TensorDifference]
    same: int
    data: bool = True

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.metadata and not self.tensors

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "equal": self.equal,
            "metadata": [difference.to_dict() for difference in self.metadata],
            "tensors": [tensor.to_dict() for tensor in self.tensors],
            "same_tensors": self.same,
            "data_compared": self.data,
        }


def diff(
    a: str | os.PathLike[str],
    b: str | os.PathLike[str],
    *,
    data: bool | None = None,
    ignore: Sequence[str] = (),
    progress: Progress | None = None,
) -> Comparison:
    """Compare two models.

    Args:
        a: a GGUF file, a checkpoint directory or a .safetensors file with config.json beside it; or a URL of
            one of these.
        b: the other one.
        data: compare values, not only metadata, names, shapes and types. Default: yes for files, no where
            one is a URL, of which then only headers are read.
        ignore: patterns of keys and tensor names not to look at, such as ``general.*``.
        progress: called after each chunk of rows.

    Raises:
        GGUFToolsError: one of them cannot be read.
    """
    if data is None:
        data = not (is_url(a) or is_url(b))
    with _opened(a) as first, _opened(b) as second:
        unread = [*ignore, *(CHOSEN_KEYS if first.converted or second.converted else ())]
        metadata = [
            found for found in differences(first.metadata, second.metadata) if not _matches(found.key, unread)
        ]
        names = [name for name in {**first.tensors, **second.tensors} if not _matches(name, ignore)]
        total = sum(4 * prod(first.tensors[name].shape) for name in names if name in first.tensors)
        meter = _Meter(total, progress)
        typed = not (first.converted or second.converted)
        tensors = []
        for name in names:
            one, other = first.tensors.get(name), second.tensors.get(name)
            difference = _compare(name, one, other, meter, data=data, typed=typed)
            if difference is not None:
                tensors.append(difference)
    return Comparison(metadata, tensors, len(names) - len(tensors), data)


@dataclass(frozen=True)
class _Side(Closing):
    """One of the models, as a GGUF file has it."""

    metadata: Metadata
    tensors: Mapping[str, Source]
    converted: bool
    closing: Callable[[], None]

    def close(self) -> None:
        self.closing()


def _opened(path: str | os.PathLike[str]) -> _Side:
    given = locate(path)
    if given.is_dir() or given.name.endswith(".safetensors"):
        with closed_on_error(plan_conversion(path, recipe="F32")) as plan:
            (planned,) = plan.files
            header = parse_header(MemoryPages(planned.header), str(given))
            sources = {tensor.name: tensor.source for tensor in planned.tensors}
            return _Side(header.metadata, sources, True, plan.close)
    file = open_gguf(path)
    return _Side(file.metadata, file.tensors, False, file.close)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _compare(
    name: str, a: Source | None, b: Source | None, meter: _Meter, *, data: bool, typed: bool
) -> TensorDifference | None:
    """How one tensor differs, or None where it does not; types count where ``typed``."""
    shapes = (None if a is None else a.shape, None if b is None else b.shape)
    types = (_type_of(a), _type_of(b))
    if a is None or b is None:
        return TensorDifference(name, shapes, types, reason="only in one of them")
    if _bare(a.shape) != _bare(b.shape):
        return TensorDifference(name, shapes, types, reason="of different shapes")
    same_type = types[0] == types[1]
    if not data:
        same = same_type or not typed
        return None if same else TensorDifference(name, shapes, types, reason="not compared")
    advance = meter.at(name, row_length(a.shape))
    if a.storage is not None and a.storage is b.storage and _same_bytes(a, b, advance):
        return None
    advance = meter.at(name, row_length(a.shape))
    try:
        distance = _distance(a, b, advance)
    except RemoteError:
        raise
    except GGUFToolsError as error:
        return TensorDifference(name, shapes, types, reason=error.message)
    if not typed and not distance.differing:
        return None
    return TensorDifference(name, shapes, types, distance)


def _type_of(source: Source | None) -> str | None:
    """The stored type's name; what a transform computes is float32."""
    if source is None:
        return None
    if isinstance(source, Tensor):
        return source.type_name
    return "F32" if source.storage is None else type_name(source.storage)


def _bare(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading ones, which ggml does not count."""
    first = next((i for i, size in enumerate(shape) if size != 1), len(shape))
    return shape[first:]


def _same_bytes(a: Source, b: Source, advance: Callable[[int], None]) -> bool:
    """Whether the stored bytes are equal; reads up to the first chunk that is not."""
    rows = row_count(a.shape)
    for start, stop in _chunks(rows, row_length(a.shape)):
        if not np.array_equal(a.raw(start, stop), b.raw(start, stop)):
            return False
        advance(stop)
    return True


def _distance(a: Source, b: Source, advance: Callable[[int], None]) -> Distance:
    rows, length = row_count(a.shape), row_length(a.shape)
    maximum, squares, norm, differing = 0.0, 0.0, 0.0, 0
    for start, stop in _chunks(rows, length):
        x = a.rows(start, stop).ravel()
        y = b.rows(start, stop).ravel()
        apart = _apart(x, y)
        maximum = max(maximum, float(np.abs(apart).max(initial=0)))
        squares += float(np.dot(apart, apart))
        wide = x.astype(np.float64)
        norm += float(np.dot(wide, wide))
        differing += int(np.count_nonzero(apart))
        advance(stop)
    count = rows * length or 1
    relative = sqrt(squares / norm) if 0 < norm < np.inf and squares < np.inf else None
    return Distance(maximum, sqrt(squares / count), relative, differing)


def _apart(x: NDArray[np.float32], y: NDArray[np.float32]) -> NDArray[np.float64]:
    """Differences in float64. Two NaNs are as equal as two infinities; one against a number is infinite."""
    with np.errstate(invalid="ignore"):
        apart = np.subtract(y, x, dtype=np.float64)
    odd = ~np.isfinite(apart)
    if odd.any():
        equal = (x == y) | (np.isnan(x) & np.isnan(y))
        apart[odd] = np.where(equal[odd], 0.0, np.inf)
    return apart


def _chunks(rows: int, length: int) -> list[tuple[int, int]]:
    step = max(1, _CHUNK // max(1, length))
    return [(start, min(start + step, rows)) for start in range(0, rows, step)]


class _Meter:
    """Progress over all tensors. Bytes that are looked at a second time do not count twice."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self._total, self._progress = total, progress
        self._name, self._row_bytes, self._before, self._here = "", 0, 0, 0

    def at(self, name: str, length: int) -> Callable[[int], None]:
        """Start a tensor, or start it again; returns what is to be told the rows that are done."""
        if name != self._name:
            self._before += self._here
        self._name, self._row_bytes, self._here = name, 4 * length, 0
        return self._advance

    def _advance(self, rows: int) -> None:
        self._here = rows * self._row_bytes
        if self._progress is not None:
            self._progress(self._before + self._here, self._total, self._name)
