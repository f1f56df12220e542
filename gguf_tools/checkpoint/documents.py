"""Reading small JSON files that somebody else wrote.

Two temperaments. Headers and indexes are machine-made and say where bytes lie, so they are read
strictly: a key that occurs twice or a ``NaN`` is an error. Configs are edited by hand and written by
Python's json, so they are read as transformers reads them: ``Infinity`` is a number, the last of equal
keys counts.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final, NoReturn

from ..errors import CheckpointError, RemoteError
from ..reading import open_regular
from ..remote import Location, Place, is_missing, open_input

__all__ = ["MAX_JSON_BYTES", "parse_json", "parse_object", "read_bytes"]

MAX_JSON_BYTES: Final = 128 << 20
"""The largest JSON files beside real models (tokenizer.json, the index of a model of 90,000 tensors) are
below 40 MB; anything much larger is not meant to be read whole."""


def parse_json(data: bytes, path: str, *, strict: bool) -> Any:
    """The value of a JSON text; ``strict`` refuses duplicate keys and numbers that are not finite.

    Raises:
        CheckpointError: not UTF-8, not JSON, nested too deeply, or numbers of thousands of digits.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError("is not UTF-8 text", path=path, offset=error.start) from error
    try:
        if strict:
            return json.loads(text, object_pairs_hook=_unique, parse_constant=_not_a_number)
        return json.loads(text)
    except CheckpointError as error:
        raise CheckpointError(error.message, path=path, key=error.key, found=error.found) from None
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode("utf-8"))
        raise CheckpointError(f"is not valid JSON: {error.msg}", path=path, offset=place) from error
    except RecursionError as error:
        raise CheckpointError("is not usable JSON: nested too deeply", path=path) from error
    except ValueError as error:  # Python's limit on the digits of an integer
        raise CheckpointError(f"is not usable JSON: {error}", path=path) from error


def parse_object(data: bytes, path: str, *, strict: bool) -> dict[str, Any]:
    """As `parse_json`, and the value must be an object."""
    value = parse_json(data, path, strict=strict)
    if not isinstance(value, dict):
        raise CheckpointError(
            "must be a JSON object", path=path, found=type(value).__name__, expected="an object"
        )
    return value


def read_bytes(path: Place) -> bytes | None:
    """Contents of a small file, or None where there is none.

    Raises:
        CheckpointError: it cannot be read, or is larger than `MAX_JSON_BYTES`.
        RemoteError: what a URL leads to cannot be read.
    """
    if isinstance(path, Location):
        return _read_remote(path)
    try:
        fd, status = open_regular(path, CheckpointError)
    except CheckpointError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    with os.fdopen(fd, "rb") as file:
        _check_size(path, status.st_size)
        try:
            return file.read()
        except OSError as error:
            raise CheckpointError(f"cannot read the file: {error.strerror}", path=path) from error


def _read_remote(path: Location) -> bytes | None:
    try:
        file = open_input(path, CheckpointError)
    except RemoteError as error:
        if is_missing(error):
            return None
        raise
    _check_size(path, file.size)
    return file.read(0, file.size).tobytes()


def _check_size(path: Place, size: int) -> None:
    if size > MAX_JSON_BYTES:
        raise CheckpointError(
            "is too large for a file of its kind",
            path=path,
            found=f"{size} bytes",
            expected=f"at most {MAX_JSON_BYTES}",
        )


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise CheckpointError("the key occurs twice", key=key)
            seen.add(key)
    return made


def _not_a_number(text: str) -> NoReturn:
    raise CheckpointError("is not valid JSON: not a finite number", found=text)
