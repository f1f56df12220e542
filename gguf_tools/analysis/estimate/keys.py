"""Values of a model's metadata, checked: what the sizes of an estimate are made of."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from ...container.metadata import Array
from ...errors import FormatError

__all__ = ["MAX_LAYERS", "Keys"]

MAX_LAYERS: Final = 4096
"""More than llama.cpp has room for (512); a count beyond is damage, and would cost memory to spread out."""

_LARGEST: Final = 2**31
"""No dimension, count or length of a model is as large."""


class Keys:
    """The metadata of one architecture. Names are given without the architecture's."""

    def __init__(
        self, metadata: Mapping[str, object], architecture: str, path: str | os.PathLike[str] | None
    ) -> None:
        self._metadata = metadata
        self._architecture = architecture
        self._path = path

    def number(self, name: str, default: int | None = None, *, least: int = 0, most: int = _LARGEST) -> int:
        """A count or a size, from ``least`` to ``most``.

        Raises:
            FormatError: it is missing and there is no default, or it is no such number.
        """
        value = self._metadata.get(self._key(name))
        if value is None:
            if default is None:
                raise FormatError("needed for the estimate", path=self._path, key=self._key(name))
            return default
        found = self._checked(name, value)
        if not least <= found <= most:
            raise FormatError(
                "out of range",
                path=self._path,
                key=self._key(name),
                found=found,
                expected=f"{least} to {most}",
            )
        return found

    def by_layer(self, name: str, layers: int, default: int | list[int] | None = None) -> list[int]:
        """A number for each layer: of an array that has them all, or the same for each.

        Raises:
            FormatError: as `number`; or the array is shorter than the model.
        """
        value = self._metadata.get(self._key(name))
        if isinstance(value, Array):
            if len(value) < layers:
                raise FormatError(
                    "one number per layer is needed",
                    path=self._path,
                    key=self._key(name),
                    found=len(value),
                    expected=layers,
                )
            return [self._checked(name, value[index]) for index in range(layers)]
        if value is None and isinstance(default, list):
            return default
        return [self.number(name, default if isinstance(default, int) else None)] * layers

    def flags(self, name: str, layers: int) -> list[bool]:
        """A truth value for each layer.

        Raises:
            FormatError: as `by_layer`.
        """
        return [bool(value) for value in self.by_layer(name, layers)]

    def has(self, name: str) -> bool:
        """Whether the key is there."""
        return self._key(name) in self._metadata

    def is_array(self, name: str) -> bool:
        """Whether the key is there and has an array."""
        return isinstance(self._metadata.get(self._key(name)), Array)

    def flag(self, name: str, default: bool) -> bool:
        """A truth value; of another kind counts as not said."""
        value = self._metadata.get(self._key(name))
        return value if isinstance(value, bool) else default

    def real(self, name: str) -> float:
        """A float, zero where it is not said."""
        value = self._metadata.get(self._key(name))
        return float(value) if isinstance(value, int | float) else 0.0

    def array_length(self, key: str) -> int | None:
        """Length of the array under a full key, or None."""
        value = self._metadata.get(key)
        return len(value) if isinstance(value, Array) else None

    def _key(self, name: str) -> str:
        return f"{self._architecture}.{name}"

    def _checked(self, name: str, value: object) -> int:
        if isinstance(value, int) and 0 <= value < _LARGEST:
            return int(value)
        raise FormatError(
            "not a count or size",
            path=self._path,
            key=self._key(name),
            found=value,
            expected="a whole number below 2^31",
        )
