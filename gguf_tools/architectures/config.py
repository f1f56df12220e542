"""The two bags of facts a table reads: HF's config.json and GGUF's metadata, with typed, checked access."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

import numpy as np

from ..errors import ArchitectureError, FormatError
from ..hyperparameters import CheckedHyperparameters
from ..source import Source

__all__ = ["MAX_UINT32", "GGUFFacts", "HFConfig", "rounded", "shortest", "simplest"]

MAX_UINT32: Final = 0xFFFF_FFFF

_CONFIG: Final = "config.json"
_LARGEST: Final = float(np.finfo(np.float32).max)


class HFConfig(Mapping[str, Any]):
    """A model's config.json with the family's defaults filled in.

    Attributes:
        token_count: length of the tokenizer's vocabulary, when known.
        read_json: reads another JSON file of the checkpoint by relative name, None when it is missing.
        tensor_names: names of the checkpoint's tensors, when known.
    """

    def __init__(
        self,
        values: Mapping[str, Any],
        *,
        token_count: int | None = None,
        read_json: Callable[[str], Any] | None = None,
        tensor_names: Iterable[str] = (),
    ) -> None:
        self._values = dict(values)
        self.tensor_names = tuple(tensor_names)
        self.token_count = token_count
        self.read_json: Callable[[str], Any] = read_json or (lambda name: None)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def find(self, *keys: str) -> Any:
        """The first of these keys that is there and not null; None when there is none."""
        return next((self._values[key] for key in keys if self._values.get(key) is not None), None)

    def integer(self, *keys: str, least: int = 1, most: int = MAX_UINT32) -> int:
        """A whole number that must be there, from ``least`` to ``most``.

        Raises:
            ArchitectureError: missing, not an integer, or out of range; names the config key.
        """
        key, value = self._needed(keys)
        return whole(value, key, least=least, most=most)

    def number(self, *keys: str) -> float:
        """A finite number above zero that must be there, as a float that float32 can hold.

        Raises:
            ArchitectureError: missing, not a number, not finite or not above zero; names the config key.
        """
        key, value = self._needed(keys)
        return real(value, key)

    def flag(self, key: str) -> bool:
        """A boolean; false when missing or null.

        Raises:
            ArchitectureError: there, but not a boolean.
        """
        value = self.find(key)
        if value is not None and not isinstance(value, bool):
            raise ArchitectureError("not a boolean", path=_CONFIG, key=key, found=value)
        return bool(value)

    def has_tensors(self, beginning: str) -> bool:
        """Whether the checkpoint has a tensor whose name begins so."""
        return any(name.startswith(beginning) for name in self.tensor_names)

    def _needed(self, keys: tuple[str, ...]) -> tuple[str, Any]:
        for key in keys:
            if self._values.get(key) is not None:
                return key, self._values[key]
        other = f" (nor {', '.join(keys[1:])})" if len(keys) > 1 else ""
        raise ArchitectureError(f"missing from the model's config{other}", path=_CONFIG, key=keys[0])


def whole(value: Any, key: str, *, least: int = 1, most: int = MAX_UINT32) -> int:
    """``value`` checked to be an integer from ``least`` to ``most``; ``key`` is for the error's text."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        expected = _range(least, most)
        found = "nothing" if value is None else value
        raise ArchitectureError("not a usable size", path=_CONFIG, key=key, found=found, expected=expected)
    return value


def _range(least: int, most: int) -> str:
    return f"one whole number from {least} " + ("up" if most == MAX_UINT32 else f"to {most}")


def real(value: Any, key: str, *, least: float | None = None) -> float:
    """``value`` checked to be a number above zero (or at least ``least``), rounded to float32."""
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST:
        number = rounded(value)
        if number > 0 if least is None else number >= least:
            return number
    expected = "a finite number above zero" if least is None else f"a finite number, at least {least}"
    found = "nothing" if value is None else value
    raise ArchitectureError("not a usable number", path=_CONFIG, key=key, found=found, expected=expected)


def rounded(value: float) -> float:
    """The value a float32 key holds: ``value`` rounded to float32."""
    return float(np.float32(value))


def shortest(value: float) -> float:
    """The shortest decimal that rounds to the same float32: 1e-05, not 9.99999974e-06."""
    return float(str(np.float32(value)))


def simplest(near: float, function: Callable[[float], float], value: float) -> float:
    """The decimal with the fewest digits near ``near`` whose ``function`` is ``value`` in float32."""
    for digits in range(1, 17):
        candidate = float(f"{near:.{digits}g}")
        if np.float32(function(candidate)) == np.float32(value):
            return candidate
    return near


class GGUFFacts:
    """A GGUF file's metadata and tensors, seen from one architecture's table.

    Keys are given without the architecture's name: ``block_count`` is ``llama.block_count``.

    Attributes:
        hyperparameters: the same keys by what they mean.
    """

    def __init__(self, name: str, metadata: Mapping[str, Any], tensors: Mapping[str, Source]) -> None:
        self.name, self.metadata, self.tensors = name, metadata, tensors
        self.hyperparameters = CheckedHyperparameters(metadata, name, use="config.json")

    def key(self, suffix: str) -> str:
        """The full key."""
        return f"{self.name}.{suffix}"

    def find(self, suffix: str) -> Any:
        """The value of a key, or None."""
        return self.metadata.get(self.key(suffix))

    def integer(self, suffix: str, *, least: int = 1, most: int = MAX_UINT32) -> int | None:
        """A whole number, or None when the key is absent.

        Raises:
            FormatError: not an integer, or out of range.
        """
        value = self.find(suffix)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise FormatError(
                "not a usable size",
                key=self.key(suffix),
                found=value,
                expected=_range(least, most),
            )
        return value

    def number(self, suffix: str) -> float | None:
        """A finite number, not negative, as its shortest decimal; None when the key is absent.

        Raises:
            FormatError: not such a number.
        """
        value = self.find(suffix)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < np.inf:
            raise FormatError(
                "not a usable number",
                key=self.key(suffix),
                found=value,
                expected="one finite number, not negative",
            )
        return shortest(value)

    def has(self, tensor: str) -> bool:
        """Whether the file has a tensor of this name."""
        return tensor in self.tensors

    def rows_of(self, tensor: str) -> int | None:
        """The first dimension of a tensor (its rows, for a matrix), or None when it is absent."""
        source = self.tensors.get(tensor)
        return None if source is None or not source.shape else source.shape[0]
