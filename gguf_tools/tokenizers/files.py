"""The tokenizer files of a checkpoint directory, each read once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ..checkpoint.json_files import parse_json, read_bytes
from ..errors import CheckpointError, TokenizerError, reported
from ..io.file_magic import looks_like
from ..io.remote import Location, PathOrLocation, exists, list_names

__all__ = ["TokenizerFiles", "id_of_key", "items", "mapping", "text_of"]

_DIGITS: Final = 10
"""Of an id: more do not fit into GGUF, and thousands are refused by Python."""


class TokenizerFiles:
    """Lazily read tokenizer files.

    Args:
        directory: the checkpoint.

    Attributes:
        directory: the same.
    """

    def __init__(self, directory: PathOrLocation) -> None:
        self.directory = directory
        self._documents: dict[str, Any] = {}

    def path(self, name: str) -> str:
        """Where a file is or would be, for errors."""
        return str(self.directory / name)

    def exists(self, name: str) -> bool:
        """Whether there is such a file."""
        with reported(CheckpointError, "cannot look at the file", self.path(name)):
            found = exists(self.directory / name)
        return found

    def matching(self, folder: str, suffix: str) -> list[str]:
        """Names of files in a folder of the checkpoint, in order; none where a remote one has no listing."""
        if isinstance(self.directory, Location):
            return [name for name in list_names(self.directory / folder) or () if name.endswith(suffix)]
        return sorted(path.name for path in (self.directory / folder).glob(f"*{suffix}"))

    def bytes(self, name: str) -> bytes | None:
        """Contents of a file, or None.

        Raises:
            CheckpointError: it cannot be read or is absurdly large.
        """
        return read_bytes(self.directory / name)

    def text(self, name: str) -> str | None:
        """Contents of a UTF-8 file with its lines ended by newlines, or None.

        Raises:
            CheckpointError: it cannot be read.
            TokenizerError: it is not UTF-8.
        """
        data = self.bytes(name)
        if data is None:
            return None
        try:
            return data.decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError as error:
            raise TokenizerError("is not UTF-8 text", path=self.path(name), offset=error.start) from error

    def json(self, name: str) -> Mapping[str, Any] | None:
        """A JSON object, or None where there is no such file.

        Raises:
            CheckpointError: it cannot be read or is not JSON.
            TokenizerError: it is not an object.
        """
        if name not in self._documents:
            data = self.bytes(name)
            self._documents[name] = None if data is None else _parsed(data, self.path(name))
        document = self._documents[name]
        if document is None:
            return None
        if not isinstance(document, dict):
            raise TokenizerError(
                "must be a JSON object",
                path=self.path(name),
                found=type(document).__name__,
                expected="an object",
            )
        return document

    def require(self, name: str) -> Mapping[str, Any]:
        """A JSON object that must be there.

        Raises:
            TokenizerError: there is no such file, or it is not an object.
            CheckpointError: it cannot be read or is not JSON.
        """
        document = self.json(name)
        if document is None:
            raise TokenizerError("the file is missing", path=self.path(name))
        return document


def _parsed(data: bytes, path: str) -> Any:
    try:
        document = parse_json(data, path, strict=False)
    except CheckpointError as error:
        meaning = looks_like(data[:64])
        if meaning is None or data.lstrip()[:1] in {b"{", b"["}:
            raise
        raise TokenizerError(f"is not JSON: it looks like {meaning}", path=path) from error
    if b"\\ud" in data or b"\\uD" in data:
        _check_surrogates(document, path)
    return document


def _check_surrogates(document: Any, path: str) -> None:
    """JSON can spell half a character, which no file of tokens can hold."""
    text = json.dumps(document, ensure_ascii=False)
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        found = ascii(text[max(0, error.start - 20) : error.end])
        raise TokenizerError("holds a lone surrogate, which is no text", path=path, found=found) from error


def mapping(value: Any, key: str, path: str) -> Mapping[str, Any]:
    """A JSON value that must be an object; absent counts as empty.

    Raises:
        TokenizerError: it is something else.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TokenizerError(
            "must be an object", path=path, key=key, found=type(value).__name__, expected="an object"
        )
    return value


def items(value: Any, key: str, path: str) -> list[Any]:
    """A JSON value that must be a list; absent counts as empty.

    Raises:
        TokenizerError: it is something else.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise TokenizerError(
            "must be a list", path=path, key=key, found=type(value).__name__, expected="a list"
        )
    return value


def text_of(value: Any) -> str | None:
    """The text of a token given as a string or as ``{"content": …}``; None for anything else."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def id_of_key(key: str, path: str) -> int:
    """The id an entry of ``added_tokens_decoder`` stands at.

    Raises:
        TokenizerError: the key is no number, or one no token has.
    """
    if not key.isdecimal() or len(key) > _DIGITS:
        raise TokenizerError(
            "a token's id is unusable", path=path, key="added_tokens_decoder", found=key, expected="a number"
        )
    return int(key)
