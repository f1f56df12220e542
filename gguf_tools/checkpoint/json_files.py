"""Reading small JSON files that somebody else wrote.

Two temperaments. Headers and indexes are machine-made and say where bytes lie, so they are read
strictly: a key that occurs twice or a ``NaN`` is an error. Configs are edited by hand and written by
Python's json, so they are read as transformers reads them: ``Infinity`` is a number, the last of equal
keys counts.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final, NoReturn

from ..errors import CheckpointError, GGUFToolsError, RemoteError
from ..io.input_files import read_small
from ..io.remote import Location, PathOrLocation, is_missing, open_input

__all__ = ["MAX_DIGITS", "MAX_JSON_BYTES", "json_bytes", "parse_json", "parse_object", "read_bytes"]

MAX_JSON_BYTES: Final = 128 << 20
"""The largest JSON files beside real models (tokenizer.json, the index of a model of 90,000 tensors) are
below 40 MB; anything much larger is not meant to be read whole."""

MAX_DIGITS: Final = 100
"""Of an integer. ``model_max_length`` often has 31; with 300 it would be beyond all floats, and from 4,300 on
Python does not take it for a number."""


def parse_json(data: bytes, path: str, *, strict: bool) -> Any:
    """The value of a JSON text; ``strict`` refuses duplicate keys and numbers that are not finite.

    Raises:
        CheckpointError: not UTF-8, not JSON, nested too deeply, or a number is too long.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError("is not UTF-8 text", path=path, offset=error.start) from error
    hooks: dict[str, Any] = {"parse_int": _integer}
    if strict:
        hooks |= {"object_pairs_hook": _unique, "parse_constant": _not_a_number, "parse_float": _finite}
    try:
        return json.loads(text, **hooks)
    except CheckpointError as error:
        raise CheckpointError(
            error.message, path=path, key=error.key, found=error.found, expected=error.expected
        ) from None
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode("utf-8"))
        raise CheckpointError(f"is not valid JSON: {error.msg}", path=path, offset=place) from error
    except RecursionError as error:
        raise CheckpointError("is not usable JSON: nested too deeply", path=path) from error


def parse_object(data: bytes, path: str, *, strict: bool) -> dict[str, Any]:
    """As `parse_json`, and the value must be an object."""
    value = parse_json(data, path, strict=strict)
    if not isinstance(value, dict):
        raise CheckpointError(
            "must be a JSON object", path=path, found=type(value).__name__, expected="an object"
        )
    return value


def json_bytes(
    document: object, name: str, error: type[GGUFToolsError], *, indent: int | None = None
) -> bytes:
    """A document as the JSON of a file that is to be written, with an end of line.

    Args:
        document: plain values.
        name: of the file, for the error.
        error: its class.
        indent: as of `json.dumps`.

    Raises:
        GGUFToolsError: a text in it is not UTF-8; texts from GGUF files need not be.
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent) + "\n"
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as cause:
        raise error(
            f"{name} cannot be written: a text is not UTF-8, which JSON cannot express",
            found=ascii(text[max(0, cause.start - 20) : cause.end]),
        ) from cause


def read_bytes(path: PathOrLocation) -> bytes | None:
    """Contents of a small file, or None where there is none.

    Raises:
        CheckpointError: it cannot be read, or is larger than `MAX_JSON_BYTES`.
        RemoteError: what a URL leads to cannot be read.
    """
    if isinstance(path, Location):
        return _read_remote(path)
    try:
        return read_small(path, MAX_JSON_BYTES, CheckpointError)
    except CheckpointError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise


def _read_remote(path: Location) -> bytes | None:
    try:
        file = open_input(path, CheckpointError)
    except RemoteError as error:
        if is_missing(error):
            return None
        raise
    if file.size > MAX_JSON_BYTES:
        raise CheckpointError(
            "is too large for a file of its kind",
            path=path,
            found=f"{file.size} bytes",
            expected=f"at most {MAX_JSON_BYTES}",
        )
    return file.read(0, file.size).tobytes()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise CheckpointError("the key occurs twice", key=key)
            seen.add(key)
    return made


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise CheckpointError(
            "is not usable JSON: too long a number",
            found=f"{len(text)} digits",
            expected=f"at most {MAX_DIGITS}",
        )
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _not_a_number(text)
    return value


def _not_a_number(text: str) -> NoReturn:
    raise CheckpointError("is not valid JSON: not a finite number", found=text)
