"""What packed formats have in common: parts found by name, scales that are checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from ...errors import CheckpointError, UnsupportedError
from ...source import ComputedSource, Source, row_count
from ..reader import SafetensorsTensor

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = [
    "DequantizedSource",
    "Packing",
    "Parts",
    "Unpacker",
    "checked_scales",
    "group_order",
    "require_shape",
    "setting",
    "some_floats",
    "whole",
    "whole_floats",
]

_SHOWN: Final = 20

MAX_AUXILIARY: Final = 1 << 31
"""Bytes of a part that is read whole (scales, zero points): larger than any published."""


class DequantizedSource(ComputedSource):
    """A source of what packed tensors stand for. Subclasses give ``rows``.

    Attributes:
        name: of the tensor, for errors.
    """

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name = name
        self._shape = shape

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape


class Packing(NamedTuple):
    """What a packed tensor is stored as.

    Attributes:
        form: a short name, such as ``GPTQ-4`` or ``F8_E4M3``.
        parts: the tensors of the checkpoint it is made of, the one with the weights among them.
    """

    form: str
    parts: tuple[str, ...]


class Parts:
    """A checkpoint's tensors, of which some together make one.

    Attributes:
        tensors: all of them, by name.
        dropped: (name, reason) of those nothing is made of.
        packings: what each of those made is stored as, by its name.
        notes: what the user should know of this format.
    """

    def __init__(self, tensors: Mapping[str, SafetensorsTensor]) -> None:
        self.tensors = tensors
        self.dropped: list[tuple[str, str]] = []
        self.packings: dict[str, Packing] = {}
        self._pending_components: dict[str, list[str]] = {}  # by base
        self._made: dict[str, tuple[str, Source]] = {}
        self._first: list[str] = []
        self._used: set[str] = set()
        self._missing: list[str] = []
        self.notes: list[str] = []

    def bases(self, suffix: str) -> Iterator[str]:
        """Names before this ending, such as ``.weight_scale``."""
        for name in self.tensors:
            if name.endswith(suffix) and name not in self._used:
                yield name.removesuffix(suffix)

    def take(self, base: str, ending: str) -> SafetensorsTensor | None:
        """A part that must be there; where it is not, `finish` says so, together with all others.

        Its name is ``base`` and ``ending``, and it belongs to what `make` makes of ``base``.
        """
        if base + ending not in self.tensors:
            self._missing.append(base + ending)
            return None
        return self.find(base, ending)

    def find(self, base: str, ending: str) -> SafetensorsTensor | None:
        """A part that may be there; see `take`."""
        if (found := self.tensors.get(base + ending)) is not None:
            self._used.add(base + ending)
            self._pending_components.setdefault(base, []).append(base + ending)
        return found

    def is_used(self, name: str) -> bool:
        """Whether something was made of this part, or it was dropped."""
        return name in self._used

    def make(self, base: str, name: str, source: Source, *, at: str, form: str, first: bool = False) -> None:
        """``source`` stands under ``name``, in the place where the part ``at`` stood.

        It is made of the parts taken and found of ``base``, and stored as ``form``.

        With ``first`` it stands before all other tensors: those whose blocks llama.cpp's converter keeps,
        it writes before everything else.
        """
        self._made[at] = (name, source)
        self.packings[name] = Packing(form, tuple(self._pending_components.pop(base)))
        if first:
            self._first.append(at)

    @property
    def computes(self) -> bool:
        """Whether anything made is not in a type of GGUF as it is published."""
        return len(self._made) > len(self._first)

    def drop(self, endings: Iterable[str], reason: str) -> None:
        """Leave out all tensors with one of these endings."""
        for name in self.tensors:
            if name.endswith(tuple(endings)) and name not in self._used:
                self._used.add(name)
                self.dropped.append((name, reason))

    def finish(self) -> dict[str, Source]:
        """The tensors, unpacked where something was made of them.

        Raises:
            CheckpointError: parts are missing; lists them.
        """
        if self._missing:
            more = len(self._missing) - _SHOWN
            shown = ", ".join(self._missing[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
            raise CheckpointError(f"packed tensors lack their {shown}")
        found: dict[str, Source] = {}
        early = set(self._first)
        later = (name for name in self.tensors if name not in early)
        for name in (*self._first, *later):
            if name in self._made:
                made, source = self._made[name]
                if made in found or (made != name and made in self.tensors):
                    raise CheckpointError("the same tensor is there packed and unpacked", tensor=made)
                found[made] = source
            elif name not in self._used:
                found[name] = self.tensors[name]
        return found


def whole(tensor: SafetensorsTensor, dtype: str) -> NDArray[Any]:
    """All of a small tensor in its own numpy dtype and shape.

    Raises:
        CheckpointError: larger than `MAX_AUXILIARY`.
    """
    return tensor.raw(0, _all_rows(tensor)).reshape(-1).view(dtype).reshape(tensor.shape)


def whole_floats(tensor: SafetensorsTensor) -> NDArray[np.float32]:
    """All of a small tensor as float32, in its shape.

    Raises:
        CheckpointError: larger than `MAX_AUXILIARY`.
        UnsupportedError: its values cannot be read.
    """
    return tensor.rows(0, _all_rows(tensor)).reshape(tensor.shape)


def _all_rows(tensor: SafetensorsTensor) -> int:
    """How many rows a small tensor has.

    Raises:
        CheckpointError: larger than `MAX_AUXILIARY`.
    """
    if tensor.nbytes > MAX_AUXILIARY:
        raise CheckpointError(
            "an auxiliary tensor is too large",
            tensor=tensor.name,
            found=tensor.nbytes,
            expected=MAX_AUXILIARY,
        )
    return row_count(tensor.shape)


def checked_scales(scales: NDArray[np.float32], name: str, *, zero: bool = False) -> NDArray[np.float32]:
    """Scales, none of which is NaN, infinite, or (unless ``zero``) 0.

    Raises:
        CheckpointError: one is; tells which.
    """
    good = np.isfinite(scales) if zero else np.isfinite(scales) & (scales != 0)
    if not good.all():
        at = np.unravel_index(int(np.argmin(good)), scales.shape)
        raise CheckpointError(
            f"a scale is unusable at {tuple(int(i) for i in at)}",
            tensor=name,
            found=float(scales[at]),
            expected="a finite number" + ("" if zero else " other than 0"),
        )
    return scales


def some_floats(tensor: SafetensorsTensor, start: int, stop: int) -> NDArray[np.float32]:
    """Values ``start`` to ``stop`` of a vector, of which no more is read."""
    size = tensor.nbytes // max(tensor.shape[0], 1)
    return tensor.decoded(tensor.band(start * size, stop * size)[0])


def group_order(order: SafetensorsTensor, groups: int) -> NDArray[np.uint32] | None:
    """The group of each column, or None where groups of equal width follow one another.

    Raises:
        CheckpointError: one is no group.
    """
    places = whole(order, "<i8" if order.dtype == "I64" else "<i4").astype(np.int64)
    wrong = places[(places < 0) | (places >= groups)]
    if wrong.size:
        raise CheckpointError(
            "names a group there is not",
            tensor=order.name,
            found=int(wrong[0]),
            expected=f"0 to {groups - 1}",
        )
    width = max(places.size // groups, 1)
    return None if (places == np.arange(places.size) // width).all() else places.astype(np.uint32)


def require_shape(
    tensor: SafetensorsTensor, expected: Sequence[tuple[int, ...]], dtypes: Sequence[str] = ()
) -> None:
    """Check a part.

    Raises:
        CheckpointError: it has another shape or dtype.
    """
    if dtypes and tensor.dtype not in dtypes:
        raise UnsupportedError(
            "a packed tensor's part is of another dtype",
            tensor=tensor.name,
            found=tensor.dtype,
            expected=" or ".join(dtypes),
        )
    if tuple(tensor.shape) not in expected:
        raise CheckpointError(
            "a packed tensor's part is of another shape",
            tensor=tensor.name,
            found=tuple(tensor.shape),
            expected=" or ".join(map(str, dict.fromkeys(expected))),
        )


def setting(settings: Mapping[str, Any], *names: str, kind: type, default: Any = None) -> Any:
    """A value of a quantization config, by any of its names.

    Raises:
        CheckpointError: it is of another kind, or there is none and no default.
    """
    for name in names:
        value = settings.get(name)
        if value is None:
            continue
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise CheckpointError(
                "of the wrong kind",
                path="config.json",
                key=f"quantization_config.{name}",
                found=value,
                expected=kind.__name__,
            )
        return value
    if default is None:
        raise CheckpointError("missing", path="config.json", key=f"quantization_config.{names[0]}")
    return default


Unpacker = Callable[[Mapping[str, Any], Parts], None]
"""Given quantization_config and the parts, makes what it can of them. Raises CheckpointError."""
