"""Every error the package raises on purpose.

All of them subclass ``ValueError`` and say *where* (file, key or tensor, byte offset) and *what*
(found, expected), so that a caller can print one line and be understood.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from .printable import printable

__all__ = [
    "ArchitectureError",
    "CheckpointError",
    "FormatError",
    "GGUFToolsError",
    "NonFiniteError",
    "OutputError",
    "QuantizationError",
    "RemoteError",
    "TokenizerError",
    "UnsupportedError",
    "reported",
]


class GGUFToolsError(ValueError):
    """Base of all errors of this package.

    The keyword arguments are kept as attributes for programs; ``str(error)`` joins them into one line
    for people: ``model.gguf: tensor 'x': at byte 120: what went wrong (found 7, expected 4)``. Whatever
    files and servers have put into it, that line is printable, see `gguf_tools.printable`.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        key: str | None = None,
        tensor: str | None = None,
        offset: int | None = None,
        found: object = None,
        expected: object = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.key = key
        self.tensor = tensor
        self.offset = offset
        self.found = found
        self.expected = expected

    def __str__(self) -> str:
        place = []
        if self.path is not None:
            place.append(self.path)
        if self.key is not None:
            place.append(f"key {_quoted(self.key)}")
        if self.tensor is not None:
            place.append(f"tensor {_quoted(self.tensor)}")
        if self.offset is not None:
            place.append(f"at byte {self.offset}")
        facts = []
        if self.found is not None:
            facts.append(f"found {_shown(self.found)}")
        if self.expected is not None:
            facts.append(f"expected {_shown(self.expected)}")
        text = ": ".join([*place, self.message])
        return printable(f"{text} ({', '.join(facts)})" if facts else text)


class FormatError(GGUFToolsError):
    """A GGUF file is not well formed: bad magic, truncated, absurd counts, overlapping tensors."""


class RemoteError(GGUFToolsError):
    """A file on another machine cannot be read: not found, not allowed, timed out, changed meanwhile.

    Attributes:
        status: HTTP's number for what went wrong, where the server said one.
        span: the bytes that were asked for, first and past the last.
    """

    def __init__(
        self, message: str, *, path: str, status: int | None = None, span: tuple[int, int] | None = None
    ) -> None:
        asked = None if span is None else f"asked for bytes {span[0]} to {span[1] - 1}"
        super().__init__(f"{message} ({asked})" if asked else message, path=path)
        self.status = status
        self.span = span


class UnsupportedError(GGUFToolsError):
    """Well formed, but of a version, type or feature this package cannot handle."""


class CheckpointError(GGUFToolsError):
    """A Hugging Face checkpoint directory or safetensors file is missing a part or not well formed."""


class TokenizerError(GGUFToolsError):
    """Tokenizer files are missing, inconsistent, or of a kind that is not recognised."""


class ArchitectureError(GGUFToolsError):
    """The model's architecture is unsupported, or its tensors or config do not match the table."""


class QuantizationError(GGUFToolsError):
    """Data cannot be encoded or decoded as asked: unknown type, row length, buffer size."""


class NonFiniteError(QuantizationError):
    """A NaN or infinity was met where a block quantizer needs finite values; ``index`` says where."""

    def __init__(
        self, type_name: str, value: float, index: tuple[int, ...], *, tensor: str | None = None
    ) -> None:
        super().__init__(
            f"{type_name} cannot hold the value at index {index}",
            tensor=tensor,
            found=value,
            expected="a finite value",
        )
        self.type_name = type_name
        self.value = value
        self.index = index


class OutputError(GGUFToolsError):
    """The output exists already, or cannot be written."""


@contextmanager
def reported(error: type[GGUFToolsError], doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses in the block becomes an error that says what was to be done with which file.

    Args:
        error: its class.
        doing: such as ``"cannot write"``; the system's reason follows.
        path: the file.
    """
    try:
        yield
    except OSError as cause:
        raise error(f"{doing}: {cause.strerror}", path=path) from cause


_LONGEST_SHOWN = 120  # a hostile file may carry a "key" of many megabytes; a line must stay a line


def _quoted(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"
